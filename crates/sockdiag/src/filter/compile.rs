//! What of a filter the kernel applies: a program of `inet_diag`'s (`inet_diag_bc_run`), and the
//! states. What it cannot is left, to be asked of each socket that it tells of.

use super::{
    Filter, Node,
    condition::{Comparison, Condition, Net, Side},
};
use crate::{
    States,
    lookup::{INET, INET6},
};
use tcpinfo::State;

/// A filter cut in two. The sockets of the filter are those that the kernel tells of in these states,
/// with this program, and that match the rest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Compiled {
    pub(super) states: States,
    /// Whether none of it is of IPv4, none of IPv6.
    pub(super) excludes_v4: bool,
    pub(super) excludes_v6: bool,
    /// Ports that all of it have, by which the kernel chooses before anything else; zero if they have not.
    pub(super) local_port: u16,
    pub(super) remote_port: u16,
    /// `INET_DIAG_REQ_BYTECODE`.
    pub(super) bytecode: Option<Vec<u8>>,
    pub(super) rest: Option<Filter>,
}

/// Operations of `linux/inet_diag.h`: `INET_DIAG_BC_*`.
mod op {
    pub(super) const JMP: u8 = 1;
    pub(super) const S_GE: u8 = 2;
    pub(super) const S_LE: u8 = 3;
    pub(super) const D_GE: u8 = 4;
    pub(super) const D_LE: u8 = 5;
    pub(super) const AUTO: u8 = 6;
    pub(super) const S_COND: u8 = 7;
    pub(super) const D_COND: u8 = 8;
    pub(super) const DEV_COND: u8 = 9;
    pub(super) const MARK_COND: u8 = 10;
    pub(super) const CGROUP_COND: u8 = 13;
}

/// The kernel looks through the whole program for each jump, and places in it are 16 bits.
const MOST_BYTES: usize = 48 * 1024;

pub(super) fn compile(filter: &Filter) -> Result<Compiled, &'static str> {
    let mut parts = Vec::new();
    flatten(&filter.0, false, &mut parts);
    let mut compiled = Compiled {
        states: states(&filter.0, false),
        excludes_v4: families(&filter.0, false) & V4 == 0,
        excludes_v6: families(&filter.0, false) & V6 == 0,
        local_port: 0,
        remote_port: 0,
        bytecode: None,
        rest: None,
    };
    let mut asked = Vec::new();
    let mut rest = Vec::new();
    for (node, is_turned) in parts {
        match node {
            // The kernel is asked for these states and no others.
            Node::Is(Condition::States(_)) if !is_turned => continue,
            Node::Is(Condition::Port(side, Comparison::Equal, port)) if !is_turned => match side {
                Side::Local => compiled.local_port = *port,
                Side::Remote => compiled.remote_port = *port,
            },
            _ => {}
        }
        let (plan, is_exact) = Plan::of(node, is_turned);
        asked.push(plan);
        // Older kernels (5.10) do not tell the mark of a connection in TIME_WAIT, and compare zero.
        let is_told =
            !node.mentions(&Condition::is_mark) || node.mentions(&Condition::is_autobound);
        if !(is_exact && is_told) {
            rest.push((node, is_turned));
        }
    }
    let mut plan = Plan::all(asked);
    let mut code = plan.code();
    if code.len() > MOST_BYTES {
        (plan, code) = (Plan::All(Vec::new()), Vec::new());
        rest.clear();
        flatten(&filter.0, false, &mut rest);
    }
    let is_left =
        |wanted: &dyn Fn(&Condition) -> bool| rest.iter().any(|(node, _)| node.mentions(wanted));
    if is_left(&Condition::is_autobound) {
        return Err(
            "only the kernel knows which ports it chose, and it does not know what else the \
                    filter asks for; join 'autobound' to that with 'and'",
        );
    }
    if is_left(&Condition::is_mark) {
        // Always so. It has the kernel refuse who would not be told of marks.
        let privilege = Condition::Mark { mark: 0, mask: 0 };
        code = Plan::all(vec![Plan::Is(&privilege, false), plan]).code();
    }
    if !rest.is_empty() {
        let nodes = rest.into_iter().map(
            |(node, is_turned)| {
                if is_turned { node.clone().not() } else { node.clone() }
            },
        );
        compiled.rest = Some(Filter(nodes.fold(Node::All(Vec::new()), Node::and)));
    }
    compiled.bytecode = Some(code).filter(|code| !code.is_empty());
    Ok(compiled)
}

/// Parts of a filter that all must hold, each with whether its opposite is meant.
fn flatten<'f>(node: &'f Node, is_turned: bool, parts: &mut Vec<(&'f Node, bool)>) {
    match (node, is_turned) {
        (Node::Not(inner), _) => flatten(inner, !is_turned, parts),
        (Node::All(list), false) | (Node::Any(list), true) => {
            list.iter().for_each(|node| flatten(node, is_turned, parts));
        }
        _ => parts.push((node, is_turned)),
    }
}

