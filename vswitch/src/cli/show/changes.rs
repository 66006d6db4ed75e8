//! What a change came to.

use crate::{
    cli::{
        screen::Look,
        table::{Tone, printable},
    },
    config::plan::Action,
    control::Changes,
};

/// One line a change: `+` made, `~` changed, `-` removed.
pub(in crate::cli) fn changes(changes: &Changes, look: &Look) -> String {
    let mut text = String::new();
    for change in &changes.changes {
        let tone = match change.action {
            Action::Add => Tone::Good,
            Action::Change => Tone::Odd,
            Action::Remove => Tone::Bad,
        };
        text += &look.paint(&printable(&change.to_string()), tone);
        text.push('\n');
    }
    if changes.changes.is_empty() {
        text += "no changes\n";
    } else if changes.dry_run {
        text += &look.paint("(only said, not done)", Tone::Weak);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::plan::{Change, ObjectKind};

    #[test]
    fn each_change_is_a_line() {
        let change = |action, name: &str, what: &str| Change {
            action,
            object: ObjectKind::Port,
            name: name.into(),
            what: what.into(),
        };
        let all = vec![
            change(Action::Add, "vm1", "tap, bridge br0"),
            change(Action::Change, "vm2", "tag 10 → 20"),
            change(Action::Remove, "vm3", ""),
        ];
        let done = Changes { dry_run: false, changes: all };
        let lines = "+ port vm1 (tap, bridge br0)\n~ port vm2: tag 10 → 20\n- port vm3\n";
        assert_eq!(changes(&done, &Look::plain()), lines);
        let said = Changes { dry_run: true, ..done };
        assert_eq!(changes(&said, &Look::plain()), format!("{lines}(only said, not done)\n"));
        assert_eq!(changes(&Changes::default(), &Look::plain()), "no changes\n");
    }
}
