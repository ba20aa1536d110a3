//! Reports into files, each whole or not at all.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::{csv, hgrm, hlog, html, json};
use crate::load::result::Report;

/// Which reports go where; `-` is standard output, for one of `json` and `csv`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    pub json: Option<PathBuf>,
    pub csv: Option<PathBuf>,
    pub hgrm: Option<PathBuf>,
    pub hlog: Option<PathBuf>,
    pub html: Option<PathBuf>,
}

/// A format: where it goes, what writes it, and whether it may go to standard output.
type Format<'a> = (&'a Option<PathBuf>, fn(&Report) -> String, bool);

impl Files {
    fn formats(&self) -> [Format<'_>; 5] {
        [
            (&self.json, json::write, true),
            (&self.csv, csv::csv, true),
            (&self.hgrm, hgrm::hgrm, false),
            (&self.hlog, hlog::hlog, false),
            (&self.html, html::page, false),
        ]
    }

    /// Whether a report goes to standard output, where nothing else may go then.
    pub fn use_stdout(&self) -> bool {
        let mut formats = self.formats().into_iter();
        formats.any(|(path, ..)| path.as_deref().is_some_and(is_stdout))
    }

    /// Whether each report has a place of its own that it can go to; to be asked before a run.
    ///
    /// # Errors
    /// In words: what cannot go to standard output, or where two would go.
    pub fn check(&self) -> Result<(), String> {
        let mut taken: Vec<&Path> = Vec::new();
        for (path, _, stdout) in self.formats() {
            let Some(path) = path else {
                continue;
            };
            if is_stdout(path) && !stdout {
                return Err("only JSON and CSV can go to standard output (`-`)".to_owned());
            }
            if taken.contains(&path.as_path()) {
                return Err(format!("two reports would go to {}", path.display()));
            }
            taken.push(path);
        }
        Ok(())
    }
}

impl Files {
    /// Whether each report can be written where it is to go; to be asked before a run. Nothing is left there.
    ///
    /// # Errors
    /// Which cannot, and why.
    pub fn check_places(&self) -> Result<(), String> {
        self.check()?;
        let mut errors = Vec::new();
        for (path, ..) in self.formats() {
            let Some(path) = path.as_deref().filter(|path| !is_stdout(path)) else {
                continue;
            };
            if let Err(error) = probe(path) {
                errors.push(format!("{}: {error}", path.display()));
            }
        }
        match errors.is_empty() {
            true => Ok(()),
            false => Err(errors.join("; ")),
        }
    }
}

/// Writes what is asked for. A file that was there is replaced by a whole new one; one report that cannot be written
/// does not keep the others from being.
///
/// # Errors
/// Which files could not be written, and why.
pub fn write_all(report: &Report, files: &Files) -> Result<(), String> {
    files.check()?;
    let mut errors = Vec::new();
    for (path, write, _) in files.formats() {
        let Some(path) = path else {
            continue;
        };
        let text = write(report);
        let (name, result) = match is_stdout(path) {
            true => ("standard output".to_owned(), print(&text)),
            false => (path.display().to_string(), replace(path, &text)),
        };
        if let Err(error) = result {
            errors.push(format!("{name}: {error}"));
        }
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors.join("; ")),
    }
}

fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Where a report is written first, beside its file. `None` for what is no plain file (a device, a pipe): that is
/// written to as it is.
fn beside(path: &Path) -> Option<PathBuf> {
    let special = fs::metadata(path).is_ok_and(|m| !m.is_file());
    let name = path.file_name().filter(|_| !special)?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.new", std::process::id()));
    Some(path.with_file_name(beside))
}

/// Whether `replace` would succeed, as far as can be told.
fn probe(path: &Path) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let Some(beside) = beside(&path) else {
        // A pipe whose reader has not come yet would be waited for.
        return match fs::metadata(&path)?.file_type().is_fifo() {
            true => Ok(()),
            false => fs::OpenOptions::new().write(true).open(&path).map(drop),
        };
    };
    fs::write(&beside, "")?;
    fs::remove_file(&beside)
}

