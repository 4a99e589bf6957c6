//! How is work that takes long at load shared between the cores?

use std::num::NonZeroUsize;

/// Runs `work` once on each core, and gathers what comes of it. What is not `worth` a thread is done right here.
pub(super) fn on_all_cores<T: Send>(worth: bool, work: impl Fn() -> Vec<T> + Sync) -> Vec<T> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    if cores < 2 || !worth {
        return work();
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(&work)).collect();
        // What a thread that panicked should have done is missing, and whoever asked for it looks for that.
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    })
}
