//! What a client may ask of a connection beside requests: each kind of cheap frame has a bucket that fills with time and
//! with honest work. Whoever empties one has no use for the connection but to keep us busy.

use std::time::Duration;

use tokio::time::Instant;

/// Kinds of frames with a bucket each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// RST_STREAM: requests taken back.
    Reset,
    /// PING, SETTINGS, PRIORITY, and what nobody knows: answered or dropped, at no cost to who sends them.
    Control,
    /// DATA, HEADERS and CONTINUATION with nothing in them.
    Empty,
    /// WINDOW_UPDATE.
    Window,
}

/// Of each kind: how many at once, how many more a second, and what they are called.
const LIMITS: [(u32, u32, &str); 4] = [
    (200, 20, "streams were reset by the client"),
    (1000, 100, "frames that carry nothing of a request"),
    (100, 10, "empty frames"),
    (4000, 400, "window updates"),
];

struct Bucket {
    left: u32,
    filled: Option<Instant>,
}

/// The buckets of one connection.
pub(super) struct Budget([Bucket; 4]);

impl Budget {
    pub(super) fn new() -> Self {
        Self(LIMITS.map(|(most, ..)| Bucket { left: most, filled: None }))
    }

    /// Takes one; when there is none left, what there were too many of.
    pub(super) fn take(&mut self, kind: Kind, now: Instant) -> Result<(), &'static str> {
        let (most, rate, what) = LIMITS[kind as usize];
        let bucket = &mut self.0[kind as usize];
        let filled = *bucket.filled.get_or_insert(now);
        let whole = now.saturating_duration_since(filled).as_secs();
        if whole > 0 {
            let more = u32::try_from(whole).unwrap_or(u32::MAX).saturating_mul(rate);
            bucket.left = bucket.left.saturating_add(more).min(most);
            bucket.filled = Some(filled + Duration::from_secs(whole));
        }
        bucket.left = bucket.left.checked_sub(1).ok_or(what)?;
        Ok(())
    }

    /// Something was done for a request: that is worth a few more frames of this kind.
    pub(super) fn earn(&mut self, kind: Kind, more: u32) {
        let bucket = &mut self.0[kind as usize];
        bucket.left = bucket.left.saturating_add(more).min(LIMITS[kind as usize].0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let (mut budget, now) = (Budget::new(), Instant::now());
        for _ in 0..200 {
            assert_eq!(budget.take(Kind::Reset, now), Ok(()));
        }
        assert_eq!(budget.take(Kind::Reset, now), Err("streams were reset by the client"));
        assert_eq!(budget.take(Kind::Empty, now), Ok(()));
        budget.earn(Kind::Reset, 1);
        assert_eq!(budget.take(Kind::Reset, now), Ok(()));
        assert!(budget.take(Kind::Reset, now).is_err());
        let later = now + Duration::from_secs(2);
        for _ in 0..40 {
            assert_eq!(budget.take(Kind::Reset, later), Ok(()));
        }
        assert!(budget.take(Kind::Reset, later).is_err());
    }
}
