//! firehose.conf(5), from the table of options.

use clap_mangen::roff::{Roff, bold, italic, roman};

use crate::cli::version;
use crate::config::manual::{self, Change, Explained};

const DESCRIPTION: [&str; 4] = [
    "The configuration of the broker, in the syntax of mosquitto.conf(5): one option a line, its name and its value with white \
     space between them. Lines that begin with # are comments. Options of a listener stand below the line that begins it; all \
     others may stand anywhere.",
    "The options of Mosquitto 2.1 have its names, units and defaults. One that is not honoured is named in a warning, and is an \
     error where going on without it would let somebody in. A name that nobody knows is an error.",
    "Sizes are bytes, or have K, M, G or T behind them (1024 times each).",
    "firehose serve -c FILE --test-config says what is in effect, with the line that it comes from. SIGHUP (systemctl reload \
     firehose) reads everything again, whole or not at all. What takes effect with a restart only is said with each option here, \
     and by the log after a reload.",
];

const EXAMPLE: [&str; 5] = [
    "listener 1883",
    "allow_anonymous true",
    "password_file /etc/firehose/passwords",
    "acl_file /etc/firehose/acl",
    "persistence true",
];

/// The page.
pub(super) fn page() -> Vec<u8> {
    let mut roff = Roff::default();
    let source = format!("firehose {}", version::NUMBER);
    let title = ["FIREHOSE.CONF", "5", version::DATE, &source, "firehose"];
    roff.control("TH", title);
    roff.control("SH", ["NAME"]);
    roff.text([roman(
        "firehose.conf - the configuration of firehose, an MQTT broker",
    )]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold("/etc/firehose/firehose.conf")]);
    roff.control("SH", ["DESCRIPTION"]);
    for (index, paragraph) in DESCRIPTION.into_iter().enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(paragraph)]);
    }
    roff.control("SH", ["OPTIONS"]);
    for chapter in manual::chapters() {
        roff.control("SS", [chapter.title]);
        for option in &chapter.options {
            explain(&mut roff, option);
        }
    }
    not_honoured(&mut roff);
    ending(&mut roff);
    roff.render().into_bytes()
}

fn explain(roff: &mut Roff, option: &Explained) {
    roff.control("TP", []);
    let value = italic(option.value.clone());
    roff.text([bold(option.name), roman(" "), value]);
    roff.text([roman(option.text.clone())]);
    roff.control("br", []);
    let mut line = format!("Default: {}.", option.default);
    if let Some(range) = &option.range {
        line.push_str(&format!(" Range: {range}."));
    }
    line.push_str(&format!(" About: {}. Takes effect with a ", option.scope));
    line.push_str(match option.change {
        Change::Reload => "reload.",
        Change::Restart => "restart.",
    });
    roff.text([roman(line)]);
    roff.control("br", []);
    roff.text([
        roman("Example: "),
        bold(option.name),
        roman(format!(" {}", option.example)),
    ]);
}

fn not_honoured(roff: &mut Roff) {
    let [warned, refused] = manual::not_honoured();
    roff.control("SH", ["NOT HONOURED"]);
    roff.text([roman(
        "Options of Mosquitto that have no effect here, and are warned of:",
    )]);
    roff.text([roman(format!("{}.", warned.join(", ")))]);
    roff.control("PP", []);
    roff.text([roman(
        "Options of Mosquitto that refuse the configuration, since what they ask for is not here and may keep somebody out:",
    )]);
    roff.text([roman(format!("{}.", refused.join(", ")))]);
}

fn ending(roff: &mut Roff) {
    roff.control("SH", ["FILES"]);
    for (file, what) in [
        (
            "/etc/firehose/firehose.conf",
            "what the unit of the package starts with",
        ),
        ("/etc/firehose/conf.d", "what it includes"),
        ("/var/lib/firehose", "where the unit's broker works"),
    ] {
        roff.control("TP", []);
        roff.text([bold(file)]);
        roff.text([roman(what)]);
    }
    roff.control("SH", ["EXAMPLES"]);
    roff.text([roman(
        "A public bus that everybody reads and that users feed, kept on the disk:",
    )]);
    roff.control("PP", []);
    roff.control("nf", []);
    for line in EXAMPLE {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.control("PP", []);
    roff.text([
        bold("firehose init"),
        roman(" writes a configuration with comments for one of three uses."),
    ]);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([
        bold("firehose-serve"),
        roman("(1), "),
        bold("firehose-check"),
        roman("(1), "),
        bold("firehose-passwd"),
        roman("(1), "),
        bold("mosquitto.conf"),
        roman("(5)"),
    ]);
}
