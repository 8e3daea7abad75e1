//! The sample application's database (`sample.sql`) and a day of its use (`day.sql`).

use crate::support::cluster::Cluster;

const SAMPLE_SQL: &str = include_str!("sample.sql");
const DAY_SQL: &str = include_str!("day.sql");

/// Strings that occur in the sample's rows, names or settings and so must occur in no stored object.
pub(crate) const TELLTALES: &[&str] = &[
    "@mail.example",
    "Guimarães",
    "birth_charts",
    "consent.granted",
    "a scanned birth certificate",
    "retention.days",
    "sagittarius",
    "\"retrograde\"",
];

/// Creates a database and fills it; at scale 1 it has 1,000 accounts and dumps to about 5 MB.
pub(crate) fn create(cluster: &Cluster, database: &str, scale: u32) {
    cluster.create_database(database);
    cluster.script(database, SAMPLE_SQL, &[("scale", &scale.to_string())]);
}

/// Plays one day: updates, appended rows, deletions. The same day on the same rows always gives the same rows.
pub(crate) fn day(cluster: &Cluster, database: &str, day: u32) {
    cluster.script(database, DAY_SQL, &[("day", &day.to_string())]);
}
