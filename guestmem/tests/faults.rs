//! Files that are truncated under their mappings, and faults that are none of ours.

#![allow(unsafe_code, reason = "touches mappings that are about to break")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use strowger_guestmem::{GuestAddr, Memory, Region, UserAddr, install_fault_handler};

const SIZE: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

fn memfd(flags: MemfdFlags, size: u64) -> File {
    let file = File::from(memfd_create("faults", flags | MemfdFlags::CLOEXEC).unwrap());
    file.set_len(size).unwrap();
    file
}

fn map(file: &File, size: u64, offset: u64) -> Memory {
    let region = Region { guest: GuestAddr(0), user: UserAddr(0), size, offset };
    Memory::default().with(region, file.try_clone().unwrap().into()).unwrap()
}

/// Writes and reads all of a guest's memory once.
fn traffic(memory: &Memory, size: u64) -> usize {
    let mut page = [0; 4096];
    // SAFETY: the segments are used within this call, and `memory` is borrowed for it.
    let segments = (0..size / 4096).map(|n| unsafe {
        (
            memory.segment(GuestAddr(n * 4096), 4096).unwrap(),
            memory.segment_mut(GuestAddr(n * 4096), 4096).unwrap(),
        )
    });
    segments
        .map(|(read, write)| {
            write.copy_from(&[0x5a; 4096]);
            read.copy_to(&mut page);
            page.iter().filter(|&&byte| byte == 0x5a).count()
        })
        .sum()
}

#[test]
fn a_file_truncated_under_traffic_breaks_its_own_memory_only() {
    install_fault_handler();
    let (victim, bystander) = (memfd(MemfdFlags::empty(), SIZE), memfd(MemfdFlags::empty(), SIZE));
    let (memory, other) = (map(&victim, SIZE, 0), map(&bystander, SIZE, 0));
    let (running, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                traffic(&memory, SIZE);
                running.store(true, SeqCst);
            }
        });
        wait_for(|| running.load(SeqCst));
        assert!(!memory.is_broken());
        victim.set_len(SIZE / 2).unwrap();
        wait_for(|| memory.is_broken());
        stop.store(true, SeqCst);
    });
    assert!(!other.is_broken());
    assert_eq!(traffic(&other, SIZE), SIZE as usize);
    assert!(!other.is_broken());
    // What broke works on as private memory, and a new mapping in its place is whole.
    assert_eq!(traffic(&memory, SIZE), SIZE as usize);
    drop(memory);
    let anew = map(&bystander, SIZE, 0);
    assert!(!anew.is_broken());
}

#[test]
fn what_was_truncated_reads_as_zeroes() {
    install_fault_handler();
    let file = memfd(MemfdFlags::empty(), SIZE);
    let memory = map(&file, SIZE, 0);
    traffic(&memory, SIZE);
    let area = memory.area(UserAddr(SIZE - 4096), 4096, 16).unwrap();
    let (word, table) = (area.word(0).unwrap(), area.table::<[u64; 2]>(0, 16).unwrap());
    assert_eq!(word.load(Relaxed), 0x5a5a);
    file.set_len(0).unwrap();
    assert_eq!(word.load(Relaxed), 0);
    assert_eq!(table.get(3), [0, 0]);
    assert!(memory.is_broken());
    // SAFETY: `memory` lives to the end of this test.
    let first = unsafe { memory.segment(GuestAddr(0), 4096) }.unwrap();
    assert_eq!(first.sum(false), 0);
}

#[test]
fn the_kernel_refuses_truncated_memory_without_a_signal() {
    use std::os::fd::AsFd;
    let file = memfd(MemfdFlags::empty(), SIZE);
    let memory = map(&file, SIZE, 0);
    file.set_len(0).unwrap();
    let (_reader, writer) = std::io::pipe().unwrap();
    // SAFETY: `memory` lives to the end of this test.
    let tail = unsafe { [memory.segment(GuestAddr(0), 100).unwrap()] };
    let error = strowger_guestmem::writev(writer.as_fd(), &[], &tail).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
}

/// A huge page is replaced as a whole, whether the pool ran out of them or the file was truncated.
#[test]
fn huge_pages_are_replaced_whole() {
    const HUGE: u64 = 2 << 20;
    install_fault_handler();
    let file = memfd(MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB, 2 * HUGE);
    let memory = map(&file, HUGE, 0x3000);
    file.set_len(0).unwrap();
    assert_eq!(traffic(&memory, HUGE), HUGE as usize);
    assert!(memory.is_broken());
    drop(memory); // Its length must be one that munmap(2) takes.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.contains("/memfd:faults"), "{maps}");
}

/// Runs one test of this file in a process of its own, in which `STROWGER_CHILD` is set.
fn child(test: &str) -> std::process::ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("STROWGER_CHILD", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
}

fn is_child() -> bool {
    std::env::var_os("STROWGER_CHILD").is_some()
}

/// Reads a byte of a truncated file that this crate has not mapped.
fn touch_foreign() {
    let file = memfd(MemfdFlags::empty(), 4096);
    // SAFETY: a new mapping replaces nothing, and is read by an access that the compiler keeps.
    unsafe {
        use std::os::fd::AsRawFd;
        let (access, flags) = (libc::PROT_READ, libc::MAP_SHARED);
        let at = libc::mmap(std::ptr::null_mut(), 4096, access, flags, file.as_raw_fd(), 0);
        assert_ne!(at, libc::MAP_FAILED);
        file.set_len(0).unwrap();
        at.cast::<u8>().read_volatile();
    }
}

#[test]
fn a_fault_elsewhere_ends_the_process_as_ever() {
    if is_child() {
        let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: lowers this process's own limit.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &no_core) };
        install_fault_handler();
        touch_foreign();
        return;
    }
    let status = child("a_fault_elsewhere_ends_the_process_as_ever");
    assert_eq!(status.signal(), Some(libc::SIGBUS), "{status}");
}

extern "C" fn leave(_signal: libc::c_int) {
    // SAFETY: ends the process at once, which is allowed in a handler.
    unsafe { libc::_exit(77) }
}

#[test]
fn a_fault_elsewhere_goes_to_the_handler_that_was_there() {
    if is_child() {
        let handler: extern "C" fn(libc::c_int) = leave;
        // SAFETY: the handler does nothing but leave.
        unsafe { libc::signal(libc::SIGBUS, handler as libc::sighandler_t) };
        install_fault_handler();
        touch_foreign();
        return;
    }
    let status = child("a_fault_elsewhere_goes_to_the_handler_that_was_there");
    assert_eq!(status.code(), Some(77), "{status}");
}

fn wait_for(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "nothing happened in {PATIENCE:?}");
        std::thread::yield_now();
    }
}
