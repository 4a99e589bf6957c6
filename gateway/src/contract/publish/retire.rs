//! How is a version taken out of service? After its sunset, or when nobody uses it.

use super::super::source::Source;
use super::lock::{Lock, Retirement};
use super::name::Name;
use super::shelf::Shelf;
use super::{Effect, Refused, Wish, disk, promise, speaks_against, unwritable, was_retired};

/// Takes `name` out of service: its folder goes, its published files are kept, and its name is not used again.
/// Returns why that hurts nobody.
///
/// # Errors
/// It is not published, or it has no sunset that is over and nobody said that it is unused.
pub fn retire(shelf: &Shelf, name: &Name, wish: &Wish) -> Result<String, Refused> {
    let _held = disk::hold(shelf.root()).map_err(|fault| unwritable(shelf, &fault))?;
    let mut lock = Lock::read(shelf.root())?;
    let fail = |message: String, help: String| speaks_against(shelf, message, help);
    let Some(entry) = lock.entry(name) else {
        return Err(fail(format!("`{name}` is not published"), "remove its folder".to_owned()));
    };
    if let Some(retired) = &entry.retired {
        return Err(was_retired(shelf, name, retired).into());
    }
    let kept = shelf.published(name, &entry.current.digest)?;
    let reason = match (&wish.unused_because, promise::is_over(&kept, wish.now)) {
        (Some(reason), _) => reason.clone(),
        (None, true) => "its sunset is over".to_owned(),
        (None, false) => {
            let help = "publish a `sunset` and wait for it, or say --unused-because REASON".to_owned();
            return Err(fail(format!("`{name}` has operations whose sunset is not over"), help));
        }
    };
    let is_published = shelf.source(name).is_ok_and(|now: Source| now.digest() == kept.digest());
    if shelf.folder(name).exists() && !is_published {
        let help = "take the change back first: its files would be lost".to_owned();
        return Err(fail(format!("`{name}` is not what was published"), help));
    }
    if wish.effect == Effect::Done {
        let retirement = Retirement { time: wish.now, author: wish.author.clone(), reason: reason.clone() };
        lock.retire(name, retirement);
        lock.write(shelf.root()).map_err(|fault| unwritable(shelf, &fault))?;
        disk::remove(&shelf.folder(name)).map_err(|fault| unwritable(shelf, &fault))?;
    }
    Ok(reason)
}
