//! `tandem-node`: a member of the Tomcat cluster that a server.xml describes.

use std::process::ExitCode;

/// Sessions come and go on many threads; their memory goes back to the system.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    tandem::node::main(std::env::args_os())
}
