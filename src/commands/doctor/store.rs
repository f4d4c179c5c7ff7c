//! The folder of the file store.

use std::fs;
use std::path::Path;

use rustix::fs::{Access, access, statvfs};
use weir_actors::adapter::file::FileOptions;
use weir_actors::adapter::file::folder;

use super::{Check, size};
use crate::control::Client;

const STORE: &str = "store";
const DISK: &str = "disk";
/// With less than so many times the reserve, it is time to think of more.
const SOON: u64 = 4;

pub(super) fn check(path: &Path, options: &FileOptions) -> Vec<Check> {
    // Where the folder is missing, the one that it will be made in.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let Some(there) = absolute.ancestors().find(|folder| folder.exists()) else {
        return vec![Check::fail(STORE, format!("{} cannot be reached", path.display()), "set `file_path` to a folder of this machine")];
    };
    let exists = there == absolute;
    let mut checks = vec![place(path, there, exists)];
    checks.extend(room(there, options.min_free_bytes));
    checks
}

fn place(path: &Path, there: &Path, exists: bool) -> Check {
    let shown = path.display();
    if !fs::metadata(there).is_ok_and(|about| about.is_dir()) {
        return Check::fail(STORE, format!("{} is no folder", there.display()), "set `file_path` to a folder");
    }
    if let Err(error) = access(there, Access::WRITE_OK | Access::EXEC_OK) {
        let advice = "give the folder to the user that the server runs as, or set another `file_path`";
        return Check::fail(STORE, format!("{} cannot be written: {error}", there.display()), advice);
    }
    let stray = match folder::look(path) {
        Ok(stray) => stray,
        Err(error) => return Check::fail(STORE, error.to_string(), "a server does not start on it"),
    };
    if !exists {
        return Check::ok(STORE, format!("{shown} will be made"));
    }
    if let Some(found) = stray {
        return Check::warn(STORE, format!("beside the store, {shown} holds {found}"), "it is left alone; move it away");
    }
    match folder::owner(path) {
        Ok(None) => Check::ok(STORE, format!("{shown} can be written, and nobody uses it")),
        Ok(Some(owner)) if Client::connect(path).is_some() => {
            Check::ok(STORE, format!("{shown} is in use by {owner}, which takes commands"))
        }
        Ok(Some(owner)) => Check::warn(
            STORE,
            format!("{shown} is in use by {owner}, which takes no commands"),
            "only one process may have a store; wait for it, or stop it",
        ),
        Err(error) => Check::fail(STORE, format!("cannot read who uses {shown}: {error}"), "run this as the user of the server"),
    }
}

fn room(there: &Path, min_free_bytes: u64) -> Option<Check> {
    let about = statvfs(there).ok()?;
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let detail = format!("{} free, {} kept as a reserve", size(free), size(min_free_bytes));
    Some(if free < min_free_bytes {
        Check::fail(DISK, format!("{detail}: writes are refused"), "make room, or lower `min_free_bytes`")
    } else if free / SOON < min_free_bytes {
        Check::warn(DISK, detail, "make room soon: below the reserve writes are refused")
    } else {
        Check::ok(DISK, detail)
    })
}
