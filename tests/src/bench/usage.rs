//! How much CPU time has a process used, by the operating system's accounting?

use std::fs;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

/// User and system time of a process and all its threads so far.
///
/// # Panics
/// There is no such process.
pub(super) fn of(process: u32) -> Duration {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let ticks = ticks(&text).unwrap_or_else(|| panic!("{path} is not understood: {text}"));
    Duration::from_secs_f64(f64::from(ticks) / *TICKS_PER_SECOND)
}

/// proc(5): `utime` and `stime` are fields 14 and 15; field 2, the name, may hold spaces and parentheses.
fn ticks(stat: &str) -> Option<u32> {
    let mut after_name = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let (user, system) = (after_name.next()?, after_name.next()?);
    Some(user.parse::<u32>().ok()? + system.parse::<u32>().ok()?)
}

static TICKS_PER_SECOND: LazyLock<f64> = LazyLock::new(|| {
    let output = Command::new("getconf").arg("CLK_TCK").output().expect("`getconf` can be run");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("CLK_TCK is a number")
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_times_are_read_whatever_the_name() {
        for name in ["nginx", "a) (b", "two words"] {
            let stat = format!("7 ({name}) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 9 9 20 0 1 0 100 1 1");
            assert_eq!(ticks(&stat), Some(300), "{name}");
        }
        assert_eq!(ticks("7 (cut) S 1 7"), None);
    }

    #[test]
    fn work_is_accounted() {
        let before = of(std::process::id());
        let mut x = 1_u64;
        while of(std::process::id()) == before {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        assert!(of(std::process::id()) > before);
    }
}
