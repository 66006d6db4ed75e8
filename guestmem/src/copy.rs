//! Copies from and to memory that somebody else may write at the same time.
//!
//! The compiler sees none of these accesses: on x86-64 they are inline assembly, elsewhere relaxed atomics.
//! What is copied while its owner writes it is any mixture of old and new bytes, which the caller expects.

#![allow(unsafe_code, reason = "raw copies are what this file is for")]

/// Copies `len` bytes. The ranges may overlap; what arrives then is unspecified.
///
/// # Safety
/// `src` is mapped for reading and `dst` for writing, `len` bytes each, for the whole call.
#[inline]
pub(crate) unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's promise is the same.
    unsafe {
        x86::copy(dst, src, len);
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the caller's promise is the same.
    unsafe {
        portable::copy(dst, src, len);
    }
}

/// Loads eight bytes, at any alignment, in the machine's byte order.
///
/// # Safety
/// `src` is mapped for reading, eight bytes.
#[inline]
pub(crate) unsafe fn load_u64(src: *const u8) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        let value: u64;
        // SAFETY: reads the eight bytes that the caller vouches for, and nothing else.
        unsafe {
            std::arch::asm!("mov {v}, [{s}]", v = lateout(reg) value, s = in(reg) src,
                options(nostack, preserves_flags, readonly));
        }
        value
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let mut bytes = [0; 8];
        // SAFETY: eight bytes at `src` by the caller's promise, and the array's own eight.
        unsafe { copy(bytes.as_mut_ptr(), src, 8) };
        u64::from_ne_bytes(bytes)
    }
}

