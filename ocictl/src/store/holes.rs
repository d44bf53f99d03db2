//! A file in which long runs of zeros are holes: they take no space, and are not written. Layers have some: sections of programs that
//! begin at pages, padding of archives, images of disks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What a file system leaves out.
pub const PAGE: usize = 4096;
/// A shorter run would part the file in two for little.
const LEAST: usize = 4 * PAGE;

/// Writes a file from front to back.
#[derive(Debug)]
pub struct Holey {
    file: File,
    position: u64,
}

impl Holey {
    /// Begins with a file that is empty.
    pub fn new(file: File) -> Self {
        Self { file, position: 0 }
    }

    /// Writes what follows. All pieces but the last are multiples of a page, else there are fewer holes.
    ///
    /// # Errors
    /// As pwrite(2).
    pub fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        // What is to be written begins at `from`.
        let (mut from, mut at) = (0, 0);
        while at < piece.len() {
            let zeros = PAGE * piece[at..].chunks_exact(PAGE).take_while(|page| is_zero(page)).count();
            if zeros >= LEAST {
                self.file.write_all_at(&piece[from..at], self.position + from as u64)?;
                from = at + zeros;
            }
            // And the page that ended the run.
            at = (at + zeros + PAGE).min(piece.len());
        }
        if from < piece.len() {
            self.file.write_all_at(&piece[from..], self.position + from as u64)?;
        }
        self.position += piece.len() as u64;
        Ok(())
    }

    /// Where the next piece will begin.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The file, as long as what was written.
    ///
    /// # Errors
    /// As ftruncate(2).
    pub fn finish(self) -> io::Result<File> {
        self.file.set_len(self.position)?;
        Ok(self.file)
    }
}

fn is_zero(page: &[u8]) -> bool {
    page.chunks_exact(16).all(|some| some == [0; 16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn long_runs_of_zeros_are_holes_and_nothing_is_lost() {
        let path = std::env::temp_dir().join(format!("ocictl-holes-{}", crate::store::disk::random()));
        // Pages with something in them, by their numbers; the last is cut off.
        let (pages, end) = (64, 63 * PAGE + 100);
        for (with, blocks) in [
            (vec![], 0),
            (vec![63], 1),
            (vec![0], 1),
            ((0..64).collect::<Vec<_>>(), 64),
            // Runs of three are written, of four they are not.
            (vec![0, 4, 9, 14, 40], 10),
            (vec![31, 32], 2),
        ] {
            let mut bytes = vec![0; pages * PAGE];
            with.iter().for_each(|page| bytes[page * PAGE + 50] = 1);
            bytes.truncate(end);
            let mut file = Holey::new(crate::store::disk::create(&path).expect("a file"));
            bytes.chunks(16 * PAGE).for_each(|piece| file.write(piece).expect("written"));
            let taken = file.finish().expect("its length").metadata().expect("metadata").blocks() * 512;
            let read = std::fs::read(&path).expect("read");
            std::fs::remove_file(&path).expect("removed");
            assert!(read == bytes, "{with:?}");
            // The page that is cut off is no page; where a file is kept may need a block.
            assert!(taken <= (blocks + 1) * PAGE as u64, "{with:?}: {taken}");
        }
    }
}
