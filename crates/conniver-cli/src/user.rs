//! Names of users.

use std::{collections::BTreeMap, fs, sync::LazyLock};

use crate::error::Error;

/// The name of the user with this number, as far as `/etc/passwd` has it.
pub(crate) fn name(number: u32) -> Option<&'static str> {
    USERS.get(&number).map(String::as_str)
}

/// The number of the user with this name, or the number itself.
pub(crate) fn wanted(name: &str) -> Result<u32, Error> {
    let by_name = || USERS.iter().find(|(_, known)| *known == name).map(|(number, _)| *number);
    name.parse().ok().or_else(by_name).ok_or_else(|| {
        Error::usage(format!("there is no user {name:?} in /etc/passwd; a number is taken, too"))
    })
}

static USERS: LazyLock<BTreeMap<u32, String>> = LazyLock::new(|| {
    let bytes = fs::read("/etc/passwd").unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut users = BTreeMap::new();
    for line in text.lines() {
        let mut parts = line.split(':');
        if let (Some(name), Some(number)) = (parts.next(), parts.nth(1))
            && let Ok(number) = number.parse()
        {
            // The first of several names is the one that other programs show.
            users.entry(number).or_insert_with(|| name.to_owned());
        }
    }
    users
});
