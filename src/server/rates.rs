//! How fast a request must come (RequestReadTimeout).

use std::time::Duration;

use tokio::time::Instant;

use super::link::far;
use crate::modules::reqtimeout::Rate;

/// A head or a body on its way in.
pub(super) struct Stage {
    rate: Rate,
    began: Option<Instant>,
    received: u64,
}

impl Stage {
    pub(super) fn new(rate: Rate) -> Option<Self> {
        (rate.timeout > Duration::ZERO).then_some(Self { rate, began: None, received: 0 })
    }

    /// When the time is up, as things stand; the first call starts it.
    pub(super) fn deadline(&mut self) -> Instant {
        let began = *self.began.get_or_insert_with(Instant::now);
        let mut time = self.rate.timeout;
        if let Some(seconds) = self.received.checked_div(u64::from(self.rate.min_rate)) {
            time += Duration::from_secs(seconds);
            if let Some(most) = self.rate.most {
                time = time.min(most);
            }
        }
        far(began, time)
    }

    /// More has come, which may give more time.
    pub(super) fn received(&mut self, n: usize) {
        self.received += n as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_buy_time_up_to_the_most() {
        let rate = Rate { timeout: Duration::from_secs(20), most: Some(Duration::from_secs(40)), min_rate: 500 };
        let mut stage = Stage::new(rate).unwrap();
        let first = stage.deadline();
        stage.received(499);
        assert_eq!(stage.deadline() - first, Duration::ZERO);
        stage.received(1001);
        assert_eq!(stage.deadline() - first, Duration::from_secs(3));
        stage.received(1 << 20);
        assert_eq!(stage.deadline() - first, Duration::from_secs(20));
        assert!(Stage::new(Rate { timeout: Duration::ZERO, ..rate }).is_none());
    }
}
