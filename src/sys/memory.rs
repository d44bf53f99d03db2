//! The memory of the `corten` program: a bump allocator on one arena.
//!
//! The runtime lives for milliseconds and allocates a few hundred kilobytes, mostly while it reads and plans. Giving pages
//! back and getting them anew costs it more than all its parsing: two hundred system calls and as many page faults with
//! musl's allocator. Here memory is taken from front to back; only the last block can grow or be given back. A verb that
//! lives long asks for malloc(3) instead.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The first arena lies in `.bss`: a page costs nothing before it is touched.
const FIRST: usize = 512 * 1024;

/// Later arenas come from mmap(2), at least so large.
const LATER: usize = 4 * 1024 * 1024;

/// Whether blocks come from malloc(3) by now.
static LIVES_LONG: AtomicBool = AtomicBool::new(false);

/// From now on memory is given back when it is freed. For verbs that run for days, such as `events`.
pub fn live_long() {
    LIVES_LONG.store(true, Ordering::Relaxed);
}

/// A bump allocator, for a program with one thread.
#[derive(Debug)]
pub struct Bump {
    first: UnsafeCell<[u8; FIRST]>,
    /// Address of the next free byte; 0 before the first use.
    next: AtomicUsize,
    /// Address behind the arena.
    end: AtomicUsize,
    /// Whether the first arena was too small. Then `live_long` comes too late: blocks could not be told apart any more.
    renewed: AtomicBool,
}

// SAFETY: `next` and `end` are atomics, and what lies in `first` is only reached through blocks that were handed out once.
// A second thread could be handed the same block; the runtime never starts one, and `launch` asserts it.
unsafe impl Sync for Bump {}

impl Bump {
    /// An allocator that has handed out nothing yet.
    pub const fn new() -> Self {
        Self {
            first: UnsafeCell::new([0; FIRST]),
            next: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            renewed: AtomicBool::new(false),
        }
    }

    /// Hands out a block from the arena, or nothing when it does not fit.
    fn take(&self, layout: Layout) -> Option<usize> {
        if self.end.load(Ordering::Relaxed) == 0 {
            let start = self.first.get().expose_provenance();
            self.next.store(start, Ordering::Relaxed);
            self.end.store(start + FIRST, Ordering::Relaxed);
        }
        let start = self.next.load(Ordering::Relaxed).checked_next_multiple_of(layout.align())?;
        let end = start.checked_add(layout.size())?;
        if end > self.end.load(Ordering::Relaxed) {
            return None;
        }
        self.next.store(end, Ordering::Relaxed);
        Some(start)
    }

    /// Goes on with a new arena that has room for the block.
    fn renew(&self, layout: Layout) -> Option<()> {
        let size = layout.size().checked_add(layout.align())?.max(LATER);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no memory of ours.
        let arena = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0) };
        if arena == libc::MAP_FAILED {
            return None;
        }
        self.renewed.store(true, Ordering::Relaxed);
        let start = arena.expose_provenance();
        self.next.store(start, Ordering::Relaxed);
        self.end.store(start + size, Ordering::Relaxed);
        Some(())
    }

    /// Whether new blocks come from malloc(3).
    fn is_passed_by(&self) -> bool {
        LIVES_LONG.load(Ordering::Relaxed) && !self.renewed.load(Ordering::Relaxed)
    }

    /// Whether the block came from malloc(3): it is not in the only arena that there is then.
    fn is_foreign(&self, block: *mut u8) -> bool {
        let first = self.first.get().addr();
        self.is_passed_by() && !(first..first + FIRST).contains(&block.addr())
    }

    /// Whether the block is the last one that was handed out.
    fn is_last(&self, block: *mut u8, size: usize) -> bool {
        block.addr() + size == self.next.load(Ordering::Relaxed)
    }
}

impl Default for Bump {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: every block is aligned and large enough (`take`), lies in memory that stays mapped and writable to the end of the
// program, and is handed out again only after it was given back as the last one; or it is aligned_alloc(3)'s, and goes back
// to free(3). Which of the two is told by its address.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.is_passed_by() {
            let align = layout.align().max(size_of::<usize>());
            let size = layout.size().next_multiple_of(align);
            // SAFETY: the alignment is a power of two and a multiple of a pointer's size, the size one of the alignment.
            return unsafe { libc::aligned_alloc(align, size) }.cast();
        }
        let block = self.take(layout).or_else(|| {
            self.renew(layout)?;
            self.take(layout)
        });
        block.map_or(ptr::null_mut(), ptr::with_exposed_provenance_mut)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if self.is_foreign(block) {
            // SAFETY: the block is aligned_alloc(3)'s, and the caller gives it back once.
            unsafe { libc::free(block.cast()) };
            return;
        }
        if self.is_last(block, layout.size()) {
            self.next.store(block.addr(), Ordering::Relaxed);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !self.is_passed_by() && self.is_last(block, layout.size()) {
            let end = block.addr().saturating_add(size);
            if end <= self.end.load(Ordering::Relaxed) {
                self.next.store(end, Ordering::Relaxed);
                return block;
            }
        } else if size <= layout.size() {
            return block;
        }
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else { return ptr::null_mut() };
        // SAFETY: `wanted` is a layout of the size that the caller asks for, which is not 0.
        let new = unsafe { self.alloc(wanted) };
        if !new.is_null() {
            // SAFETY: both blocks hold the smaller size, and a block just handed out overlaps no other.
            unsafe { ptr::copy_nonoverlapping(block, new, layout.size().min(size)) };
            // SAFETY: the caller has given the block up; nobody reads it any more.
            unsafe { self.dealloc(block, layout) };
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn blocks_are_aligned_and_apart_and_the_last_one_grows_in_place() {
        let bump = Box::new(Bump::new());
        // SAFETY: the layout has a size.
        let first = unsafe { bump.alloc(layout(3, 1)) };
        // SAFETY: as above.
        let second = unsafe { bump.alloc(layout(8, 8)) };
        assert_eq!(second.addr() % 8, 0);
        assert!(second.addr() >= first.addr() + 3);
        // SAFETY: `second` was handed out with this layout.
        let grown = unsafe { bump.realloc(second, layout(8, 8), 4096) };
        assert_eq!(grown, second);
        // SAFETY: `first` was handed out with this layout.
        let moved = unsafe { bump.realloc(first, layout(3, 1), 100) };
        assert!(moved.addr() >= grown.addr() + 4096);
    }

    #[test]
    fn a_block_larger_than_the_arena_gets_one_of_its_own() {
        let bump = Box::new(Bump::new());
        let size = FIRST + LATER;
        // SAFETY: the layout has a size.
        let block = unsafe { bump.alloc(layout(size, 64)) };
        assert!(!block.is_null());
        // SAFETY: the block has that many bytes.
        unsafe { block.write_bytes(7, size) };
        // SAFETY: the last byte lies in the block.
        let last = unsafe { block.add(size - 1) };
        // SAFETY: it was written above.
        assert_eq!(unsafe { last.read() }, 7);
    }
}
