//! What the compiler must know of an ABI of system calls: how a filter recognises it, and how its calls are numbered.
//!
//! The tokens are `AUDIT_ARCH_*` of `linux/audit.h`; the offsets those of `struct seccomp_data` (`linux/seccomp.h`).

use crate::spec::seccomp::Arch;

/// The bit that tells an x32 call from an x86_64 one, which share a token.
pub(super) const X32_BIT: u32 = 0x4000_0000;

const AUDIT_64BIT: u32 = 0x8000_0000;
const AUDIT_LE: u32 = 0x4000_0000;
const AUDIT_N32: u32 = 0x2000_0000;

/// A column of the table of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    X86,
    X86_64,
    X32,
    Arm,
    Aarch64,
    Loongarch64,
    Mips,
    Mips64,
    Mips64N32,
    Ppc,
    Ppc64,
    Riscv64,
    S390,
    S390x,
}

impl Arch {
    /// The ABI that this binary was built for.
    pub const NATIVE: Self = native();

    /// The ABIs that the kernel of a machine whose native ABI this is can run, the widest first; empty if we have no numbers of it.
    ///
    /// A filter need not know any other: `seccomp_data.arch` cannot have another value.
    pub fn executable(self) -> &'static [Self] {
        match self {
            Self::X86_64 | Self::X32 => &[Self::X86_64, Self::X86, Self::X32],
            Self::X86 => &[Self::X86],
            Self::Aarch64 => &[Self::Aarch64, Self::Arm],
            Self::Arm => &[Self::Arm],
            Self::Mips64 | Self::Mips64N32 => &[Self::Mips64, Self::Mips, Self::Mips64N32],
            Self::Mips => &[Self::Mips],
            Self::Mipsel64 | Self::Mipsel64N32 => &[Self::Mipsel64, Self::Mipsel, Self::Mipsel64N32],
            Self::Mipsel => &[Self::Mipsel],
            Self::Ppc64 => &[Self::Ppc64, Self::Ppc],
            Self::Ppc => &[Self::Ppc],
            Self::Ppc64Le => &[Self::Ppc64Le],
            Self::S390x => &[Self::S390x, Self::S390],
            Self::S390 => &[Self::S390],
            Self::Riscv64 => &[Self::Riscv64],
            Self::Loongarch64 => &[Self::Loongarch64],
            Self::Parisc | Self::Parisc64 | Self::M68k | Self::Sh | Self::ShEb => &[],
        }
    }

    /// Where the numbers of the ABI are, and what is to be added to each; `None` if we have no table of it.
    pub(super) fn numbering(self) -> Option<(Column, u32)> {
        Some(match self {
            Self::X86 => (Column::X86, 0),
            Self::X86_64 => (Column::X86_64, 0),
            Self::X32 => (Column::X32, X32_BIT),
            Self::Arm => (Column::Arm, 0),
            Self::Aarch64 => (Column::Aarch64, 0),
            Self::Loongarch64 => (Column::Loongarch64, 0),
            Self::Mips | Self::Mipsel => (Column::Mips, 4000),
            Self::Mips64 | Self::Mipsel64 => (Column::Mips64, 5000),
            Self::Mips64N32 | Self::Mipsel64N32 => (Column::Mips64N32, 6000),
            Self::Ppc => (Column::Ppc, 0),
            Self::Ppc64 | Self::Ppc64Le => (Column::Ppc64, 0),
            Self::Riscv64 => (Column::Riscv64, 0),
            Self::S390 => (Column::S390, 0),
            Self::S390x => (Column::S390x, 0),
            Self::Parisc | Self::Parisc64 | Self::M68k | Self::Sh | Self::ShEb => return None,
        })
    }

    /// The value of `seccomp_data.arch` for calls of this ABI.
    pub(super) fn token(self) -> u32 {
        match self {
            Self::X86 => 3 | AUDIT_LE,
            Self::X86_64 | Self::X32 => 62 | AUDIT_64BIT | AUDIT_LE,
            Self::Arm => 40 | AUDIT_LE,
            Self::Aarch64 => 183 | AUDIT_64BIT | AUDIT_LE,
            Self::Mips => 8,
            Self::Mips64 => 8 | AUDIT_64BIT,
            Self::Mips64N32 => 8 | AUDIT_64BIT | AUDIT_N32,
            Self::Mipsel => 8 | AUDIT_LE,
            Self::Mipsel64 => 8 | AUDIT_64BIT | AUDIT_LE,
            Self::Mipsel64N32 => 8 | AUDIT_64BIT | AUDIT_N32 | AUDIT_LE,
            Self::Ppc => 20,
            Self::Ppc64 => 21 | AUDIT_64BIT,
            Self::Ppc64Le => 21 | AUDIT_64BIT | AUDIT_LE,
            Self::S390 => 22,
            Self::S390x => 22 | AUDIT_64BIT,
            Self::Parisc => 15,
            Self::Parisc64 => 15 | AUDIT_64BIT,
            Self::Riscv64 => 243 | AUDIT_64BIT | AUDIT_LE,
            Self::Loongarch64 => 258 | AUDIT_64BIT | AUDIT_LE,
            Self::M68k => 4,
            Self::Sh => 42 | AUDIT_LE,
            Self::ShEb => 42,
        }
    }

    /// Whether arguments have 64 bits; of the others (x32 and n32 too, as libseccomp has it) only the low word counts.
    pub(super) fn is_wide(self) -> bool {
        self.token() & AUDIT_64BIT != 0 && !matches!(self, Self::X32 | Self::Mips64N32 | Self::Mipsel64N32)
    }

    /// Whether the ABI reaches the calls for sockets and System V IPC also through `socketcall` and `ipc`.
    pub(super) fn multiplexes(self) -> bool {
        matches!(
            self,
            Self::X86
                | Self::S390
                | Self::S390x
                | Self::Mips
                | Self::Mipsel
                | Self::Ppc
                | Self::Ppc64
                | Self::Ppc64Le
        )
    }

    /// Whether call 0 only stands for a number that the kernel did not know (`setup`, which is long gone).
    pub(super) fn zero_is_unknown(self) -> bool {
        matches!(self, Self::S390 | Self::S390x)
    }

    /// ENOSYS in the numbers of this ABI.
    pub(super) fn enosys(self) -> u32 {
        match self {
            Self::Mips
            | Self::Mips64
            | Self::Mips64N32
            | Self::Mipsel
            | Self::Mipsel64
            | Self::Mipsel64N32 => 89,
            Self::Parisc | Self::Parisc64 => 251,
            _ => 38,
        }
    }

    /// Where the low and the high word of argument `index` (0 to 5) are in `struct seccomp_data`.
    pub(super) fn words(self, index: u32) -> (u32, u32) {
        let start = 16 + 8 * index;
        if self.token() & AUDIT_LE != 0 { (start, start + 4) } else { (start + 4, start) }
    }
}

