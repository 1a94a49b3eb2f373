//! Connections that come, go and are lost in any order, beside a plain model of what must be counted.

use std::collections::BTreeMap;

use clap::{Args as _, FromArgMatches as _};
use proptest::{collection::vec, prelude::*};
use tcpinfo::State;

use super::*;
use crate::{
    cli::ServeArgs,
    serve::sight::{Count, Facts},
};

pub(in crate::serve) fn ledger(arguments: &[&str]) -> Ledger {
    let command = ServeArgs::augment_args(clap::Command::new("serve").no_binary_name(true));
    let arguments = ServeArgs::from_arg_matches(&command.get_matches_from(arguments)).unwrap();
    Ledger::new(Grouping::new(&arguments), arguments.max_series)
}

fn sight(cookie: u64, network: u8, count: u64) -> Sight {
    Sight {
        cookie,
        state: State::Established,
        local_port: 40_000,
        remote: Some([10, network, 0, 1].into()),
        inode: Some(7),
        is_connection: true,
        facts: Some(Facts {
            counts: Counts::made_of([count; Count::ALL.len()]),
            samples: [Some(1_000); 4],
        }),
        unread_bytes: 0,
        queued_bytes: 0,
    }
}

/// As the kernel tells of one that was aborted.
fn cleared(cookie: u64) -> Sight {
    Sight {
        remote: None,
        is_connection: false,
        facts: Some(Facts { counts: Counts::made_of([0; Count::ALL.len()]), samples: [None; 4] }),
        ..sight(cookie, 0, 0)
    }
}

fn look(ledger: &mut Ledger, now: u32, sights: &[Sight]) {
    ledger.begin(now);
    sights.iter().for_each(|sight| ledger.see_sight(sight, None));
    ledger.finish();
}

fn total(ledger: &Ledger, value: impl Fn(&Group) -> u64) -> u64 {
    ledger.groups.shown().map(value).sum()
}

fn sent(ledger: &Ledger) -> u64 {
    total(ledger, |group| group.counts.told(Count::SentBytes).unwrap_or(0))
}

#[test]
fn what_a_connection_counted_is_counted_once() {
    let mut ledger = ledger(&[]);
    look(&mut ledger, 1, &[sight(1, 0, 10), sight(2, 0, 5)]);
    assert_eq!(sent(&ledger), 15);
    look(&mut ledger, 2, &[sight(1, 0, 12), sight(2, 0, 5), sight(1, 0, 13)]);
    assert_eq!((sent(&ledger), ledger.sums.sockets), (17, 2));
    // It ends, and what came since the last look is not lost.
    ledger.end(&sight(1, 0, 20), None, 3);
    assert_eq!(sent(&ledger), 25);
    // One that no look has seen.
    ledger.end(&sight(3, 0, 100), None, 3);
    look(&mut ledger, 4, &[sight(2, 0, 5)]);
    assert_eq!(sent(&ledger), 125);
    assert_eq!(total(&ledger, |group| group.created), 3);
    assert_eq!(total(&ledger, |group| group.closed), 2);
}

#[test]
fn an_aborted_connection_keeps_what_was_known_of_it() {
    let mut ledger = ledger(&[]);
    look(&mut ledger, 1, &[sight(1, 0, 10)]);
    ledger.end(&cleared(1), None, 2);
    ledger.end(&cleared(2), None, 2);
    assert_eq!((sent(&ledger), ledger.sums.without_peer), (10, 1));
    assert_eq!(total(&ledger, |group| group.closed), 1);
}

#[test]
fn an_attempt_that_failed_is_no_connection() {
    let mut ledger = ledger(&[]);
    let attempt = Sight { is_connection: false, state: State::SynSent, ..sight(1, 0, 0) };
    look(&mut ledger, 1, &[attempt]);
    ledger.end(&Sight { is_connection: false, ..sight(1, 0, 0) }, None, 2);
    ledger.end(&Sight { is_connection: false, ..sight(2, 0, 0) }, None, 2);
    let sums: [fn(&Group) -> u64; 3] =
        [|group| group.created, |group| group.closed, |group| group.failed];
    assert_eq!(sums.map(|sum| total(&ledger, sum)), [0, 0, 2]);
}

