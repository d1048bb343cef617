//! `tandem`: serves what an httpd configuration describes.

use std::process::ExitCode;

/// A replaced generation leaves its memory to the system, not to the process.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    tandem::demo::main(std::env::args_os())
}
