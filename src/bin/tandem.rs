//! `tandem`: serves what an httpd configuration describes.

use std::process::ExitCode;

fn main() -> ExitCode {
    tandem::demo::main(std::env::args_os())
}
