//! What people see.

use serde_json::json;

use super::table::{Column, Table, fields};

#[test]
fn columns_are_as_wide_as_their_longest_cell() {
    let columns = [
        Column::text("CLIENT", "client_id"),
        Column::number("BYTES", "bytes"),
        Column::yes_no("MAY READ", "may_read"),
    ];
    let mut table = Table::new(&columns);
    table.add(&json!({"client_id": "a", "bytes": 1234567, "may_read": true}));
    table.add(&json!({"client_id": "a long name", "bytes": 1, "may_read": null}));
    assert_eq!(
        table.lines(),
        [
            "CLIENT         BYTES  MAY READ",
            "a            1234567  yes",
            "a long name        1  -",
        ]
    );
}

/// A client cannot write into another's row.
#[test]
fn names_stay_in_their_cell() {
    let columns = [Column::text("CLIENT", "client_id")];
    let mut table = Table::new(&columns);
    table.add(&json!({"client_id": "a\nroot \u{1b}[2J\u{202e}"}));
    let line = &table.lines()[1];
    assert!(
        line.chars()
            .all(|letter| letter.is_ascii_graphic() || letter == ' '),
        "{line}"
    );
}

#[test]
fn one_thing_is_shown_field_by_field() {
    let object =
        json!({"client_id": "a", "will": {"topic": "t"}, "list": [{"qos": 1}], "none": null});
    assert_eq!(
        fields(&object),
        [
            "client_id   a",
            "list.0.qos  1",
            "none        -",
            "will.topic  t",
        ]
    );
}
