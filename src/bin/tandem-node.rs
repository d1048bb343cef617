//! `tandem-node`: a member of the Tomcat cluster that a server.xml describes.

use std::process::ExitCode;

fn main() -> ExitCode {
    tandem::node::main(std::env::args_os())
}
