//! A static program for x86-64, made here byte by byte: it does the system calls it was made for and prints what the
//! kernel answered, so that a filter can be asked anything. No compiler is needed on the machine that tests.

/// A system call by number, with its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Call(pub u32, pub [u64; 6]);

/// Where a program is loaded.
pub(super) const BASE: u64 = 0x40_0000;
const HEADERS: usize = 120;
/// One page behind the code.
const RESULTS: u64 = BASE + 0x1_0000;

/// The program. It writes one byte a call: 0 for the result 0, else the errno (or 256 - N for a result N).
pub fn prober(calls: &[Call]) -> Vec<u8> {
    let mut code = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        system_call(&mut code, *call);
        code.extend([0x48, 0xf7, 0xd8]); // neg rax
        code.extend([0x48, 0xbb]); // mov rbx, address
        code.extend((RESULTS + index as u64).to_le_bytes());
        code.extend([0x88, 0x03]); // mov [rbx], al
    }
    system_call(&mut code, Call(1, [1, RESULTS, calls.len() as u64, 0, 0, 0]));
    system_call(&mut code, Call(60, [0; 6]));
    [headers((HEADERS + code.len()) as u64), code].concat()
}

/// Appends a system call; its result is in `rax`.
pub(super) fn system_call(code: &mut Vec<u8>, Call(number, args): Call) {
    // mov rdi, rsi, rdx, r10, r8, r9
    for (register, arg) in
        [[0x48, 0xbf], [0x48, 0xbe], [0x48, 0xba], [0x49, 0xba], [0x49, 0xb8], [0x49, 0xb9]].iter().zip(args)
    {
        code.extend(register);
        code.extend(arg.to_le_bytes());
    }
    code.push(0xb8); // mov eax
    code.extend(number.to_le_bytes());
    code.extend([0x0f, 0x05]); // syscall
}

/// The ELF header and one program header: everything readable, writable and executable at `BASE`.
pub(super) fn headers(size: u64) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend([2, 0, 62, 0, 1, 0, 0, 0]); // executable, x86-64, version 1
    bytes.extend((BASE + HEADERS as u64).to_le_bytes());
    bytes.extend(64u64.to_le_bytes()); // program headers
    bytes.extend(0u64.to_le_bytes()); // no sections
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([1, 0, 0, 0, 7, 0, 0, 0]); // PT_LOAD, rwx
    for value in [0, BASE, BASE, size, 0x2_0000, 0x1000] {
        bytes.extend(u64::to_le_bytes(value));
    }
    bytes
}