/// Stores eight bytes, at any alignment, in the machine's byte order.
///
/// # Safety
/// `dst` is mapped for writing, eight bytes.
#[inline]
pub(crate) unsafe fn store_u64(dst: *mut u8, value: u64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: writes the eight bytes that the caller vouches for, and nothing else.
    unsafe {
        std::arch::asm!("mov [{d}], {v}", v = in(reg) value, d = in(reg) dst,
            options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: eight bytes at `dst` by the caller's promise, and the array's own eight.
    unsafe {
        copy(dst, value.to_ne_bytes().as_ptr(), 8);
    }
}

/// Asks for the cache line of `at`, to be read soon. Any address will do.
#[inline]
pub(crate) fn prefetch_read(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch accesses nothing that the program could see, and never faults.
    unsafe {
        std::arch::asm!("prefetcht0 [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at; // A hint that this machine does without.
}

/// Asks for the cache line of `at`, to be written soon. Any address will do.
#[inline]
pub(crate) fn prefetch_write(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch accesses nothing that the program could see, and never faults; processors without
    // this one take it for a no-operation.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at; // A hint that this machine does without.
}

/// Everything before is seen by everybody before anything after happens: a store is not overtaken by a later load.
///
/// As `fence(SeqCst)`, and cheaper on x86-64: `mfence`, which that becomes, also holds up instructions that
/// touch no memory.
#[inline]
pub fn full_barrier() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: changes no byte: zero is added to what lies on top of the stack. A locked instruction orders all
    // of this processor's loads and stores, and the compiler moves no access across assembly.
    unsafe {
        std::arch::asm!("lock add dword ptr [rsp], 0");
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;

    /// From how many bytes on the loop is used. `rep movsb` was 12 to 60 % slower from 200 to 1,500 bytes, and a
    /// loop of 32-byte AVX moves no faster (Sapphire Rapids, buffers in the second-level cache).
    const LONG: usize = 128;

    /// As [`super::copy`].
    ///
    /// # Safety
    /// As for [`super::copy`].
    #[inline]
    pub(super) unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) {
        // SAFETY: each branch touches `len` bytes from both pointers at most: short runs by two halves that
        // overlap, which needs at least the half's length, as each branch checks.
        unsafe {
            if len > LONG {
                long(dst, src, len);
            } else if len >= 64 {
                asm!(
                    "movdqu {a}, [{s}]",
                    "movdqu {b}, [{s} + 16]",
                    "movdqu {c}, [{s} + 32]",
                    "movdqu {e}, [{s} + 48]",
                    "movdqu {f}, [{s} + {n} - 64]",
                    "movdqu {g}, [{s} + {n} - 48]",
                    "movdqu {h}, [{s} + {n} - 32]",
                    "movdqu {i}, [{s} + {n} - 16]",
                    "movdqu [{d}], {a}",
                    "movdqu [{d} + 16], {b}",
                    "movdqu [{d} + 32], {c}",
                    "movdqu [{d} + 48], {e}",
                    "movdqu [{d} + {n} - 64], {f}",
                    "movdqu [{d} + {n} - 48], {g}",
                    "movdqu [{d} + {n} - 32], {h}",
                    "movdqu [{d} + {n} - 16], {i}",
                    s = in(reg) src, d = in(reg) dst, n = in(reg) len,
                    a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, e = out(xmm_reg) _,
                    f = out(xmm_reg) _, g = out(xmm_reg) _, h = out(xmm_reg) _, i = out(xmm_reg) _,
                    options(nostack, preserves_flags)
                );
            } else if len >= 32 {
                asm!(
                    "movdqu {a}, [{s}]",
                    "movdqu {b}, [{s} + 16]",
                    "movdqu {c}, [{s} + {n} - 32]",
                    "movdqu {e}, [{s} + {n} - 16]",
                    "movdqu [{d}], {a}",
                    "movdqu [{d} + 16], {b}",
                    "movdqu [{d} + {n} - 32], {c}",
                    "movdqu [{d} + {n} - 16], {e}",
                    s = in(reg) src, d = in(reg) dst, n = in(reg) len,
                    a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, e = out(xmm_reg) _,
                    options(nostack, preserves_flags)
                );
            } else {
                short(dst, src, len);
            }
        }
    }

    /// Copies fewer than 32 bytes.
    ///
    /// # Safety
    /// As for [`super::copy`], and `len` is below 32.
    #[inline]
    unsafe fn short(dst: *mut u8, src: *const u8, len: usize) {
        // SAFETY: as in `copy`: two overlapping moves of a size that `len` reaches.
        unsafe {
            if len >= 16 {
                asm!(
                    "movdqu {a}, [{s}]",
                    "movdqu {b}, [{s} + {n} - 16]",
                    "movdqu [{d}], {a}",
                    "movdqu [{d} + {n} - 16], {b}",
                    s = in(reg) src, d = in(reg) dst, n = in(reg) len,
                    a = out(xmm_reg) _, b = out(xmm_reg) _,
                    options(nostack, preserves_flags)
                );
            } else if len >= 8 {
                asm!(
                    "mov {a}, [{s}]",
                    "mov {b}, [{s} + {n} - 8]",
                    "mov [{d}], {a}",
                    "mov [{d} + {n} - 8], {b}",
                    s = in(reg) src, d = in(reg) dst, n = in(reg) len,
                    a = out(reg) _, b = out(reg) _,
                    options(nostack, preserves_flags)
                );
            } else if len >= 4 {
                asm!(
                    "mov {a:e}, [{s}]",
                    "mov {b:e}, [{s} + {n} - 4]",
                    "mov [{d}], {a:e}",
                    "mov [{d} + {n} - 4], {b:e}",
                    s = in(reg) src, d = in(reg) dst, n = in(reg) len,
                    a = out(reg) _, b = out(reg) _,
                    options(nostack, preserves_flags)
                );
            } else if len > 0 {
                asm!(
                    "2:",
                    "movzx {a:e}, byte ptr [{s} + {n} - 1]",
                    "mov [{d} + {n} - 1], {a:l}",
                    "dec {n}",
                    "jnz 2b",
                    s = in(reg) src, d = in(reg) dst, n = inout(reg) len => _,
                    a = out(reg) _,
                    options(nostack)
                );
            }
        }
    }

    /// Copies more than [`LONG`] bytes, 64 a turn; the last 64 overlap what came before.
    ///
    /// # Safety
    /// As for [`super::copy`], and `len` is above 64.
    #[inline]
    unsafe fn long(dst: *mut u8, src: *const u8, len: usize) {
        // SAFETY: the loop stops before the last 64 bytes, which the end writes; both are within `len`.
        unsafe {
            asm!(
                "2:",
                "movdqu {a}, [{s}]",
                "movdqu {b}, [{s} + 16]",
                "movdqu {c}, [{s} + 32]",
                "movdqu {e}, [{s} + 48]",
                "movdqu [{d}], {a}",
                "movdqu [{d} + 16], {b}",
                "movdqu [{d} + 32], {c}",
                "movdqu [{d} + 48], {e}",
                "add {s}, 64",
                "add {d}, 64",
                "sub {n}, 64",
                "cmp {n}, 64",
                "ja 2b",
                "movdqu {a}, [{s} + {n} - 64]",
                "movdqu {b}, [{s} + {n} - 48]",
                "movdqu {c}, [{s} + {n} - 32]",
                "movdqu {e}, [{s} + {n} - 16]",
                "movdqu [{d} + {n} - 64], {a}",
                "movdqu [{d} + {n} - 48], {b}",
                "movdqu [{d} + {n} - 32], {c}",
                "movdqu [{d} + {n} - 16], {e}",
                s = inout(reg) src => _, d = inout(reg) dst => _, n = inout(reg) len => _,
                a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, e = out(xmm_reg) _,
                options(nostack)
            );
        }
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

    /// As [`super::copy`], byte by byte, or by eight where both sides are aligned alike.
    ///
    /// # Safety
    /// As for [`super::copy`].
    pub(super) unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) {
        let mut at = 0;
        while at < len {
            // SAFETY: `at` is below `len`, so both bytes are the caller's; eight only when eight are left and
            // both addresses are aligned for it.
            unsafe {
                let (to, from) = (dst.add(at), src.add(at).cast_mut());
                if len - at >= 8 && (to as usize | from as usize).trailing_zeros() >= 3 {
                    let value = AtomicU64::from_ptr(from.cast()).load(Relaxed);
                    AtomicU64::from_ptr(to.cast()).store(value, Relaxed);
                    at += 8;
                } else {
                    let value = AtomicU8::from_ptr(from).load(Relaxed);
                    AtomicU8::from_ptr(to).store(value, Relaxed);
                    at += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_alignment_arrives_and_nothing_beside_it_changes() {
        let source: Vec<u8> = (0..4096u32).map(|i| (i * 7 + i / 256) as u8).collect();
        for len in (0..300).chain([511, 512, 513, 1308, 1500, 2047, 2048, 3000]) {
            for (from, to) in [(0, 0), (1, 0), (0, 3), (5, 8), (17, 31), (64, 63)] {
                let (mut one, mut two) = (vec![0xaau8; 4096], vec![0xaau8; 4096]);
                // SAFETY: all offsets and lengths stay below 4096, the length of each vector.
                unsafe {
                    copy(one.as_mut_ptr().add(to), source.as_ptr().add(from), len);
                    portable::copy(two.as_mut_ptr().add(to), source.as_ptr().add(from), len);
                }
                assert_eq!(
                    one[to..to + len],
                    source[from..from + len],
                    "{len} from {from} to {to}"
                );
                assert!(one[..to].iter().chain(&one[to + len..]).all(|&byte| byte == 0xaa));
                assert_eq!(one, two);
            }
        }
    }

    #[test]
    fn words_are_loaded_and_stored_at_any_alignment() {
        let mut bytes = [0u8; 24];
        for at in 0..16 {
            let value = 0x0102_0304_0506_0708 + at as u64;
            // SAFETY: `at + 8` is at most 24, the length of the array.
            unsafe {
                store_u64(bytes.as_mut_ptr().add(at), value);
                assert_eq!(load_u64(bytes.as_ptr().add(at)), value);
            }
            assert_eq!(bytes[at..at + 8], value.to_ne_bytes());
        }
    }
}
