//! What the kernel does with a program: `inet_diag_bc_audit` and `inet_diag_bc_run` of
//! `net/ipv4/inet_diag.c`, written anew from what they are documented to do. No code is shared with
//! the compiler.

/// A socket as the kernel compares it.
#[derive(Debug, Clone)]
pub(crate) struct Socket {
    pub(crate) is_v6: bool,
    pub(crate) source: [u8; 16],
    pub(crate) destination: [u8; 16],
    pub(crate) sport: u16,
    pub(crate) dport: u16,
    pub(crate) interface: u32,
    pub(crate) mark: u32,
    pub(crate) cgroup: u64,
    pub(crate) is_autobound: bool,
}

fn word(program: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(program[at..at + 4].try_into().unwrap())
}

fn short(program: &[u8], at: usize) -> usize {
    u16::from_ne_bytes(program[at..at + 2].try_into().unwrap()).into()
}

/// What the kernel refuses a program for; without `CAP_NET_ADMIN` one that asks for marks, too.
pub(crate) fn audit(program: &[u8], is_privileged: bool) -> Result<(), String> {
    if program.len() < 4 {
        return Err("shorter than an operation".into());
    }
    let mut starts = Vec::new();
    let mut at = 0;
    while at < program.len() {
        let left = program.len() - at;
        if left < 4 {
            return Err(format!("cut off at {at}"));
        }
        starts.push(at);
        let (code, yes, no) = (program[at], usize::from(program[at + 1]), short(program, at + 2));
        let mut least = 4;
        match code {
            0 | 1 | 6 => {}
            2..=5 | 11 | 12 => least += 4,
            7 | 8 => {
                least += 8;
                if left < least {
                    return Err(format!("host cut off at {at}"));
                }
                let bytes = match program[at + 4] {
                    0 => 0,
                    2 => 4,
                    10 => 16,
                    other => return Err(format!("family {other} at {at}")),
                };
                least += bytes;
                if usize::from(program[at + 5]) > 8 * bytes {
                    return Err(format!("prefix at {at}"));
                }
            }
            9 => least += 4,
            10 if !is_privileged => return Err("EPERM".into()),
            10 | 13 => least += 8,
            other => return Err(format!("code {other} at {at}")),
        }
        if left < least {
            return Err(format!("operand cut off at {at}"));
        }
        let is_bad = |to: usize| to < least || to > left + 4 || to & 3 != 0;
        if code != 0 && is_bad(no) || is_bad(yes) {
            return Err(format!("jump at {at}: {yes}, {no}"));
        }
        at += yes;
    }
    if at != program.len() {
        return Err("goes on beyond its end".into());
    }
    for at in &starts {
        let (code, to) = (program[*at], at + short(program, at + 2));
        if code != 0 && to < program.len() && !starts.contains(&to) {
            return Err(format!("jump into an operation at {at}"));
        }
    }
    Ok(())
}

/// Whether the kernel tells of the socket.
pub(crate) fn run(program: &[u8], socket: &Socket) -> bool {
    let mut at = 0;
    while at < program.len() {
        let holds = match program[at] {
            0 => true,
            1 => false,
            2 => usize::from(socket.sport) >= short(program, at + 6),
            3 => usize::from(socket.sport) <= short(program, at + 6),
            4 => usize::from(socket.dport) >= short(program, at + 6),
            5 => usize::from(socket.dport) <= short(program, at + 6),
            6 => socket.is_autobound,
            7 => is_host(program, at + 4, socket, &socket.source, socket.sport),
            8 => is_host(program, at + 4, socket, &socket.destination, socket.dport),
            9 => word(program, at + 4) == socket.interface,
            10 => socket.mark & word(program, at + 8) == word(program, at + 4),
            11 => usize::from(socket.sport) == short(program, at + 6),
            12 => usize::from(socket.dport) == short(program, at + 6),
            13 => {
                let id: [u8; 8] = program[at + 4..at + 12].try_into().unwrap();
                u64::from_ne_bytes(id) == socket.cgroup
            }
            other => panic!("operation {other}"),
        };
        at += if holds { program[at + 1].into() } else { short(program, at + 2) };
    }
    at == program.len()
}

fn is_host(program: &[u8], at: usize, socket: &Socket, address: &[u8; 16], port: u16) -> bool {
    let wanted_port = word(program, at + 4) as i32;
    if wanted_port != -1 && wanted_port != i32::from(port) {
        return false;
    }
    let (family, prefix) = (program[at], usize::from(program[at + 1]));
    let own = if socket.is_v6 { 10 } else { 2 };
    let starts_with = |address: &[u8]| {
        let wanted = &program[at + 8..];
        (0..prefix).all(|bit| {
            let of = |bytes: &[u8]| bytes[bit / 8] >> (7 - bit % 8) & 1;
            of(address) == of(wanted)
        })
    };
    if family != 0 && family != own {
        let is_mapped = address[..10] == [0; 10] && address[10..12] == [0xff; 2];
        return socket.is_v6 && family == 2 && is_mapped && starts_with(&address[12..]);
    }
    starts_with(address)
}
