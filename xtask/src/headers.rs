//! `cargo xtask headers`: where each field lies, against the C headers of its own system.
//!
//! The compiler of the PyPI package `ziglang` carries the headers of all of them. A member's place
//! is a `_Static_assert` on a line of its own, so that the line of a complaint names the field. C
//! cannot ask where a bit field lies: there all its bits are set in a structure of zeros, and the
//! optimizer's constant shows them.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use tcpinfo::System;
use tcpinfo::fields::{Bits, Field};
use tcpinfo::native::{
    apple::AppleTcpInfo, apple_socket::AppleSocketInfo, freebsd::FreeBsdTcpInfo,
    linux::LinuxTcpInfo, mptcp::MptcpInfo, netbsd::NetBsdTcpInfo, openbsd::OpenBsdTcpInfo,
};

use crate::tools::{printed, skipped, target_dir};

#[derive(clap::Args)]
pub(crate) struct Args {}

struct Header {
    system: System,
    /// The structure, as the schema and as C call it.
    structure: &'static str,
    c_type: &'static str,
    includes: &'static str,
    /// As zig names them: word sizes and byte orders that differ.
    targets: &'static [&'static str],
    /// How long the structure is, and how much of it this row checks.
    len: usize,
    member: fn(&Field) -> Member,
    /// Members that are read without being fields, and their places.
    more: &'static [(&'static str, usize, usize)],
}

