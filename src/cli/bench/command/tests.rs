//! Command lines of `firehose bench`, to what is to be done.

use clap::Parser;

use super::*;
use crate::load::quantity::Rate;
use crate::load::verdict;
use crate::load::worker::{OptionsOf, all_hints};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    bench: Bench,
}

fn typed(line: &str) -> Result<BenchCommand, String> {
    let arguments = std::iter::once("bench").chain(line.split_whitespace());
    let line = Line::try_parse_from(arguments).map_err(|error| error.to_string())?;
    line.bench.command()
}

fn planned(line: &str) -> Plan {
    match typed(line) {
        Ok(BenchCommand::Flat(plan)) => *plan,
        other => panic!("{line}: {other:?}"),
    }
}

fn help(line: &str) -> String {
    let arguments = std::iter::once("bench").chain(line.split_whitespace());
    Line::try_parse_from(arguments).unwrap_err().to_string()
}

#[test]
fn without_a_workload_it_is_fanout() {
    assert_eq!(planned("").workload, "fanout");
    let plan = planned("--subscribers 7 --rate 2k");
    assert_eq!((plan.workload, plan.job.subscribers.len()), ("fanout", 7));
    assert_eq!(plan.settings["rate"], "2000");
}

#[test]
fn the_canonical_run_is_short() {
    let seconds = |phase: &crate::load::job::Phase| match phase {
        crate::load::job::Phase::Step(step) => step.warm_up_s + step.seconds,
        _ => 0.0,
    };
    let plan = planned("");
    let all: f64 = plan.phases.iter().map(seconds).sum();
    assert!(all + plan.job.drain_s < 20.0, "{all}");
}

#[test]
fn every_workload_is_a_command_that_names_its_presets() {
    for workload in Workload::ALL {
        assert_eq!(planned(workload.name()).workload, workload.name());
        let text = help(&format!("{} --help", workload.name()));
        assert!(text.contains(workload.about()), "{text}");
        assert!(text.contains("Presets: --"), "{text}");
        for heading in ["Broker:", "Load:", "Time:", "Reports:"] {
            assert!(text.contains(heading), "{text}");
        }
        for option in ["rate", "messages", "scale"] {
            let listed = text.contains(&format!("--{option} <"));
            assert_eq!(listed, workload.uses(option), "--{option}: {text}");
        }
    }
    let all = help("--help");
    for name in Workload::ALL.map(Workload::name) {
        assert!(all.contains(&format!("  {name} ")), "{name}: {all}");
    }
    for name in ["stress", "run", "compare"] {
        assert!(all.contains(&format!("  {name} ")), "{name}: {all}");
    }
}

#[test]
fn a_scenario_is_run_with_options_over_it() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/scenarios");
    let plan = planned(&format!("run {folder}/pairs.toml --rate 77 --repeat 3"));
    assert_eq!((plan.workload, plan.repeat), ("pairs", 3));
    assert_eq!(plan.settings["rate"], Rate(77.0).to_string());
    assert_eq!(plan.settings["publishers"], "50");
    let error = typed(&format!("run {folder}/pairs.toml --publishers 3")).unwrap_err();
    assert!(
        error.contains("pairs.toml") && error.contains("as many"),
        "{error}"
    );
    let missing = typed("run /nonexistent.toml").unwrap_err();
    assert!(missing.starts_with("/nonexistent.toml: "), "{missing}");
}

#[test]
fn stress_and_compare_have_their_own_arguments() {
    let Ok(BenchCommand::Stress(args)) = typed("stress --pub-clients 3 --brief") else {
        panic!("no stress test")
    };
    assert_eq!((args.pub_clients, args.brief), (3, true));
    assert!(typed("stress --msg-size 3").unwrap_err().contains("24"));
    let Ok(BenchCommand::Compare { a, b, anyway }) = typed("compare a.json b.json") else {
        panic!("no comparison")
    };
    assert_eq!((a, b, anyway), ("a.json".into(), "b.json".into(), false));
}

#[test]
fn nonsense_is_refused() {
    for line in [
        "frobnicate",
        "--frobnicate",
        "--publishers 0",
        "--rate 5 fanin",
        "fanout --rate fast",
        "fanout --rate 5 --window 5",
        "fanout --window 5 --closed-loop",
        "fanout --arrivals bursts",
        "fanout --password p",
        "idle --find-max",
        "run",
        "compare a.json",
    ] {
        assert!(typed(line).is_err(), "{line}");
    }
}

/// What help says of a workload's defaults is what holds when nothing is typed, once for each option.
#[test]
fn the_defaults_of_a_workload_are_the_ones_shown() {
    let all = Work::augment_subcommands(Command::new("bench"));
    let own = Bench::augment_args(Command::new("bench"));
    let mut commands = vec![(Workload::Fanout, &own)];
    commands.extend(Workload::ALL.map(|workload| {
        let command = all.find_subcommand(workload.name()).unwrap();
        (workload, command)
    }));
    for (workload, command) in commands {
        let plan = planned(workload.name());
        let mut told = 0;
        for argument in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let name = argument.get_long().unwrap();
            let help = argument.get_help().unwrap().to_string();
            let Some((_, shown)) = help.split_once("[default: ") else {
                continue;
            };
            // Sentences say where a default comes from; what is a value is one word.
            let shown = shown.strip_suffix(']').unwrap();
            if let Some(holds) = plan.settings.get(name)
                && !shown.contains(' ')
            {
                assert_eq!(shown, holds, "--{name} of {}", workload.name());
                told += 1;
            }
        }
        assert!(told >= 5, "{}: {told}", workload.name());
        let text = help(&format!("{} --help", workload.name()));
        for (name, value) in &plan.settings {
            let line = format!("--{name} {value}");
            let presets = text.split("Presets: ").nth(1).unwrap();
            let is_other = presets.contains(&format!("--{name} ")) && !presets.contains(&line);
            assert!(!is_other, "{line}: {presets}");
        }
    }
}

/// Options in a text, without their dashes.
fn options_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter_map(|word| word.strip_prefix("--"))
}

/// A hint that names an option which is refused is worse than none.
#[test]
fn a_hint_names_only_options_that_the_command_has() {
    let mut command = Bench::augment_args(Command::new("bench"));
    command.build();
    let mut seen = 0;
    for command in command.get_subcommands() {
        let workload = Workload::by_name(command.get_name());
        let options = match command.get_name() {
            "stress" => OptionsOf::Stress,
            // Nothing is connected.
            "compare" | "help" => continue,
            _ => OptionsOf::Workload,
        };
        let of_workers = all_hints(options).into_iter();
        let publishes = workload.filter(|workload| workload.uses("publishers"));
        let of_figures = publishes.into_iter().flat_map(|_| verdict::all_hints());
        for hint in of_workers.chain(of_figures.map(str::to_owned)) {
            for name in options_in(&hint) {
                let is_there = command.get_arguments().any(|arg| {
                    arg.get_long_and_visible_aliases()
                        .is_some_and(|names| names.contains(&name))
                });
                let is_used = workload.is_none_or(|workload| workload.uses(name));
                assert!(is_there && is_used, "{}: {hint}", command.get_name());
                seen += 1;
            }
        }
    }
    assert!(seen > 12 * 20, "{seen}");
}
