//! What only a start can change: the daemon's own settings, its API's and its log's.
//!
//! A configuration that is applied need not repeat them: where it holds what a configuration that says nothing holds,
//! they stay as the daemon was started. Where it says something else than what runs, it is refused.

use crate::{config::Config, control::Refusal};

/// Gives a wanted configuration the settings that run.
///
/// # Errors
/// If it wants others.
pub(super) fn keep(now: &Config, wanted: &mut Config) -> Result<(), Refusal> {
    let nothing_said = Config::default();
    macro_rules! keep {
        ($($section:ident . $key:ident $name:literal),* $(,)?) => {$(
            let (runs, said) = (&now.$section.$key, &mut wanted.$section.$key);
            if *said == nothing_said.$section.$key {
                said.clone_from(runs);
            } else if said != runs {
                return Err(refused($name));
            }
        )*};
    }
    keep! {
        switch.workers "switch.workers",
        switch.poll "switch.poll",
        switch.rundir "switch.rundir",
        switch.state "switch.state",
        switch.mac_ageing "switch.mac-ageing",
        switch.mac_limit "switch.mac-limit",
        api.socket_mode "api.socket-mode",
        api.socket_group "api.socket-group",
        api.listen "api.listen",
        api.certificate "api.certificate",
        api.key "api.key",
        api.client_ca "api.client-ca",
        log.level "log.level",
        log.format "log.format",
    }
    Ok(())
}

fn refused(key: &str) -> Refusal {
    let instead = match key {
        "switch.mac-ageing" => "; or give the bridges a mac-ageing of their own",
        "switch.mac-limit" => "; or give the bridges a mac-limit of their own",
        "log.level" => "; or say `strowger log level`",
        _ => "",
    };
    Refusal::Conflict(format!(
        "{key} is read when the switch starts and cannot be changed while it runs: start it again{instead}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays_and_what_is_said_otherwise_is_refused() {
        let mut now = Config::default();
        now.switch.workers = vec![3];
        now.switch.rundir = "/run/other".into();
        let mut wanted = Config::default();
        keep(&now, &mut wanted).unwrap();
        assert_eq!(wanted, now);
        keep(&now, &mut wanted).unwrap();
        wanted.switch.workers = vec![4];
        let refusal = keep(&now, &mut wanted).unwrap_err();
        assert!(refusal.to_string().contains("switch.workers is read when the switch starts"));
    }

    /// A section that gets another key must be thought of here.
    #[test]
    fn every_setting_is_one_of_these() {
        let source = include_str!("settings.rs");
        let said = |section: &str, keys: &[crate::config::keys::Key]| {
            for key in keys {
                let name = format!("\"{section}.{}\",", key.name);
                assert!(source.contains(&name), "{name} is forgotten");
            }
        };
        use crate::config::{ApiConfig, LogConfig, SwitchConfig, keys::Section};
        said("switch", SwitchConfig::KEYS);
        said("api", ApiConfig::KEYS);
        said("log", LogConfig::KEYS);
    }
}
