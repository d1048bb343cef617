//! Workers as set, and their parameters: one row each.

use std::time::Duration;

use super::params::{self, Param, between, buffer, count, interval, on_off, param, put, put_some, seconds, short};
use super::url::{WorkerUrl, scheme_kind};
use crate::base::clock::{Unit, leading_integer};
use crate::config::{Cmd, latin1};
use crate::upstream::spec::{Endpoint, FlushPackets, Secret, WorkerSpec, status};

/// A worker as set.
#[derive(Clone, Debug)]
pub(super) struct WorkerSet {
    /// What serving will know of it; [`WorkerSpec::name`] is its name.
    pub(super) spec: WorkerSpec,
    /// Name with the socket, as messages show it.
    pub(super) full_name: String,
    /// Made by a regular expression's rule: `$1` in its name stands for anything.
    pub(super) matchable: bool,
    /// `$n` in the host or port: where it leads is known only with the request.
    pub(super) dynamic: bool,
}

const MAX_NAME: usize = 383;
const MAX_LEGACY_NAME: usize = 95;
const MAX_SCHEME: usize = 15;
const MAX_HOST: usize = 255;
const MAX_SOCKET: usize = 95;

impl WorkerSet {
    /// A worker for `url`; the error is httpd's text.
    pub(super) fn define(cmd: &mut Cmd<'_>, url: &[u8], matchable: bool) -> Result<Self, String> {
        let parsed = WorkerUrl::parse(url, matchable)?;
        let full_name = parsed.full_name();
        let mut name = latin1(&parsed.name);
        let mut scheme = parsed.scheme.clone();
        let whole = name.clone();
        if name.chars().count() > MAX_NAME {
            name = whole.chars().take(MAX_NAME).collect();
            let text = format!("AH10366: Alert! worker name ({whole}) too long; truncated to: {name}");
            cmd.warn("proxy", "error", text);
        }
        if name.chars().count() > MAX_LEGACY_NAME {
            let legacy: String = name.chars().take(MAX_LEGACY_NAME).collect();
            let text = format!(
                "AH010118: worker name ({whole}) too long; truncated for legacy modules that do not use \
                 proxy_worker_shared->name_ex: {legacy}"
            );
            cmd.warn("proxy", "info", text);
        }
        if scheme.len() > MAX_SCHEME {
            let short = scheme[..MAX_SCHEME].to_owned();
            let text = format!("AH010117: Alert! worker scheme ({scheme}) too long; truncated to: {short}");
            cmd.warn("proxy", "error", text);
            scheme = short;
        }
        if parsed.host.len() > MAX_HOST {
            return Err(format!("worker hostname ({}) too long", parsed.host));
        }
        let socket = parsed.socket_path(&super::runtime_dir(cmd.globals));
        if let Some(path) = socket.as_ref().filter(|path| path.as_os_str().len() > MAX_SOCKET) {
            return Err(format!("worker uds path ({}) too long", latin1(path.as_os_str().as_encoded_bytes())));
        }
        let mut spec = WorkerSpec::new(name, scheme_kind(&scheme), parsed.host.clone(), parsed.port);
        if let Some(path) = socket {
            spec.endpoint = Endpoint::Unix(path);
        }
        if scheme == "ws" || scheme == "wss" {
            spec.upgrade = Some(b"WebSocket".to_vec());
        }
        spec.scheme_text = scheme;
        spec.path = parsed.path;
        let dollar = matchable && parsed.name.contains(&b'$');
        // What a pattern puts together is asked for once: its connections are not kept unless one says so.
        spec.reuse = !dollar;
        let authority = super::table::authority(&parsed.name);
        let dynamic = matchable && authority.contains(&b'$');
        Ok(Self { spec, full_name, matchable, dynamic })
    }
}

type Set = fn(&mut WorkerSpec, &[u8]) -> Result<(), String>;

