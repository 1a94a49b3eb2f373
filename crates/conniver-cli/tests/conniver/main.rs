//! The command against the connections of this machine.

mod arguments;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod forms;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod lookup;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod scene;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod selection;
mod tool;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod unsupported;
