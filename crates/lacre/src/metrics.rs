//! Metrics in the text format of Prometheus: for node_exporter's textfile collector and for the daemon's `/metrics`.
//!
//! In: named numbers. Out: text, or a file that is replaced as a whole. Padded sizes, counts and times only: nothing here is a function
//! of a source's content that a snapshot's label does not show already.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is, with its unit.
    pub help: &'static str,
    /// Labels.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: f64,
}

impl Metric {
    /// Makes a metric without labels.
    pub fn new(name: &'static str, help: &'static str, value: f64) -> Metric {
        Metric { name, help, labels: Vec::new(), value }
    }

    /// Adds a label.
    pub fn with(mut self, label: &'static str, value: impl Into<String>) -> Metric {
        self.labels.push((label, value.into()));
        self
    }
}

/// Writes the metrics, those of one name together.
pub fn text(metrics: &[Metric]) -> String {
    let mut by_name: BTreeMap<&str, Vec<&Metric>> = BTreeMap::new();
    for metric in metrics {
        by_name.entry(metric.name).or_default().push(metric);
    }
    let mut text = String::new();
    for (name, metrics) in by_name {
        let help = metrics.first().map_or("", |metric| metric.help);
        write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n").expect("writing to a string cannot fail");
        for metric in metrics {
            let labels: Vec<String> =
                metric.labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            writeln!(text, "{name}{labels} {}", metric.value).expect("writing to a string cannot fail");
        }
    }
    text
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Replaces a file as a whole; the collector, which is another user, may read it.
///
/// # Errors
/// Those of the file.
pub fn write_file(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("it is no file"))?.to_string_lossy();
    // The collector reads `*.prom` only, so it never sees this one.
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
            file.sync_all()
        });
    let named = written.and_then(|()| fs::rename(&temporary, path));
    if named.is_err() {
        // What could not be finished must not stay behind; if it cannot be removed either, the error above says why.
        drop(fs::remove_file(&temporary));
    }
    named
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::{Metric, text, write_file};

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let snapshots = |job: &str, value| Metric::new("lacre_snapshots", "Live snapshots.", value).with("job", job);
        let all = [snapshots("a\"b", 3.0), Metric::new("lacre_ok", "All is well.", 1.0), snapshots("c", 1e12)];
        let expected = "# HELP lacre_ok All is well.\n# TYPE lacre_ok gauge\nlacre_ok 1\n\
            # HELP lacre_snapshots Live snapshots.\n# TYPE lacre_snapshots gauge\n\
            lacre_snapshots{job=\"a\\\"b\"} 3\nlacre_snapshots{job=\"c\"} 1000000000000\n";
        assert_eq!(text(&all), expected);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_readable_for_the_collector() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lacre.prom");
        write_file(&path, "old\n").unwrap();
        write_file(&path, "new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_file(&folder.path().join("no/such/file.prom"), "x").is_err());
    }
}
