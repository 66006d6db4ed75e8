//! What tshark and capinfos read of a capture.

use std::io::Write;
use std::process::Command;

use strowger_vswitch::control::CaptureRequest;
use strowger_vswitch::vlan::Mode;

use super::harness::{frame, mac, vid};
use super::scene::{Scene, request};

/// What a program of the Debian package says of a file.
fn ask(program: &str, words: &[&str], file: &std::path::Path) -> String {
    let output = Command::new(program)
        .args(words)
        .arg(file)
        .output()
        .unwrap_or_else(|_| panic!("{program} is there: scripts/setup.sh test installs it"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn tshark_and_capinfos_read_what_is_captured() {
    let mut scene = Scene::new(&[Mode::Access(vid(10)), Mode::Access(vid(10))]);
    let wanted = CaptureRequest {
        filter: Some("not host 10.9.9.9".into()),
        snaplen: Some(40),
        ..request(&["p0", "p1"], &[])
    };
    let capture = scene.capture(&wanted);
    scene.ports[1].recorder.limit(1);
    scene.send(
        0,
        [
            frame(mac(5), mac(1), &[], 1),
            frame(mac(5), mac(1), &[], 2),
            frame(mac(5), [1; 6], &[], 3),
        ],
    );
    scene.registry.stop();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&capture.bytes()).unwrap();

    let fields = [
        "frame.interface_name",
        "frame.packet_flags_direction",
        "eth.src",
        "frame.len",
        "frame.cap_len",
        "frame.comment",
    ];
    let mut words = vec!["-Tfields", "-Eseparator=;"];
    words.extend(fields.iter().flat_map(|field| ["-e", field]));
    words.push("-r");
    let text = ask("tshark", &words, file.path());
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(';').collect()).collect();
    let own = "02:00:00:00:00:01";
    let full = "dropped: queue_full: The receiver had no free buffers, or its socket was full.";
    assert_eq!(rows.len(), 5, "{text}");
    assert_eq!(rows[0][..5], ["p0", "0x00000001", own, "60", "40"]);
    assert_eq!(rows[0][5], "");
    assert_eq!(rows[1][..5], ["p0", "0x00000001", own, "60", "40"]);
    assert!(rows[2][5].starts_with("dropped: bad_source: "), "{text}");
    assert_eq!(rows[3], ["p1", "0x00000002", own, "60", "40", ""]);
    assert_eq!(rows[4], ["p1", "0x00000002", own, "60", "40", full]);

    let text = ask("capinfos", &[], file.path());
    let words: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "File type: Wireshark/... - pcapng",
        "Number of packets: 5",
        "Capture application: strowger",
        "Name = p1",
        "Description = the port p1",
        "Encapsulation = Ethernet",
        "Time precision = nanoseconds (9)",
        "Filter string = not host 10.9.9.9",
        "Number of stat entries = 1",
    ] {
        assert!(words.contains(part), "no '{part}' in {words}");
    }
}
