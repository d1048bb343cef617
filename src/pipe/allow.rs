//! Which methods a resource takes: the value of `Allow`.

use crate::config::core::{CoreServer, Trace};
use crate::web::Exchange;

/// Adds methods to those allowed; one that is there already stays where it is.
pub fn allow(ex: &mut Exchange, methods: &[&[u8]]) {
    for method in methods {
        if !ex.allowed.iter().any(|known| known == method) {
            ex.allowed.push(method.to_vec());
        }
    }
}

/// Appends the value of `Allow`: what was allowed, HEAD with GET, and TRACE unless it is off.
pub fn push_allow(ex: &Exchange, out: &mut Vec<u8>) {
    let trace = ex.server().get::<CoreServer>().and_then(|core| core.trace) != Some(Trace::Off);
    let allowed = |method: &[u8]| ex.allowed.iter().any(|known| known == method);
    let head = (allowed(b"GET") && !allowed(b"HEAD")).then_some(&b"HEAD"[..]);
    let trace = (trace && !allowed(b"TRACE")).then_some(&b"TRACE"[..]);
    let start = out.len();
    for method in ex.allowed.iter().map(Vec::as_slice).chain(head).chain(trace) {
        if out.len() > start {
            out.push(b',');
        }
        out.extend_from_slice(method);
    }
}
