//! Who may connect to the control socket, by its mode and group.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use rustix::{
    fs::{Gid, Uid},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};
use strowger_vswitch::{
    config::ApiConfig,
    control::{ClientError, Server, Status, server::limits::Limits},
};

use crate::fake::{Fake, Scene, some};

/// A user and groups that nobody else has.
const SOMEBODY: u32 = 54_321;
const OPERATORS: u32 = 54_322;

/// Asks as a user who has groups.
fn ask_as(scene: &Scene, groups: &[u32]) -> Result<Status, ClientError> {
    let client = scene.client();
    let groups: Vec<_> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
    std::thread::scope(|scope| {
        let asked = scope.spawn(move || {
            // Of this thread alone, which ends.
            let (user, group) = (Uid::from_raw(SOMEBODY), Gid::from_raw(SOMEBODY));
            set_thread_groups(&groups).unwrap();
            set_thread_res_gid(group, group, group).unwrap();
            set_thread_res_uid(user, user, user).unwrap();
            client.get("/v1/status")
        });
        asked.join().unwrap()
    })
}

fn scene(mode: &str, group: Option<&str>) -> Scene {
    let api = ApiConfig {
        socket_mode: mode.parse().unwrap(),
        socket_group: group.map(ToOwned::to_owned),
        ..ApiConfig::default()
    };
    Scene::with(some(), &api, Limits::default())
}

#[test]
fn the_socket_is_for_its_owner_alone_unless_it_is_said() {
    let scene = Scene::new();
    assert_eq!(fs::metadata(&scene.socket).unwrap().permissions().mode() & 0o777, 0o600);
    let error = ask_as(&scene, &[OPERATORS]).unwrap_err();
    assert!(matches!(error, ClientError::Denied { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("you may not talk") && said.contains("api.socket-group"), "{said}");
    scene.assert_answers();
}

#[test]
fn a_group_may_be_let_in() {
    let scene = scene("0660", Some(&OPERATORS.to_string()));
    let socket = fs::metadata(&scene.socket).unwrap();
    assert_eq!((socket.permissions().mode() & 0o777, socket.gid()), (0o660, OPERATORS));
    assert_eq!(ask_as(&scene, &[OPERATORS]).unwrap().pid, 42);
    let error = ask_as(&scene, &[]).unwrap_err().to_string();
    assert!(error.contains(&format!("members of group {OPERATORS}")), "{error}");
}

#[test]
fn a_group_that_there_is_not_keeps_the_server_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let api = ApiConfig { socket_group: Some("nobody-has-this".into()), ..ApiConfig::default() };
    let fake = std::sync::Arc::new(Fake::new(some()));
    let error = Server::start(&dir.path().join("s"), &api, fake).unwrap_err().to_string();
    assert!(error.contains("api.socket-group") && error.contains("nobody-has-this"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn the_socket_goes_with_the_server_and_a_new_one_takes_its_place() {
    let mut scene = Scene::new();
    drop(scene.server.take());
    assert_eq!(fs::read_dir(scene.dir.path()).unwrap().count(), 0);
    // One that a killed server left is in nobody's way.
    drop(std::os::unix::net::UnixListener::bind(&scene.socket).unwrap());
    let server = Server::start(&scene.socket, &ApiConfig::default(), scene.fake.clone()).unwrap();
    scene.assert_answers();
    drop(server);
    assert!(!scene.socket.exists());
}
