//! What is true of a database besides what `pg_dump` writes into an archive.
//!
//! In: a session. Out: [`DatabaseFacts`], which travel in the snapshot as flat text and come back at a restore. Everything a restore needs to
//! make the same database again is here: encoding, locale, owner, rights, settings, comment, labels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    error::{Error, Result},
    quote,
    session::Session,
    tools::Version,
};

/// One right granted on the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who granted it.
    pub grantor: String,
    /// Who has it; `None` is everybody.
    pub grantee: Option<String>,
    /// `CONNECT`, `CREATE` or `TEMPORARY`.
    pub privilege: String,
    /// The holder may pass it on.
    pub grantable: bool,
}

/// One `ALTER DATABASE ... SET` or `ALTER ROLE ... IN DATABASE ... SET`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseSetting {
    /// The role it is for; `None` is everybody.
    pub role: Option<String>,
    /// Name of the setting.
    pub name: String,
    /// Its value as the catalogue holds it.
    pub value: String,
}

/// An extension that is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The schema its objects lie in.
    pub schema: String,
}

/// A security label of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityLabel {
    /// The module that defines the label.
    pub provider: String,
    /// The label.
    pub label: String,
}

/// Properties of one database and of the server it lives on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DatabaseFacts {
    /// `server_version` as the server says it.
    pub server_version: String,
    /// `server_version_num`.
    pub server_number: i64,
    /// The server is a standby.
    pub in_recovery: bool,
    /// Name.
    pub name: String,
    /// Owner.
    pub owner: String,
    /// Encoding, by name.
    pub encoding: String,
    /// `LC_COLLATE`.
    pub collate: String,
    /// `LC_CTYPE`.
    pub ctype: String,
    /// `c` (libc), `i` (ICU) or `b` (built in).
    pub locale_provider: String,
    /// Locale of the ICU or built-in provider.
    pub locale: Option<String>,
    /// Extra ICU rules.
    pub icu_rules: Option<String>,
    /// Version of the collation library when the database was made.
    pub collation_version: Option<String>,
    /// Default tablespace.
    pub tablespace: String,
    /// Most sessions at once; -1 is no limit.
    pub connection_limit: i64,
    /// Anybody may copy it.
    pub is_template: bool,
    /// Comment.
    pub comment: Option<String>,
    /// Rights; `None` means the built-in default.
    pub grants: Option<Vec<Grant>>,
    /// Settings of the database and of roles in it.
    pub settings: Vec<DatabaseSetting>,
    /// Security labels.
    pub labels: Vec<SecurityLabel>,
    /// Extensions.
    pub extensions: Vec<Extension>,
    /// Server settings that matter when the database is brought up elsewhere.
    pub server_settings: BTreeMap<String, String>,
    /// `pg_database_size`, bytes; 0 when the role may not ask.
    pub size_bytes: u64,
}

/// Server settings worth keeping: they change what text means, what a restore needs, or what an application expects.
const SERVER_SETTINGS: &[&str] = &[
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "autovacuum",
    "block_size",
    "data_checksums",
    "default_table_access_method",
    "default_text_search_config",
    "default_toast_compression",
    "default_transaction_isolation",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "maintenance_work_mem",
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_size",
    "password_encryption",
    "server_encoding",
    "session_preload_libraries",
    "shared_buffers",
    "shared_preload_libraries",
    "standard_conforming_strings",
    "wal_level",
    "work_mem",
];

impl DatabaseFacts {
    /// Reads everything from the database a session is connected to.
    ///
    /// # Errors
    /// Those of the session.
    pub fn gather(session: &Session) -> Result<Self> {
        let doing = "reading the database's properties";
        let server_number = session.number(doing, "SHOW server_version_num")?;
        let mut facts = Self { server_number, ..Self::default() };
        facts.server_version = session.value(doing, "SHOW server_version")?.unwrap_or_default();
        facts.in_recovery = session.value(doing, "SELECT pg_catalog.pg_is_in_recovery()")?.as_deref() == Some("t");
        facts.read_database(session)?;
        facts.read_lists(session)?;
        let names: Vec<String> = SERVER_SETTINGS.iter().map(|name| quote::literal(&name.to_lowercase())).collect();
        let sql = format!(
            "SELECT name, setting || coalesce(unit, '') FROM pg_catalog.pg_settings WHERE lower(name) IN ({})",
            names.join(",")
        );
        for row in session.rows(doing, &sql)? {
            if let [Some(name), Some(value)] = row.as_slice() {
                facts.server_settings.insert(name.clone(), value.clone());
            }
        }
        // Only those who may connect may ask for the size; the estimate is for progress and room, so its absence costs no data.
        let size = "SELECT CASE WHEN pg_catalog.has_database_privilege(current_database(), 'CONNECT') THEN pg_catalog.pg_database_size(current_database()) ELSE 0 END";
        facts.size_bytes = u64::try_from(session.number(doing, size)?).unwrap_or(0);
        Ok(facts)
    }

