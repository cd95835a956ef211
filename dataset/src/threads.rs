//! The same done to many things on a few threads.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// Does this for each, several at once, in any order; what comes of them is in the order of `items`.
///
/// # Errors
///
/// One that was met; then no other begins.
pub(crate) fn each<T: Sync, R: Send, E: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = Mutex::new(items.iter().enumerate());
    let done = Mutex::new(BTreeMap::new());
    let take = || next.lock().expect("no thread panicked with it").next();
    let run = || {
        while let Some((at, item)) = take() {
            let result = work(item);
            if result.is_err() {
                // Nothing is left to take.
                while take().is_some() {}
            }
            done.lock()
                .expect("no thread panicked with it")
                .insert(at, result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
    let done = done.into_inner().expect("no thread panicked with it");
    done.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_of_many_is_in_their_order_and_an_error_is_told() {
        let items: Vec<u64> = (0..100).collect();
        let doubled = each(&items, 4, |item| Ok::<_, u64>(item * 2));
        assert_eq!(
            doubled.unwrap(),
            (0..100).map(|item| item * 2).collect::<Vec<_>>()
        );
        let failed = each(
            &items,
            4,
            |item| if *item == 50 { Err(*item) } else { Ok(()) },
        );
        assert_eq!(failed.unwrap_err(), 50);
        let nothing = each(&[0; 0], 4, |item| Ok::<_, u64>(*item));
        assert!(nothing.unwrap().is_empty());
    }
}
