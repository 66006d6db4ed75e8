//! What a client says when there is no answer.

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    path::PathBuf,
};

use strowger_vswitch::control::{Changes, Client, ClientError, Status};

use crate::fake::Scene;

/// Somebody else at a socket, who reads a request's head and says this.
fn impostor(answer: &'static str) -> (tempfile::TempDir, PathBuf, std::thread::JoinHandle<()>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut read = Vec::new();
        let mut byte = [0];
        while !read.ends_with(b"\r\n\r\n") {
            assert_eq!(socket.read(&mut byte).unwrap(), 1);
            read.push(byte[0]);
        }
        socket.write_all(answer.as_bytes()).unwrap();
    });
    (dir, path, thread)
}

fn said(answer: &'static str) -> ClientError {
    let (_dir, path, thread) = impostor(answer);
    let error = Client::unix(path).get::<Status>("/v1/status").unwrap_err();
    thread.join().unwrap();
    error
}

#[test]
fn nobody_listens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let error = Client::unix(&path).get::<Status>("/v1/status").unwrap_err().to_string();
    assert!(error.starts_with(&format!("no switch runs at {}", path.display())), "{error}");
    assert!(error.contains("strowger run"), "{error}");
    // One that was left behind is nobody either.
    drop(UnixListener::bind(&path).unwrap());
    let error = Client::unix(&path).stream("/v1/capture").unwrap_err();
    assert!(matches!(error, ClientError::NoSwitch { .. }), "{error}");
}

#[test]
fn a_refusal_is_the_switchs_own_sentence() {
    let scene = Scene::new();
    let error = scene.client().delete::<Changes>("/v1/bridges/br0").unwrap_err();
    assert_eq!(error.status(), Some(409));
    assert!(
        error.to_string().starts_with("bridge br0 is needed by port vm1 and 3 more"),
        "{error}"
    );
    let error = scene.client().get::<Status>("/v1/status?x=1").unwrap_err();
    assert_eq!(error.key(), Some("x"));
    let error = scene.client().stream("/v1/capture?port=nobody").unwrap_err();
    assert_eq!(error.status(), Some(404));
    let error = scene.client().get::<Status>("/v1/sta tus").unwrap_err().to_string();
    assert!(error.contains("no path of the API"), "{error}");
}

#[test]
fn the_connection_is_cut() {
    for answer in
        ["", "HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{"]
    {
        let error = said(answer);
        assert!(matches!(error, ClientError::Lost { .. }), "{answer}: {error}");
        assert!(error.to_string().contains("look whether the switch runs"), "{error}");
    }
}

#[test]
fn the_switch_is_of_another_version() {
    for answer in [
        "HTTP/1.1 200 OK\r\nserver: strowger/99.1\r\ncontent-length: 2\r\n\r\n[]",
        "HTTP/1.1 404 Not Found\r\nserver: strowger/99.1\r\ncontent-length: 42\r\n\r\n{\"error\":\"there is nothing at /v1/status\"}",
    ] {
        let error = said(answer);
        assert!(matches!(error, ClientError::OtherVersion { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.contains("99.1") && error.contains(env!("CARGO_PKG_VERSION")), "{error}");
    }
}

#[test]
fn who_answers_is_no_switch() {
    for answer in [
        "HTTP/1.1 200 OK\r\nserver: nginx\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
    ] {
        let error = said(answer);
        assert!(matches!(error, ClientError::Stranger { .. }), "{error:?}");
    }
    let error = said("220 mail.example ESMTP\r\n");
    assert!(matches!(error, ClientError::Lost { .. }), "{error:?}");
}