#[test]
fn a_connection_that_changes_its_group_takes_nothing_along() {
    let mut ledger = ledger(&["--by", "process"]);
    let find = |name: &'static str| move |_: u32| Some(Name::new(name));
    let sights = [Sight { inode: None, ..sight(1, 0, 10) }, sight(1, 0, 15), sight(1, 0, 17)];
    for (now, sight) in sights.into_iter().enumerate() {
        ledger.begin(now as u32);
        ledger.see_sight(&sight, None);
        assert_eq!(ledger.wants_processes(), now == 1);
        ledger.assign(find("nginx"));
        ledger.finish();
    }
    let by_name: BTreeMap<_, _> = ledger
        .groups
        .shown()
        .map(|group| (&*group.labels, group.counts.told(Count::SentBytes).unwrap_or(0)))
        .collect();
    assert_eq!(by_name, BTreeMap::from([("process=\"\"", 10), ("process=\"nginx\"", 7)]));
    // Its program closed it, and the kernel works on.
    look(&mut ledger, 4, &[Sight { inode: None, ..sight(1, 0, 18) }]);
    ledger.end(&sight(1, 0, 20), None, 5);
    let nginx = ledger.groups.shown().find(|group| group.labels.contains("nginx")).unwrap();
    assert_eq!((nginx.counts.told(Count::SentBytes), nginx.closed), (Some(10), 1));
}

#[test]
fn an_end_that_was_lost_is_given_up_and_not_counted_twice() {
    let mut ledger = ledger(&[]);
    look(&mut ledger, 1, &[sight(1, 0, 10), sight(2, 0, 10)]);
    // Without a loss an end may be long in coming: the program holds the socket.
    look(&mut ledger, PATIENCE, &[sight(2, 0, 10)]);
    assert_eq!((ledger.sums.unlisted, ledger.sums.missed), (1, 0));
    ledger.lose(PATIENCE);
    look(&mut ledger, PATIENCE + 1, &[]);
    assert_eq!((ledger.sums.unlisted, ledger.sums.missed), (1, 1));
    look(&mut ledger, PATIENCE + PATIENCE_AFTER_LOSS + 1, &[]);
    assert_eq!((ledger.sums.unlisted, ledger.sums.missed), (0, 2));
    assert_eq!((sent(&ledger), total(&ledger, |group| group.closed), ledger.len()), (20, 2, 0));
    ledger.end(&sight(1, 0, 10), None, PATIENCE + 100);
    assert_eq!((sent(&ledger), total(&ledger, |group| group.closed)), (20, 2));
}

#[test]
fn more_groups_than_there_are_series_are_counted_as_others() {
    let mut ledger = ledger(&["--by", "remote", "--max-series", "500"]);
    let sights: Vec<_> = (0..200).map(|number| sight(number, number as u8, 3)).collect();
    look(&mut ledger, 1, &sights);
    assert_eq!(sent(&ledger), 600);
    let series = ledger.groups.shown().count() * GROUP_SERIES;
    assert!(series < 500 && ledger.groups.len() > 2, "{series}");
    let others = ledger.groups.shown().next().unwrap();
    assert_eq!(&*others.labels, "remote_network=\"(other)\"");
    assert_eq!(others.created, 200 - ledger.groups.len() as u64);
    sights.iter().for_each(|sight| ledger.end(sight, None, 2));
    assert_eq!((sent(&ledger), total(&ledger, |group| group.closed)), (600, 200));
}

