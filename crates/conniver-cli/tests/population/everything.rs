//! Every socket of the population.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    keys::{compare, long_name},
    population::Population,
    shown::{Shown, ss, ss_of},
    tool::{check, printed},
};

/// The sockets that are printed by their cookies, each once.
fn listed(arguments: &[&str]) -> BTreeMap<u64, Value> {
    let text = printed(&[arguments, &["-a", "--format", "jsonl"]].concat());
    let parsed = text.lines().enumerate().map(|(number, line)| match number % 50 {
        // The schema takes its time.
        0 => check(line),
        _ => serde_json::from_str(line).unwrap(),
    });
    let sockets: Vec<Value> = parsed.collect();
    let count = sockets.len();
    let all: BTreeMap<_, _> =
        sockets.into_iter().map(|one| (one["cookie"].as_u64().unwrap(), one)).collect();
    assert_eq!(all.len(), count, "a socket is listed twice");
    all
}

/// Without those that `ss` does not list: what is bound and does nothing.
fn of_ss(all: &BTreeMap<u64, Value>) -> BTreeSet<u64> {
    all.iter().filter(|(_, one)| one["state"] != "CLOSE").map(|(cookie, _)| *cookie).collect()
}

fn cookies(all: &[Shown]) -> BTreeSet<u64> {
    all.iter().map(|shown| shown.cookie).collect()
}

pub(crate) fn beside_ss() {
    let population = Population::new();
    let before = listed(&["-p"]);
    let theirs = ss(&["-tap"]);
    let after = listed(&["-p"]);
    // What ended meanwhile may be there or not.
    let (first, last) = (of_ss(&before), of_ss(&after));
    let both = &first & &last;
    assert!(both.len() > 4_000 && both.len() <= population.len(), "{}", both.len());
    assert!(cookies(&theirs).is_superset(&both), "{:?}", &both - &cookies(&theirs));
    assert!(cookies(&theirs).is_subset(&(&first | &last)));
    states_and_holders(&theirs, &before, &after);

    // The same moment for both: what was saved, which `ss` reads, too.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump");
    let name = file.to_str().unwrap();
    printed(&["-a", "--save", name]);
    let ours = listed(&["--from", name]);
    let theirs = ss_of(Some(&file), &["-ta"]);
    assert_eq!(cookies(&theirs), ours.keys().copied().collect());
    assert!(theirs.len() > 4_000, "{}", theirs.len());
    let mut compared = BTreeSet::new();
    for shown in &theirs {
        compare(shown, &ours[&shown.cookie], &mut compared);
    }
    assert!(compared.len() > 55, "{compared:?}");
    long(name, &theirs);
    eprintln!("{} sockets agree in {} words of ss", theirs.len(), compared.len());
}

/// What was not changed meanwhile is as `ss` has it: addresses, state, and who holds it.
fn states_and_holders(
    theirs: &[Shown],
    before: &BTreeMap<u64, Value>,
    after: &BTreeMap<u64, Value>,
) {
    const LASTING: [&str; 7] =
        ["ino", "users", "congestion", "shutdown", "tos", "cgroup", "md5keys"];
    let (mut same, mut signed) = (0, 0);
    for shown in theirs {
        let Some((before, after)) = before.get(&shown.cookie).zip(after.get(&shown.cookie)) else {
            continue;
        };
        let is_still = ["state", "queues", "process"].iter().all(|key| before[key] == after[key]);
        if !is_still {
            continue;
        }
        let mut shown = shown.clone();
        signed += usize::from(shown.facts.contains_key("md5keys"));
        // A file has numbers only.
        let path = shown.facts.get("cgroup").filter(|path| path.starts_with('/'));
        assert_eq!(before["cgroup"].as_str(), path.map(String::as_str), "{before:#}");
        shown.facts.retain(|name, _| LASTING.contains(&name.as_str()));
        compare(&shown, before, &mut BTreeSet::new());
        assert_eq!(before["localAddr"], shown.local);
        same += 1;
    }
    assert!(same > theirs.len() / 2, "{same} of {}", theirs.len());
    eprintln!("{same} live sockets agree; {signed} sign their segments");
}

/// The long form has a name for all that `ss` prints.
fn long(file: &str, theirs: &[Shown]) {
    let text = printed(&["--from", file, "-a", "--format", "long"]);
    let mut sockets = BTreeMap::<u64, String>::new();
    let mut cookie = 0;
    for line in text.lines() {
        if !line.starts_with(' ') {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix("cookie:0x"));
            cookie = u64::from_str_radix(word.unwrap(), 16).unwrap();
        }
        let all = sockets.entry(cookie).or_default();
        all.push(' ');
        all.push_str(line.trim_start());
    }
    for shown in theirs {
        let text = &sockets[&shown.cookie];
        for name in shown.facts.keys() {
            // There is none of a socket that nobody holds, and of listeners one name for both.
            let none = name == "ino" && shown.facts["ino"] == "0";
            let is_queue = name == "unacked" && shown.state == "LISTEN";
            let long = if is_queue { "accept_queue" } else { long_name(name) };
            let has = text.contains(&format!(" {long}:"));
            assert!(has || none || shown.is_left_over(name), "{long} of {shown:?} in {text}");
        }
    }
}