    fn read_database(&mut self, session: &Session) -> Result<()> {
        let doing = "reading the database's properties";
        let number = self.server_number;
        let provider = if number >= 150_000 { "d.datlocprovider::text" } else { "'c'" };
        let locale = match number {
            170_000.. => "d.datlocale",
            150_000.. => "d.daticulocale",
            _ => "NULL",
        };
        let rules = if number >= 160_000 { "d.daticurules" } else { "NULL" };
        let version = if number >= 150_000 { "d.datcollversion" } else { "NULL" };
        let sql = format!(
            "SELECT d.datname, pg_catalog.pg_get_userbyid(d.datdba), pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, \
             {provider}, {locale}, {rules}, {version}, t.spcname, d.datconnlimit, d.datistemplate, \
             pg_catalog.shobj_description(d.oid, 'pg_database'), d.datacl IS NULL \
             FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = current_database()"
        );
        let row = session.rows(doing, &sql)?.into_iter().next().unwrap_or_default();
        let at = |index: usize| row.get(index).cloned().flatten();
        let text = |index: usize| at(index).unwrap_or_default();
        self.name = text(0);
        self.owner = text(1);
        self.encoding = text(2);
        self.collate = text(3);
        self.ctype = text(4);
        self.locale_provider = text(5);
        self.locale = at(6);
        self.icu_rules = at(7);
        self.collation_version = at(8);
        self.tablespace = text(9);
        self.connection_limit = text(10).parse().unwrap_or(-1);
        self.is_template = text(11) == "t";
        self.comment = at(12);
        self.grants = (text(13) == "f").then(Vec::new);
        Ok(())
    }

    fn read_lists(&mut self, session: &Session) -> Result<()> {
        let doing = "reading the database's rights and settings";
        let grants = "SELECT pg_catalog.pg_get_userbyid(a.grantor), CASE WHEN a.grantee <> 0 THEN pg_catalog.pg_get_userbyid(a.grantee) END, \
                      a.privilege_type, a.is_grantable FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a \
                      WHERE d.datname = current_database()";
        for row in session.rows(doing, grants)? {
            if let (Some(list), [Some(grantor), grantee, Some(privilege), grantable]) =
                (&mut self.grants, row.as_slice())
            {
                let grantable = grantable.as_deref() == Some("t");
                list.push(Grant {
                    grantor: grantor.clone(),
                    grantee: grantee.clone(),
                    privilege: privilege.clone(),
                    grantable,
                });
            }
        }
        let settings = "SELECT CASE WHEN s.setrole <> 0 THEN pg_catalog.pg_get_userbyid(s.setrole) END, c \
                        FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c \
                        WHERE s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) ORDER BY 1 NULLS FIRST";
        for row in session.rows(doing, settings)? {
            if let [role, Some(pair)] = row.as_slice()
                && let Some((name, value)) = pair.split_once('=')
            {
                self.settings.push(DatabaseSetting {
                    role: role.clone(),
                    name: name.to_owned(),
                    value: value.to_owned(),
                });
            }
        }
        let labels = "SELECT provider, label FROM pg_catalog.pg_shseclabel WHERE classoid = 'pg_catalog.pg_database'::pg_catalog.regclass \
                      AND objoid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())";
        for row in session.rows(doing, labels)? {
            if let [Some(provider), Some(label)] = row.as_slice() {
                self.labels.push(SecurityLabel { provider: provider.clone(), label: label.clone() });
            }
        }
        let extensions = "SELECT e.extname, e.extversion, n.nspname FROM pg_catalog.pg_extension e \
                          JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace ORDER BY 1";
        for row in session.rows(doing, extensions)? {
            if let [Some(name), Some(version), Some(schema)] = row.as_slice() {
                self.extensions.push(Extension {
                    name: name.clone(),
                    version: version.clone(),
                    schema: schema.clone(),
                });
            }
        }
        Ok(())
    }

    /// The server's version.
    pub fn server(&self) -> Version {
        Version::from_number(self.server_number)
    }

