//! What `ss` prints of sockets, read word by word.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

/// One socket as `ss` shows it with all that it can tell.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) state: String,
    pub(crate) recv_q: String,
    pub(crate) send_q: String,
    pub(crate) local: String,
    pub(crate) remote: String,
    /// All others: words with a value by their name, and as their own name those without.
    pub(crate) facts: BTreeMap<String, String>,
    pub(crate) cookie: u64,
}

/// Whether `ss` is there at all.
pub(crate) fn has_ss() -> bool {
    Command::new("ss").arg("-V").output().is_ok_and(|output| output.status.success())
}

/// The sockets that `ss` lists by these arguments, with everything that it can tell but who holds them.
pub(crate) fn ss(arguments: &[&str]) -> Vec<Shown> {
    ss_of(None, arguments)
}

/// The same of a recording.
pub(crate) fn ss_of(file: Option<&Path>, arguments: &[&str]) -> Vec<Shown> {
    let mut command = Command::new("ss");
    command.args(["-OniemoH", "--tos", "--inet-sockopt"]).args(arguments);
    if let Some(file) = file {
        command.env("TCPDIAG_FILE", file);
    }
    let text = printed_by(command);
    // Keys of signed segments are written before all else, whatever they belong to (6.1).
    let text = text.trim_start_matches(|c: char| !c.is_ascii_uppercase());
    text.lines().filter(|line| !line.trim().is_empty()).map(Shown::new).collect()
}

/// What `ss` prints, which must have nothing to complain of.
pub(crate) fn printed_by(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let complaint = String::from_utf8_lossy(&stderr);
    // Which it says of every socket, and tells all else.
    let mut complaints = complaint.lines().filter(|line| *line != "Failed to find cgroup2 mount");
    assert!(
        status.success() && complaints.all(|line| line.trim().is_empty()),
        "{status}: {complaint}"
    );
    String::from_utf8(stdout).unwrap()
}

/// Words that stand for themselves.
const FLAGS: [&str; 9] =
    ["ts", "sack", "ecn", "ecnseen", "fastopen", "app_limited", "bidir", "remote_key", "fallback"];

/// Words whose value is the next.
const RATES: [&str; 3] = ["send", "pacing_rate", "delivery_rate"];

impl Shown {
    pub(crate) fn new(line: &str) -> Self {
        let mut words = words(line).into_iter();
        let mut next = || words.next().unwrap_or_else(|| panic!("{line:?} is cut off"));
        let [state, recv_q, send_q, local, remote] = [next(), next(), next(), next(), next()];
        let mut facts = BTreeMap::new();
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} of {line:?}"));
            let (name, value) = if RATES.contains(&word) {
                (word, value())
            } else if matches!(word, "<->" | "-->" | "<--" | "---") {
                ("shutdown", word)
            } else if let Some(name) = word.strip_prefix("tcp-ulp-") {
                ("ulp", name)
            } else if FLAGS.contains(&word) {
                (word, "")
            } else {
                match word.split_once(':') {
                    Some((name, "")) => (name, value()),
                    Some((name, value)) => (name, value),
                    // The one word that may be anything.
                    None => ("congestion", word),
                }
            };
            let before = facts.insert(name.to_owned(), value.to_owned());
            assert_eq!(before, None, "{name} is there twice: {line}");
        }
        let cookie = facts.remove("sk").unwrap_or_else(|| panic!("no cookie: {line}"));
        let cookie = u64::from_str_radix(&cookie, 16).unwrap();
        let [state, recv_q, send_q] = [state, recv_q, send_q].map(str::to_owned);
        let [local, remote] = [local, remote].map(str::to_owned);
        Self { state, recv_q, send_q, local, remote, facts, cookie }
    }

    /// Whether what is shown by this name is nothing that was measured, but what the kernel's structure
    /// happens to have; by the other words.
    pub(crate) fn is_left_over(&self, name: &str) -> bool {
        let has = |name: &str| self.facts.contains_key(name);
        let is_early = matches!(&*self.state, "SYN-SENT" | "SYN-RECV");
        match name {
            // Ages count from boot, or from the handshake, until there is something to count from.
            "lastsnd" => is_early || !has("data_segs_out"),
            "lastrcv" => is_early || !has("data_segs_in"),
            "lastack" => is_early,
            // The handshake makes a rate, though no data was delivered; and there is nothing that could
            // have held down no rate.
            "delivery_rate" => !has("data_segs_out"),
            "app_limited" => !has("delivery_rate") || !has("data_segs_out"),
            // It was asked for, and not answered.
            "ecn" => self.state == "SYN-SENT",
            _ => false,
        }
    }
}

/// The number that a word begins with.
pub(crate) fn number(text: &str) -> f64 {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text[..end].parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

/// Whether the cgroup of this number is the one that is shown.
pub(crate) fn is_cgroup(path: &str, id: u64) -> bool {
    if let Some(number) = path.strip_prefix("unreachable:") {
        return u64::from_str_radix(number, 16) == Ok(id);
    }
    let found = cgroups_at().map(|root| std::fs::metadata(root + path));
    found.is_some_and(|found| found.is_ok_and(|found| found.ino() == id))
}

/// Where cgroups of version 2 are mounted.
pub(crate) fn cgroups_at() -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
    line.split(' ').nth(1).map(str::to_owned)
}

/// A timer as it is shown.
#[derive(Debug)]
pub(crate) struct ShownTimer<'a> {
    pub(crate) kind: &'a str,
    /// When it acts, at least; what is long is cut off by less than this.
    pub(crate) least: Duration,
    pub(crate) cut: Duration,
    pub(crate) count: u32,
}

impl<'a> ShownTimer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let parts: Vec<_> = text.trim_matches(['(', ')']).split(',').collect();
        let [kind, time, count] = *parts else { panic!("{text} is no timer") };
        // Minutes, seconds and milliseconds, of which there may be each: `1min29sec`, `1.204ms`, `204ms`.
        let (minutes, rest) = time.split_once("min").unwrap_or(("0", time));
        let (seconds, rest) =
            rest.split_once("sec").or_else(|| rest.split_once('.')).unwrap_or(("0", rest));
        let millis = rest.strip_suffix("ms").unwrap_or("0");
        let [minutes, seconds, millis] =
            [minutes, seconds, millis].map(|part| part.parse::<u64>().unwrap());
        let least = Duration::from_millis((minutes * 60 + seconds) * 1_000 + millis);
        let cut = match (minutes, seconds) {
            (10.., _) => Duration::from_secs(60),
            (1.., _) | (0, 10..) => Duration::from_secs(1),
            _ => Duration::from_millis(1),
        };
        Self { kind, least, cut, count: count.parse().unwrap() }
    }
}

/// The words of a line; what is in parentheses or quotes belongs to one.
fn words(line: &str) -> Vec<&str> {
    let (mut depth, mut is_quoted, mut begin) = (0, false, None);
    let mut all = Vec::new();
    for (place, c) in line.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth -= 1,
            _ => {}
        }
        if c == ' ' && depth == 0 && !is_quoted {
            all.extend(begin.take().map(|begin: usize| &line[begin..place]));
        } else {
            begin.get_or_insert(place);
        }
    }
    all.extend(begin.map(|begin| &line[begin..]));
    all
}
