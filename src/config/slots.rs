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
#[derive(Clone, Default)]
pub struct Slots(Vec<Option<Arc<dyn AnyConf>>>);

impl Slots {
    /// The values of `T`, if any directive of its module stood in this scope (or an outer one, after merging).
    #[inline]
    pub fn get<T: Conf>(&self) -> Option<&T> {
        self.0.get(T::SLOT)?.as_ref()?.any().downcast_ref::<T>()
    }

    /// The values of `T` for writing, made from `Default` when first touched.
    pub fn get_mut<T: Conf>(&mut self) -> &mut T {
        if self.0.len() <= T::SLOT {
            self.0.resize_with(T::SLOT + 1, || None);
        }
        let slot = &mut self.0[T::SLOT];
        if slot.as_ref().is_none_or(|conf| !conf.any().is::<T>()) {
            *slot = Some(Arc::new(T::default()));
        }
        let shared = slot.get_or_insert_with(|| Arc::new(T::default()));
        if Arc::get_mut(shared).is_none() {
            *shared = shared.duplicate();
        }
        let conf = Arc::get_mut(shared).and_then(|conf| conf.any_mut().downcast_mut::<T>());
        conf.expect("a slot that was just un-shared holds the type it was made with")
    }

    /// Whether nothing was set here.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// `add` laid over `base`, module by module.
    pub fn merged(base: &Self, add: &Self) -> Self {
        let len = base.0.len().max(add.0.len());
        let slot = |slots: &Self, i: usize| slots.0.get(i).cloned().flatten();
        Self(
            (0..len)
                .map(|i| match (slot(base, i), slot(add, i)) {
                    (Some(base), Some(add)) => Some(add.over(&*base)),
                    (base, add) => add.or(base),
                })
                .collect(),
        )
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
