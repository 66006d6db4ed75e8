//! What guests and containers have in common: they run commands, and so ping and move files.

use crate::wait::until;
use crate::{Error, Result};

/// What a command answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit code.
    pub code: i32,
    /// Its standard output and standard error.
    pub text: String,
}

/// Something that runs busybox commands: a guest or a container.
pub trait Machine {
    /// Its name in messages.
    fn name(&self) -> &str;

    /// Runs a shell command to its end, within [`crate::DEADLINE`].
    fn try_run(&self, command: &str) -> Result<Output>;

    /// Runs a shell command that must succeed; its output.
    fn run(&self, command: &str) -> Result<String> {
        let Output { code, text } = self.try_run(command)?;
        if code == 0 {
            return Ok(text);
        }
        Err(Error::Command {
            who: self.name().to_owned(),
            command: command.to_owned(),
            code,
            output: text,
        })
    }

    /// Waits until one echo request to this IPv4 or IPv6 address is answered: the way there is
    /// open, and addresses are resolved.
    fn reach(&self, address: &str) -> Result {
        until(&format!("{} reaches {address}", self.name()), || self.reaches(address))
    }

    /// One echo request: was it answered?
    fn reaches(&self, address: &str) -> Result<bool> {
        Ok(self.try_run(&format!("{} -c 1 -W 2 {address}", ping(address)))?.code == 0)
    }

    /// Sends `count` echo requests of `size` bytes, one after the other; how many were answered.
    fn ping(&self, address: &str, count: u32, size: u32) -> Result<u32> {
        let command = format!("{} -c {count} -W 10 -A -s {size} {address}", ping(address));
        let text = self.try_run(&command)?.text;
        received(&text)
            .ok_or_else(|| Error::Wrong(format!("{}: `{command}` said: {text}", self.name())))
    }

    /// Waits until `count` echo requests of `size` bytes in a row are all answered. A request may
    /// be lost to a full socket or ring on a busy machine, never the same way for ever.
    fn ping_all(&self, address: &str, count: u32, size: u32) -> Result {
        until(&format!("{} gets {count} answers in a row from {address}", self.name()), || {
            Ok(self.ping(address, count, size)? == count)
        })
    }

    /// Makes a file of random bytes and serves it over HTTP on all addresses, TCP port 80, as
    /// `http://ADDRESS/FILE`; its SHA-256.
    fn serve(&self, file: &str, mebibytes: u32) -> Result<String> {
        let sum = self.run(&format!(
            "mkdir -p $HOME/www && cd $HOME/www && head -c {} /dev/urandom >{file} || exit 1
             netstat -ltn | grep -q ':80 ' || httpd -p '[::]:80' -h $HOME/www || httpd -p 80 -h $HOME/www || exit 1
             sha256sum {file} | cut -d' ' -f1",
            u64::from(mebibytes) << 20,
        ))?;
        Ok(sum.trim().to_owned())
    }

    /// Fetches what another machine serves; the SHA-256 of what came.
    fn fetch(&self, address: &str, file: &str) -> Result<String> {
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let sum = self.run(&format!(
            "set -o pipefail; wget -q -O - http://{host}/{file} | sha256sum | cut -d' ' -f1"
        ))?;
        Ok(sum.trim().to_owned())
    }

    /// A number that the kernel keeps for a network interface, such as `rx_packets`.
    fn statistic(&self, interface: &str, name: &str) -> Result<u64> {
        let text = self.run(&format!("cat /sys/class/net/{interface}/statistics/{name}"))?;
        text.trim().parse().map_err(|_| {
            Error::Wrong(format!("{}: {name} of {interface} is {text:?}", self.name()))
        })
    }
}

fn ping(address: &str) -> &'static str {
    if address.contains(':') { "ping6" } else { "ping" }
}

/// `5 packets transmitted, 4 packets received, …` → 4.
fn received(text: &str) -> Option<u32> {
    let line = text.lines().find(|line| line.contains(" packets received"))?;
    line.split(", ").nth(1)?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_line_of_ping_that_counts_is_found() {
        let text = "PING 10.0.0.2 (10.0.0.2): 56 data bytes\n\n--- 10.0.0.2 ping statistics ---\n\
                    5 packets transmitted, 4 packets received, 20% packet loss\n";
        assert_eq!(super::received(text), Some(4));
        assert_eq!(super::received("ping: sendto: Network is unreachable"), None);
    }
}
