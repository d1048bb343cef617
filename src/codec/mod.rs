//! Floor 1: bytes in, values out; no I/O, no clock.
#![deny(clippy::indexing_slicing)]

pub mod ajp;
pub mod charset;
pub mod dbm;
pub mod fcgi;
pub mod html;
pub mod http1;
pub mod http2;
pub mod http2_head;
pub mod java;
pub mod object_cache;
pub mod ocsp;
pub mod preload;
pub mod proxy_header;
pub mod tribes;
pub mod x509;