/// Writes beside the file, then renames.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // A link stays one: what it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let Some(beside) = beside(&path) else {
        return fs::write(&path, text);
    };
    let done = fs::write(&beside, text).and_then(|()| fs::rename(&beside, &path));
    if done.is_err() {
        // The error that matters is the first.
        let _ = fs::remove_file(&beside);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::sample;

    /// A folder that is gone at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("firehose-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let name = |e: io::Result<fs::DirEntry>| e.unwrap().file_name().into_string().unwrap();
            let mut names: Vec<String> = entries.map(name).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn all_in(folder: &Path, name: &str) -> Files {
        let file = |end: &str| Some(folder.join(format!("{name}.{end}")));
        Files {
            json: file("json"),
            csv: file("csv"),
            hgrm: file("hgrm"),
            hlog: file("hlog"),
            html: file("html"),
        }
    }

    #[test]
    fn what_is_asked_for_is_written_and_nothing_else_is_left() {
        let folder = Folder::new("reports");
        let report = sample::full();
        fs::write(folder.0.join("old.json"), "old").unwrap();
        std::os::unix::fs::symlink("old.json", folder.0.join("a.json")).unwrap();
        write_all(&report, &all_in(&folder.0, "a")).unwrap();
        write_all(&report, &Files::default()).unwrap();
        let names = ["a.csv", "a.hgrm", "a.hlog", "a.html", "a.json", "old.json"];
        assert_eq!(folder.names(), names);
        let text = fs::read_to_string(folder.0.join("old.json")).unwrap();
        assert_eq!(json::read(&text), Ok(report));
        assert!(
            fs::symlink_metadata(folder.0.join("a.json"))
                .unwrap()
                .is_symlink()
        );
    }

    #[test]
    fn an_error_names_the_file_and_the_others_are_written() {
        let folder = Folder::new("reports-wrong");
        let files = Files {
            json: Some(folder.0.join("no/folder.json")),
            csv: Some(folder.0.clone()),
            hgrm: Some(folder.0.join("a.hgrm")),
            html: Some(PathBuf::from("/dev/null")),
            ..Files::default()
        };
        // The same is known before there is anything to write.
        let early = files.check_places().unwrap_err();
        assert!(early.contains("no/folder.json: No such file"), "{early}");
        assert!(
            early.contains("; ") && early.contains("directory"),
            "{early}"
        );
        assert!(folder.names().is_empty());
        let error = write_all(&sample::connects(), &files).unwrap_err();
        assert!(error.contains("no/folder.json: No such file"), "{error}");
        assert!(
            error.contains("; ") && error.contains("directory"),
            "{error}"
        );
        assert_eq!(folder.names(), ["a.hgrm"]);
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn two_reports_do_not_share_a_place() {
        let at = |path: &str| Some(PathBuf::from(path));
        let both = Files {
            json: at("-"),
            csv: at("-"),
            ..Files::default()
        };
        assert_eq!(both.check(), Err("two reports would go to -".to_owned()));
        let html = Files {
            html: at("-"),
            ..Files::default()
        };
        assert!(html.check().unwrap_err().starts_with("only JSON and CSV"));
        let one = Files {
            json: at("-"),
            csv: at("a"),
            ..Files::default()
        };
        assert_eq!(one.check(), Ok(()));
    }

    /// For `tests/bench_formats.py`: the reports go where `FIREHOSE_REPORTS` says.
    #[test]
    fn reports_to_read() {
        let Ok(folder) = std::env::var("FIREHOSE_REPORTS") else {
            return;
        };
        fs::create_dir_all(&folder).unwrap();
        for (name, report) in [
            ("full", sample::full()),
            ("steady", sample::steady()),
            ("ramp", sample::ramp()),
            ("search", sample::search()),
            ("connects", sample::connects()),
        ] {
            let mut files = all_in(Path::new(&folder), name);
            files.html = None;
            write_all(&report, &files).unwrap();
        }
    }
}
