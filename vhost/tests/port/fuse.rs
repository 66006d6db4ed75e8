//! A file of a FUSE file system whose server answers what it must for the file to be opened, and nothing more: whoever
//! reads it, maps it and touches it, or closes it, waits until the server ends.

use std::{
    ffi::CString,
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    thread::{self, JoinHandle},
};

/// Requests of the kernel (`linux/fuse.h`).
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const INIT: u32 = 26;

/// The file, open for reading and writing.
pub(crate) struct FuseFile {
    file: Option<File>,
    device: Option<File>,
    server: Option<JoinHandle<()>>,
    stop: rustix::fd::OwnedFd,
}

impl FuseFile {
    pub(crate) fn new() -> Self {
        let device = File::options().read(true).write(true).open("/dev/fuse").unwrap();
        let stop = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        let server = thread::spawn({
            let (device, stop) = (device.try_clone().unwrap(), stop.try_clone().unwrap());
            move || serve(device, stop.as_fd())
        });
        let number = device.as_raw_fd();
        // In a thread with mounts of its own, so that nothing is left behind.
        let file = thread::spawn(move || mount_and_open(number)).join().unwrap();
        Self { file: Some(file), device: Some(device), server: Some(server), stop }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_ref().unwrap().as_fd()
    }
}

impl Drop for FuseFile {
    fn drop(&mut self) {
        // Without its device's last descriptor the kernel gives up on all that waits. Then the file can be closed.
        rustix::io::write(&self.stop, &1u64.to_ne_bytes()).unwrap();
        self.server.take().unwrap().join().unwrap();
        self.device = None;
        self.file = None;
    }
}

fn mount_and_open(device: i32) -> File {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, "").unwrap();
    let target = CString::new(path.to_str().unwrap()).unwrap();
    // The root of the file system is itself a regular file.
    let options =
        CString::new(format!("fd={device},rootmode=100000,user_id=0,group_id=0")).unwrap();
    let none = std::ptr::null();
    // SAFETY: all pointers are to C strings that outlive the calls, or null where that is allowed.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS), "unshare");
        let private = libc::MS_REC | libc::MS_PRIVATE;
        check(libc::mount(none, c"/".as_ptr(), none, private, none.cast()), "make mounts private");
        let fuse = c"fuse".as_ptr();
        check(libc::mount(fuse, target.as_ptr(), fuse, 0, options.as_ptr().cast()), "mount");
    }
    let file = File::options().read(true).write(true).open(&path).unwrap();
    // SAFETY: as above.
    unsafe { check(libc::umount2(target.as_ptr(), libc::MNT_DETACH), "umount") };
    file
}

fn check(result: i32, what: &str) {
    assert_eq!(result, 0, "{what}: {}", std::io::Error::last_os_error());
}

/// Answers requests until told to stop.
fn serve(mut device: File, stop: BorrowedFd<'_>) {
    let mut request = vec![0; 1 << 17];
    loop {
        let mut fds = [
            rustix::event::PollFd::from_borrowed_fd(stop, rustix::event::PollFlags::IN),
            rustix::event::PollFd::new(&device, rustix::event::PollFlags::IN),
        ];
        rustix::event::poll(&mut fds, None).unwrap();
        if !fds[0].revents().is_empty() {
            return;
        }
        let Ok(len) = device.read(&mut request) else { continue };
        let word = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().unwrap());
        assert!(len >= 40, "a request of {len} bytes");
        let answer: Vec<u32> = match word(4) {
            // Version 7.31, and nothing that it offers.
            INIT => vec![7, 31, 0, 0, 0, 4096, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            // Valid for a long time: nobody asks again. A regular file of 1 MiB.
            GETATTR => {
                let mut words = vec![1 << 20, 0, 0, 0, 1, 0, 1 << 20, 0];
                words.extend([0; 8]);
                words.extend([0, 0, 0, 0o100_666, 1, 0, 0, 0, 4096, 0]);
                words
            }
            OPEN => vec![1, 0, 0, 0],
            _ => continue,
        };
        let mut reply = Vec::new();
        reply.extend((16 + answer.len() as u32 * 4).to_ne_bytes());
        reply.extend(0u32.to_ne_bytes());
        reply.extend(&request[8..16]);
        reply.extend(answer.iter().flat_map(|word| word.to_ne_bytes()));
        device.write_all(&reply).unwrap();
    }
}
