//! Scenarios: a workload and its options in a TOML file, by the names of the command line.

use std::path::Path;

use serde::Deserialize;

use super::options::Options;
use super::workloads::Workload;

/// A file's content.
#[derive(Deserialize)]
struct Scenario {
    workload: String,
    /// What the file is about, for whoever reads it.
    #[serde(default)]
    #[allow(dead_code)]
    about: String,
    #[serde(default)]
    options: Options,
}

/// Reads a scenario; an error names the file and the line.
pub fn read(path: &Path) -> Result<(Workload, Options), String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// A scenario in a text.
pub fn parse(text: &str) -> Result<(Workload, Options), String> {
    let scenario: Scenario = toml::from_str(text).map_err(|error| error.to_string())?;
    let Some(workload) = Workload::by_name(&scenario.workload) else {
        let names: Vec<&str> = Workload::ALL
            .iter()
            .map(|workload| workload.name())
            .collect();
        return Err(format!(
            "workload {:?}: there are {}",
            scenario.workload,
            names.join(", ")
        ));
    };
    Ok((workload, scenario.options))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::plan::plan;
    use crate::load::quantity::{Rate, Seconds};

    #[test]
    fn options_have_the_names_of_the_command_line() {
        let text = "workload = \"pairs\"\n[options]\nrate = \"50k\"\nwarm-up = 1.5\nsub-qos = 1\nfind-max = true\n";
        let (workload, options) = parse(text).unwrap();
        assert_eq!(workload, Workload::Pairs);
        assert_eq!(options.rate, Some(Rate(50_000.0)));
        assert_eq!(options.warm_up, Some(Seconds(1.5)));
        assert_eq!((options.sub_qos, options.find_max), (Some(1), Some(true)));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let error = parse("workload = \"fanout\"\n[options]\nrat = 1\n").unwrap_err();
        assert!(error.contains("line 3") && error.contains("rat"), "{error}");
        let error = parse("workload = \"fanout\"\n[options]\nrate = \"fast\"\n").unwrap_err();
        assert!(error.contains("fast"), "{error}");
        assert!(
            parse("workload = \"x\"\n")
                .unwrap_err()
                .contains("fanout, fanin")
        );
        assert!(parse("").unwrap_err().contains("workload"));
    }

    /// The scenarios of the repository: one for each workload, and each can be planned.
    #[test]
    fn the_scenarios_that_come_along_are_right() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/scenarios");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let (workload, options) = read(&path).unwrap();
            plan(workload, &options).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            found.push(workload.name());
        }
        for workload in Workload::ALL {
            assert!(found.contains(&workload.name()), "{}", workload.name());
        }
    }
}
