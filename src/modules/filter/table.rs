//! The filters by name: all of httpd's, with those that are here.

use crate::modules::cache::marker;
use crate::modules::{
    brotli, buffer, case_filter, case_filter_in, charset_lite, deflate, include, proxy_html, ratelimit, sed,
    substitute, xml2enc,
};
use crate::web::{Start, StartInput};

/// One output filter.
pub(super) struct OutputFilter {
    /// Its name, as registered.
    pub(super) name: &'static str,
    /// The module that brings it.
    pub(super) module: &'static str,
    /// httpd's filter type as a number: filters of lower rank come first.
    pub(super) rank: i16,
    /// What starts it.
    pub(super) kind: Kind,
}

/// What there is behind a name.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A filter.
    Here(Start),
    /// It changes nothing that a client sees, or what it does is done anyway.
    Moot,
    /// httpd's only: a configuration that asks for it is not started.
    Missing,
}

const RESOURCE: i16 = 10;
const CONTENT_SET: i16 = 20;
const PROTOCOL: i16 = 30;

const fn row(name: &'static str, module: &'static str, rank: i16, kind: Kind) -> OutputFilter {
    OutputFilter { name, module, rank, kind }
}

/// All of them.
pub(super) const OUTPUT: &[OutputFilter] = &[
    row("CONTENT_LENGTH", "core_module", PROTOCOL, Kind::Moot),
    row("BYTERANGE", "http_module", PROTOCOL, Kind::Moot),
    row("CHUNK", "http_module", 40, Kind::Moot),
    row("HTTP_HEADER", "http_module", PROTOCOL, Kind::Moot),
    row("INCLUDES", "include_module", RESOURCE, Kind::Here(include::start)),
    row("DEFLATE", "deflate_module", CONTENT_SET, Kind::Here(deflate::start)),
    row("INFLATE", "deflate_module", RESOURCE - 1, Kind::Here(deflate::start_inflate)),
    row("BROTLI_COMPRESS", "brotli_module", CONTENT_SET, Kind::Here(brotli::start)),
    row("SUBSTITUTE", "substitute_module", RESOURCE, Kind::Here(substitute::start)),
    row("Sed", "sed_module", RESOURCE, Kind::Here(sed::start)),
    row("BUFFER", "buffer_module", CONTENT_SET, Kind::Here(buffer::start)),
    row("RATE_LIMIT", "ratelimit_module", PROTOCOL + 3, Kind::Here(ratelimit::start)),
    row("proxy-html", "proxy_html_module", RESOURCE, Kind::Here(proxy_html::start)),
    row("xml2enc", "xml2enc_module", RESOURCE, Kind::Here(xml2enc::start)),
    row("XLATEOUT", "charset_lite_module", RESOURCE, Kind::Here(charset_lite::start)),
    row("CACHE", "cache_module", RESOURCE, Kind::Here(marker::start)),
    row("CACHE_OUT", "cache_module", CONTENT_SET + 1, Kind::Here(marker::start_out)),
    row("CACHE_SAVE", "cache_module", CONTENT_SET + 1, Kind::Here(marker::start_save)),
    row("MOD_SESSION_OUT", "session_module", CONTENT_SET, Kind::Missing),
    row("REFLECTOR", "reflector_module", CONTENT_SET, Kind::Missing),
    row("DATA", "data_module", RESOURCE, Kind::Missing),
    row("CaseFilter", "case_filter_module", RESOURCE, Kind::Here(case_filter::start)),
    row("MOD_EXPIRES", "expires_module", CONTENT_SET - 2, Kind::Moot),
    row("FIXUP_HEADERS_OUT", "headers_module", CONTENT_SET, Kind::Moot),
];

/// One input filter.
pub(super) struct InputFilter {
    /// Its name, as registered.
    pub(super) name: &'static str,
    /// The module that brings it.
    pub(super) module: &'static str,
    /// httpd's filter type as a number: filters of lower rank are nearer to the handler.
    pub(super) rank: i16,
    /// What starts it.
    pub(super) kind: InputKind,
}

/// What there is behind the name of an input filter.
#[derive(Clone, Copy)]
pub(super) enum InputKind {
    /// A filter.
    Here(StartInput),
    /// What it does is done anyway.
    Moot,
    /// httpd's only: a configuration that asks for it is not started.
    Missing,
}

const fn input(name: &'static str, module: &'static str, rank: i16, kind: InputKind) -> InputFilter {
    InputFilter { name, module, rank, kind }
}

/// All of them.
pub(super) const INPUT: &[InputFilter] = &[
    input("HTTP_IN", "http_module", PROTOCOL, InputKind::Moot),
    input("DEFLATE", "deflate_module", CONTENT_SET, InputKind::Here(deflate::start_input)),
    input("BUFFER", "buffer_module", CONTENT_SET, InputKind::Here(buffer::start_input)),
    input("CaseFilterIn", "case_filter_in_module", RESOURCE, InputKind::Here(case_filter_in::start)),
    input("Sed", "sed_module", RESOURCE, InputKind::Here(sed::start_input)),
    input("XLATEIN", "charset_lite_module", RESOURCE, InputKind::Here(charset_lite::start_input)),
    input("KEEP_BODY", "request_module", RESOURCE, InputKind::Missing),
    input("KEPT_BODY", "request_module", RESOURCE, InputKind::Missing),
    input("reqtimeout", "reqtimeout_module", 58, InputKind::Moot),
];

/// The input filter of this name, in any case, if its module is loaded.
pub(super) fn find_input(name: &[u8], loaded: &[&str]) -> Option<&'static InputFilter> {
    INPUT.iter().find(|row| row.name.as_bytes().eq_ignore_ascii_case(name) && loaded.contains(&row.module))
}

/// The filter of this name, in any case, if its module is loaded.
pub(super) fn find(name: &[u8], loaded: &[&str]) -> Option<&'static OutputFilter> {
    OUTPUT.iter().find(|row| row.name.as_bytes().eq_ignore_ascii_case(name) && loaded.contains(&row.module))
}
