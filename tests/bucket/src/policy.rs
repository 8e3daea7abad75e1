//! The policies that `docs/policies` recommends, filled in for a bucket: what a person would paste is what the test server enforces.

/// The part of every name that the policies of the tests are about: keys of roles may touch `lacre...` only.
pub const PREFIX: &str = "lacre";

/// The policy of a role (`backup`, `maintenance`, `restore`, `admin`) for one bucket.
///
/// # Panics
/// When there is no such policy.
#[must_use]
pub fn of_role(role: &str, bucket: &str) -> String {
    let text = match role {
        "backup" => include_str!("../../../docs/policies/backup.json"),
        "maintenance" => include_str!("../../../docs/policies/maintenance.json"),
        "restore" => include_str!("../../../docs/policies/restore.json"),
        "admin" => include_str!("../../../docs/policies/admin.json"),
        _ => panic!("no policy for {role}"),
    };
    assert!(text.contains("BUCKET") && text.contains("PREFIX"), "the policy for {role} names a bucket and a prefix");
    text.replace("BUCKET", bucket).replace("PREFIX", PREFIX)
}
