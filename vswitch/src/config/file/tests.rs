use proptest::prelude::*;

use super::*;
use crate::config::{
    PortKind, VidRange, arbitrary,
    flags::{self, Flag},
    keys::Key,
};

fn refusal(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn a_file_is_read() {
    let config = read(
        r#"
        [switch]
        workers = [1]
        poll = "busy"
        [bridges.br0]
        loop-guard = "hold"
        [bridges."br.1"]
        [ports.vm1]
        bridge = "br0"
        kind = "vhost-user"
        path = "/run/a,b.sock"
        trunks = [10, "20-30"]
        ingress-rate = "100Mbit"
        [ports]
        span0 = { bridge = "br0", kind = "tap" }
        [mirrors.watch]
        bridge = "br0"
        ports = ["vm1"]
        to = "span0"
        "#,
    )
    .unwrap();
    assert_eq!(config.bridges.keys().collect::<Vec<_>>(), ["br0", "br.1"]);
    let vm1 = &config.ports["vm1"];
    assert_eq!(vm1.kind, PortKind::VhostUser);
    assert_eq!(vm1.socket(), Some(&"/run/a,b.sock".into()));
    let ranges = [(10, 10), (20, 30)].map(|(low, high)| VidRange { low, high });
    assert_eq!(vm1.trunks, ranges);
    assert_eq!(config.cores(), [1]);
    assert_eq!(read("").unwrap(), Config::default());
}

#[test]
fn errors_name_line_key_and_what_was_expected() {
    let port = "[bridges.br0]\n[ports.vm1]\nbridge = \"br0\"\nkind = \"tap\"\n";
    let mirror = format!(
        "{port}[ports.span0]\nbridge = \"br0\"\nkind = \"tap\"\n[mirrors.m]\nbridge = \"br0\"\n"
    );
    for (text, said) in [
        // Syntax.
        ("[switch]\npoll = busy\n".to_owned(), "line 2, switch.poll: "),
        ("[switch\n".to_owned(), "line 1, switch: unclosed table"),
        ("[switch]\nworkers = [1,\n".to_owned(), "line "),
        (
            "[switch]\npoll = \"busy\"\npoll = \"busy\"\n".to_owned(),
            "line 3, column 1: duplicate key",
        ),
        ("[bridges.br0]\n[bridges.br0]\n".to_owned(), "line 2, bridges.br0: duplicate key"),
        // Keys.
        (
            "\n[swich]\n".to_owned(),
            "line 2, swich: a configuration has no key 'swich'; did you mean 'switch'?",
        ),
        (
            "[switch]\nrun-dir = \"/x\"\n".to_owned(),
            "line 2, switch.run-dir: the switch has no key 'run-dir'; did you mean 'rundir'?",
        ),
        (
            format!("{port}tga = 10\n"),
            "line 5, ports.vm1.tga: a port has no key 'tga'; did you mean 'tag'?",
        ),
        (
            "[log]\ncolour = true\n".to_owned(),
            "line 2, log.colour: the log has no key 'colour'; its keys are level and format",
        ),
        (
            "[ports.vm1]\nbridge = \"br0\"\n".to_owned(),
            "line 1, ports.vm1.kind: a port needs the key 'kind': vhost-user, vhost-user-client, tap or dev",
        ),
        // Types and values.
        (
            format!("{port}\n\ntag = 5000"),
            "line 7, ports.vm1.tag: expected a VLAN from 1 to 4094, found 5000",
        ),
        (
            format!("{port}tag = \"10\""),
            "line 5, ports.vm1.tag: expected a VLAN from 1 to 4094, found \"10\"",
        ),
        (
            format!("{port}tag = 1.5"),
            "line 5, ports.vm1.tag: expected a VLAN from 1 to 4094, found 1.5",
        ),
        (
            format!("{port}tag = -1"),
            "line 5, ports.vm1.tag: expected a VLAN from 1 to 4094, found -1",
        ),
        (
            format!("{port}tag = 0x1_0000_0000_0000_0000"),
            "line 5, ports.vm1.tag: no key takes a number as large as this",
        ),
        (format!("{port}tag = 1979-05-27"), "line 5, ports.vm1.tag: no key takes a date"),
        (format!("{port}tag = nan"), "line 5, ports.vm1.tag: no key takes a number like this"),
        (
            format!("{port}trunks = 10"),
            "line 5, ports.vm1.trunks: expected a list, each a VLAN from 0 to 4094 or a range such as \"20-30\", found 10",
        ),
        (
            format!("{port}trunks = [\n  10,\n  \"30-20\",\n]"),
            "line 7, ports.vm1.trunks[1]: expected a VLAN",
        ),
        (
            format!("{port}ingress-rate = \"100M\""),
            "line 5, ports.vm1.ingress-rate: expected a rate from 1kbit",
        ),
        (
            "[switch]\npoll = \"sometimes\"".to_owned(),
            "line 2, switch.poll: expected adaptive or busy, found \"sometimes\"",
        ),
        (
            "[api]\nsocket-mode = 600".to_owned(),
            "line 2, api.socket-mode: expected a file mode in octal such as \"0660\", found 600",
        ),
        (
            "[api]\nlisten = \"localhost:1\"".to_owned(),
            "line 2, api.listen: expected an address and a port",
        ),
        ("[log]\nlevel = \"inof\"".to_owned(), "line 2, log.level: expected off, error, warn"),
        ("ports = 5".to_owned(), "line 1, ports: expected tables as in [ports.NAME]"),
        (
            "[ports]\nvm1 = 5".to_owned(),
            "line 2, ports.vm1: expected a table with the keys of a port, found 5",
        ),
        ("[[ports]]\nkind = 5".to_owned(), "line 1, ports: expected tables as in [ports.NAME]"),
        // What does not fit together.
        (
            format!("{port}tag = 1\nnative = 2"),
            "line 6, ports.vm1.native: there are both tag and native",
        ),
        (
            port.replace("\"br0\"\n", "\"br1\"\n"),
            "line 3, ports.vm1.bridge: there is no bridge 'br1'; did you mean 'br0'?",
        ),
        (
            format!("{mirror}ports = [\"vm1\", \"vm2\"]\nto = \"span0\""),
            "line 10, mirrors.m.ports[1]: there is no port 'vm2'; did you mean 'vm1'?",
        ),
        (
            format!("{mirror}ports = [\"vm1\"]\nto = \"vm1\""),
            "line 10, mirrors.m.ports[0]: port 'vm1' is where the copies go",
        ),
        (
            port.replace("tap", "vhost-user"),
            "line 2, ports.vm1.path: a vhost-user port needs the path of its socket",
        ),
        ("[bridges.'a b']".to_owned(), "line 1, bridges.\"a b\": 'a b' is no name"),
        ("[bridges.\"a\\\"b\"]".to_owned(), "line 1, bridges.\"a\\\"b\": 'a\\\"b' is no name"),
        (
            format!("{port}[ports.\"vm.2\"]\nbridge = \"br0\"\nkind = \"tap\"\ntag = 0"),
            "line 8, ports.\"vm.2\".tag: expected",
        ),
    ] {
        let error = refusal(&text);
        assert!(error.starts_with(said), "{text}\n{error}\n{said}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_column_counts_characters() {
    let error = read("[log]\nlevel = \"ä\" x = 5").unwrap_err();
    assert_eq!((error.line, error.column), (2, 13), "{error}");
    let error = read("ports.'ä'.kind = 5").unwrap_err();
    assert_eq!((error.line, error.column, error.key.as_str()), (1, 11, "ports.\"ä\".kind"));
}

#[test]
fn what_is_written_says_only_what_was_said() {
    let text = "[switch]\nmac-ageing = 10\n\n[bridges.br0]\n\n[ports.\"vm.1\"]\nbridge = \"br0\"\nkind = \"tap\"\ntrunks = [10, \"20-30\"]\n";
    let more = "\n[bridges.br1]\nloop-guard = \"report\"\n\n[log]\n";
    let config = read(&format!("{text}{more}")).unwrap();
    let written = text.replace("[ports", "[bridges.br1]\n\n[ports");
    assert_eq!(write(&config), written);
    assert_eq!(write(&Config::default()), "");
}

/// `docs/example.toml`, and the same with what is out-commented in it.
fn example() -> [String; 2] {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/example.toml");
    let text = std::fs::read_to_string(path).unwrap();
    // A key that is commented out has no space after its mark; prose has one.
    let whole: Vec<_> = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .collect();
    [text.clone(), whole.join("\n")]
}

#[test]
fn the_example_is_read_and_names_every_key() {
    fn missing<T: Section>(keys: &'static [Key], table: &toml::Table) -> Vec<&'static str> {
        let _ = T::WHAT;
        keys.iter().map(|key| key.name).filter(|name| !table.contains_key(*name)).collect()
    }
    use crate::config::{
        ApiConfig, BridgeConfig, LogConfig, MirrorConfig, PortConfig, SwitchConfig,
    };
    let [plain, whole] = example();
    let config = read(&plain).unwrap();
    assert!(!config.ports.is_empty() && !config.mirrors.is_empty());
    read(&whole).unwrap();
    let table: toml::Table = whole.parse().unwrap();
    let one = |name: &str| table[name].as_table().unwrap().clone();
    // All objects of a kind laid over each other.
    let all = |name: &str| -> toml::Table {
        one(name).iter().flat_map(|(_, object)| object.as_table().unwrap().clone()).collect()
    };
    let none: [&str; 0] = [];
    assert_eq!(missing::<SwitchConfig>(SwitchConfig::KEYS, &one("switch")), none);
    assert_eq!(missing::<ApiConfig>(ApiConfig::KEYS, &one("api")), none);
    assert_eq!(missing::<LogConfig>(LogConfig::KEYS, &one("log")), none);
    assert_eq!(missing::<BridgeConfig>(BridgeConfig::KEYS, &all("bridges")), none);
    assert_eq!(missing::<PortConfig>(PortConfig::KEYS, &all("ports")), none);
    assert_eq!(missing::<MirrorConfig>(MirrorConfig::KEYS, &all("mirrors")), none);
    // Each kind of port, too.
    for kind in PortKind::ALL {
        let config = read(&whole).unwrap();
        assert!(config.ports.values().any(|port| port.kind == kind), "{}", kind.word());
    }
}

#[test]
fn flags_and_files_give_the_same() {
    use Flag::{Bridge, Mirror, Port};
    for (words, text) in [
        (vec![(Bridge, "br0")], "[bridges.br0]"),
        (
            vec![(Bridge, "br0,loop-guard=hold,mac-limit=10"), (Bridge, "br.1")],
            "[bridges.br0]\nloop-guard = \"hold\"\nmac-limit = 10\n[bridges.\"br.1\"]",
        ),
        (
            vec![
                (Bridge, "br0"),
                (
                    Port,
                    "vhost-user:vm1=/run/vm1.sock,tag=10,ingress-rate=100Mbit,ingress-burst=64KiB",
                ),
                (Port, "vhost-user-client:vm2=/run/vm2.sock,trunks=10+20-30,native=5,queues=2"),
                (Bridge, "br1"),
                (Port, "tap:c1@blue,interface=eth0,number=7"),
                (Port, "tap:c2@/proc/7/ns/net"),
                (Port, "dev:up=eth1,dot1q-tunnel=9"),
                (Port, "dev:eth2,bridge=br0"),
                (Mirror, "m,ports=c1+c2,to=up,direction=rx,vlans=0+7"),
                (Mirror, "n,bridge=br0,vlans=1,to=eth2"),
            ],
            r#"
            bridges = { br0 = {}, br1 = {} }
            [ports.vm1]
            bridge = "br0"
            kind = "vhost-user"
            path = "/run/vm1.sock"
            tag = 10
            ingress-rate = "100Mbit"
            ingress-burst = "64KiB"
            [ports.vm2]
            bridge = "br0"
            kind = "vhost-user-client"
            path = "/run/vm2.sock"
            trunks = [10, "20-30"]
            native = 5
            queues = 2
            [ports.c1]
            bridge = "br1"
            kind = "tap"
            netns = "blue"
            interface = "eth0"
            number = 7
            [ports.c2]
            bridge = "br1"
            kind = "tap"
            netns = "/proc/7/ns/net"
            [ports.up]
            bridge = "br1"
            kind = "dev"
            interface = "eth1"
            dot1q-tunnel = 9
            [ports.eth2]
            bridge = "br0"
            kind = "dev"
            [mirrors.m]
            bridge = "br1"
            ports = ["c1", "c2"]
            to = "up"
            direction = "rx"
            vlans = [0, 7]
            [mirrors.n]
            bridge = "br0"
            vlans = [1]
            to = "eth2"
            "#,
        ),
    ] {
        let by_flags = flags::gather(words).unwrap();
        by_flags.check().unwrap();
        assert_eq!(by_flags, read(text).unwrap());
        assert_eq!(
            by_flags.ports.keys().collect::<Vec<_>>(),
            read(text).unwrap().ports.keys().collect::<Vec<_>>()
        );
    }
}

/// The flags that say the same as the objects of a configuration.
fn as_flags(config: &Config) -> Vec<(Flag, String)> {
    fn keys<T: Section>(section: &T, but: &str) -> String {
        let given = keys::given(section).into_iter().filter(|(key, _)| *key != but);
        given.map(|(key, value)| format!(",{key}={value}")).collect()
    }
    let bridges = config.bridges.iter();
    let ports = config.ports.iter();
    let mirrors = config.mirrors.iter();
    bridges
        .map(|(name, bridge)| (Flag::Bridge, format!("{name}{}", keys(bridge, ""))))
        .chain(ports.map(|(name, port)| {
            (Flag::Port, format!("{}:{name}{}", port.kind.word(), keys(port, "kind")))
        }))
        .chain(mirrors.map(|(name, mirror)| (Flag::Mirror, format!("{name}{}", keys(mirror, "")))))
        .collect()
}

/// A piece of text that an editor may leave in a file.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "\n",
        "\"",
        "'",
        "\"\"\"",
        "[",
        "]",
        "[[",
        "=",
        ".",
        ",",
        "#",
        "{",
        "}",
        "\\",
        "\\u",
        "0x",
        "_",
        "-",
        "\r\n",
        "\0",
        "\u{feff}",
        "ä",
        "1e400",
        "nan",
        "true",
        "1979-05-27T07:32:00Z",
        "[ports.vm1]\n",
        "tag = 5\n",
        "kind = \"tap\"\n",
        "99999999999999999999",
    ];
    prop_oneof![proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned), ".{0,5}"]
}

proptest! {
    #![proptest_config(crate::properties::config())]

    #[test]
    fn what_is_written_is_read_to_the_same(config in arbitrary::config()) {
        let text = write(&config);
        let again = read(&text).map_err(|error| TestCaseError::fail(format!("{text}\n{error}")))?;
        prop_assert_eq!(&again, &config);
        // Maps compare without their order.
        prop_assert_eq!(again.ports.keys().collect::<Vec<_>>(), config.ports.keys().collect::<Vec<_>>());
        prop_assert_eq!(again.bridges.keys().collect::<Vec<_>>(), config.bridges.keys().collect::<Vec<_>>());
        prop_assert_eq!(write(&again), text);
    }

    #[test]
    fn json_says_the_same(config in arbitrary::config()) {
        let json = serde_json::to_value(&config).unwrap();
        prop_assert_eq!(&Config::from_json(&json).unwrap(), &config);
        // What serde alone reads is the same, too.
        prop_assert_eq!(serde_json::from_value::<Config>(json).unwrap(), config);
    }

    #[test]
    fn flags_say_the_same(config in arbitrary::config()) {
        let words = as_flags(&config);
        let by_flags = flags::gather(words.iter().map(|(flag, text)| (*flag, text.as_str()))).unwrap();
        prop_assert_eq!(&by_flags.bridges, &config.bridges);
        prop_assert_eq!(&by_flags.ports, &config.ports);
        prop_assert_eq!(&by_flags.mirrors, &config.mirrors);
    }

    #[test]
    fn no_text_panics(pieces in proptest::collection::vec(piece(), 0..12)) {
        held(&pieces.concat())?;
    }

    #[test]
    fn no_slip_in_a_document_panics(
        config in arbitrary::config(),
        slips in proptest::collection::vec((any::<proptest::sample::Index>(), 0..20_usize, piece()), 1..4),
    ) {
        let mut text: Vec<char> = write(&config).chars().collect();
        for (at, length, piece) in slips {
            let at = at.index(text.len() + 1);
            let end = (at + length).min(text.len());
            text.splice(at..end, piece.chars());
        }
        held(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn a_document_passes_or_is_refused_with_its_key(document in arbitrary::document()) {
        let config = Config::from_json(&document).and_then(|config| config.check().map(|()| config));
        match config {
            Ok(config) => {
                prop_assert_eq!(read(&write(&config)).unwrap(), config);
            }
            Err(error) => {
                prop_assert!(!error.key.is_empty() || !document.is_object(), "{}", error);
                prop_assert!(!error.message.is_empty());
            }
        }
    }
}

/// A text is read to a configuration that passes, or refused with a place that there is.
fn held(text: &str) -> Result<(), TestCaseError> {
    match read(text) {
        Ok(config) => {
            config.check().map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(read(&write(&config)).unwrap(), config);
        }
        Err(error) => {
            let line = text.split('\n').nth(error.line - 1);
            let line = line.ok_or_else(|| TestCaseError::fail(format!("{text}\n{error}")))?;
            prop_assert!((1..=line.chars().count() + 1).contains(&error.column), "{text}\n{error}");
            prop_assert!(!error.message.is_empty());
            prop_assert_eq!(error.to_string().lines().count(), 1, "{}", error);
        }
    }
    Ok(())
}