/// What the compiler of this binary was told to compile for.
const fn native() -> Arch {
    const LITTLE: bool = cfg!(target_endian = "little");
    const WIDE: bool = cfg!(target_pointer_width = "64");
    if cfg!(target_arch = "x86_64") {
        if WIDE { Arch::X86_64 } else { Arch::X32 }
    } else if cfg!(target_arch = "x86") {
        Arch::X86
    } else if cfg!(target_arch = "aarch64") {
        Arch::Aarch64
    } else if cfg!(target_arch = "arm") {
        Arch::Arm
    } else if cfg!(target_arch = "riscv64") {
        Arch::Riscv64
    } else if cfg!(target_arch = "loongarch64") {
        Arch::Loongarch64
    } else if cfg!(target_arch = "s390x") {
        Arch::S390x
    } else if cfg!(target_arch = "powerpc64") {
        if LITTLE { Arch::Ppc64Le } else { Arch::Ppc64 }
    } else if cfg!(target_arch = "powerpc") {
        Arch::Ppc
    } else if cfg!(target_arch = "mips64") {
        if LITTLE { Arch::Mipsel64 } else { Arch::Mips64 }
    } else if cfg!(target_arch = "mips") {
        if LITTLE { Arch::Mipsel } else { Arch::Mips }
    } else {
        panic!("there is no table of system calls for this architecture")
    }
}
