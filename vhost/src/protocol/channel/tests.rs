use std::io::IoSlice;
use std::{mem::MaybeUninit, os::fd::BorrowedFd};

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, Shutdown, SocketFlags, SocketType,
    sendmsg, shutdown, socketpair,
};

use super::*;

fn pair() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap()
}

fn message(request: u32, flags: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [request, flags, body.len() as u32] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes.extend_from_slice(body);
    bytes
}

fn send_fds(socket: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    let sent = sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
    assert_eq!(sent, bytes.len());
}

/// What a peer that sends these bytes and then closes makes of a channel.
fn receive(bytes: &[u8]) -> Result<Message, ChannelError> {
    let (ours, theirs) = pair();
    send(&theirs, bytes, SendFlags::empty()).unwrap();
    drop(theirs);
    let stop = Event::new().unwrap();
    Channel::new(ours, &stop).receive(drop)
}

#[test]
fn a_message_in_pieces_is_whole_with_its_descriptors() {
    let (ours, theirs) = pair();
    let bytes = message(37, 1, &[7; 40]);
    send_fds(&theirs, &bytes[..5], &[theirs.as_fd()]);
    send(&theirs, &bytes[5..20], SendFlags::empty()).unwrap();
    send_fds(&theirs, &bytes[20..], &[theirs.as_fd(), ours.as_fd()]);
    let stop = Event::new().unwrap();
    let message = Channel::new(ours, &stop).receive(drop).unwrap();
    assert_eq!(message.header.request, 37);
    assert_eq!(message.body, [7; 40]);
    assert_eq!(message.fds.len(), 3);
}

#[test]
fn the_end_between_messages_is_told_from_the_end_within_one() {
    let bytes = message(2, 1, &[0; 8]);
    assert!(matches!(receive(&[]), Err(ChannelError::Closed)));
    for cut in 1..bytes.len() {
        assert!(matches!(receive(&bytes[..cut]), Err(ChannelError::Cut)), "cut at {cut}");
    }
    assert_eq!(receive(&bytes).unwrap().body, [0; 8]);
}

#[test]
fn what_is_no_request_of_ours_ends_the_stream() {
    assert!(matches!(receive(&message(1, 2, &[])), Err(ChannelError::Version(1))));
    assert!(matches!(receive(&message(1, 5, &[])), Err(ChannelError::Reply(1))));
    let mut long = message(1, 1, &[]);
    long[8..12].copy_from_slice(&(MAX_BODY as u32 + 1).to_ne_bytes());
    assert!(matches!(receive(&long), Err(ChannelError::TooLong { request: 1, .. })));
}

#[test]
fn too_many_descriptors_end_the_stream() {
    for count in [MAX_FDS + 1, 16] {
        let (ours, theirs) = pair();
        let fds = vec![theirs.as_fd(); count];
        send_fds(&theirs, &message(5, 1, &[0; 8]), &fds);
        let stop = Event::new().unwrap();
        let mut given = 0;
        let received = Channel::new(ours, &stop).receive(|fds| given = fds.len());
        assert!(matches!(received, Err(ChannelError::TooManyFds)));
        assert!(given > MAX_FDS, "what came is given to who can close it: {given}");
    }
}

#[test]
fn the_event_ends_a_wait_in_the_middle_of_a_message() {
    let (ours, theirs) = pair();
    send(&theirs, &message(2, 1, &[0; 8])[..13], SendFlags::empty()).unwrap();
    let stop = Event::new().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| Channel::new(ours, &stop).receive(drop));
        stop.signal();
        assert!(matches!(waiting.join().unwrap(), Err(ChannelError::Stopped)));
    });
}

#[test]
fn a_reply_to_a_peer_that_does_not_read_can_be_given_up() {
    let (ours, theirs) = pair();
    let stop = Event::new().unwrap();
    std::thread::scope(|scope| {
        let stop = &stop;
        let writing = scope.spawn(move || {
            let channel = Channel::new(ours, stop);
            loop {
                if let Err(error) = channel.reply(1, &[0; 4096]) {
                    return error;
                }
            }
        });
        stop.signal();
        assert!(matches!(writing.join().unwrap(), ChannelError::Stopped));
    });
    shutdown(&theirs, Shutdown::Both).unwrap();
}
