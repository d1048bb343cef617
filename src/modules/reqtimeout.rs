//! `mod_reqtimeout.c`: how long a client may take to send its request.

use std::time::Duration;

use crate::base::clock::leading_integer;
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, inner_or_outer, latin1, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "reqtimeout_module",
        file: "mod_reqtimeout.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// How fast one part of a request must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Time to begin with; zero is no limit.
    pub timeout: Duration,
    /// The most that `min_rate` adds up to.
    pub most: Option<Duration>,
    /// Bytes that give one more second; zero gives none.
    pub min_rate: u32,
}

/// Values per server.
#[derive(Clone, Debug, Default)]
pub struct ReadTimeout {
    /// `handshake=`; for TLS.
    pub handshake: Option<Rate>,
    /// `header=`.
    pub header: Option<Rate>,
    /// `body=`.
    pub body: Option<Rate>,
}

impl Conf for ReadTimeout {
    const SLOT: usize = slot::REQTIMEOUT;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; handshake, header, body)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("RequestReadTimeout", Places::SERVER, Shape::Raw, read_timeout, "Set various timeout parameters for TLS handshake and/or reading request headers and body"),
];

/// What holds without a directive, once the module is loaded.
const HEADER: Rate = Rate { timeout: Duration::from_secs(20), most: Some(Duration::from_secs(40)), min_rate: 500 };
const BODY: Rate = Rate { timeout: Duration::from_secs(20), most: None, min_rate: 500 };

/// The rates of heads and bodies for this server; the module must be loaded.
pub fn rates(server: &Server) -> (Rate, Rate) {
    let conf = server.get::<ReadTimeout>();
    (conf.and_then(|conf| conf.header).unwrap_or(HEADER), conf.and_then(|conf| conf.body).unwrap_or(BODY))
}

/// How long a TLS handshake may take, where that is said.
pub fn handshake(server: &Server) -> Option<Duration> {
    let rate = server.get::<ReadTimeout>().and_then(|conf| conf.handshake)?;
    Some(rate.timeout).filter(|time| *time > Duration::ZERO)
}

/// `RequestReadTimeout stage=timeout[-maxtimeout][,MinRate=rate] …`.
fn read_timeout(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.not_in_dir_context()?;
    let mut rest = args.raw;
    loop {
        let (word, behind) = crate::config::get_word(rest);
        if word.is_empty() && behind.is_empty() {
            return Ok(());
        }
        rest = behind;
        let Some(equals) = memchr::memchr(b'=', &word) else {
            return Err("Invalid RequestReadTimeout parameter. Parameter must be in the form 'key=value'".to_owned());
        };
        let (key, value) = (word.get(..equals).unwrap_or_default(), word.get(equals + 1..).unwrap_or_default());
        let rate = parse(value);
        let conf = cmd.server_conf::<ReadTimeout>();
        let done = match key.to_ascii_lowercase().as_slice() {
            b"header" => rate.map(|rate| conf.header = Some(rate)),
            b"body" => rate.map(|rate| conf.body = Some(rate)),
            b"handshake" => rate.map(|rate| conf.handshake = Some(rate)),
            _ => Err("Unknown RequestReadTimeout parameter".to_owned()),
        };
        done.map_err(|why| format!("RequestReadTimeout: {}: {why}", latin1(&word)))?;
    }
}

/// `5`, `5-10,MinRate=500`, `5,MinRate=500`.
fn parse(text: &[u8]) -> Result<Rate, String> {
    const RATE: &[u8] = b",minrate=";
    let seconds = |text: &[u8]| number(text).map(|number| Duration::from_secs(number.into()));
    let Some(at) = text.windows(RATE.len()).position(|part| part.eq_ignore_ascii_case(RATE)) else {
        if text.contains(&b'-') {
            return Err("Must set MinRate option if using timeout range".to_owned());
        }
        return Ok(Rate { timeout: seconds(text)?, most: None, min_rate: 0 });
    };
    let (range, rest) = text.split_at(at);
    let min_rate = number(rest.get(RATE.len()..).unwrap_or_default())?;
    if min_rate == 0 {
        return Err("Minimum data rate must be larger than 0".to_owned());
    }
    let dash = memchr::memchr(b'-', range).unwrap_or(range.len());
    let (first, most) = range.split_at(dash);
    let most = most.get(1..).map(seconds).transpose()?.filter(|most| !most.is_zero());
    let timeout = seconds(first)?;
    if most.is_some_and(|most| most <= timeout) {
        return Err("Maximum timeout must be larger than initial timeout".to_owned());
    }
    Ok(Rate { timeout, most, min_rate })
}

/// The number that the text is.
fn number(text: &[u8]) -> Result<u32, String> {
    let (number, rest) = leading_integer(text);
    if rest.len() == text.len() {
        return Err(format!("Value '{}' not numerical", latin1(text)));
    }
    if !rest.is_empty() {
        return Err(format!("Cannot parse '{}'", latin1(rest)));
    }
    match number {
        Some(number) if number < 0 => Err("Value must be non-negative".to_owned()),
        number => Ok(number.and_then(|number| u32::try_from(number).ok()).unwrap_or(u32::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_httpd_reads_them() {
        let said = |text: &str| parse(text.as_bytes());
        assert_eq!(said("20-40,MinRate=500"), Ok(HEADER));
        assert_eq!(said("20,minrate=500"), Ok(BODY));
        assert_eq!(said("0").map(|rate| rate.timeout), Ok(Duration::ZERO));
        let error = |text: &str| said(text).unwrap_err();
        for range in ["20-10", "-1", "20-"] {
            assert_eq!(error(range), "Must set MinRate option if using timeout range");
        }
        for range in ["20-10,MinRate=1", "20-20,MinRate=1"] {
            assert_eq!(error(range), "Maximum timeout must be larger than initial timeout");
        }
        assert_eq!(error("20,MinRate="), "Value '' not numerical");
        assert_eq!(error("5-6-7,MinRate=1"), "Cannot parse '-7'");
        assert_eq!(error("x"), "Value 'x' not numerical");
        assert_eq!(error("20,minrate=x"), "Value 'x' not numerical");
        assert_eq!(error("20,bogus=1"), "Cannot parse ',bogus=1'");
        assert_eq!(error("20s"), "Cannot parse 's'");
        assert_eq!(error("10,MinRate=0"), "Minimum data rate must be larger than 0");
    }
}
