//! Texts of filters, put together of what there is to select.

use proptest::{
    prelude::*,
    strategy::{Union, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use sockdiag::{Dump, Filter, SockDiag};

/// What conditions are made of.
pub(crate) struct Vocabulary {
    /// Addresses, networks and ports as they follow `src` and `dst`; of each kind some.
    pub(crate) hosts: Vec<Vec<String>>,
    pub(crate) ports: Vec<u16>,
    /// Whole conditions.
    pub(crate) others: Vec<String>,
}

impl Vocabulary {
    /// Conditions of all kinds, joined in all ways.
    pub(crate) fn texts(self) -> impl Strategy<Value = String> {
        let operator =
            prop::sample::select(vec!["=", "!=", ">", "<", ">=", "<=", "eq", "ne", "gt", "lt"]);
        let host = Union::new(self.hosts.into_iter().map(prop::sample::select));
        let mut leaves = vec![
            (prop::sample::select(vec!["src", "dst"]), host)
                .prop_map(|(side, host)| format!("{side} {host}"))
                .boxed(),
            (
                prop::sample::select(vec!["sport", "dport"]),
                operator,
                prop::sample::select(self.ports),
            )
                .prop_map(|(side, operator, port)| format!("{side} {operator} :{port}"))
                .boxed(),
            prop::sample::select(vec!["dev lo", "dev != lo"]).prop_map(str::to_owned).boxed(),
        ];
        // A program with a condition on marks is for the superuser.
        if is_privileged() {
            let marks = vec!["fwmark = 1", "fwmark != 2/2", "fwmark 0"];
            leaves.push(prop::sample::select(marks).prop_map(str::to_owned).boxed());
        }
        if !self.others.is_empty() {
            let others = prop::sample::select(self.others);
            leaves.push(others.clone().boxed());
            leaves.push(others.prop_map(|text| format!("not {text}")).boxed());
        }
        Union::new(leaves).prop_recursive(4, 16, 3, |inner| {
            prop_oneof![
                (inner.clone(), prop::sample::select(vec![" and ", " or ", " "]), inner.clone())
                    .prop_map(|(one, join, other)| format!("( {one}{join}{other} )")),
                (inner.clone(), prop::sample::select(vec![" & ", " | "]), inner.clone())
                    .prop_map(|(one, join, other)| format!("{one}{join}{other}")),
                inner.prop_map(|inner| format!("not ( {inner} )")),
            ]
        })
    }
}

/// A number of texts, the same in every run.
pub(crate) fn some(strategy: &impl Strategy<Value = String>, count: usize) -> Vec<String> {
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// Whether the kernel lets this user select by marks.
pub(crate) fn is_privileged() -> bool {
    let mut diag = SockDiag::open().unwrap();
    let marked = Dump::new().filter(&Filter::mark(1, 1));
    let mut entries = diag.dump(&marked).unwrap();
    entries.next().is_none_or(|entry| entry.is_ok())
}
