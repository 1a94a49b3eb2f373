//! The file with names and passwords of hosts that ftp(1) and curl read.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Kind, reason},
    target::Credentials,
};

/// What a netrc file says.
#[derive(Debug, Default)]
pub(crate) struct Netrc {
    entries: Vec<Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    /// Absent for every host that is not named before.
    host: Option<String>,
    login: Option<String>,
    password: Option<String>,
}

impl Netrc {
    /// Reads the file named, or else the one in the user's home folder.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, Error> {
        let path = path.map(Path::to_owned).or_else(at_home).ok_or_else(|| {
            Error::new(Kind::Data, "--netrc finds no home folder; name a file with --netrc-file")
        })?;
        let text = fs::read_to_string(&path).map_err(|error| {
            let name = path.display();
            Error::new(Kind::Data, format!("cannot read the netrc file {name}: {}", reason(&error)))
        })?;
        Self::parse(&text).map_err(|why| {
            Error::new(Kind::Data, format!("the netrc file {}: {why}", path.display()))
        })
    }

    /// The credentials for a host.
    pub(crate) fn credentials(&self, host: &str) -> Option<Credentials> {
        let is_for = |entry: &&Entry| match &entry.host {
            Some(name) => name.eq_ignore_ascii_case(host),
            None => true,
        };
        let entry = self.entries.iter().find(is_for)?;
        Some(Credentials::new(entry.login.as_deref()?, entry.password.as_deref().unwrap_or("")))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut netrc = Self::default();
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let mut tokens = tokens(line).into_iter();
            while let Some(token) = tokens.next() {
                let mut value = || {
                    tokens.next().ok_or_else(|| {
                        format!("line {}: nothing stands behind \"{token}\"", number + 1)
                    })
                };
                let entry = netrc.entries.last_mut();
                match (token.as_str(), entry) {
                    ("machine", _) => {
                        netrc.entries.push(Entry { host: Some(value()?), ..Entry::default() });
                    }
                    ("default", _) => netrc.entries.push(Entry::default()),
                    ("login", Some(entry)) => entry.login = Some(value()?),
                    ("password", Some(entry)) => entry.password = Some(value()?),
                    ("account", Some(_)) => drop(value()?),
                    ("macdef", _) => {
                        // A macro lasts until an empty line.
                        lines.by_ref().find(|(_, line)| line.trim().is_empty());
                        break;
                    }
                    (token, _) => {
                        return Err(format!("line {}: \"{token}\" makes no sense", number + 1));
                    }
                }
            }
        }
        Ok(netrc)
    }
}

/// The words of a line up to a comment; quoted ones may hold spaces and escapes.
fn tokens(line: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let mut token = String::new();
        let mut end = rest.len();
        let is_quoted = rest.starts_with('"');
        let mut chars = rest.char_indices().skip(usize::from(is_quoted));
        while let Some((at, c)) = chars.next() {
            match c {
                '"' if is_quoted => {
                    end = at + 1;
                    break;
                }
                '\\' if is_quoted => token.extend(chars.next().map(|(_, c)| match c {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    c => c,
                })),
                c if c.is_whitespace() && !is_quoted => {
                    end = at;
                    break;
                }
                c => token.push(c),
            }
        }
        tokens.push(token);
        rest = rest[end..].trim_start();
    }
    tokens
}

fn at_home() -> Option<PathBuf> {
    let home = PathBuf::from(env::var_os("HOME").or_else(|| env::var_os("USERPROFILE"))?);
    let usual = home.join(".netrc");
    let windows = home.join("_netrc");
    Some(if cfg!(windows) && !usual.exists() { windows } else { usual })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_their_own_credentials() {
        let netrc = Netrc::parse(
            "# mine\nmachine a login me password \"two words\\\"\" account x\n\
             machine b\n\tlogin you\n  password p#1 # none\nmacdef init\ncd /\n\n\
             default login anybody",
        );
        let netrc = netrc.unwrap();
        let texts = |host| netrc.credentials(host).map(|found| found.texts());
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(texts("A"), pair("me", "two words\""));
        assert_eq!(texts("b"), pair("you", "p#1"));
        assert_eq!(texts("c"), pair("anybody", ""));
        assert_eq!(Netrc::default().credentials("a"), None);
    }

    #[test]
    fn what_makes_no_sense_is_named_with_its_line() {
        for (text, line) in [("machine", 1), ("login me", 1), ("machine a\nlogn me", 2)] {
            let why = Netrc::parse(text).unwrap_err();
            assert!(why.starts_with(&format!("line {line}: ")), "{why}");
        }
    }
}