/// The states that what matches is in, or more.
fn states(node: &Node, is_turned: bool) -> States {
    let common = |list: &[Node]| {
        list.iter().fold(States::ALL, |all, node| {
            all.without(States::ALL.without(states(node, is_turned)))
        })
    };
    let joined = |list: &[Node]| {
        list.iter().fold(States::NONE, |any, node| any.with(states(node, is_turned)))
    };
    match (node, is_turned) {
        (Node::Not(inner), _) => states(inner, !is_turned),
        (Node::All(list), false) | (Node::Any(list), true) => common(list),
        (Node::Any(list), false) | (Node::All(list), true) => joined(list),
        (Node::Is(Condition::States(states)), false) => told(*states),
        (Node::Is(Condition::States(states)), true) => States::ALL.without(told(*states)),
        (Node::Is(_), _) => States::ALL,
    }
}

/// With those that the kernel, telling of a socket, calls by the same name.
fn told(states: States) -> States {
    let closed = States::of(State::Close).with(States::of(State::BoundInactive));
    let mut told = states;
    if states.contains(State::Close) || states.contains(State::BoundInactive) {
        told = told.with(closed);
    }
    if states.contains(State::SynRecv) {
        told = told.with(States::of(State::NewSynRecv));
    }
    told
}

const V4: u8 = 1;
const V6: u8 = 2;

/// The families that what matches is of, or more.
fn families(node: &Node, is_turned: bool) -> u8 {
    match (node, is_turned) {
        (Node::Not(inner), _) => families(inner, !is_turned),
        (Node::All(list), false) | (Node::Any(list), true) => {
            list.iter().fold(V4 | V6, |all, node| all & families(node, is_turned))
        }
        (Node::Any(list), false) | (Node::All(list), true) => {
            list.iter().fold(0, |any, node| any | families(node, is_turned))
        }
        (Node::Is(Condition::Family { is_v6 }), _) if *is_v6 != is_turned => V6,
        (Node::Is(Condition::Family { .. }), _) => V4,
        (Node::Is(Condition::Address(_, Net::V6 { .. })), false) => V6,
        (Node::Is(_), _) => V4 | V6,
    }
}

/// What the kernel is to do: a filter without what it does not know.
#[derive(Debug)]
enum Plan<'f> {
    All(Vec<Self>),
    Any(Vec<Self>),
    /// A condition, or its opposite.
    Is(&'f Condition, bool),
}

impl<'f> Plan<'f> {
    /// Lets through what the node lets through, or more: whether it is no more comes with it.
    fn of(node: &'f Node, is_turned: bool) -> (Self, bool) {
        let parts = |list: &'f [Node]| {
            let (plans, exact): (Vec<_>, Vec<_>) =
                list.iter().map(|node| Self::of(node, is_turned)).unzip();
            (plans, exact.into_iter().all(|exact| exact))
        };
        match (node, is_turned) {
            (Node::Not(inner), _) => Self::of(inner, !is_turned),
            (Node::All(list), false) | (Node::Any(list), true) => {
                let (plans, is_exact) = parts(list);
                (Self::all(plans), is_exact)
            }
            (Node::Any(list), false) | (Node::All(list), true) => {
                let (plans, is_exact) = parts(list);
                let lets_all = plans.iter().any(Self::lets_all);
                (if lets_all { Self::All(Vec::new()) } else { Self::Any(plans) }, is_exact)
            }
            (Node::Is(Condition::States(_) | Condition::Fact(..)), _) => {
                (Self::All(Vec::new()), false)
            }
            (Node::Is(condition), is_turned) => (Self::Is(condition, is_turned), true),
        }
    }

    fn all(plans: Vec<Self>) -> Self {
        Self::All(plans.into_iter().filter(|plan| !plan.lets_all()).collect())
    }

    fn lets_all(&self) -> bool {
        matches!(self, Self::All(list) if list.is_empty())
    }

    /// No program at all, if everything is let through.
    fn code(&self) -> Vec<u8> {
        let mut code = Code::default();
        if !self.lets_all() {
            let (accepted, refused) = (code.label(), code.label());
            self.write(&mut code, accepted, refused, accepted);
            code.bind(accepted);
            code.finish(refused);
        }
        code.bytes
    }

    /// Operations that go to `yes` or `no`, or on at their end, which is where `next` will be.
    fn write(&self, code: &mut Code, yes: Label, no: Label, next: Label) {
        let (list, is_any) = match self {
            Self::All(list) => (list, false),
            Self::Any(list) => (list, true),
            Self::Is(condition, false) => return write(condition, code, yes, no, next),
            Self::Is(condition, true) => return write(condition, code, no, yes, next),
        };
        let Some((last, others)) = list.split_last() else {
            return code.jump(if is_any { no } else { yes }, next);
        };
        for plan in others {
            let after = code.label();
            let (yes, no) = if is_any { (yes, after) } else { (after, no) };
            plan.write(code, yes, no, after);
            code.bind(after);
        }
        last.write(code, yes, no, next);
    }
}