#[rustfmt::skip]
static PARAMS: &[Param<Set>] = &[
    param("loadfactor", |w, v| put(&mut w.load_factor, load_factor(v))),
    param("retry", |w, v| { w.retry_asked = true; put(&mut w.retry, seconds(v, 0, "Retry must be a positive value")) }),
    param("ttl", |w, v| put_some(&mut w.ttl, seconds(v, 1, "TTL must be at least one second"))),
    param("min", |w, v| put(&mut w.min, count(v, "Min must be a positive number"))),
    param("max", |w, v| put(&mut w.max, count(v, "Max must be a positive number"))),
    param("smax", |w, v| put_some(&mut w.smax, count(v, "Smax must be a positive number"))),
    param("acquire", |w, v| put_some(&mut w.acquire, interval(v, Unit::Millisecond, "Acquire timeout has wrong format", "Acquire must be at least one millisecond"))),
    param("timeout", |w, v| put_some(&mut w.timeout, seconds(v, 1, "Timeout must be at least one second"))),
    param("iobuffersize", |w, v| put_some(&mut w.io_buffer, buffer(v, 8192, "IOBufferSize must be >= 512 bytes, or 0 for system default."))),
    param("receivebuffersize", |w, v| put_some(&mut w.receive_buffer, buffer(v, 0, "ReceiveBufferSize must be >= 512 bytes, or 0 for system default."))),
    param("keepalive", |w, v| put_some(&mut w.keepalive, on_off(v, "KeepAlive must be On|Off"))),
    param("disablereuse", |w, v| reuse(w, on_off(v, "DisableReuse must be On|Off").map(|off| !off))),
    param("enablereuse", |w, v| reuse(w, on_off(v, "EnableReuse must be On|Off"))),
    param("route", |w, v| put(&mut w.route, short(v, 64, "Route length must be < 64 characters"))),
    param("redirect", |w, v| put(&mut w.redirect, short(v, 64, "Redirect length must be < 64 characters"))),
    param("status", set_status),
    param("flushpackets", |w, v| put(&mut w.flush_packets, flush_packets(v))),
    param("flushwait", |w, v| put(&mut w.flush_wait, flush_wait(v))),
    param("ping", |w, v| put_some(&mut w.ping, interval(v, Unit::Second, "Ping/Pong timeout has wrong format", "Ping/Pong timeout must be at least one millisecond"))),
    param("lbset", |w, v| put(&mut w.lbset, between(v, 0, 99, "lbset must be between 0 and 99"))),
    param("connectiontimeout", |w, v| put_some(&mut w.connect_timeout, interval(v, Unit::Second, "Connectiontimeout has wrong format", "Connectiontimeout must be at least one millisecond."))),
    param("responsefieldsize", |w, v| put(&mut w.response_field_size, field_size(v))),
    param("secret", |w, v| put_some(&mut w.secret, short(v, 64, "Secret length must be < 64 characters").map(Secret))),
    param("upgrade", |w, v| put_some(&mut w.upgrade, short(v, 16, "upgrade protocol length must be < 16 characters").map(upgrade))),
    param("addressttl", |w, v| put(&mut w.address_ttl, address_ttl(v))),
];

/// The names of all parameters.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    params::names(PARAMS)
}

/// Sets `key=value`; the error is httpd's text.
pub(super) fn set(cmd: &mut Cmd<'_>, worker: &mut WorkerSet, key: &[u8], value: &[u8]) -> Result<(), String> {
    match params::find(PARAMS, key) {
        Some(set) => set(&mut worker.spec, value),
        None if cmd.globals.modules.contains(&"proxy_hcheck_module") => {
            crate::modules::proxy_hcheck::set_param(cmd, &mut worker.spec.health, key, value)
        }
        None => Err("unknown Worker parameter".to_owned()),
    }
}

/// `loadfactor` times 100: a decimal number from 1 to 100.
fn load_factor(value: &[u8]) -> Result<u32, String> {
    let end = value.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    let mut text = &value[..end.unwrap_or(value.len())];
    let number = loop {
        if let Ok(number) = std::str::from_utf8(text).unwrap_or_default().parse::<f64>() {
            break number;
        }
        match text {
            [shorter @ .., _] => text = shorter,
            [] => break 0.0,
        }
    };
    let hundredfold = (number * 100.0) as i64;
    match u32::try_from(hundredfold) {
        Ok(factor @ 100..=10_000) => Ok(factor),
        _ => Err("LoadFactor must be a number between 1..100".to_owned()),
    }
}

fn flush_packets(value: &[u8]) -> Result<FlushPackets, String> {
    match value.to_ascii_lowercase().as_slice() {
        b"on" => Ok(FlushPackets::On),
        b"off" => Ok(FlushPackets::Off),
        b"auto" => Ok(FlushPackets::Auto),
        _ => Err("flushpackets must be on|off|auto".to_owned()),
    }
}

fn flush_wait(value: &[u8]) -> Result<Duration, String> {
    let error = "flushwait must be <= 1000, or 0 for system default of 10 millseconds.";
    let number = between(value, 0, 1000, error)?;
    Ok(Duration::from_millis(if number == 0 { 10 } else { number.into() }))
}

fn field_size(value: &[u8]) -> Result<usize, String> {
    match count(value, "ResponseFieldSize must be greater than 0 bytes, or 0 for system default.")? {
        0 => Ok(8192),
        size => Ok(size as usize),
    }
}

fn upgrade(value: Vec<u8>) -> Vec<u8> {
    if value.eq_ignore_ascii_case(b"NONE") { Vec::new() } else { value }
}

