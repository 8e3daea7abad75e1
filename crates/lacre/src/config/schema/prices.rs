//! The tables of what storage costs: for `lacre cost`.

use super::{Effect, Form, Shape, Table, key};

pub(super) const PRICES: Table = Table {
    name: "prices",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "Whose prices the [price.NAME] tables hold and of which day. `lacre cost` warns when they are more than 180 days old.",
    keys: &[
        key("currency", Form::Text, "Currency of every price; required."),
        key("date", Form::Text, "Day the prices were looked up, as 2026-04-30; required."),
        key("source", Form::Text, "Where they come from."),
    ],
    example: "currency = \"USD\"\ndate = \"2026-04-30\"\nsource = \"list prices of the providers\"",
};

pub(super) const PRICE: Table = Table {
    name: "price",
    shape: Shape::Named,
    effect: Effect::Acts,
    help: "What one store costs: [price.repository], or the name of a [[copy]]. What is not written costs nothing.",
    keys: &[
        key("storage", Form::Amount, "Price of a GB kept for a month."),
        key("unit", Form::Text, "What the provider calls a GB: \"GB\" (10^9 bytes) or \"GiB\" (2^30, as AWS does).")
            .default("GB"),
        key(
            "storage_days_min",
            Form::Count,
            "Days that an object is billed for at least, however early it is deleted.",
        )
        .default("0"),
        key("put", Form::Amount, "Price of 1,000 writes."),
        key("get", Form::Amount, "Price of 1,000 reads."),
        key("list", Form::Amount, "Price of 1,000 listings."),
        key("egress", Form::Amount, "Price of a GB that leaves the store."),
        key("fee", Form::Amount, "What is paid every month whatever is used."),
        key("free_storage", Form::Size, "Stored bytes that cost nothing."),
        key("free_egress", Form::Size, "Bytes a month that leave for nothing."),
        key("free_egress_share", Form::Percent, "Bytes a month that leave for nothing, as a share of what is stored."),
        key("free_put", Form::Count, "Writes a month that cost nothing."),
        key("free_get", Form::Count, "Reads a month that cost nothing."),
        key("free_list", Form::Count, "Listings a month that cost nothing."),
    ],
    example: "storage = 0.006\nget = 0.0004\nlist = 0.004\negress = 0.01\nfree_storage = \"10GB\"\nfree_egress_share = \"300%\"",
};