/// What the header calls a field.
enum Member {
    Path(String),
    /// One bit of a member, which the header names by a constant.
    Flag(&'static str, String),
}

const BSD: &str = "#include <sys/types.h>\n#include <sys/socket.h>\n#include <netinet/in.h>\n\
                   #include <netinet/tcp.h>\n";

const WINDOWS: &str = "#define _WIN32_WINNT 0x0A00\n#define NTDDI_VERSION 0x0A000010\n\
                       #include <winsock2.h>\n#include <ws2tcpip.h>\n#include <mstcpip.h>\n";

const LINUX_TARGETS: &[&str] = &["x86_64-linux-gnu", "x86-linux-gnu", "s390x-linux-gnu"];

const MACOS_TARGETS: &[&str] = &["aarch64-macos", "x86_64-macos"];

const HEADERS: &[Header] = &[
    Header {
        system: System::Linux,
        structure: "tcp_info",
        c_type: "struct tcp_info",
        includes: "#include <linux/tcp.h>\n",
        targets: LINUX_TARGETS,
        len: LinuxTcpInfo::KNOWN_LEN,
        member: linux,
        more: &[],
    },
    Header {
        system: System::Linux,
        structure: "mptcp_info",
        c_type: "struct mptcp_info",
        includes: "#include <linux/mptcp.h>\n",
        targets: LINUX_TARGETS,
        len: MptcpInfo::KNOWN_LEN,
        member: |field| Member::Path(format!("mptcpi_{}", field.name)),
        more: &[],
    },
    Header {
        system: System::Apple,
        structure: "tcp_connection_info",
        c_type: "struct tcp_connection_info",
        includes: BSD,
        targets: MACOS_TARGETS,
        len: AppleTcpInfo::KNOWN_LEN,
        member: apple,
        more: &[],
    },
    Header {
        system: System::Apple,
        structure: "socket_fdinfo",
        c_type: "struct socket_fdinfo",
        includes: "#include <sys/types.h>\n#include <sys/proc_info.h>\n",
        targets: MACOS_TARGETS,
        len: AppleSocketInfo::KNOWN_LEN,
        member: apple_socket,
        more: &[
            ("psi.soi_proto.pri_in.insi_fport", 264, 4),
            ("psi.soi_proto.pri_in.insi_lport", 268, 4),
            ("psi.soi_proto.pri_in.insi_faddr.ina_6", 296, 16),
            ("psi.soi_proto.pri_in.insi_laddr.ina_6", 312, 16),
            ("psi.soi_proto.pri_in.insi_faddr.ina_46.i46a_addr4", 296 + 12, 4),
            ("psi.soi_proto.pri_in.insi_laddr.ina_46.i46a_addr4", 312 + 12, 4),
        ],
    },
    windows("TCP_INFO_v0", 88),
    windows("TCP_INFO_v1", 136),
    windows("TCP_INFO_v2", 152),
    Header {
        system: System::FreeBsd,
        structure: "tcp_info",
        c_type: "struct tcp_info",
        includes: BSD,
        targets: &["x86_64-freebsd", "powerpc64-freebsd"],
        len: FreeBsdTcpInfo::KNOWN_LEN,
        member: prefixed,
        more: &[],
    },
    Header {
        system: System::NetBsd,
        structure: "tcp_info",
        c_type: "struct tcp_info",
        includes: BSD,
        targets: &["x86_64-netbsd", "aarch64_be-netbsd"],
        len: NetBsdTcpInfo::KNOWN_LEN,
        member: prefixed,
        more: &[],
    },
    Header {
        system: System::OpenBsd,
        structure: "tcp_info",
        c_type: "struct tcp_info",
        includes: BSD,
        targets: &["x86_64-openbsd", "x86-openbsd"],
        len: OpenBsdTcpInfo::KNOWN_LEN,
        member: prefixed,
        more: &[],
    },
];

const fn windows(c_type: &'static str, len: usize) -> Header {
    Header {
        system: System::Windows,
        structure: "TCP_INFO",
        c_type,
        includes: WINDOWS,
        targets: &["x86_64-windows-gnu", "x86-windows-gnu"],
        len,
        member: |field| Member::Path(field.name.to_owned()),
        more: &[],
    }
}

fn prefixed(field: &Field) -> Member {
    Member::Path(format!("tcpi_{}", field.name))
}

/// On a listening socket the kernel keeps its queue in the members of segments.
fn linux(field: &Field) -> Member {
    match field.name {
        "accept_queue" => Member::Path("tcpi_unacked".to_owned()),
        "accept_queue_limit" => Member::Path("tcpi_sacked".to_owned()),
        _ => prefixed(field),
    }
}

fn apple(field: &Field) -> Member {
    match field.name.strip_prefix("flags.") {
        Some(flag) => Member::Flag("tcpi_flags", format!("TCPCI_FLAG_{flag}")),
        None => prefixed(field),
    }
}

fn apple_socket(field: &Field) -> Member {
    Member::Path(match field.name.split_once('_') {
        Some(("insi", _)) => format!("psi.soi_proto.pri_tcp.tcpsi_ini.{}", field.name),
        Some(("tcpsi", _)) => format!("psi.soi_proto.pri_tcp.{}", field.name),
        _ => format!("psi.{}", field.name),
    })
}

pub(crate) fn run(Args {}: &Args) -> ExitCode {
    let zig = match Zig::get() {
        Ok(zig) => zig,
        Err(why) => return skipped(&why),
    };
    println!("{:26} {:18} {:>7}  header", "structure", "target", "checked");
    let mut mismatches = 0;
    let mut left_out = Vec::new();
    for header in HEADERS {
        for target in header.targets {
            print!("{:26} {target:18} ", format!("{} {}", header.system, header.short()));
            match header.compare(&zig, target) {
                Ok(found) => {
                    println!("{found}");
                    mismatches += found.mismatches.len();
                    if found.no_type {
                        left_out.push(format!("{target}'s header has no {}", header.short()));
                    }
                }
                Err(why) => {
                    println!("failed: {why}");
                    mismatches += 1;
                }
            }
        }
    }
    for why in left_out {
        println!("skipped: {why}");
    }
    if mismatches == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("the decoders and the headers disagree in {mismatches} places");
    ExitCode::FAILURE
}

/// What a comparison with one header found.
#[derive(Default)]
struct Found {
    checked: usize,
    no_type: bool,
    /// The structure's length, where it is not ours.
    other_len: Option<String>,
    missing: Vec<String>,
    mismatches: Vec<String>,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.no_type {
            return write!(f, "{:>7}  has no such structure", 0);
        }
        write!(f, "{:>7}  ", self.checked)?;
        f.write_str(if self.mismatches.is_empty() { "agrees" } else { "DISAGREES" })?;
        if let Some(len) = &self.other_len {
            write!(f, ", of another length: {len}")?;
        }
        if !self.missing.is_empty() {
            write!(f, ", has no {}", self.missing.join(", "))?;
        }
        self.mismatches.iter().try_for_each(|mismatch| write!(f, "\n    {mismatch}"))
    }
}

