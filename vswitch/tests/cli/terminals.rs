//! Commands on a terminal: tables that fit, colours, pages that are redrawn, and a terminal that is left as it was.

use rustix::process::Signal;

use crate::{fake::Scene, program, refused, terminal::Terminal};

/// Shows the cursor, and leaves the other screen.
const SHOWN: &str = "\x1b[?25h";
const LEFT: &str = "\x1b[?1049l";

fn start(scene: &Scene, words: &str, columns: u16, lines: u16) -> Terminal {
    Terminal::start(&program(scene, words), columns, lines)
}

/// The text without its escape sequences.
fn bare(text: &str) -> String {
    let mut bare = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            // `ESC [ … letter` is all that is written.
            let _sequence = chars.find(char::is_ascii_alphabetic);
        } else {
            bare.push(c);
        }
    }
    bare
}

#[test]
fn tables_fit_the_terminal_and_are_coloured() {
    let scene = Scene::new();
    for (words, columns) in [("status", 80), ("status", 60), ("drops", 50), ("mirror list", 40)] {
        let (status, text, same) = start(&scene, words, columns, 24).end();
        assert!(status.success() && same, "{text}");
        assert!(text.contains('\x1b'), "{words} is coloured: {text}");
        for line in bare(&text).lines() {
            assert!(line.trim_end().chars().count() <= usize::from(columns), "{words}: {line}");
        }
    }
    let (_, text, _) = start(&scene, "status", 60, 24).end();
    assert!(text.contains("no room for"), "{text}");
    let (_, text, _) = start(&scene, "status --color never", 60, 24).end();
    assert!(!text.contains('\x1b'), "{text}");
}

#[test]
fn top_shows_ports_and_leaves_the_terminal_as_it_was() {
    let scene = Scene::new();
    let mut page = start(&scene, "top --interval 0.1", 80, 24);
    page.wait_until_shown("vm1 ");
    page.wait_until_shown("queue_full");
    // Keys: the explanation, a filter; sizes: the last line of a larger terminal.
    page.press("?");
    page.wait_until_shown("r  the other way round");
    page.press("?/span\r");
    page.wait_until_shown("/ filter: span");
    assert!(!page.screen().iter().any(|line| line.contains("vm1 ")), "{:#?}", page.screen());
    page.resize(120, 40);
    crate::fake::eventually("the keys on the last line", || {
        page.screen().get(39)?.contains("q quit").then_some(())
    });
    page.press("q");
    let (status, text, same) = page.end();
    assert!(status.success() && same, "{text}");
    let end = text.rfind(LEFT).expect("it leaves the other screen");
    assert!(text.contains(SHOWN), "{text}");
    assert_eq!(bare(&text[end..]), "");
}

#[test]
fn top_ends_in_order_on_a_signal() {
    let scene = Scene::new();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let page = start(&scene, "top", 80, 24);
        page.wait_for("vm1");
        page.signal(signal);
        let (status, text, same) = page.end();
        assert!(status.success() && same, "{signal:?}: {text}");
        assert!(text.contains(LEFT) && text.contains(SHOWN), "{signal:?}: {text}");
    }
}

#[test]
fn top_says_that_the_switch_is_gone_and_goes_on() {
    let mut scene = Scene::new();
    let mut page = start(&scene, "top --interval 0.1", 80, 24);
    page.wait_for("vm1");
    scene.server = None;
    page.wait_until_shown("no switch runs at ");
    page.press("\x03");
    let (status, text, same) = page.end();
    assert!(status.success() && same, "{text}");
}

#[test]
fn top_needs_a_terminal_and_a_switch() {
    let mut scene = Scene::new();
    let (error, code) = refused(&scene, "top");
    assert!(error.contains("top needs a terminal") && code == 1, "{error}");
    scene.server = None;
    let (status, text, same) = start(&scene, "top", 80, 24).end();
    assert_eq!((status.code(), same), (Some(1), true));
    // It has not even begun to draw.
    assert!(text.contains("no switch runs at ") && !text.contains("\x1b[?1049h"), "{text}");
}

#[test]
fn watching_redraws_on_a_terminal() {
    let scene = Scene::new();
    let mut page = start(&scene, "stats --watch 0.1", 80, 24);
    page.wait_for("\x1b[H\x1b[J");
    page.wait_for("vm1");
    let drawn = page.text().matches("\x1b[H\x1b[J").count();
    crate::fake::eventually("another page", || {
        (page.text().matches("\x1b[H\x1b[J").count() > drawn).then_some(())
    });
    page.press("\x03");
    let (status, _, same) = page.end();
    assert!(!status.success() && same);
}
