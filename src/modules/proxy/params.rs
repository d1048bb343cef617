//! How parameters are found, and their values read: those of workers and of balancers. Errors are httpd's texts.

use std::time::Duration;

use crate::base::clock::{Unit, parse_interval};

/// One parameter: its name and what sets it.
pub(super) struct Param<S> {
    pub(super) name: &'static str,
    pub(super) set: S,
}

/// A row of a table of parameters.
pub(super) const fn param<S: Copy>(name: &'static str, set: S) -> Param<S> {
    Param { name, set }
}

/// What sets the parameter of this name, in any case.
pub(super) fn find<S: Copy>(params: &[Param<S>], name: &[u8]) -> Option<S> {
    params.iter().find(|param| param.name.as_bytes().eq_ignore_ascii_case(name)).map(|param| param.set)
}

/// The names of all parameters.
pub(super) fn names<S>(params: &'static [Param<S>]) -> impl Iterator<Item = &'static str> {
    params.iter().map(|param| param.name)
}

/// Keeps a value that was read.
pub(super) fn put<T>(place: &mut T, value: Result<T, String>) -> Result<(), String> {
    *place = value?;
    Ok(())
}

/// Keeps a value where there may be none.
pub(super) fn put_some<T>(place: &mut Option<T>, value: Result<T, String>) -> Result<(), String> {
    *place = Some(value?);
    Ok(())
}

/// The leading integer of a value as C reads an `int`.
pub(super) fn integer(value: &[u8]) -> i64 {
    crate::modules::check::number(value)
}

/// Whole seconds, at least `least`; a unit behind them does not count.
pub(super) fn seconds(value: &[u8], least: i64, error: &str) -> Result<Duration, String> {
    let number = integer(value);
    if number < least {
        return Err(error.to_owned());
    }
    Ok(Duration::from_secs(number.unsigned_abs()))
}

/// A time with a unit, at least a millisecond.
pub(super) fn interval(value: &[u8], unit: Unit, wrong: &str, low: &str) -> Result<Duration, String> {
    let time = match value {
        [] => Ok(Duration::ZERO),
        [b'-', rest @ ..] => parse_interval(rest, unit).map(|_| Duration::ZERO),
        _ => parse_interval(value, unit),
    };
    match time {
        Err(_) => Err(wrong.to_owned()),
        Ok(time) if time < Duration::from_millis(1) => Err(low.to_owned()),
        Ok(time) => Ok(time),
    }
}

/// A number that is not negative.
pub(super) fn count(value: &[u8], error: &str) -> Result<u32, String> {
    u32::try_from(integer(value)).map_err(|_| error.to_owned())
}

/// A number in a range.
pub(super) fn between(value: &[u8], least: u32, most: u32, error: &str) -> Result<u32, String> {
    match u32::try_from(integer(value)) {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(error.to_owned()),
    }
}

/// A buffer size: 512 or more, 0 for the default.
pub(super) fn buffer(value: &[u8], default: usize, error: &str) -> Result<usize, String> {
    match integer(value) {
        0 => Ok(default),
        size @ 512.. => Ok(size as usize),
        _ => Err(error.to_owned()),
    }
}

/// `On` or `Off`, in any case.
pub(super) fn on_off(value: &[u8], error: &str) -> Result<bool, String> {
    if value.eq_ignore_ascii_case(b"on") {
        Ok(true)
    } else if value.eq_ignore_ascii_case(b"off") {
        Ok(false)
    } else {
        Err(error.to_owned())
    }
}

/// A text of less than `limit` bytes.
pub(super) fn short(value: &[u8], limit: usize, error: &str) -> Result<Vec<u8>, String> {
    if value.len() >= limit { Err(error.to_owned()) } else { Ok(value.to_vec()) }
}
