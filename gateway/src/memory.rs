//! Can what is in memory be read by others: from a core dump, from another process, from the swap?
//!
//! Asked for at the start, before any secret is read. What the machine does not grant is told and goes on:
//! secrets are wiped when they are dropped in any case.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// What was asked for, and whether it was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guarded {
    /// No core dump is written, and no process of the same user may look into this one.
    pub no_dumps: bool,
    /// No page goes to the swap.
    pub locked: bool,
}

/// Keeps the memory of this process to itself, as far as the machine lets it.
pub fn guard() -> Guarded {
    Guarded { no_dumps: forbid_dumps(), locked: lock() }
}

fn forbid_dumps() -> bool {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let no_core = setrlimit(Resource::Core, none).is_ok();
    // prctl(2), PR_SET_DUMPABLE: also takes /proc/PID/mem and ptrace from other processes of the same user.
    let not_dumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok();
    no_core && not_dumpable
}

/// mlock(2): with a limit on locked memory, what is allocated beyond it would fail, and the process with it. So
/// pages are locked only where there is no limit.
fn lock() -> bool {
    let unlimited = getrlimit(Resource::Memlock).current.is_none();
    unlimited && mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT).is_ok()
}
