//! Runs a seccomp filter as the kernel would: classic BPF over `struct seccomp_data` (`linux/seccomp.h`, bpf(4)).
//!
//! It knows the instructions that filters consist of and panics at any other, at a jump out of the program and at a
//! load beyond the data, so that running a program also checks it.

use corten::seccomp::Instruction;

/// A system call as a filter sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The number of the call.
    pub number: u32,
    /// The token of its ABI (`AUDIT_ARCH_*`).
    pub token: u32,
    /// Its arguments.
    pub args: [u64; 6],
}

impl Call {
    /// The 32-bit word of `struct seccomp_data` at `offset`, on a machine of the ABI's byte order.
    fn word(&self, offset: u32) -> u32 {
        let little = self.token & 0x4000_0000 != 0;
        match offset {
            0 => self.number,
            4 => self.token,
            8 | 12 => 0,
            16..=60 if offset % 4 == 0 => {
                let arg = self.args[(offset as usize - 16) / 8];
                let low = (offset % 8 == 0) == little;
                if low { arg as u32 } else { (arg >> 32) as u32 }
            }
            _ => panic!("load at {offset}"),
        }
    }
}

/// What a filter returns for a call, and how many instructions that takes.
pub fn run(program: &[Instruction], call: &Call) -> (u32, usize) {
    let (mut place, mut steps, mut loaded) = (0, 0, 0);
    loop {
        let Instruction { code, jt, jf, k } = program[place];
        steps += 1;
        place += 1;
        let holds = match code {
            0x06 => return (k, steps),
            0x20 => {
                loaded = call.word(k);
                continue;
            }
            0x54 => {
                loaded &= k;
                continue;
            }
            0x05 => {
                place += k as usize;
                continue;
            }
            0x15 => loaded == k,
            0x25 => loaded > k,
            0x35 => loaded >= k,
            0x45 => loaded & k != 0,
            _ => panic!("instruction {code:#x} at {place}"),
        };
        place += usize::from(if holds { jt } else { jf });
    }
}
