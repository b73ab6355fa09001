//! How long to wait before the next attempt: doubling, bounded, and spread so that what failed together does not come back together.

use std::time::Duration;

/// The wait after `times` waits before it, from `first` up to `most`; a random part of up to half is taken off.
pub(crate) fn backoff(first: Duration, most: Duration, times: u32) -> Duration {
    let whole = first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(most);
    let random = (uuid::Uuid::new_v4().as_u128() & 0xffff) as u32;
    whole.saturating_sub(whole.saturating_mul(random) / (2 * 0xffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_within_its_bounds() {
        let (first, most) = (Duration::from_millis(500), Duration::from_secs(300));
        for times in 0..200 {
            let whole = first.saturating_mul(2_u32.saturating_pow(times)).min(most);
            let found = backoff(first, most, times);
            assert!(found <= whole && found >= whole / 2, "{times}: {found:?} of {whole:?}");
        }
    }
}
