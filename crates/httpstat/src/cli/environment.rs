//! Wishes in the environment, under the names that the Python program of this name gave them.

use std::env;

/// What the variables `HTTPSTAT_…` ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Environment {
    /// The beginning of the body is part of the report.
    pub(crate) show_body: bool,
    /// Both ends of the socket are.
    pub(crate) show_ip: bool,
    /// The speed of both bodies is.
    pub(crate) show_speed: bool,
    /// The body goes into a temporary file.
    pub(crate) save_body: bool,
    /// The report is JSON.
    pub(crate) metrics_only: bool,
    /// The report shows everything.
    pub(crate) debug: bool,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            show_body: false,
            show_ip: true,
            show_speed: false,
            save_body: false,
            metrics_only: false,
            debug: false,
        }
    }
}

impl Environment {
    /// Reads the variables of this process, or says which one makes no sense.
    pub(crate) fn read() -> Result<Self, String> {
        Self::from_lookup(|name| Some(env::var_os(name)?.to_string_lossy().into_owned()))
    }

    fn from_lookup(look_up: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let mut environment = Self::default();
        for (name, wish, _) in environment.wishes() {
            let Some(value) = look_up(name).filter(|value| !value.is_empty()) else { continue };
            *wish = match value.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => true,
                "false" | "0" | "no" | "off" => false,
                _ => return Err(format!("{name} is \"{value}\"; write \"true\" or \"false\"")),
            };
        }
        Ok(environment)
    }

    /// The variables and their meaning, for the help.
    pub(crate) fn help() -> String {
        let mut text = "Environment, each \"true\" or \"false\":\n".to_owned();
        for (name, _, meaning) in Self::default().wishes() {
            text.push_str(&format!("  {name:<21}  {meaning}\n"));
        }
        text
    }

    fn wishes(&mut self) -> [(&'static str, &mut bool, &'static str); 6] {
        [
            ("HTTPSTAT_SHOW_BODY", &mut self.show_body, "show the first 1,023 bytes of the body"),
            ("HTTPSTAT_SHOW_IP", &mut self.show_ip, "show both ends of the socket [true]"),
            ("HTTPSTAT_SHOW_SPEED", &mut self.show_speed, "show the speed of both bodies"),
            ("HTTPSTAT_SAVE_BODY", &mut self.save_body, "save the body in a temporary file"),
            ("HTTPSTAT_METRICS_ONLY", &mut self.metrics_only, "the same as --format json"),
            ("HTTPSTAT_DEBUG", &mut self.debug, "the same as --verbose"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, String> {
        Environment::from_lookup(|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn wishes_are_read_by_name() {
        assert_eq!(read(&[]), Ok(Environment::default()));
        assert_eq!(read(&[("HTTPSTAT_DEBUG", "")]), Ok(Environment::default()));
        let wished = read(&[("HTTPSTAT_SHOW_IP", "False"), ("HTTPSTAT_SHOW_BODY", "TRUE")]);
        let expected = Environment { show_ip: false, show_body: true, ..Environment::default() };
        assert_eq!(wished, Ok(expected));
        let why = read(&[("HTTPSTAT_DEBUG", "maybe")]).unwrap_err();
        assert!(why.contains("HTTPSTAT_DEBUG") && why.contains("maybe"), "{why}");
    }
}
