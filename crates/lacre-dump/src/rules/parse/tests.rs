//! Rules files, right and wrong.

use super::*;

const GOOD: &str = r#"
version = 1

[subject.user]
root = "app.users"
key = "id"
identifiers = ["email", "cpf"]

[[subject.user.table]]
name = "app.birth_charts"
action = "delete"

[[subject.user.table]]
name = "app.audit_logs"
via = "payload->>'user_id'"
when = { kind = "user", level = 3, "Done" = true }
action = "mask"
columns = { address = "null", note = "text:removed", payload = "json:address,request.ip", more = "json-remove:names.*" }

[[subject.user.table]]
name = "app.invoices"
via = ["tenant_id", "\"User\""]
to = "app.tenants"
to_columns = ["tenant", "id"]
action = "keep"
basis = "LGPD art. 16 I"
absent = "skip"

[sweep]
forms = ["raw", "hex"]
residue = "report"
other = "sweep"
"#;

fn problems(text: &str) -> Vec<String> {
    parse(text).expect_err(text).0.iter().map(ToString::to_string).collect()
}

#[test]
fn a_whole_file_is_read() {
    let rules = parse(GOOD).unwrap();
    assert_eq!(
        rules.sweep,
        SweepRules { forms: vec![Form::Raw, Form::Hex], residue: Residue::Report, other: Other::Sweep }
    );
    let user = rules.subject("user").unwrap();
    assert_eq!((user.root.to_string(), user.place), ("app.users".to_owned(), Place { line: 4, column: 10 }));
    assert_eq!((user.action, user.identifiers.len(), user.tables.len()), (Action::Delete, 2, 3));
    let [charts, audit, invoices] = user.tables.as_slice() else { panic!("three tables") };
    assert_eq!((charts.action, charts.place.line), (Action::Delete, 9));
    assert_eq!(audit.via[0].to_string(), "payload at user_id");
    assert_eq!(audit.when.len(), 3);
    assert_eq!(audit.columns.len(), 4);
    assert_eq!((invoices.via.len(), invoices.to_columns.len(), invoices.absent), (2, 2, Absent::Skip));
    assert_eq!(invoices.via[1].column, Identifier::new("User"));
}

#[test]
fn every_mistake_has_a_place_and_a_way_out() {
    let subject = "[subject.user]\nroot = \"app.users\"\nkey = \"id\"\n";
    for (text, expected) in [
        ("", &["1:1: there is no subject (write [subject.NAME] with root and key)"][..]),
        ("x = [", &["this is not TOML"]),
        (
            "subjct = 1\n[subject.a]\nroot=\"a.b\"\nkey=\"k\"",
            &["1:1: 'subjct' is not a key the file has (did you mean 'subject'?)"],
        ),
        ("[subject.a]\n", &["1:10: 'root' is missing (write root = ...)", "1:10: 'key' is missing"]),
        (
            "[subject.a]\nroot = \"users\"\nkey = [1]",
            &["2:8: 'users' is not the name of a table", "3:7: no column is named", "3:8: this must be text"],
        ),
        ("[subject.a]\nroot = \"a.b\"\nkey = \"k\"\naction = \"keep\"", &["1:10: the root cannot be 'keep'"]),
        ("version = 2\n[subject.a]\nroot = \"a.b\"\nkey = \"k\"", &["1:11: this version of the rules is not known"]),
    ] {
        let found = problems(text);
        assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} should contain {expected}");
        }
    }
    for (rule, expected) in [
        ("action = \"delte\"\nname = \"a.b\"", "5:10: 'delte' is not an action (did you mean 'delete'?)"),
        ("name = \"a.b\"", "4:1: a table's rule needs an action"),
        ("name = \"a.b\"\naction = \"keep\"", "4:1: rows of a person are kept without a reason"),
        ("name = \"a.b\"\naction = \"mask\"", "4:1: 'mask' changes no column"),
        ("name = \"a.b\"\naction = \"delete\"\ncolumns = { a = \"null\" }", "4:1: 'delete' changes no columns"),
        ("name = \"a.b\"\naction = \"delete\"\nbasis = \"x\"", "4:1: only action = \"keep\" has a basis"),
        ("name = \"a.b\"\naction = \"delete\"\nto = \"a.c\"", "4:1: 'when', 'to' and 'to_columns' need a 'via'"),
        ("name = \"a.b\"\naction = \"follow\"\nvia = \"a\"", "4:1: 'follow' leaves it to the foreign keys"),
        ("name = \"a.b\"\naction = \"delete\"\nvia = \"a b\"", "7:7: 'a b' is neither a column nor a place in JSON"),
        (
            "name = \"a.b\"\naction = \"mask\"\ncolumns = { a = \"hash\" }",
            "7:17: 'hash' does not say what the column becomes",
        ),
        (
            "name = \"a.b\"\naction = \"mask\"\ncolumns = { a = \"json:x..y\" }",
            "7:17: 'json:x..y' holds something that is no path",
        ),
        (
            "name = \"a.b\"\naction = \"delete\"\nviaa = \"a\"",
            "7:1: 'viaa' is not a key a table's rule has (did you mean 'via'?)",
        ),
        (
            "name = \"a.b\"\naction = \"delete\"\nabsent = \"skp\"",
            "7:10: 'skp' is not what an absent table does (did you mean 'skip'?)",
        ),
    ] {
        let found = problems(&format!("{subject}[[subject.user.table]]\n{rule}"));
        assert!(found.iter().any(|found| found.contains(expected)), "{found:?} should contain {expected}");
    }
}

#[test]
fn problems_are_bounded() {
    let many: String = (0..5000).map(|at| format!("k{at} = 1\n")).collect();
    assert_eq!(problems(&many).len(), RULE_PROBLEMS_MAX);
    assert_eq!(problems(&" ".repeat(RULES_BYTES_MAX + 1)).len(), 1);
}