fn write(condition: &Condition, code: &mut Code, yes: Label, no: Label, next: Label) {
    let is_local = |side: Side| side == Side::Local;
    let (kind, operand) = match *condition {
        Condition::Port(side, comparison, port) => {
            let (ge, le) = if is_local(side) { (op::S_GE, op::S_LE) } else { (op::D_GE, op::D_LE) };
            let (kind, is_turned) = match comparison {
                Comparison::GreaterOrEqual => (ge, false),
                Comparison::Less => (ge, true),
                Comparison::LessOrEqual => (le, false),
                Comparison::Greater => (le, true),
                // Not by the operation for it, which is of Linux 4.16.
                Comparison::Equal | Comparison::Unequal => {
                    let kind = if is_local(side) { op::S_COND } else { op::D_COND };
                    (kind, comparison == Comparison::Unequal)
                }
            };
            let operand = if comparison.is_of_equality() {
                host(0, 0, i32::from(port), &[])
            } else {
                // Another operation's head, in whose last field the port is.
                let mut operand = vec![0; 2];
                operand.extend(port.to_ne_bytes());
                operand
            };
            let (yes, no) = if is_turned { (no, yes) } else { (yes, no) };
            return code.test(kind, &operand, yes, no, next);
        }
        Condition::Address(side, net) => {
            let kind = if is_local(side) { op::S_COND } else { op::D_COND };
            let operand = match net {
                Net::V4 { address, prefix } => host(INET, prefix, -1, &address.to_be_bytes()),
                Net::V6 { address, prefix } => host(INET6, prefix, -1, &address.to_be_bytes()),
            };
            (kind, operand)
        }
        // An IPv6 network has addresses of IPv6 sockets only, and this one all of them.
        Condition::Family { is_v6 } => {
            let (yes, no) = if is_v6 { (yes, no) } else { (no, yes) };
            return code.test(op::S_COND, &host(INET6, 0, -1, &[0; 16]), yes, no, next);
        }
        Condition::Interface(index) => (op::DEV_COND, index.to_ne_bytes().to_vec()),
        Condition::Mark { mark, mask } => {
            (op::MARK_COND, [mark.to_ne_bytes(), mask.to_ne_bytes()].concat())
        }
        Condition::Cgroup(id) => (op::CGROUP_COND, id.to_ne_bytes().to_vec()),
        Condition::Autobound => (op::AUTO, Vec::new()),
        // Not part of any plan.
        Condition::States(_) | Condition::Fact(..) => return code.jump(yes, next),
    };
    code.test(kind, &operand, yes, no, next);
}

/// `struct inet_diag_hostcond`.
fn host(family: u8, prefix: u8, port: i32, address: &[u8]) -> Vec<u8> {
    let mut bytes = vec![family, prefix, 0, 0];
    bytes.extend(port.to_ne_bytes());
    bytes.extend(address);
    bytes
}

/// A place in the program that may not be known yet.
type Label = usize;

#[derive(Default)]
struct Code {
    bytes: Vec<u8>,
    /// Where each label is; those that are not bound yet lie behind.
    labels: Vec<usize>,
    /// Operations whose `no` is a label.
    jumps: Vec<(usize, Label)>,
}

impl Code {
    fn label(&mut self) -> Label {
        self.labels.push(usize::MAX);
        self.labels.len() - 1
    }

    fn bind(&mut self, label: Label) {
        if let Some(place) = self.labels.get_mut(label) {
            *place = self.bytes.len();
        }
    }

    /// If the test does not hold it goes to `no`, else on; from there to `yes` if that is not next.
    fn test(&mut self, kind: u8, operand: &[u8], yes: Label, no: Label, next: Label) {
        self.operation(kind, operand, no);
        self.jump(yes, next);
    }

    fn jump(&mut self, to: Label, next: Label) {
        if to != next {
            self.operation(op::JMP, &[], to);
        }
    }

    /// `struct inet_diag_bc_op` and what it is about.
    fn operation(&mut self, kind: u8, operand: &[u8], no: Label) {
        self.jumps.push((self.bytes.len(), no));
        // The longest has an IPv6 address, 28 bytes.
        let len = u8::try_from(4 + operand.len()).unwrap_or(u8::MAX);
        self.bytes.extend([kind, len, 0, 0]);
        self.bytes.extend(operand);
    }

    /// Puts in how far each jump goes. To refuse is to go four bytes beyond the end.
    fn finish(&mut self, refused: Label) {
        let len = self.bytes.len();
        if let Some(place) = self.labels.get_mut(refused) {
            *place = len + 4;
        }
        for (from, label) in &self.jumps {
            let to = self.labels.get(*label).copied().unwrap_or(len + 4);
            // A program that is too long for that is not used.
            let distance = u16::try_from(to - from).unwrap_or(u16::MAX);
            if let Some(field) = self.bytes.get_mut(from + 2..).and_then(<[u8]>::first_chunk_mut) {
                *field = distance.to_ne_bytes();
            }
        }
    }
}
