//! One value by its form: from the file, the environment, or what was typed.
//!
//! In: TOML or text, and the form a key wants. Out: the checked value with the text that may be shown, or why it does not fit. It must not know
//! which key it is of.

use std::path::PathBuf;

use toml::de::DeValue;

use super::Value;
use crate::{
    config::{prices, schema::Form},
    human,
    safe_url::SafeUrl,
};

/// Reads one value by its form; returns it with the text that may be shown.
pub(super) fn read_value(form: Form, value: &DeValue<'_>) -> Result<(Value, String), String> {
    let quoted = |text: &str| format!("{text:?}");
    let read = match form {
        Form::Switch => {
            let switch = value.as_bool().ok_or_else(|| wrong(value))?;
            (Value::Switch(switch), switch.to_string())
        }
        Form::Count => {
            let count = integer(value)?;
            (Value::Count(count), count.to_string())
        }
        Form::Texts | Form::Argv | Form::Paths => {
            let texts = texts(value)?;
            if texts.is_empty() && form == Form::Argv {
                return Err("the list is empty".to_owned());
            }
            let shown = format!("{:?}", texts.iter().map(|text| redact(text)).collect::<Vec<_>>());
            let value = if form == Form::Paths {
                Value::Paths(texts.into_iter().map(PathBuf::from).collect())
            } else {
                Value::Texts(texts)
            };
            (value, shown)
        }
        Form::Argvs => {
            let items = value.as_array().ok_or_else(|| wrong(value))?;
            let argvs = items.iter().map(|item| texts(item.get_ref())).collect::<Result<Vec<_>, _>>()?;
            if argvs.iter().any(Vec::is_empty) {
                return Err("one of the lists is empty".to_owned());
            }
            let shown = format!("{argvs:?}");
            (Value::Argvs(argvs), shown)
        }
        Form::Amount => prices::amount(value)?,
        Form::Size if value.is_integer() => {
            let bytes = u64::from(integer(value)?);
            (Value::Bytes(bytes), bytes.to_string())
        }
        _ => {
            let text = value.as_str().ok_or_else(|| wrong(value))?;
            let value = from_text(form, text)?;
            let shown = match &value {
                Value::Url(url) => quoted(&url.redacted()),
                Value::Store(store) => quoted(&store.to_string()),
                _ => quoted(text),
            };
            (value, shown)
        }
    };
    Ok(read)
}

/// Reads the text of one value by its form, as the environment gives it too.
pub fn from_text(form: Form, text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(match form {
        Form::Url => Value::Url(text.parse()?),
        Form::Store => Value::Store(text.parse()?),
        Form::Path => Value::Path(PathBuf::from(text)),
        Form::Size => Value::Bytes(human::parse_bytes(text)?),
        Form::Rate => Value::Bytes(human::parse_rate(text)?),
        Form::Duration => Value::Duration(human::parse_duration(text)?),
        Form::Patience => Value::Duration(human::parse_patience(text)?),
        Form::Amount => prices::amount_of(text)?,
        Form::Percent => Value::Share(human::parse_percent(text)?),
        Form::Span => Value::Span(human::parse_span(text)?),
        Form::JobName => Value::JobName(text.parse()?),
        Form::Variable if !is_variable(text) => {
            return Err(format!(
                "'{text}' is not the name of an environment variable (and must not be the secret itself)"
            ));
        }
        Form::Text | Form::Variable => Value::Text(text.to_owned()),
        Form::Count | Form::Switch | Form::Texts | Form::Paths | Form::Argv | Form::Argvs => {
            return Err("it has the wrong form".to_owned());
        }
    })
}

/// Reads a value that stands outside the file (the environment, `--set`, a declared default): texts as they are, everything else as TOML.
///
/// # Errors
/// Why it does not fit its form.
pub fn from_layer(form: Form, text: &str) -> Result<(Value, String), String> {
    let is_structured =
        matches!(form, Form::Count | Form::Switch | Form::Texts | Form::Paths | Form::Argv | Form::Argvs);
    if is_structured {
        let parsed = DeValue::parse(text).map_err(|error| format!("{text:?} is not TOML: {}", error.message()))?;
        return read_value(form, parsed.get_ref());
    }
    let value = from_text(form, text)?;
    let shown = match &value {
        Value::Url(url) => format!("{:?}", url.redacted()),
        Value::Store(store) => format!("{:?}", store.to_string()),
        _ => format!("{text:?}"),
    };
    Ok((value, shown))
}

fn is_variable(text: &str) -> bool {
    !text.starts_with(|character: char| character.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn integer(value: &DeValue<'_>) -> Result<u32, String> {
    let integer = value.as_integer().ok_or_else(|| wrong(value))?;
    u32::from_str_radix(integer.as_str(), integer.radix())
        .map_err(|_| format!("{} is not between 0 and {}", integer.as_str(), u32::MAX))
}

fn texts(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let items = value.as_array().ok_or_else(|| wrong(value))?;
    items.iter().map(|item| item.get_ref().as_str().map(str::to_owned).ok_or_else(|| wrong(item.get_ref()))).collect()
}

fn wrong(value: &DeValue<'_>) -> String {
    format!("it is of type {}", value.type_str())
}

fn redact(text: &str) -> String {
    text.parse::<SafeUrl>().map_or_else(|_| text.to_owned(), |url| url.redacted())
}
