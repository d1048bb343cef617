//! What the rooms share: scratch ServerRoots, ports, raw clients, raw origins, processes.
//!
//! Nothing here sleeps and hopes: every wait polls a condition against a deadline and panics with
//! what it saw. A test reads like this:
//!
//! ```ignore
//! let origin = Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
//! let site = Site::new("proxy-hello");
//! site.httpd_conf(&["proxy", "proxy_http"], &format!("ProxyPass / http://127.0.0.1:{}/", origin.port));
//! let server = site.start();
//! let answer = server.get("/", "");
//! assert_eq!((answer.status, answer.body.as_slice()), (200, &b"hi"[..]));
//! ```

// A helper that no room happens to use today is still a helper.
#![allow(dead_code, unused_imports, unused_macros, unreachable_pub)]

mod dir;
mod login;
mod origin;
mod peer;
mod port;
mod scenarios;
mod shown;
mod site;

use std::time::{Duration, Instant};

pub use dir::TempDir;
pub use login::{Login, hide};
pub use origin::Origin;
pub use peer::{Message, Peer};
pub use port::free_port;
pub(crate) use scenarios::scenarios;
pub use shown::{Scenario, Style, age, repeated, sorted};
pub use site::{Server, Site, Verdict, is_root, program, real_httpd};

/// How long anything on loopback may take before a test calls it hung.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Polls `probe` until it answers, at most for `limit`; panics naming `what` otherwise.
pub fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Says what is not tested here and why; fails instead when `TANDEM_REQUIRE_ALL=1`.
pub fn skip(test: &str, missing: &str) {
    let all = std::env::var("TANDEM_REQUIRE_ALL").is_ok_and(|v| v == "1");
    assert!(!all, "{test}: {missing} is missing and TANDEM_REQUIRE_ALL=1");
    // Straight to the descriptor: the harness swallows what a passing test prints.
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED {test}: {missing} is missing ***");
}

/// Copies a program that is to be run. Another process does it: a file that is open for writing here may be so in the
/// children of other tests as well, and the system then refuses to run it.
pub fn copy_program(from: &std::path::Path, to: &std::path::Path) {
    assert!(std::process::Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

/// The path of a program found on `PATH` or in the places where daemons live.
pub fn which(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(Into::into))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}
