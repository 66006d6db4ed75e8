//! Front ends that stop in the middle, or send what they should not.

use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::PathBuf,
};

use strowger_fake_frontend::{
    Channel, Error, FrontEnd, Request, Settings,
    features::protocol,
    frame::{mac, numbered},
};

use crate::forwarder::{Forwarder, Witness, exchange};

/// Connects, and closes after so many messages and bytes of the next. Whether the handshake was longer than that.
fn cut(forwarder: &Forwarder, settings: &Settings, messages: usize, bytes: usize) -> bool {
    let mut channel = Channel::connect(forwarder.path(0)).unwrap();
    channel.cut_after(messages, bytes);
    match FrontEnd::start(channel, settings.clone()) {
        Err(Error::Closed) => true,
        Err(error) => panic!("after {messages} messages and {bytes} bytes: {error}"),
        Ok(_) => false,
    }
}

/// A socket closed at every message: before it, within its header, behind it, within its payload.
fn close_at_every_message(settings: &Settings) {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut two = forwarder.attach(1, Settings::default());
    for bytes in [0, 5, 12, 15] {
        let mut messages = 0;
        while cut(&forwarder, settings, messages, bytes) {
            messages += 1;
            assert!(messages < 1000, "the handshake has no end");
        }
        assert!(messages > 15, "a handshake of {messages} messages");
        witness.check();
    }
    forwarder.wait_status(0, |status| !status.connected);
    assert_eq!(forwarder.started(0), (0, 0));
    let mut one = forwarder.attach(0, settings.clone());
    exchange(&mut one, &mut two, 0, 20, &[64]);
}

#[test]
fn a_socket_closed_at_every_message() {
    close_at_every_message(&Settings { pairs: 2, regions: 2, ..Settings::default() });
}

#[test]
fn a_socket_closed_at_every_message_without_acknowledgements() {
    let spoken = protocol::ALL & !protocol::REPLY_ACK;
    close_at_every_message(&Settings { protocol: spoken, ..Settings::default() });
}

#[test]
fn a_message_cut_in_the_middle_stalls_only_its_own_port() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    // A header and half a payload; the rest comes much later. Frames flow meanwhile, its own, too.
    let message = [18u32, 1, 8, 1, 1].map(u32::to_ne_bytes).concat();
    for (round, cut) in [1, 11, 12, 13, 19].into_iter().enumerate() {
        one.channel().send_bytes(&message[..cut], &[]).unwrap();
        witness.check();
        exchange(&mut one, &mut two, round as u32 * 20, 20, &[64, 1514]);
        one.channel().send_bytes(&message[cut..], &[]).unwrap();
        one.request(Request::SetOwner, &[], &[]).unwrap();
    }
}

/// All kinds of descriptors.
fn descriptors() -> Vec<OwnedFd> {
    let (reader, writer) = std::io::pipe().unwrap();
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    let memory =
        rustix::fs::memfd_create("strowger-closed", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    vec![
        rustix::event::eventfd(0, rustix::event::EventfdFlags::empty()).unwrap(),
        memory,
        reader.into(),
        writer.into(),
        one.into(),
        other.into(),
        std::fs::File::open("/dev/null").unwrap().into(),
        std::fs::File::open("/").unwrap().into(),
    ]
}

/// How many of this process's descriptors are of the same files as these: pipes, sockets and memory have names of
/// their own, whatever other tests have open.
fn open_like(names: &[PathBuf]) -> usize {
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    // One may be closed while they are listed.
    let links = all.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    links.filter(|link| names.contains(link)).count()
}

fn name(fd: &OwnedFd) -> PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap()
}

#[test]
fn descriptors_with_every_message_are_closed() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let all = descriptors();
    // Not eventfds, files and directories: others have them open, too.
    let names: Vec<_> = all[1..6].iter().map(name).collect();
    assert_eq!(open_like(&names), 5);
    for request in 0..45u32 {
        for count in 1..=all.len() {
            let mut channel = Channel::connect(forwarder.path(0)).unwrap();
            let fds: Vec<_> = all.iter().cycle().skip(count).take(count).map(AsFd::as_fd).collect();
            // The port may have closed the connection before all is sent.
            for body in [[0u8; 40].as_slice(), &[0; 8], &[]] {
                match channel.send(request, 0, body, &fds) {
                    Ok(()) | Err(Error::Closed) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
    // More than any message may have.
    let many: Vec<_> = all.iter().cycle().take(200).map(AsFd::as_fd).collect();
    let mut channel = Channel::connect(forwarder.path(0)).unwrap();
    channel.send(5, 0, &[0; 8], &many).unwrap();
    channel.wait_closed().unwrap();
    drop(channel);
    forwarder.wait_status(0, |status| !status.connected && status.connections == 45 * 8 + 1);
    strowger_fake_frontend::wait::until("all descriptors to be closed", || {
        (open_like(&names) == 5).then_some(())
    })
    .unwrap();
    witness.check();
}

#[test]
fn noise_ends_the_connection() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut state = 1u64;
    for _ in 0..200 {
        let mut channel = Channel::connect(forwarder.path(0)).unwrap();
        for _ in 0..20 {
            // Plausible headers, so that it gets behind the first checks, and then anything.
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            };
            let body: Vec<u8> = (0..next() % 50).map(|_| next() as u8 & 3).collect();
            let flags = (next() as u32 & 1) * strowger_fake_frontend::channel::NEED_REPLY;
            match channel.send((next() % 45) as u32, flags, &body, &[]) {
                Ok(()) | Err(Error::Closed) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    witness.check();
    forwarder.wait_status(0, |status| !status.connected && status.connections == 200);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    exchange(&mut one, &mut two, 0, 20, &[64]);
}

#[test]
fn a_call_descriptor_that_blocks_closes_its_port_and_frees_the_worker() {
    let mut forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    exchange(&mut one, &mut two, 0, 20, &[64]);
    // Full to the brim, and no longer one that says so instead of waiting.
    let call = two.ring(0).call_fd();
    let _ = two.ring(0).take_calls();
    rustix::io::write(call, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    rustix::fs::fcntl_setfl(call, rustix::fs::OFlags::empty()).unwrap();
    two.ring(0).arm();
    one.send(&numbered(mac(2), mac(1), 0, 64)).unwrap();
    one.pair(0).transmit.drain().unwrap();
    witness.check();
    // The port finds out with the next message at the latest, and stays closed.
    two.channel().send(Request::SetOwner as u32, 0, &[], &[]).unwrap();
    two.channel().wait_closed().unwrap();
    let status = forwarder.wait_status(1, |status| !status.connected);
    assert!(status.last_error.unwrap().contains("stays closed"));
    strowger_fake_frontend::wait::until("the end of its socket", || {
        (!forwarder.path(1).exists()).then_some(())
    })
    .unwrap();
    witness.check();
    // Opened anew, it serves again.
    forwarder.close(1);
    forwarder.open(1, strowger_vhost::Role::Server);
    let mut two = forwarder.attach(1, Settings::default());
    exchange(&mut one, &mut two, 20, 20, &[64]);
}