/// What happens to the model's connections.
#[derive(Clone, Debug)]
enum Step {
    Open {
        network: u8,
    },
    Send {
        which: usize,
        bytes: u64,
    },
    /// The peer resets it, and its program goes on holding it.
    Unlist {
        which: usize,
    },
    End {
        which: usize,
        how: How,
    },
    /// Some are passed over, since the list is none of one moment, and some told of twice.
    Look {
        seconds: u32,
        passed_over: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Heard,
    /// Its numbers are cleared before.
    Aborted,
    Lost,
}

fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![4 => Just(How::Heard), 1 => Just(How::Aborted), 1 => Just(How::Lost)];
    let which = any::<usize>();
    prop_oneof![
        3 => (0_u8..4).prop_map(|network| Step::Open { network }),
        3 => (which, 0_u64..1_000).prop_map(|(which, bytes)| Step::Send { which, bytes }),
        1 => which.prop_map(|which| Step::Unlist { which }),
        2 => (which, how).prop_map(|(which, how)| Step::End { which, how }),
        2 => (0_u32..40, which)
            .prop_map(|(seconds, passed_over)| Step::Look { seconds, passed_over }),
    ]
}

#[derive(Clone, Copy, Debug)]
struct Modelled {
    cookie: u64,
    network: u8,
    sent: u64,
    /// What anybody was told of it.
    told: u64,
    is_listed: bool,
}

proptest! {
    #[test]
    fn sums_are_exact_and_never_shrink(steps in vec(step(), 0..200)) {
        let mut ledger = ledger(&["--by", "remote"]);
        let mut alive: Vec<Modelled> = Vec::new();
        let (mut now, mut cookie) = (1, 0);
        // What was told of those that are gone.
        let mut gone = 0;
        let mut ends = 0;
        let mut last = BTreeMap::new();
        for step in steps {
            match step {
                Step::Open { network } => {
                    cookie += 1;
                    alive.push(Modelled { cookie, network, sent: 0, told: 0, is_listed: true });
                }
                Step::Send { which, bytes } if !alive.is_empty() => {
                    let which = which % alive.len();
                    if alive[which].is_listed {
                        alive[which].sent += bytes;
                    }
                }
                Step::Unlist { which } if !alive.is_empty() => {
                    let which = which % alive.len();
                    alive[which].is_listed = false;
                }
                Step::End { which, how } if !alive.is_empty() => {
                    let ended = alive.swap_remove(which % alive.len());
                    let account = ledger.accounts.get(&ended.cookie);
                    let is_known = account.is_some();
                    let is_counted = account.is_some_and(|account| account.is_closed);
                    match how {
                        How::Heard => {
                            // One that was given up has no account any more.
                            let is_given_up = ledger.given_up.contains_key(&ended.cookie);
                            gone += if is_given_up { ended.told } else { ended.sent };
                            ends += u64::from(!is_given_up && !is_counted);
                            ledger.end(&sight(ended.cookie, ended.network, ended.sent), None, now);
                        }
                        How::Aborted => {
                            gone += ended.told;
                            ends += u64::from(is_known && !is_counted);
                            ledger.end(&cleared(ended.cookie), None, now);
                        }
                        How::Lost => {
                            gone += ended.told;
                            ledger.lose(now);
                        }
                    }
                }
                Step::Look { seconds, passed_over } => {
                    now += seconds;
                    let mut sights = Vec::new();
                    for (place, one) in alive.iter_mut().enumerate() {
                        if one.is_listed && place != passed_over % 8 {
                            one.told = one.sent;
                            let sight = sight(one.cookie, one.network, one.sent);
                            sights.extend([sight; 2].into_iter().take(1 + place % 2));
                        }
                    }
                    look(&mut ledger, now, &sights);
                }
                _ => {}
            }
            let told: u64 = alive.iter().map(|one| one.told).sum();
            prop_assert_eq!(sent(&ledger), gone + told);
            let closed = total(&ledger, |group| group.closed);
            prop_assert_eq!(closed, ends + ledger.sums.missed);
            for group in ledger.groups.shown() {
                let sums = [
                    group.created,
                    group.closed,
                    group.counts.told(Count::SentBytes).unwrap_or(0),
                    group.histogram(crate::serve::histogram::Quantity::Rtt).count(),
                ];
                if let Some(before) = last.insert(group.labels.clone(), sums) {
                    prop_assert!(before.iter().zip(sums).all(|(before, now)| *before <= now));
                }
            }
        }
    }
}