impl Header {
    fn short(&self) -> &str {
        self.c_type.trim_start_matches("struct ")
    }

    fn fields(&self) -> impl Iterator<Item = &'static Field> + '_ {
        tcpinfo::schema().filter(|field| {
            (field.system, field.structure) == (self.system, self.structure)
                && field.offset + field.width <= self.len
        })
    }

    fn compare(&self, zig: &Zig, target: &str) -> Result<Found, String> {
        let c_type = self.c_type;
        let mut source = Source::new(self.includes);
        source.line(&format!("_Static_assert(sizeof({c_type}) == {}, \"size\");", self.len));
        let size_line = source.lines;
        let mut members = Vec::new();
        let mut bit_fields = Vec::new();
        for field in self.fields() {
            let (path, width, flag) = match ((self.member)(field), field.bits) {
                (Member::Path(path), None) => (path, field.width, None),
                (Member::Path(path), Some(bits)) => {
                    source.line(&format!(
                        "unsigned long long is_there_{}({c_type} *s) {{ return s->{path}; }}",
                        source.lines
                    ));
                    bit_fields.push((source.lines, path, field, bits));
                    continue;
                }
                (Member::Flag(member, constant), Some(bits)) if bits.len == 1 => {
                    (member.to_owned(), field.width, Some((constant, bits.shift)))
                }
                (Member::Flag(..), _) => return Err(format!("{} is no flag", field.name)),
            };
            source.member(c_type, &path, field.offset, width, flag.as_ref());
            members.push((source.lines, path));
        }
        for (path, offset, width) in self.more {
            source.member(c_type, path, *offset, *width, None);
            members.push((source.lines, (*path).to_owned()));
        }

        let complaints = zig.complaints(target, &source.text)?;
        let mut found = Found::default();
        for complaint in &complaints {
            if complaint.line == size_line {
                match complaint.kind {
                    Kind::Assertion => found.other_len = Some(complaint.text.clone()),
                    Kind::NoSuchName => found.no_type = true,
                    Kind::Other => return Err(complaint.text.clone()),
                }
            } else if complaint.kind == Kind::Other && !found.no_type {
                return Err(format!("line {}: {}", complaint.line, complaint.text));
            }
        }
        if found.no_type {
            return Ok(found);
        }
        let of_line = |line| complaints.iter().filter(move |complaint| complaint.line == line);
        let is_missing = |line| of_line(line).any(|complaint| complaint.kind == Kind::NoSuchName);
        for (line, path) in &members {
            if is_missing(*line) {
                found.missing.push(path.clone());
                continue;
            }
            found.checked += 1;
            found.mismatches.extend(of_line(*line).map(|why| format!("{path}: {}", why.text)));
        }
        let (missing, there): (Vec<_>, Vec<_>) =
            bit_fields.into_iter().partition(|(line, ..)| is_missing(*line));
        found.missing.extend(missing.into_iter().map(|(_, path, ..)| path));
        found.checked += there.len();
        self.compare_bits(zig, target, &there, &mut found)?;
        // A header of another version has fewer members, or more than we know.
        if found.other_len.is_some() && found.missing.is_empty() {
            let len = found.other_len.take().unwrap_or_default();
            found.mismatches.push(format!("length: {len}"));
        }
        Ok(found)
    }

