//! Figures that are measured beside a population of sockets, in its network.

use std::process::Command;

use serde_json::Value;

use super::cost::{Cost, Trouble};
use crate::population::VARIABLE;

/// As large as the goal: the larger, the less the rest of a list counts.
const SOCKETS: usize = 100_000;

/// Measures the figure of this name where the population is: starts one, and this program again beside it,
/// unless it is there.
pub(super) fn population(
    name: &str,
    measure: impl FnOnce(usize) -> Result<Cost, Trouble>,
) -> Result<Cost, Trouble> {
    population_of(name, SOCKETS, measure)
}

/// The same beside so many sockets.
pub(super) fn population_of(
    name: &str,
    sockets: usize,
    measure: impl FnOnce(usize) -> Result<Cost, Trouble>,
) -> Result<Cost, Trouble> {
    if let Some(sockets) = std::env::var_os(VARIABLE) {
        let sockets = sockets.to_str().and_then(|sockets| sockets.parse().ok());
        return measure(
            sockets.ok_or_else(|| Trouble::Failed(format!("{VARIABLE} is no number")))?,
        );
    }
    let own = std::env::current_exe()?;
    let output = Command::new(&own)
        .args(["population", "--sockets", &sockets.to_string()])
        .arg(&own)
        .args(["bench", name, "--exact", "--json"])
        .output()?;
    let lines = String::from_utf8_lossy(&output.stdout);
    let of_figure = |line: &str| {
        let object: Value = serde_json::from_str(line).ok()?;
        (object["name"] == name).then_some(object)
    };
    let Some(object) = lines.lines().find_map(of_figure) else {
        let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if complaint.contains("cannot be made") {
            return Err(Trouble::Skipped("this user may not make a network namespace"));
        }
        return Err(Trouble::Failed(complaint));
    };
    let number = |key: &str| object[key].as_f64();
    let missing = || Trouble::Failed(format!("{object} is no figure"));
    let quartile = |place: usize| object["quartiles"][place].as_f64();
    Ok(Cost {
        value: number("ns").ok_or_else(missing)?,
        floor: number("floor_ns").ok_or_else(missing)?,
        spread: quartile(0).zip(quartile(1)).map(|(low, high)| [low, high]),
        allocs: number("allocs"),
    })
}
