//! What is worked out of a record once and kept beside it: compiled routes, limits that count. Never stored, never compared, and not
//! taken along by a copy, so a changed record works it out anew.

use std::sync::{Arc, OnceLock};

/// A value that follows from the rest of its record.
#[derive(Debug)]
pub(crate) struct Derived<T>(OnceLock<Arc<T>>);

impl<T> Derived<T> {
    /// The value, worked out by whoever asks first.
    pub(crate) fn get(&self, derive: impl FnOnce() -> T) -> &Arc<T> {
        self.0.get_or_init(|| Arc::new(derive()))
    }
}

impl<T> Default for Derived<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> Clone for Derived<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> PartialEq for Derived<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_works_it_out_anew() {
        let first = Derived::default();
        assert_eq!(**first.get(|| 1), 1);
        assert_eq!(**first.get(|| 2), 1);
        assert_eq!(**first.clone().get(|| 2), 2);
        assert!(first == Derived::default());
    }
}
