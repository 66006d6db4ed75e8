//! Every command that asks, on a pipe.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::Value;
use strowger_vswitch::control::{Control, Refusal};

use crate::{fake::Scene, json, program, refused, run, said, table};

/// Whether a line of words is there.
#[track_caller]
fn assert_row(table: &[Vec<String>], row: &str) {
    let words: Vec<_> = row.split_whitespace().collect();
    assert!(table.iter().any(|line| *line == words), "no line {row} in\n{table:#?}");
}

#[test]
fn a_status_is_shown_with_all_that_there_is() {
    let scene = Scene::new();
    assert!(said(&scene, "status").starts_with("strowger 7, process 42, up for 0 s\n"));
    let shown = table(&scene, "status");
    assert_row(&shown, "vm1 br0 1 vhost-user up 0 7 0 0 0 4");
    assert_row(&shown, "br1 2 0 0 0 0 0 -");
    assert_row(&shown, "watch br0 span up");
    let document = json(&scene, "status");
    assert_eq!(document["pid"], 42);
    assert_eq!(document, scene.client().get::<Value>("/v1/status").unwrap());
}

#[test]
fn bridges_come_change_and_go() {
    let scene = Scene::new();
    assert_eq!(said(&scene, "bridge add br9 mac-ageing=60 --dry-run").lines().count(), 2);
    assert!(!scene.fake.config().bridges.contains_key("br9"));
    assert_eq!(
        said(&scene, "bridge add br9 mac-ageing=60 loop-guard=hold"),
        "+ bridge br9 (mac-ageing 60, loop-guard hold)\n"
    );
    assert_eq!(said(&scene, "bridge set br9 mac-ageing=").lines().count(), 1);
    assert_eq!(scene.fake.config().bridges["br9"].mac_ageing, None);
    assert_eq!(said(&scene, "bridge set br9 loop-guard=hold"), "no changes\n");
    assert_row(&table(&scene, "bridge list"), "br9 2 0 0 0 0 0 -");
    assert_eq!(said(&scene, "bridge del br9"), "- bridge br9\n");
    let (error, code) = refused(&scene, "bridge del br9");
    assert!(error.contains("there is no bridge br9") && code == 1, "{error}");
    let (error, code) = refused(&scene, "bridge del br0");
    assert!(error.contains("port vm1") && code == 1, "{error}");
    assert_eq!(json(&scene, "bridge list"), scene.client().get::<Value>("/v1/bridges").unwrap());
}

#[test]
fn ports_come_change_and_go() {
    let scene = Scene::new();
    assert_eq!(
        said(&scene, "port add tap:c9@red bridge=br1 tag=7"),
        "+ port c9 (tap, bridge br1, netns red, tag 7)\n"
    );
    assert_eq!(said(&scene, "port set c9 tag=8"), "~ port c9: tag 7 → 8\n");
    assert_eq!(said(&scene, "port set c9 tag= trunks=1+2-3 --dry-run").lines().count(), 2);
    assert_eq!(scene.fake.config().ports["c9"].tag, Some(8));
    let changes = json(&scene, "port set c9 tag= trunks=1+2-3");
    assert_eq!(changes["dry_run"], false);
    assert_eq!(changes["changes"][0]["name"], "c9");
    assert_row(&table(&scene, "port list"), "c9 br1 4 tap up 0 7 0 0 0 4");
    let shown = said(&scene, "port show c9");
    for part in ["port         c9\n", "bridge       br1, number 4\n", "dropped      4 frames\n"] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert_eq!(json(&scene, "port show c9")["trunks"][1], "2-3");
    assert_eq!(said(&scene, "port del c9"), "- port c9\n");
    assert!(refused(&scene, "port show c9").0.contains("there is no port c9"));
    assert!(refused(&scene, "port del vm1").0.contains("mirror watch"));
    assert_eq!(json(&scene, "port list"), scene.client().get::<Value>("/v1/ports").unwrap());
}

#[test]
fn the_only_bridge_is_meant_if_none_is_named() {
    let scene = Scene::new();
    let (error, code) = refused(&scene, "port add tap:c9");
    assert!(error.contains("bridges br0, br1: say which with bridge=NAME") && code == 1, "{error}");
    said(&scene, "bridge del br1");
    assert_eq!(said(&scene, "port add tap:c9"), "+ port c9 (tap, bridge br0)\n");
    assert_eq!(
        said(&scene, "mirror add more ports=vm1 to=c9"),
        "+ mirror more (bridge br0, ports vm1, to c9)\n"
    );
}

#[test]
fn mirrors_come_change_and_go() {
    let scene = Scene::new();
    assert_eq!(said(&scene, "mirror set watch direction=rx").lines().count(), 1);
    assert_row(&table(&scene, "mirror list"), "watch br0 span up rx vm1 all");
    assert_eq!(said(&scene, "mirror del watch"), "- mirror watch\n");
    assert_eq!(json(&scene, "mirror list"), Value::Array(vec![]));
}

#[test]
fn stations_are_listed_and_forgotten() {
    let scene = Scene::new();
    assert_row(&table(&scene, "mac list"), "br0 10 02:00:00:00:00:01 vm1 3 -");
    assert_eq!(table(&scene, "mac list --port vm1").len(), 2);
    assert_eq!(json(&scene, "mac list --bridge br0").as_array().unwrap().len(), 3);
    assert_eq!(said(&scene, "mac flush --port vm1"), "forgot 1 station\n");
    assert_eq!(json(&scene, "mac flush")["stations"], 3);
    assert!(refused(&scene, "mac list --bridge br7").0.contains("there is no bridge br7"));
}

