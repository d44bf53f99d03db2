//! What tests know of the ABIs of system calls, from other sources than the compiler of filters: libseccomp and
//! `linux/audit.h`.

use corten::seccomp::Arch;
use libseccomp::{ScmpArch, ScmpSyscall};

/// The bit that makes a number one of x32.
pub const X32_BIT: u32 = 0x4000_0000;

/// `AUDIT_ARCH_I386`.
pub const TOKEN_X86: u32 = 0x4000_0003;

/// `AUDIT_ARCH_X86_64`.
pub const TOKEN_X86_64: u32 = 0xc000_003e;

/// `AUDIT_ARCH_AARCH64`.
pub const TOKEN_AARCH64: u32 = 0xc000_00b7;

/// How many numbers of an ABI are looked at: more than any has.
pub const NUMBERS: u32 = 1024;

/// Where ARM's private calls begin.
pub const ARM_PRIVATE: u32 = 0xf_0000;

pub fn scmp(abi: Arch) -> ScmpArch {
    match abi {
        Arch::X86_64 => ScmpArch::X8664,
        Arch::X86 => ScmpArch::X86,
        Arch::X32 => ScmpArch::X32,
        Arch::Aarch64 => ScmpArch::Aarch64,
        Arch::Arm => ScmpArch::Arm,
        Arch::Mips => ScmpArch::Mips,
        Arch::Mips64 => ScmpArch::Mips64,
        Arch::Mips64N32 => ScmpArch::Mips64N32,
        Arch::Mipsel => ScmpArch::Mipsel,
        Arch::Mipsel64 => ScmpArch::Mipsel64,
        Arch::Mipsel64N32 => ScmpArch::Mipsel64N32,
        Arch::Ppc => ScmpArch::Ppc,
        Arch::Ppc64 => ScmpArch::Ppc64,
        Arch::Ppc64Le => ScmpArch::Ppc64Le,
        Arch::S390 => ScmpArch::S390,
        Arch::S390x => ScmpArch::S390X,
        Arch::Riscv64 => ScmpArch::Riscv64,
        Arch::Loongarch64 => ScmpArch::Loongarch64,
        _ => panic!("{abi} is not sampled"),
    }
}

/// What `seccomp_data.arch` is for an ABI: `linux/audit.h`.
pub fn token(abi: Arch) -> u32 {
    match abi {
        Arch::X86_64 | Arch::X32 => TOKEN_X86_64,
        Arch::X86 => TOKEN_X86,
        Arch::Aarch64 => TOKEN_AARCH64,
        Arch::Arm => 0x4000_0028,
        Arch::Mips => 0x08,
        Arch::Mips64 => 0x8000_0008,
        Arch::Mips64N32 => 0xa000_0008,
        Arch::Mipsel => 0x4000_0008,
        Arch::Mipsel64 => 0xc000_0008,
        Arch::Mipsel64N32 => 0xe000_0008,
        Arch::Ppc => 0x14,
        Arch::Ppc64 => 0x8000_0015,
        Arch::Ppc64Le => 0xc000_0015,
        Arch::S390 => 0x16,
        Arch::S390x => 0x8000_0016,
        Arch::Riscv64 => 0xc000_00f3,
        Arch::Loongarch64 => 0xc000_0102,
        _ => panic!("{abi} is not sampled"),
    }
}

/// Where the numbers of an ABI begin.
pub fn first_number(abi: Arch) -> u32 {
    match abi {
        Arch::X32 => X32_BIT,
        Arch::Mips | Arch::Mipsel => 4000,
        Arch::Mips64 | Arch::Mipsel64 => 5000,
        Arch::Mips64N32 | Arch::Mipsel64N32 => 6000,
        _ => 0,
    }
}

/// The numbers that a call of an ABI may have.
pub fn range(abi: Arch) -> impl Iterator<Item = u32> {
    let first = first_number(abi);
    (first..first + NUMBERS).chain(ARM_PRIVATE..ARM_PRIVATE + 16)
}

/// What the libseccomp of this machine calls a number.
pub fn name(number: u32, abi: Arch) -> Option<String> {
    ScmpSyscall::from(number as i32).get_name_by_arch(scmp(abi)).ok()
}
