//! HTTP/1 heads and body framing.
