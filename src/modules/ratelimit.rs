//! `mod_ratelimit.c`: a response at a given speed, by the variables `rate-limit` and `rate-initial-burst`.

use std::time::Duration;

use crate::base::clock::leading_integer;
use crate::config::{Directive, ModuleRow};
use crate::logs::{self, Level};
use crate::modules::rows::nothing;
use crate::pipe::Module;
use crate::web::{BodyFilter, Exchange, Pace};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "ratelimit_module",
        file: "mod_ratelimit.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
];

/// How often a limited response may go on.
const TURN: Duration = Duration::from_millis(200);

/// `RATE_LIMIT`: the pipe writes the body at this pace.
pub fn start(ex: &mut Exchange, _: usize, _: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    let kib = |name: &[u8]| {
        let number = ex.env.get(name).map(|text| leading_integer(text).0.unwrap_or(i64::MAX))?;
        Some(number.saturating_mul(1024))
    };
    let rate = kib(b"rate-limit")?;
    if rate <= 0 {
        logs::error!(ex, Level::Info, "ratelimit", "AH03488: rl: disabled: rc (too small?)");
        return None;
    }
    let size = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let burst = size(kib(b"rate-initial-burst").unwrap_or(0).max(0));
    ex.response.pace = Some(Pace { chunk: size(rate / 5).max(1), burst, every: TURN });
    None
}