    fn compare_bits(
        &self,
        zig: &Zig,
        target: &str,
        bit_fields: &[(usize, String, &Field, Bits)],
        found: &mut Found,
    ) -> Result<(), String> {
        if bit_fields.is_empty() {
            return Ok(());
        }
        let c_type = self.c_type;
        let mut source = Source::new(self.includes);
        for (line, path, field, _) in bit_fields {
            let (offset, width) = (field.offset, field.width);
            source.line(&format!(
                "unsigned long long bits_{line}(void) {{ {c_type} s; __builtin_memset(&s, 0, \
                 sizeof s); s.{path} = ~0; unsigned char word[{width}]; __builtin_memcpy(word, \
                 (char *)&s + {offset}, {width}); unsigned long long bytes = 0; for (int i = 0; \
                 i < {width}; i++) bytes = bytes << 8 | word[i]; return bytes; }}"
            ));
        }
        let constants = zig.constants(target, &source.text)?;
        for (line, path, field, Bits { shift, len, .. }) in bit_fields {
            let name = format!("bits_{line}");
            let Some((_, word)) = constants.iter().find(|(function, _)| *function == name) else {
                return Err(format!("{path}: the compiler did not make a constant of it"));
            };
            // The bytes came as a big-endian machine numbers them.
            let bits = ((1u64 << len) - 1) << shift;
            let word_bits = 8 * field.width as u32;
            let big = ((1u64 << len) - 1) << (word_bits - shift - len);
            let expected = match zig.is_big_endian(target)? {
                true => big,
                false => bits.swap_bytes() >> (u64::BITS - word_bits),
            };
            if *word != expected {
                found.mismatches.push(format!("{path}: bytes {word:#x} instead of {expected:#x}"));
            }
        }
        Ok(())
    }
}

/// A C file of which each line is known by its number.
struct Source {
    text: String,
    lines: usize,
}

impl Source {
    fn new(includes: &str) -> Self {
        let text = format!("#include <stddef.h>\n{includes}");
        let lines = text.lines().count();
        Self { text, lines }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        self.lines += 1;
    }

    fn member(
        &mut self,
        c_type: &str,
        path: &str,
        offset: usize,
        width: usize,
        flag: Option<&(String, u32)>,
    ) {
        let mut line = format!(
            "_Static_assert(offsetof({c_type}, {path}) == {offset}, \"offset\"); \
             _Static_assert(sizeof((({c_type} *)0)->{path}) == {width}, \"width\");"
        );
        if let Some((constant, shift)) = flag {
            let _ = write!(line, " _Static_assert({constant} == 1u << {shift}, \"{constant}\");");
        }
        self.line(&line);
    }
}

struct Zig {
    python: PathBuf,
    directory: PathBuf,
}

impl Zig {
    /// The compiler, installed from PyPI among what is built if it is not there yet.
    fn get() -> Result<Self, String> {
        let directory = target_dir("headers");
        let venv = directory.join("venv");
        let zig = Self { python: venv.join("bin/python"), directory };
        if zig.version().is_err() {
            eprintln!("installing ziglang, 430 MB, in {}", venv.display());
            printed(Command::new("python3").args(["-m", "venv"]).arg(&venv))
                .map_err(|why| format!("`python3 -m venv`: {why}"))?;
            printed(Command::new(&zig.python).args(["-m", "pip", "install", "-q", "ziglang"]))
                .map_err(|why| format!("`pip install ziglang`: {why}"))?;
        }
        let version = zig.version()?;
        println!("the headers of zig {}\n", version.trim());
        Ok(zig)
    }

    fn version(&self) -> Result<String, String> {
        printed(self.zig().arg("version"))
    }

    fn zig(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-m", "ziglang"]);
        command.env("ZIG_GLOBAL_CACHE_DIR", self.directory.join("cache"));
        command.env("ZIG_LOCAL_CACHE_DIR", self.directory.join("cache"));
        command
    }

    fn compile(&self, target: &str, source: &str) -> Result<(Command, PathBuf), String> {
        let file = self.directory.join("layout.c");
        fs::write(&file, source).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut command = self.zig();
        command.current_dir(&self.directory).args(["cc", "-target", target, "-w", "-g0"]);
        Ok((command, file))
    }