fn address_ttl(value: &[u8]) -> Result<Option<Duration>, String> {
    let digits = value.strip_prefix(b"-").or_else(|| value.strip_prefix(b"+")).unwrap_or(value);
    let number = leading_integer(value).0.filter(|_| digits.first().is_some_and(u8::is_ascii_digit));
    match number {
        Some(-1) => Ok(None),
        Some(number) if (0..=i64::from(i32::MAX)).contains(&number) => {
            Ok(Some(Duration::from_secs(number.unsigned_abs())))
        }
        _ => Err("AddressTTL must be -1 or a number of seconds not exceeding (2147483647)".to_owned()),
    }
}

/// `status`: letters, switched by `+` and `-`.
fn set_status(worker: &mut WorkerSpec, value: &[u8]) -> Result<(), String> {
    let mut clear = false;
    for letter in value {
        let bit = match letter {
            b'+' | b'-' => {
                clear = *letter == b'-';
                continue;
            }
            b'I' | b'i' => status::IGNORE_ERRORS,
            b'N' | b'n' => status::DRAIN,
            b'D' | b'd' => status::DISABLED,
            b'S' | b's' => status::STOPPED,
            b'E' | b'e' => status::IN_ERROR,
            b'H' | b'h' => status::HOT_STANDBY,
            b'R' | b'r' => status::HOT_SPARE,
            b'C' | b'c' => status::HC_FAILED,
            _ => return Err("Unknown status parameter option".to_owned()),
        };
        if clear {
            worker.status &= !bit;
        } else {
            worker.status |= bit;
        }
    }
    Ok(())
}

/// Whether connections are kept, said so.
fn reuse(spec: &mut WorkerSpec, value: Result<bool, String>) -> Result<(), String> {
    spec.reuse_asked = true;
    put(&mut spec.reuse, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::spec::Scheme;

    fn try_set(key: &str, value: &str) -> Result<WorkerSpec, String> {
        let mut spec = WorkerSpec::new("http://h".to_owned(), Scheme::Http, "h".to_owned(), 80);
        let param = PARAMS.iter().find(|param| param.name == key).expect("a known parameter");
        (param.set)(&mut spec, value.as_bytes()).map(|()| spec)
    }

    #[test]
    fn values_are_read_as_httpd_reads_them() {
        assert_eq!(try_set("loadfactor", "1.999").unwrap().load_factor, 199);
        assert_eq!(try_set("loadfactor", "1e1").unwrap().load_factor, 1000);
        assert_eq!(try_set("loadfactor", "2x").unwrap().load_factor, 200);
        assert_eq!(try_set("timeout", "500ms").unwrap().timeout, Some(Duration::from_secs(500)));
        assert_eq!(try_set("ping", "100ms").unwrap().ping, Some(Duration::from_millis(100)));
        assert_eq!(try_set("acquire", "500").unwrap().acquire, Some(Duration::from_millis(500)));
        assert_eq!(try_set("retry", "x").unwrap().retry, Duration::ZERO);
        assert_eq!(try_set("max", "x").unwrap().max, 0);
        assert_eq!(try_set("status", "+I-H").unwrap().status, status::IGNORE_ERRORS);
        assert_eq!(try_set("status", "+DS").unwrap().status, status::DISABLED | status::STOPPED);
        assert_eq!(try_set("addressttl", "5s").unwrap().address_ttl, Some(Duration::from_secs(5)));
        assert_eq!(try_set("addressttl", "-1").unwrap().address_ttl, None);
        assert_eq!(try_set("responsefieldsize", "x").unwrap().response_field_size, 8192);
        assert!(!try_set("disablereuse", "ON").unwrap().reuse);
        assert_eq!(try_set("upgrade", "none").unwrap().upgrade, Some(Vec::new()));
    }

    #[test]
    fn errors_have_httpds_words() {
        for (key, value, error) in [
            ("loadfactor", "0", "LoadFactor must be a number between 1..100"),
            ("loadfactor", "100.1", "LoadFactor must be a number between 1..100"),
            ("ttl", "x", "TTL must be at least one second"),
            ("min", "-1", "Min must be a positive number"),
            ("acquire", "", "Acquire must be at least one millisecond"),
            ("ping", "x", "Ping/Pong timeout has wrong format"),
            ("iobuffersize", "100", "IOBufferSize must be >= 512 bytes, or 0 for system default."),
            ("lbset", "-1", "lbset must be between 0 and 99"),
            ("addressttl", "-2", "AddressTTL must be -1 or a number of seconds not exceeding (2147483647)"),
            ("addressttl", "x", "AddressTTL must be -1 or a number of seconds not exceeding (2147483647)"),
            ("status", "D S", "Unknown status parameter option"),
            ("upgrade", "uuuuuuuuuuuuuuuu", "upgrade protocol length must be < 16 characters"),
        ] {
            assert_eq!(try_set(key, value).unwrap_err(), error, "{key}={value}");
        }
    }
}
