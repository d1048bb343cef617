//! Time as httpd prints and reads it.
//!
//! The printing functions are on the request path: each thread keeps the texts of the seconds it
//! printed last, so that a time costs one comparison and one `memcpy` except when the second turns.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

/// Where time comes from; the real one is made by the program, tests use [`ManualClock`].
pub trait Clock: Send + Sync {
    /// A monotonic instant, for deadlines and durations.
    fn monotonic(&self) -> Instant;
    /// Microseconds since 1970-01-01T00:00:00Z, for everything that is printed.
    fn wall(&self) -> i64;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn monotonic(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> i64 {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
        }
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock {
    start: Instant,
    started_at: i64,
    elapsed: AtomicI64,
}

impl ManualClock {
    /// A clock standing at `wall` microseconds since the epoch.
    pub fn new(wall: i64) -> Self {
        Self { start: Instant::now(), started_at: wall, elapsed: AtomicI64::new(0) }
    }

    /// Moves both readings forward.
    pub fn advance(&self, by: Duration) {
        let us = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.elapsed.fetch_add(us, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn monotonic(&self) -> Instant {
        let us = u64::try_from(self.elapsed.load(Ordering::SeqCst)).unwrap_or(0);
        self.start + Duration::from_micros(us)
    }

    fn wall(&self) -> i64 {
        self.started_at.saturating_add(self.elapsed.load(Ordering::SeqCst))
    }
}

/// Appends `[22/Nov/2026:07:36:37 +0000]`, the access log's `%t`, in the local zone.
pub fn push_clf_time(out: &mut Vec<u8>, wall: i64) {
    with_second(wall, |texts| out.extend_from_slice(&texts.clf));
}

/// Appends `Sun, 22 Nov 2026 07:36:37 GMT` (RFC 9110 section 5.6.7).
pub fn push_http_date(out: &mut Vec<u8>, wall: i64) {
    with_second(wall, |texts| out.extend_from_slice(&texts.http));
}

/// How the error log writes the time of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorTime {
    /// `%{u}t`: with microseconds.
    pub micros: bool,
    /// `%{c}t`: `2026-11-22 07:08:46` in place of `Sun Nov 22 07:08:46 2026`.
    pub compact: bool,
}

/// Appends the time of an error log entry, in the local zone.
pub fn push_error_time(out: &mut Vec<u8>, wall: i64, style: ErrorTime) {
    with_second(wall, |texts| {
        out.extend_from_slice(if style.compact { &texts.iso } else { &texts.ctime });
        if style.micros {
            out.push(b'.');
            push_padded(out, wall.rem_euclid(MICROS).unsigned_abs(), 6);
        }
        if !style.compact {
            out.push(b' ');
            out.extend_from_slice(&texts.year);
        }
    });
}

/// Calendar fields of a moment in the local zone, for `%{TIME_YEAR}` and its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    /// 0 is Sunday.
    pub weekday: u8,
}

/// The local calendar fields of `wall`.
pub fn local_time(wall: i64) -> LocalTime {
    let mut fields = LocalTime { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0, weekday: 4 };
    with_second(wall, |texts| fields = texts.fields);
    fields
}

/// Appends `wall` through `strftime` in the local zone and the C locale (`%{format}t`).  A
/// conversion that does not exist is copied as it is written.
pub fn push_strftime(out: &mut Vec<u8>, format: &[u8], wall: i64) {
    push_time_in(out, format, wall, local_zone);
}

/// As [`push_strftime`], in Greenwich.
pub fn push_strftime_gmt(out: &mut Vec<u8>, format: &[u8], wall: i64) {
    let mut rest = format;
    let mut named = Vec::with_capacity(format.len());
    while let Some(at) = memchr::memmem::find(rest, b"%Z") {
        named.extend_from_slice(rest.get(..at).unwrap_or_default());
        named.extend_from_slice(b"GMT");
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    named.extend_from_slice(rest);
    push_time_in(out, &named, wall, || TimeZone::UTC);
}

fn push_time_in(out: &mut Vec<u8>, format: &[u8], wall: i64, zone: fn() -> TimeZone) {
    let mut broken = None;
    let mut rest = format;
    while let Some(at) = memchr::memchr(b'%', rest) {
        let (plain, conversion) = rest.split_at(at);
        out.extend_from_slice(plain);
        let flags = conversion.iter().skip(1).take_while(|b| b"_-0^#+".contains(b) || b.is_ascii_digit()).count();
        let modifiers = conversion.iter().skip(1 + flags).take_while(|b| matches!(b, b'E' | b'O')).take(1).count();
        let letter = 1 + flags + modifiers;
        let known = conversion.get(letter).is_some_and(|letter| {
            b"aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%".contains(letter)
                && (modifiers == 0 || b"cCxXyYdeHImMSuUVwWZ".contains(letter))
        });
        let end = (letter + usize::from(known)).min(conversion.len());
        let (conversion, behind) = conversion.split_at(end);
        rest = behind;
        if !known {
            out.extend_from_slice(conversion);
            continue;
        }
        let broken = broken.get_or_insert_with(|| BrokenDownTime::from(&timestamp(wall).to_zoned(zone())));
        push_conversion(out, conversion, modifiers, broken);
    }
    out.extend_from_slice(rest);
}

/// One conversion that exists, from its `%` to its letter.
fn push_conversion(out: &mut Vec<u8>, conversion: &[u8], modifiers: usize, broken: &BrokenDownTime) {
    thread_local! {
        static CONFIG: Config<PosixCustom> =
            Config::new().custom(PosixCustom::new()).lenient(true);
    }
    // The modifiers mean nothing in the C locale.
    let mut plain = conversion.to_vec();
    if let Some(at) = plain.len().checked_sub(1 + modifiers).filter(|_| modifiers > 0) {
        plain.remove(at);
    }
    CONFIG.with(|config| {
        let mut text = String::new();
        // Lenient formatting cannot fail on a complete date; keep what was written if it does.
        let _ = broken.format_with_config(config, &plain, &mut text);
        out.extend_from_slice(text.as_bytes());
    });
}

/// Reads one of the three date forms of RFC 9110 section 5.6.7; seconds since the epoch.
pub fn parse_http_date(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let (weekday, rest) = text.split_once([',', ' '])?;
    if weekday.len() < 3 || !weekday.bytes().all(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    let mut words = rest.split_ascii_whitespace();
    let first = words.next()?;
    let (day, month, year, time) = if first.contains('-') {
        // RFC 850: 22-Nov-26
        let mut parts = first.split('-');
        let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
        let year: i16 = year.parse().ok()?;
        let year = if year < 70 {
            year + 2000
        } else if year < 100 {
            year + 1900
        } else {
            year
        };
        (day, month, year, words.next()?)
    } else if first.bytes().all(|b| b.is_ascii_digit()) {
        let (month, year) = (words.next()?, words.next()?);
        (first, month, year.parse().ok()?, words.next()?)
    } else {
        // asctime: Nov 22 07:36:37 2026
        let (day, time) = (words.next()?, words.next()?);
        (day, first, words.next()?.parse().ok()?, time)
    };
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month.as_bytes()))?;
    let mut clock = time.split(':');
    let mut number = || clock.next()?.parse::<i8>().ok();
    let (hour, minute, second) = (number()?, number()?, number()?);
    let month = i8::try_from(month + 1).ok()?;
    let when = civil::DateTime::new(year, month, day.parse().ok()?, hour, minute, second.min(59), 0).ok()?;
    Some(TimeZone::UTC.to_timestamp(when).ok()?.as_second())
}

/// The unit of a time written without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Millisecond,
    Second,
    Minute,
    Hour,
}

impl Unit {
    fn micros(self) -> i64 {
        match self {
            Self::Millisecond => 1_000,
            Self::Second => 1_000_000,
            Self::Minute => 60_000_000,
            Self::Hour => 3_600_000_000,
        }
    }
}

/// The text is not a time, or the time does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time interval")]
pub struct IntervalError;

/// Reads `5`, `5s`, `300ms`, `5min`, `1h` as httpd does: only the first one or two lower-case
/// letters of the unit count, so `5hr` passes and `5m` does not.
pub fn parse_interval(text: &[u8], plain: Unit) -> Result<Duration, IntervalError> {
    let (number, rest) = leading_integer(text);
    let unit = match rest {
        [] => plain,
        [b's', ..] => Unit::Second,
        [b'h', ..] => Unit::Hour,
        [b'm', b's', ..] => Unit::Millisecond,
        [b'm', b'i', ..] => Unit::Minute,
        _ => return Err(IntervalError),
    };
    let number = number.ok_or(IntervalError)?;
    let micros = number.checked_mul(unit.micros()).ok_or(IntervalError)?;
    u64::try_from(micros).map(Duration::from_micros).map_err(|_| IntervalError)
}

/// The integer at the start of `text`, read as `strtol` in base 10 does (blanks, sign, digits;
/// no digits are zero), and what follows it.  `None` when it does not fit.
pub fn leading_integer(text: &[u8]) -> (Option<i64>, &[u8]) {
    let blanks = text.iter().take_while(|b| b.is_ascii_whitespace() || **b == 0x0b).count();
    let (_, signed) = text.split_at(blanks);
    let (negative, unsigned) = match signed {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let digits = unsigned.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return (Some(0), text);
    }
    let (digits, rest) = unsigned.split_at(digits);
    let value = digits.iter().try_fold(0i64, |value, digit| {
        let digit = i64::from(digit - b'0');
        let value = value.checked_mul(10)?;
        if negative { value.checked_sub(digit) } else { value.checked_add(digit) }
    });
    (value, rest)
}

/// The texts of one second.
struct SecondTexts {
    second: i64,
    clf: [u8; 28],
    http: [u8; 29],
    ctime: [u8; 19],
    iso: [u8; 19],
    year: [u8; 4],
    fields: LocalTime,
}

const MICROS: i64 = 1_000_000;

/// Seconds kept per thread: a log line needs the start of its request and the present, a response the date of its file.
const KEPT: usize = 64;

const MONTHS: [[u8; 3]; 12] =
    [*b"Jan", *b"Feb", *b"Mar", *b"Apr", *b"May", *b"Jun", *b"Jul", *b"Aug", *b"Sep", *b"Oct", *b"Nov", *b"Dec"];

const WEEKDAYS: [[u8; 3]; 7] = [*b"Sun", *b"Mon", *b"Tue", *b"Wed", *b"Thu", *b"Fri", *b"Sat"];

fn with_second(wall: i64, mut use_texts: impl FnMut(&SecondTexts)) {
    thread_local! {
        static CACHE: RefCell<[Option<Box<SecondTexts>>; KEPT]> =
            const { RefCell::new([const { None }; KEPT]) };
    }
    let second = timestamp(wall).as_second();
    CACHE.with_borrow_mut(|cache| {
        let place = usize::try_from(second.rem_euclid(KEPT as i64)).unwrap_or(0);
        // Two that share a place do not drive each other out: the older one moves next door.
        let holds = |slot: Option<&Option<Box<SecondTexts>>>| {
            slot.and_then(Option::as_ref).is_some_and(|texts| texts.second == second)
        };
        let at = if holds(cache.get(place)) {
            place
        } else if holds(cache.get(place ^ 1)) {
            place ^ 1
        } else {
            cache.swap(place, place ^ 1);
            if let Some(slot) = cache.get_mut(place) {
                *slot = Some(Box::new(SecondTexts::new(second)));
            }
            place
        };
        if let Some(Some(texts)) = cache.get(at) {
            use_texts(texts);
        }
    });
}

impl SecondTexts {
    fn new(second: i64) -> Self {
        let moment = Timestamp::from_second(second).unwrap_or_default();
        let zone = local_zone();
        let offset = zone.to_offset(moment).seconds();
        let local = fields(zone.to_datetime(moment));
        let utc = fields(TimeZone::UTC.to_datetime(moment));
        let (sign, offset) = (if offset < 0 { b'-' } else { b'+' }, offset.unsigned_abs());
        let (month, weekday) = (month_name(local), weekday_name(local));

        let mut clf = Vec::with_capacity(28);
        clf.push(b'[');
        push_two(&mut clf, local.day);
        clf.push(b'/');
        clf.extend_from_slice(month);
        clf.push(b'/');
        push_padded(&mut clf, local.year.into(), 4);
        clf.push(b':');
        push_clock(&mut clf, local);
        clf.extend_from_slice(&[b' ', sign]);
        push_padded(&mut clf, (offset / 3600).into(), 2);
        push_padded(&mut clf, (offset % 3600 / 60).into(), 2);
        clf.push(b']');

        let mut http = Vec::with_capacity(29);
        http.extend_from_slice(weekday_name(utc));
        http.extend_from_slice(b", ");
        push_two(&mut http, utc.day);
        http.push(b' ');
        http.extend_from_slice(month_name(utc));
        http.push(b' ');
        push_padded(&mut http, utc.year.into(), 4);
        http.push(b' ');
        push_clock(&mut http, utc);
        http.extend_from_slice(b" GMT");

        let mut ctime = Vec::with_capacity(19);
        ctime.extend_from_slice(weekday);
        ctime.push(b' ');
        ctime.extend_from_slice(month);
        ctime.push(b' ');
        push_two(&mut ctime, local.day);
        ctime.push(b' ');
        push_clock(&mut ctime, local);

        let mut iso = Vec::with_capacity(19);
        push_padded(&mut iso, local.year.into(), 4);
        iso.push(b'-');
        push_two(&mut iso, local.month);
        iso.push(b'-');
        push_two(&mut iso, local.day);
        iso.push(b' ');
        push_clock(&mut iso, local);

        let mut year = Vec::with_capacity(4);
        push_padded(&mut year, local.year.into(), 4);

        Self {
            second,
            clf: exact(&clf),
            http: exact(&http),
            ctime: exact(&ctime),
            iso: exact(&iso),
            year: exact(&year),
            fields: local,
        }
    }
}

/// Clamps to the years 0001 to 9999, which every format has room for.
fn timestamp(wall: i64) -> Timestamp {
    const FIRST: i64 = -62_135_510_400;
    const LAST: i64 = 253_402_128_000;
    let second = wall.div_euclid(MICROS).clamp(FIRST, LAST);
    Timestamp::from_second(second).unwrap_or_default()
}

/// The system's zone for a process that no longer sees the files of zones.
static REMEMBERED: OnceLock<TimeZone> = OnceLock::new();

/// Reads the system's time zone for all threads that do not know it yet.
pub fn remember_zone() {
    REMEMBERED.get_or_init(TimeZone::system);
}

fn local_zone() -> TimeZone {
    thread_local! {
        static ZONE: TimeZone = REMEMBERED.get().cloned().unwrap_or_else(TimeZone::system);
    }
    ZONE.with(TimeZone::clone)
}

fn fields(at: civil::DateTime) -> LocalTime {
    LocalTime {
        year: u16::try_from(at.year()).unwrap_or(0),
        month: at.month().unsigned_abs(),
        day: at.day().unsigned_abs(),
        hour: at.hour().unsigned_abs(),
        minute: at.minute().unsigned_abs(),
        second: at.second().unsigned_abs(),
        weekday: at.weekday().to_sunday_zero_offset().unsigned_abs(),
    }
}

fn month_name(at: LocalTime) -> &'static [u8] {
    MONTHS.get(usize::from(at.month).wrapping_sub(1)).map_or(b"???", |name| name)
}

