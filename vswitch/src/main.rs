//! The switch's one binary: reads the command line, then is a switch or asks one.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    strowger_vswitch::cli::main()
}