    /// What the compiler has against a file, line by line.
    fn complaints(&self, target: &str, source: &str) -> Result<Vec<Complaint>, String> {
        let (mut command, file) = self.compile(target, source)?;
        // Of no use but that zig, asked for less, builds a C library first.
        command.args(["-c", "-o", "layout.o", "-ferror-limit=0", "layout.c"]);
        let output =
            command.output().map_err(|error| format!("{}: {error}", self.python.display()))?;
        let log = String::from_utf8_lossy(&output.stderr);
        let complaints = complaints(&log);
        if !output.status.success() && complaints.is_empty() {
            let why = log.lines().find(|line| line.contains("error")).unwrap_or("no reason given");
            return Err(format!("{}: {why}", file.display()));
        }
        Ok(complaints)
    }

    /// The constant that each function of a file returns.
    fn constants(&self, target: &str, source: &str) -> Result<Vec<(String, u64)>, String> {
        let (mut command, _) = self.compile(target, source)?;
        printed(command.args(["-O2", "-S", "-emit-llvm", "-o", "layout.ll", "layout.c"]))?;
        let file = self.directory.join("layout.ll");
        let code = fs::read_to_string(&file).map_err(|why| format!("{}: {why}", file.display()))?;
        Ok(returned_constants(&code))
    }

    fn is_big_endian(&self, target: &str) -> Result<bool, String> {
        let order = "unsigned long long order(void) { return __BYTE_ORDER__; }\n";
        match self.constants(target, order)?.as_slice() {
            [(_, 4321)] => Ok(true),
            [(_, 1234)] => Ok(false),
            other => Err(format!("{target}: byte order {other:?}")),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Complaint {
    line: usize,
    kind: Kind,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    NoSuchName,
    Assertion,
    Other,
}

/// `layout.c:7:16: error: static assertion failed …`, with the note that tells both numbers.
fn complaints(log: &str) -> Vec<Complaint> {
    let mut complaints: Vec<Complaint> = Vec::new();
    for line in log.lines() {
        let Some((place, text)) = line
            .split_once(": error: ")
            .or_else(|| line.split_once(": fatal error: ").or_else(|| line.split_once(": note: ")))
        else {
            continue;
        };
        if let (true, Some(numbers)) =
            (line.contains(": note: "), text.strip_prefix("expression evaluates to "))
        {
            if let Some(last) = complaints.last_mut() {
                last.text = format!("{} {numbers}", last.text);
            }
            continue;
        }
        if line.contains(": note: ") {
            continue;
        }
        let number = place.rsplit(':').nth(1).filter(|_| place.contains("layout.c:"));
        let kind = match text {
            _ if text.starts_with("static assertion failed") => Kind::Assertion,
            _ if ["no member named", "undeclared identifier", "incomplete type"]
                .iter()
                .any(|no_such| text.contains(no_such)) =>
            {
                Kind::NoSuchName
            }
            _ => Kind::Other,
        };
        let text = match kind {
            Kind::Assertion => text.rsplit(": ").next().unwrap_or(text),
            _ => text,
        };
        let line = number.and_then(|number| number.parse().ok()).unwrap_or_default();
        complaints.push(Complaint { line, kind, text: text.to_owned() });
    }
    complaints
}

/// `define … @name(…) … {`, and in its body `ret i64 N`.
fn returned_constants(code: &str) -> Vec<(String, u64)> {
    let mut constants = Vec::new();
    let mut function = None;
    for line in code.lines() {
        if line.starts_with("define ") {
            function = line.split_once('@').and_then(|(_, rest)| rest.split('(').next());
        } else if let Some(number) = line.trim().strip_prefix("ret i64 ") {
            let number = number.split(',').next().and_then(|number| number.parse::<i64>().ok());
            if let (Some(function), Some(number)) = (function.take(), number) {
                constants.push((function.to_owned(), number as u64));
            }
        }
    }
    constants
}