fn weekday_name(at: LocalTime) -> &'static [u8] {
    WEEKDAYS.get(usize::from(at.weekday)).map_or(b"???", |name| name)
}

fn push_clock(out: &mut Vec<u8>, at: LocalTime) {
    push_two(out, at.hour);
    out.push(b':');
    push_two(out, at.minute);
    out.push(b':');
    push_two(out, at.second);
}

fn push_two(out: &mut Vec<u8>, number: u8) {
    push_padded(out, number.into(), 2);
}

/// Appends the last `width` (at most 20) decimal digits of `number`.
fn push_padded(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    for digit in digits.iter_mut().rev().take(width) {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend(digits.iter().skip(20 - width.min(20)));
}

fn exact<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut array = [b' '; N];
    for (to, from) in array.iter_mut().zip(text) {
        *to = *from;
    }
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2026-11-22T07:08:46.822456Z
    const WALL: i64 = 1_795_331_326_822_456;

    fn printed(print: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        print(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn prints_the_formats_of_both_logs_and_of_http() {
        assert_eq!(printed(|o| push_http_date(o, WALL)), "Sun, 22 Nov 2026 07:08:46 GMT");
        if local_zone().to_offset(timestamp(WALL)).seconds() == 0 {
            assert_eq!(printed(|o| push_clf_time(o, WALL)), "[22/Nov/2026:07:08:46 +0000]");
            let style = ErrorTime { micros: true, compact: false };
            assert_eq!(printed(|o| push_error_time(o, WALL, style)), "Sun Nov 22 07:08:46.822456 2026");
            let style = ErrorTime { micros: true, compact: true };
            assert_eq!(printed(|o| push_error_time(o, WALL, style)), "2026-11-22 07:08:46.822456");
            assert_eq!(printed(|o| push_strftime(o, b"%Y-%m-%dT%H:%M:%S%z %a", WALL)), "2026-11-22T07:08:46+0000 Sun");
            assert_eq!(local_time(WALL).weekday, 0);
            // As httpd on glibc printed them.
            let format = b"%z %Z %A %s %k %l %E %5y %+ %";
            assert_eq!(printed(|o| push_strftime(o, format, WALL)), "+0000 UTC Sunday 1795331326  7  7 %E 00026 %+ %");
            let format = b"%f %Q %q|%e %D %h %C %G %g %V %u %w %p %r %R %T %c %x %X %n%t%P %L %N %3N %J %O %i %K %v";
            assert_eq!(
                printed(|o| push_strftime(o, format, WALL)),
                "%f %Q %q|22 11/22/26 Nov 20 2026 26 47 7 0 AM 07:08:46 AM 07:08 07:08:46 Sun Nov 22 07:08:46 2026 \
                 11/22/26 07:08:46 \n\tam %L %N %3N %J %O %i %K %v"
            );
            assert_eq!(printed(|o| push_strftime(o, b"%Ey %Od %Ep %-d %_m %^a", WALL)), "26 22 %Ep 22 11 SUN");
            let mut raw = Vec::new();
            push_strftime(&mut raw, b"\xe9%%%d", WALL);
            assert_eq!(raw, b"\xe9%22");
        }
    }

    #[test]
    fn seconds_that_share_a_slot_do_not_mix() {
        for step in 0..40 {
            let at = WALL + step * 3 * MICROS;
            let mut fresh = Vec::new();
            fresh.extend_from_slice(&SecondTexts::new(at / MICROS).http);
            assert_eq!(printed(|o| push_http_date(o, at)).as_bytes(), fresh);
        }
    }

    #[test]
    fn survives_absurd_times() {
        for wall in [i64::MIN, -1, 0, i64::MAX] {
            assert_eq!(printed(|o| push_http_date(o, wall)).len(), 29);
            assert_eq!(printed(|o| push_clf_time(o, wall)).len(), 28);
        }
        assert_eq!(printed(|o| push_http_date(o, -1)), "Wed, 31 Dec 1969 23:59:59 GMT");
    }

    #[test]
    fn reads_three_date_forms() {
        let want = Some(784_111_777);
        assert_eq!(parse_http_date(b"Sun, 06 Nov 1994 08:49:37 GMT"), want);
        assert_eq!(parse_http_date(b"Sunday, 06-Nov-94 08:49:37 GMT"), want);
        assert_eq!(parse_http_date(b"Sun Nov  6 08:49:37 1994"), want);
        for bad in [
            &b""[..],
            b"Sun",
            b"Sun, 06 Foo 1994 08:49:37 GMT",
            b"Sun, 36 Nov 1994 08:49:37 GMT",
            b"1, 06 Nov 1994 08:49:37",
        ] {
            assert_eq!(parse_http_date(bad), None);
        }
    }

    #[test]
    fn reads_intervals_as_measured() {
        let ms = |text: &str| parse_interval(text.as_bytes(), Unit::Second).map(|d| d.as_millis());
        for (text, want) in [
            ("5", 5_000),
            ("5s", 5_000),
            ("5ss", 5_000),
            ("300ms", 300),
            ("5min", 300_000),
            ("5mi", 300_000),
            ("1h", 3_600_000),
            ("5hr", 18_000_000),
            ("0", 0),
        ] {
            assert_eq!(ms(text), Ok(want), "{text}");
        }
        for bad in
            ["5m", "5d", "5us", "5S", "5MS", "1.5s", "x", "5 s", "-5", "99999999999999999999", "9999999999999999h"]
        {
            assert_eq!(ms(bad), Err(IntervalError), "{bad}");
        }
        assert_eq!(parse_interval(b"7", Unit::Millisecond), Ok(Duration::from_millis(7)));
    }

    #[test]
    fn a_manual_clock_moves_both_readings() {
        let clock = ManualClock::new(WALL);
        let before = clock.monotonic();
        clock.advance(Duration::from_millis(1500));
        assert_eq!(clock.monotonic() - before, Duration::from_millis(1500));
        assert_eq!(clock.wall(), WALL + 1_500_000);
    }
}
