//! Scenario files: those that are delivered, what a key means, and what is said of a wrong one.

use std::path::PathBuf;

use super::*;
use crate::load::options::{ClientOptions, LoadOptions};
use crate::load::plan::plan;
use crate::load::quantity::{Bytes, Rate, Seconds};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/scenarios")
}

#[test]
fn every_workload_has_a_scenario_of_its_presets() {
    for workload in Workload::ALL {
        let scenario = read(&folder().join(format!("{}.toml", workload.name()))).unwrap();
        assert_eq!(scenario.workload, workload);
        let written = plan(workload, &scenario.options).unwrap();
        let preset = plan(workload, &Options::default()).unwrap();
        assert_eq!(written.settings, preset.settings, "{}", workload.name());
        assert_eq!(written.title, preset.title);
    }
}

#[test]
fn every_scenario_has_a_plan() {
    let mut files = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let scenario = read(&entry.unwrap().path()).unwrap();
        plan(scenario.workload, &scenario.options).unwrap();
        files += 1;
    }
    assert!(files >= Workload::ALL.len());
}

#[test]
fn keys_are_the_names_of_options_and_values_what_is_typed() {
    let text = "workload = 'connect'\nconnections = 7\nconnect_rate = '2k'\nwarm-up = '500ms'\nsize = 1_024\n\
                precision = 0.1\nsource = ['127.0.0.2', '127.0.0.3']\ncpus = '0-1'\nquiet = true\njson = 'a.json'\n";
    let scenario = parse(text).unwrap();
    assert_eq!(scenario.workload, Workload::Connect);
    let options = scenario.options;
    assert_eq!(options.load.subscribers, Some(7));
    assert_eq!(options.load.connect_rate, Some(Rate(2000.0)));
    assert_eq!(options.time.warm_up, Some(Seconds(0.5)));
    assert_eq!(options.load.size, Some(Bytes(1024)));
    assert_eq!(options.judgement.precision, Some(0.1));
    assert_eq!(options.client.source.as_ref().map(Vec::len), Some(2));
    assert_eq!(options.time.cpus.map(|cpus| cpus.0), Some(vec![0, 1]));
    assert_eq!(options.reports.quiet, Some(true));
    assert_eq!(options.reports.json, Some(PathBuf::from("a.json")));
    assert_eq!(options.load.rate, None);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let fanout = "workload = 'fanout'\n";
    for (rest, parts) in [
        ("rate =\n", ["line 2", ""]),
        (
            "\n# comment\nfrobnicate = 1\n",
            ["line 4", "no option frobnicate"],
        ),
        ("publishers = 0\n", ["line 2", "--publishers"]),
        ("publishers = -1\n", ["line 2", "--publishers"]),
        ("qos = 3\n", ["line 2", "--qos"]),
        ("rate = 'fast'\n", ["line 2", "50k"]),
        ("arrivals = 'bursts'\n", ["line 2", "constant, poisson"]),
        ("size = 64\nrate = 1\nquiet = 'x'\n", ["line 4", "--quiet"]),
        ("sub-qos = 1\nsub_qos = 1\n", ["line 3", "set twice"]),
        ("rate = 1\nrate = 2\n", ["line 3", ""]),
        ("[load]\nrate = 1\n", ["line 2", "no option load"]),
        ("rate = { a = 1 }\n", ["line 2", "a number, a text"]),
        ("help = true\n", ["line 2", "no option help"]),
    ] {
        let error = parse(&format!("{fanout}{rest}")).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{rest}: {error}");
        }
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    assert!(parse("rate = 1\n").unwrap_err().contains("no workload"));
    let unknown = parse("\nworkload = 'fan'\n").unwrap_err();
    assert!(unknown.contains("line 2") && unknown.contains("fanout, fanin"));
    let missing = read(Path::new("/nonexistent/a.toml")).unwrap_err();
    assert!(missing.starts_with("/nonexistent/a.toml: "), "{missing}");
}

#[test]
fn what_is_typed_comes_before_what_is_written() {
    let written = || parse("workload = 'fanout'\nrate = 500\nsize = 100\n").unwrap();
    let typed = Options {
        load: LoadOptions {
            size: Some(Bytes(200)),
            ..LoadOptions::default()
        },
        ..Options::default()
    };
    let options = written().with(typed);
    assert_eq!(
        (options.load.size, options.load.rate),
        (Some(Bytes(200)), Some(Rate(500.0)))
    );
    // A window is instead of the file's rate, not against it.
    let windowed = written().with(Options {
        load: LoadOptions {
            window: Some(8),
            ..LoadOptions::default()
        },
        ..Options::default()
    });
    assert_eq!((windowed.load.window, windowed.load.rate), (Some(8), None));
    assert!(plan(Workload::Fanout, &windowed).is_ok());
}

/// Any certificate is taken, or that of a CA: what is typed of it is instead of what the file says.
#[test]
fn whom_clients_trust_is_said_in_one_place() {
    let written = || parse("workload = 'fanout'\ninsecure = true\n").unwrap();
    let options = written().with(Options {
        client: ClientOptions {
            cafile: Some("ca.crt".into()),
            ..ClientOptions::default()
        },
        ..Options::default()
    });
    let client = &options.client;
    assert_eq!((client.insecure, client.cafile.is_some()), (None, true));
    let options = written().with(Options::default());
    assert_eq!(options.client.insecure, Some(true));
}
