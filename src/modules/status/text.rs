//! Numbers, times and sizes as httpd writes them on this page.

use crate::pipe;
use crate::web::Exchange;

/// C's `%.Ng` as APR prints it: without a zero in front of the point.
pub(super) fn general(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    let exact = format!("{value:.*e}", digits.saturating_sub(1));
    let (mantissa, exponent) = exact.split_once('e').unwrap_or((&exact, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
    };
    let most = i32::try_from(digits).unwrap_or(6);
    if exponent >= most || exponent < -4 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.unsigned_abs());
    }
    let places = usize::try_from(most - 1 - exponent).unwrap_or(0);
    let plain = trim(&format!("{value:.places$}"));
    match plain.strip_prefix("0.") {
        Some(rest) => format!(".{rest}"),
        None => plain,
    }
}

/// A number of bytes.
pub(super) fn bytes(n: u64) -> String {
    let real = n as f64;
    if n < 5 * 1024 {
        format!("{n} B")
    } else if n < 1024 * 1024 / 2 {
        format!("{:.1} kB", real / 1024.0)
    } else if n < 1024 * 1024 * 1024 / 2 {
        format!("{:.1} MB", real / 1_048_576.0)
    } else {
        format!("{:.1} GB", real / 1_073_741_824.0)
    }
}

/// A number of kilobytes.
pub(super) fn kilobytes(n: u64) -> String {
    let real = n as f64;
    if n < 1024 {
        format!("{n} kB")
    } else if n < 1024 * 1024 {
        format!("{:.1} MB", real / 1024.0)
    } else {
        format!("{:.1} GB", real / 1_048_576.0)
    }
}

/// ` 1 day 2 hours 5 seconds`; nothing for no time.
pub(super) fn uptime(seconds: u64) -> String {
    let mut out = String::new();
    for (n, unit) in [
        (seconds / 86_400, "day"),
        (seconds / 3600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ] {
        if n > 0 {
            out.push_str(&format!(" {n} {unit}{}", if n == 1 { "" } else { "s" }));
        }
    }
    out
}

/// The end of the page.
pub(super) fn push_signature(ex: &Exchange, out: &mut String) {
    let mut signature = Vec::new();
    pipe::push_signature(ex, b"<hr />\n", &mut signature);
    out.extend(signature.iter().map(|byte| char::from(*byte)));
    out.push_str("</body></html>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_apr_does() {
        for (value, text) in [
            (0.0, "0"),
            (0.25, ".25"),
            (1.0 / 3.0, ".333333"),
            (2560.0, "2560"),
            (12.5, "12.5"),
            (1_234_567.0, "1.23457e+06"),
            (0.000_012, "1.2e-05"),
            (100.0, "100"),
        ] {
            assert_eq!(general(value, 6), text);
        }
        assert_eq!(general(12.345, 3), "12.3");
    }

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(
            (bytes(5119).as_str(), bytes(5632).as_str(), bytes(600_000).as_str()),
            ("5119 B", "5.5 kB", "0.6 MB")
        );
        assert_eq!((kilobytes(25).as_str(), kilobytes(2048).as_str()), ("25 kB", "2.0 MB"));
        assert_eq!((uptime(0).as_str(), uptime(90_061).as_str()), ("", " 1 day 1 hour 1 minute 1 second"));
        assert_eq!(uptime(7204), " 2 hours 4 seconds");
    }
}