#[test]
fn drops_say_what_they_mean_and_what_to_do() {
    let scene = Scene::new();
    let shown = said(&scene, "drops");
    assert!(shown.starts_with("REASON      PORT  FRAMES\nqueue_full  vm1        3\n"), "{shown}");
    assert!(shown.contains("\nqueue_full (9): "), "{shown}");
    assert_eq!(shown.matches("what to do: ").count(), 2, "{shown}");
    assert!(said(&scene, "drops vm1").contains("\nqueue_full (3): "));
    let document = json(&scene, "drops vm1");
    assert_eq!(document.as_array().unwrap().len(), 2);
    assert!(document[0]["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()));
    assert!(refused(&scene, "drops vm7").0.contains("there is no port vm7"));
}

#[test]
fn rates_of_ports_and_workers_are_of_a_second() {
    let scene = Scene::new();
    let shown = table(&scene, "stats vm1");
    assert_eq!(shown.len(), 2);
    assert_row(&shown, "vm1 up 0 0 0 0 0 7 0 0 0 4");
    assert_eq!(table(&scene, "stats").len(), 4);
    let ports = json(&scene, "stats c1 vm1");
    assert_eq!(ports[0], scene.client().get::<Value>("/v1/status").unwrap()["ports"][0]);
    assert_eq!(ports.as_array().unwrap().len(), 2);
    let (error, code) = refused(&scene, "stats vm1 vm7");
    assert!(error.contains("there is no port vm7; `strowger port list`") && code == 1, "{error}");
    let shown = table(&scene, "worker list");
    assert_row(&shown, "1 0 0.0 0 - - - 0 0 0");
    assert_row(&shown, "1 vm1 0 0 -");
    assert_eq!(json(&scene, "worker list"), scene.client().get::<Value>("/v1/workers").unwrap());
}

#[test]
fn watching_appends_lines_until_nobody_reads() {
    let scene = Scene::new();
    for (words, begins) in [
        ("stats vm1 --watch 0.1", &["SECONDS PORT ", "0.", "0."][..]),
        ("worker list --watch 0.1", &["SECONDS CORE ", "0.", "0."]),
        ("stats vm1 --watch 0.1 -o json", &["{\"seconds\":", "{\"seconds\":"]),
        ("worker list --watch 0.1 -o json", &["{\"seconds\":", "{\"seconds\":"]),
    ] {
        let mut child = program(&scene, words).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for begin in begins {
            let line = lines.next().unwrap().unwrap();
            assert!(line.starts_with(begin), "{words}: {line}");
        }
        drop(lines);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{words}");
    }
}

#[test]
fn the_log_level_is_shown_and_changed() {
    let scene = Scene::new();
    assert_eq!(said(&scene, "log level"), "info\n");
    assert_eq!(said(&scene, "log level info,strowger_vhost=debug"), "info,strowger_vhost=debug\n");
    assert_eq!(json(&scene, "log level")["level"], "info,strowger_vhost=debug");
    assert!(refused(&scene, "log level loud").0.contains("'loud' is no level"));
}

#[test]
fn what_the_switch_refuses_is_said_in_one_line() {
    let scene = Scene::new();
    for refusal in [
        Refusal::Conflict("it does not go\ntogether".into()),
        Refusal::Failed("the system would not".into()),
        Refusal::NotKept("the disk is full".into()),
    ] {
        scene.fake.refuse(Some(refusal.clone()));
        let (error, code) = refused(&scene, "port set vm1 tag=11");
        let sentence = refusal.to_string().replace('\n', " ");
        assert!(error.contains(&sentence) && error.lines().count() == 1, "{error}");
        assert_eq!(code, 1);
    }
    // Wrong words are not even sent.
    let (error, code) = refused(&scene, "port set vm1 tga=11");
    assert!(error.contains("did you mean 'tag'?") && code == 2, "{error}");
}

#[test]
fn where_no_switch_runs_every_command_says_so() {
    let mut scene = Scene::new();
    scene.server = None;
    for words in [
        "status",
        "drops",
        "stats",
        "worker list",
        "bridge list",
        "port list",
        "mirror list",
        "mac list",
        "mac flush",
        "log level",
        "config show",
        "port add tap:t",
        "port show vm1",
    ] {
        let (error, code) = refused(&scene, words);
        assert!(error.contains("no switch runs at ") && error.contains("strowger run"), "{error}");
        assert_eq!((error.lines().count(), code), (1, 1), "{words}");
    }
}

#[test]
fn an_answer_that_nobody_reads_is_no_error() {
    let scene = Scene::new();
    let mut child = program(&scene, "status").stdout(Stdio::piped()).spawn().unwrap();
    // Closed before it has asked.
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = program(&scene, "status").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("error: cannot write the answer: "), "{error}");
}

#[test]
fn colours_are_for_terminals_or_for_who_asks() {
    let scene = Scene::new();
    assert!(!said(&scene, "status").contains('\x1b'));
    assert!(said(&scene, "status --color always").contains('\x1b'));
    let output = program(&scene, "drops --color always").env("NO_COLOR", "1").output().unwrap();
    assert!(output.stdout.contains(&0x1b));
    assert!(!said(&scene, "status --color always -o json").contains('\x1b'));
    assert_eq!(run(&scene, "status --color sometimes").status.code(), Some(2));
}
