//! Typed, mergeable configuration values of all modules for one scope.

use std::any::Any;
use std::sync::Arc;

/// One module's values for one scope (a server, or a section), *as set*: fields are `Option` or lists.
pub trait Conf: Any + Default + Clone + Send + Sync {
    /// This type's place in every [`Slots`]; unique over all modules (`modules::slot` is the only list).
    const SLOT: usize;
    /// The values of an inner scope `add` laid over those of the outer scope `base`.
    fn merge(base: &Self, add: &Self) -> Self;
}

/// A [`Conf`] whose named `Option` fields are taken from `add` where they are set there, and from `base` otherwise;
/// fields after the second semicolon are given as expressions.
#[macro_export]
#[doc(hidden)]
macro_rules! inner_or_outer {
    ($base:ident, $add:ident; $($field:ident),* $(,)? $(; $($rest:ident : $value:expr),* $(,)?)?) => {
        Self {
            $($field: $add.$field.clone().or_else(|| $base.$field.clone()),)*
            $($($rest: $value,)*)?
        }
    };
}

pub use crate::inner_or_outer;

/// Slots of values that belong to floors below the modules; far behind those in `modules::slot`.
pub mod shared_slot {
    /// `LogLevel`, per server and per directory (`logs::LogLevels`).
    pub const LOG_LEVELS: usize = 1000;
    /// Error log of a server, as run, and `ErrorLogFormat` (`logs::ErrorLog`).
    pub const ERROR_LOG: usize = 1001;
    /// How names in certificates are written (`pipe::tls::Names`).
    pub const TLS_NAMES: usize = 1003;
    /// TLS towards backends (`net::client::BackendTls`), per directory.
    pub const BACKEND_TLS: usize = 1004;
    /// All log targets of the process (`logs::Targets`).
    pub const LOG_TARGETS: usize = 1002;
    /// `DumpIOInput` and `DumpIOOutput` of a server (`logs::DumpIo`).
    pub const DUMP_IO: usize = 1005;
}

trait AnyConf: Send + Sync {
    fn any(&self) -> &dyn Any;
    fn any_mut(&mut self) -> &mut dyn Any;
    fn over(&self, base: &dyn AnyConf) -> Arc<dyn AnyConf>;
    fn duplicate(&self) -> Arc<dyn AnyConf>;
}

impl<T: Conf> AnyConf for T {
    fn any(&self) -> &dyn Any {
        self
    }

    fn any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn over(&self, base: &dyn AnyConf) -> Arc<dyn AnyConf> {
        match base.any().downcast_ref::<T>() {
            Some(base) => Arc::new(T::merge(base, self)),
            None => Arc::new(self.clone()),
        }
    }

    fn duplicate(&self) -> Arc<dyn AnyConf> {
        Arc::new(self.clone())
    }
}

/// The values of all modules for one scope. Cloning shares; writing un-shares.
///
/// Sorted by slot and only as long as there are values: two thousand virtual hosts have four thousand of these.
#[derive(Clone, Default)]
pub struct Slots(Vec<(usize, Arc<dyn AnyConf>)>);

impl Slots {
    #[inline]
    fn find(&self, slot: usize) -> Result<usize, usize> {
        self.0.binary_search_by_key(&slot, |(slot, _)| *slot)
    }

    /// The values of `T`, if any directive of its module stood in this scope (or an outer one, after merging).
    #[inline]
    pub fn get<T: Conf>(&self) -> Option<&T> {
        self.find(T::SLOT).ok().and_then(|at| self.0[at].1.any().downcast_ref::<T>())
    }

    /// The values of `T` for writing, made from `Default` when first touched.
    pub fn get_mut<T: Conf>(&mut self) -> &mut T {
        let at = match self.find(T::SLOT) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (T::SLOT, Arc::new(T::default())));
                at
            }
        };
        let shared = &mut self.0[at].1;
        if Arc::get_mut(shared).is_none() {
            *shared = shared.duplicate();
        }
        let conf = Arc::get_mut(shared).and_then(|conf| conf.any_mut().downcast_mut::<T>());
        conf.expect("slots are unique to one type, and this one was just un-shared")
    }

    /// Whether nothing was set here.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `add` laid over `base`, module by module.
    pub fn merged(base: &Self, add: &Self) -> Self {
        if add.is_empty() {
            return base.clone();
        }
        let mut out = Vec::with_capacity(base.0.len().max(add.0.len()));
        let (mut base, mut add) = (base.0.iter().peekable(), add.0.iter().peekable());
        loop {
            let order = match (base.peek(), add.peek()) {
                (Some((b, _)), Some((a, _))) => b.cmp(a),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => return Self(out),
            };
            if order.is_eq() {
                if let (Some((slot, base)), Some((_, add))) = (base.next(), add.next()) {
                    out.push((*slot, add.over(&**base)));
                }
            } else {
                out.extend(if order.is_lt() { base.next() } else { add.next() }.cloned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default, Debug, PartialEq)]
    struct Color(Option<u8>);
    impl Conf for Color {
        const SLOT: usize = 3;
        fn merge(base: &Self, add: &Self) -> Self {
            Self(add.0.or(base.0))
        }
    }

    #[test]
    fn inner_values_win_and_writing_does_not_leak_into_shares() {
        let mut outer = Slots::default();
        assert!(outer.get::<Color>().is_none());
        outer.get_mut::<Color>().0 = Some(1);
        let mut copy = outer.clone();
        copy.get_mut::<Color>().0 = Some(2);
        assert_eq!(outer.get::<Color>(), Some(&Color(Some(1))));
        let mut inner = Slots::default();
        assert_eq!(Slots::merged(&outer, &inner).get::<Color>(), Some(&Color(Some(1))));
        inner.get_mut::<Color>();
        assert_eq!(Slots::merged(&outer, &inner).get::<Color>(), Some(&Color(Some(1))));
        assert_eq!(Slots::merged(&outer, &copy).get::<Color>(), Some(&Color(Some(2))));
    }
}
