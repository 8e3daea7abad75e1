//! The policies that `docs/policies` recommends, filled in for a bucket: what a person would paste is what the test server enforces.

use serde_json::Value;

/// The prefix the policies of the tests are about: keys of roles may touch `lacre/...` only.
pub const PREFIX: &str = "lacre";

/// The policy of a role (`backup`, `maintenance`, `restore`, `admin`) for one bucket, as the test server understands it.
///
/// SeaweedFS does not know the condition key `s3:if-none-match` and refuses what it does not know; this one condition is left out.
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
    let mut policy: Value = serde_json::from_str(text).expect("a policy is JSON");
    for statement in policy["Statement"].as_array_mut().expect("a policy has statements") {
        let statement = statement.as_object_mut().expect("a statement is an object");
        if statement.get("Condition").is_some_and(|condition| condition.get("Null").is_some()) {
            statement.remove("Condition");
        }
    }
    policy.to_string().replace("BUCKET", bucket).replace("PREFIX", PREFIX)
}