    /// Flattens the facts into names and values for the snapshot's root.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        let mut put = |name: &str, value: &str| drop(map.insert(name.to_owned(), value.to_owned()));
        put("server.version", &self.server_version);
        put("server.version_num", &self.server_number.to_string());
        put("server.in_recovery", &self.in_recovery.to_string());
        put("database.name", &self.name);
        put("database.owner", &self.owner);
        put("database.encoding", &self.encoding);
        put("database.collate", &self.collate);
        put("database.ctype", &self.ctype);
        put("database.locale_provider", &self.locale_provider);
        put("database.tablespace", &self.tablespace);
        put("database.connection_limit", &self.connection_limit.to_string());
        put("database.is_template", &self.is_template.to_string());
        put("database.size_bytes", &self.size_bytes.to_string());
        put("database.settings", &json(&self.settings));
        put("database.labels", &json(&self.labels));
        put("database.extensions", &json(&self.extensions));
        for (name, value) in [
            ("database.locale", &self.locale),
            ("database.icu_rules", &self.icu_rules),
            ("database.collation_version", &self.collation_version),
            ("database.comment", &self.comment),
        ] {
            if let Some(value) = value {
                put(name, value);
            }
        }
        if let Some(grants) = &self.grants {
            put("database.grants", &json(grants));
        }
        for (name, value) in &self.server_settings {
            put(&format!("setting.{name}"), value);
        }
        map
    }

    /// Reads what [`DatabaseFacts::to_map`] wrote; unknown names are left alone.
    ///
    /// # Errors
    /// [`Error::NotRestorable`] when a name that every snapshot of a database has is missing or a list cannot be read.
    pub fn from_map(map: &BTreeMap<String, String>) -> Result<Self> {
        let need = |name: &str| {
            map.get(name).cloned().ok_or_else(|| {
                Error::NotRestorable(format!("it does not record {name}; it is not one of a PostgreSQL database"))
            })
        };
        let number = |name: &str, otherwise: i64| map.get(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
        let grants = map.get("database.grants").map(|text| list(text)).transpose()?;
        Ok(Self {
            server_version: need("server.version")?,
            server_number: number("server.version_num", 0),
            in_recovery: map.get("server.in_recovery").is_some_and(|text| text == "true"),
            name: need("database.name")?,
            owner: need("database.owner")?,
            encoding: need("database.encoding")?,
            collate: need("database.collate")?,
            ctype: need("database.ctype")?,
            locale_provider: map.get("database.locale_provider").cloned().unwrap_or_else(|| "c".to_owned()),
            locale: map.get("database.locale").cloned(),
            icu_rules: map.get("database.icu_rules").cloned(),
            collation_version: map.get("database.collation_version").cloned(),
            tablespace: map.get("database.tablespace").cloned().unwrap_or_else(|| "pg_default".to_owned()),
            connection_limit: number("database.connection_limit", -1),
            is_template: map.get("database.is_template").is_some_and(|text| text == "true"),
            comment: map.get("database.comment").cloned(),
            grants,
            settings: map.get("database.settings").map(|text| list(text)).transpose()?.unwrap_or_default(),
            labels: map.get("database.labels").map(|text| list(text)).transpose()?.unwrap_or_default(),
            extensions: map.get("database.extensions").map(|text| list(text)).transpose()?.unwrap_or_default(),
            server_settings: map
                .iter()
                .filter_map(|(name, value)| Some((name.strip_prefix("setting.")?.to_owned(), value.clone())))
                .collect(),
            size_bytes: u64::try_from(number("database.size_bytes", 0)).unwrap_or(0),
        })
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("lists of strings and flags are always JSON")
}

fn list<T: for<'de> Deserialize<'de>>(text: &str) -> Result<Vec<T>> {
    serde_json::from_str(text).map_err(|error| Error::NotRestorable(format!("a recorded list cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_survive_the_journey_through_a_map() {
        let facts = DatabaseFacts {
            server_version: "15.18".to_owned(),
            server_number: 150_018,
            name: "a \"b\"".to_owned(),
            owner: "o".to_owned(),
            encoding: "UTF8".to_owned(),
            collate: "C".to_owned(),
            ctype: "C".to_owned(),
            locale_provider: "c".to_owned(),
            tablespace: "pg_default".to_owned(),
            connection_limit: 7,
            is_template: true,
            comment: Some("it's".to_owned()),
            grants: Some(vec![Grant {
                grantor: "o".to_owned(),
                grantee: None,
                privilege: "CONNECT".to_owned(),
                grantable: false,
            }]),
            settings: vec![DatabaseSetting {
                role: Some("r".to_owned()),
                name: "search_path".to_owned(),
                value: "\"$user\", a".to_owned(),
            }],
            server_settings: [("wal_level".to_owned(), "replica".to_owned())].into(),
            size_bytes: 5,
            ..DatabaseFacts::default()
        };
        assert_eq!(DatabaseFacts::from_map(&facts.to_map()).unwrap(), facts);
        assert!(DatabaseFacts::from_map(&BTreeMap::new()).is_err());
    }
}
