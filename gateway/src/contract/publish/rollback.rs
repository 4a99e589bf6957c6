//! How is an earlier release served again? Its kept files are put back, and the lock says so.

use super::lock::{Entry, Lock, Release};
use super::name::Name;
use super::shelf::Shelf;
use super::{Effect, Refused, Wish, disk, short, speaks_against, unwritable, was_retired};

/// What is to happen to files that were never published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollback {
    /// They stay, and the rollback is refused.
    Keep,
    /// They go.
    Discard,
}

/// Serves an earlier release of `name` again: the one whose digest begins with `digest`, or the one before what
/// is served now. Returns that release as it is recorded now, and the one that it replaces.
///
/// # Errors
/// There is no such release, its files are not there, or files that were never published would be lost.
pub fn rollback(
    shelf: &Shelf,
    name: &Name,
    digest: Option<&str>,
    unpublished: Rollback,
    wish: &Wish,
) -> Result<(Release, Release), Refused> {
    let _held = disk::hold(shelf.root()).map_err(|fault| unwritable(shelf, &fault))?;
    let mut lock = Lock::read(shelf.root())?;
    let fail = |message: String, help: String| speaks_against(shelf, message, help);
    let Some(entry) = lock.entry(name) else {
        let help = format!("gateway contract publish {name}");
        return Err(fail(format!("`{name}` is not published"), help));
    };
    if let Some(retired) = &entry.retired {
        return Err(was_retired(shelf, name, retired).into());
    }
    let wanted = wanted(entry, digest).map_err(|message| {
        let known: Vec<&str> = entry.earlier.iter().map(|release| short(&release.digest)).collect();
        let help = if known.is_empty() {
            "there is no earlier release".to_owned()
        } else {
            format!("earlier releases: {}", known.join(", "))
        };
        fail(message, help)
    })?;
    let (replaced, wanted) = (entry.current.clone(), wanted.clone());
    let files = shelf.published(name, &wanted.digest)?;
    let now = shelf.source(name).ok();
    let is_published = now.as_ref().is_some_and(|now| entry.release(now.digest()).is_some());
    if !is_published && shelf.folder(name).exists() && unpublished == Rollback::Keep {
        let help = "publish or save them, or say --discard".to_owned();
        return Err(fail(
            format!("the files of `{name}` are not what was published, and would be lost"),
            help,
        ));
    }
    let change = format!("rolled back to the release of {}", wanted.published);
    let release = Release {
        digest: wanted.digest.clone(),
        published: wish.now,
        author: wish.author.clone(),
        changes: vec![change],
    };
    if wish.effect == Effect::Done {
        if now.as_ref().is_none_or(|now| now.digest() != wanted.digest) {
            shelf.put_back(name, &files, now.as_ref()).map_err(|fault| unwritable(shelf, &fault))?;
        }
        lock.publish(name, release.clone());
        lock.write(shelf.root()).map_err(|fault| unwritable(shelf, &fault))?;
    }
    Ok((release, replaced))
}

fn wanted<'e>(entry: &'e Entry, digest: Option<&str>) -> Result<&'e Release, String> {
    let others = || entry.earlier.iter().filter(|release| release.digest != entry.current.digest);
    match digest {
        None => others().next().ok_or_else(|| "nothing else was published of it before".to_owned()),
        Some(start) if start.len() < DIGEST_START_MIN => {
            Err(format!("`{start}` is too short; write at least {DIGEST_START_MIN} digits of the digest"))
        }
        Some(start) if entry.current.digest.starts_with(start) => {
            Err(format!("`{start}` is what is served now"))
        }
        Some(start) => {
            let mut found = others().filter(|release| release.digest.starts_with(start));
            let first =
                found.next().ok_or_else(|| format!("no release has a digest that begins with `{start}`"))?;
            match found.find(|other| other.digest != first.digest) {
                Some(_) => Err(format!("several digests begin with `{start}`")),
                None => Ok(first),
            }
        }
    }
}

/// As few digits as tell releases of one contract apart.
const DIGEST_START_MIN: usize = 6;
