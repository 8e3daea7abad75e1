//! Connecting as libpq connects.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use lacre::driver::postgres::error::Error;
use lacre::driver::postgres::session::{Reactor, Session};
use lacre::driver::postgres::target::Target;

use super::memory::{dump, environment, target};
use crate::support::cluster::{Cluster, test_dir};

fn connect(target: &Target) -> Result<String, Error> {
    let session = Session::connect(&Reactor::start()?, target)?;
    Ok(session.value("asking", "select current_user || '@' || current_database()")?.unwrap())
}

/// Lets everybody in only with a password.
fn with_passwords(cluster: &Cluster) {
    cluster.sql(
        "postgres",
        "create role app login password 'pa:ss\\word'; create database d owner app; grant pg_read_all_data to app",
    );
    let file = cluster.sql("postgres", "show hba_file");
    std::fs::write(&file, "local all postgres trust\nlocal all all scram-sha-256\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n").unwrap();
    cluster.sql("postgres", "select pg_reload_conf()");
}

#[test]
fn passwords_come_from_where_libpq_takes_them_and_reach_the_children() {
    let cluster = Cluster::start();
    with_passwords(&cluster);
    let folder = test_dir("pass");
    let passfile = folder.path().join("pgpass");
    std::fs::write(&passfile, format!("127.0.0.1:{}:d:app:pa\\:ss\\\\word\n", cluster.port())).unwrap();
    std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(0o600)).unwrap();
    let url = format!("postgres://app@127.0.0.1:{}/d", cluster.port());
    let by_file = Target::resolve(&url, &environment(&[("PGPASSFILE", passfile.to_str().unwrap())])).unwrap();
    assert_eq!(connect(&by_file).unwrap(), "app@d");
    dump(&by_file).unwrap();
    let by_variable = Target::resolve(&url, &environment(&[("PGPASSWORD", "pa:ss\\word")])).unwrap();
    dump(&by_variable).unwrap();
    let refused = connect(&Target::resolve(&url, &environment(&[("PGPASSWORD", "wrong-one")])).unwrap()).unwrap_err();
    assert!(matches!(&refused, Error::AuthFailed { user, .. } if user == "app"), "{refused}");
    assert!(!refused.to_string().contains("wrong-one"));
    assert!(refused.hint().unwrap().contains(".pgpass"));
    let none = connect(&Target::resolve(&url, &environment(&[])).unwrap()).unwrap_err();
    assert!(matches!(none, Error::AuthFailed { .. }), "{none}");
    std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = Target::resolve(&url, &environment(&[("PGPASSFILE", passfile.to_str().unwrap())])).unwrap();
    assert_eq!(exposed.findings().len(), 1);
    assert!(connect(&exposed).is_err());
}

#[test]
fn the_first_host_that_answers_is_taken_and_a_missing_database_is_named() {
    let cluster = Cluster::start();
    let url = format!(
        "postgres://postgres@/postgres?host=/nonexistent,{}&port={}",
        cluster.sockets().display(),
        cluster.port()
    );
    assert_eq!(connect(&target(&url)).unwrap(), "postgres@postgres");
    let missing = connect(&target(&cluster.url("nothing"))).unwrap_err();
    assert!(matches!(&missing, Error::DatabaseMissing { database, .. } if database == "nothing"), "{missing}");
    let nobody = connect(&target("postgres://postgres@127.0.0.1:1/d?connect_timeout=2")).unwrap_err();
    assert!(matches!(nobody, Error::Unreachable { .. }), "{nobody}");
}

/// Makes an authority and a certificate for a name with the machine's openssl.
fn certificates(folder: &std::path::Path, name: &str) {
    let script = format!(
        "set -e; cd {folder}; \
         openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=authority 2>/dev/null; \
         openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN={name} 2>/dev/null; \
         printf 'subjectAltName=DNS:{name}\\nbasicConstraints=CA:FALSE\\n' > ext; \
         openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.crt 2>/dev/null; \
         openssl req -x509 -newkey rsa:2048 -nodes -keyout self.key -out self.crt -days 2 -subj /CN={name} -addext subjectAltName=DNS:{name} 2>/dev/null",
        folder = folder.display()
    );
    assert!(Command::new("sh").arg("-c").arg(script).status().unwrap().success());
}

#[test]
fn tls_proves_what_sslmode_promises() {
    let folder = test_dir("tls");
    certificates(folder.path(), "db.test");
    let cluster = Cluster::start();
    let data = cluster.sql("postgres", "show data_directory");
    let install = |certificate: &str, key: &str| {
        for (from, to) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = std::path::Path::new(&data).join(to);
            std::fs::copy(folder.path().join(from), &to).unwrap();
            std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
            let owner = std::fs::metadata(&data).unwrap();
            std::os::unix::fs::chown(
                &to,
                Some(std::os::unix::fs::MetadataExt::uid(&owner)),
                Some(std::os::unix::fs::MetadataExt::gid(&owner)),
            )
            .unwrap();
        }
        cluster.sql("postgres", "alter system set ssl = on");
        cluster.sql("postgres", "select pg_reload_conf()");
    };
    let try_with = |host: &str, rest: &str| {
        let url =
            format!("host={host} hostaddr=127.0.0.1 port={} user=postgres dbname=postgres {rest}", cluster.port());
        connect(&Target::resolve(&url, &environment(&[]))?)
    };
    let ca = format!("sslrootcert={}", folder.path().join("ca.crt").display());
    let own = format!("sslrootcert={}", folder.path().join("self.crt").display());
    let plain = try_with("db.test", "sslmode=require").unwrap_err();
    assert!(matches!(plain, Error::Tls { .. }), "{plain}");
    assert!(try_with("db.test", "sslmode=prefer").is_ok());
    install("server.crt", "server.key");
    assert!(try_with("other.test", "sslmode=require").is_ok());
    assert!(try_with("db.test", &format!("sslmode=verify-full {ca}")).is_ok());
    assert!(try_with("other.test", &format!("sslmode=verify-ca {ca}")).is_ok());
    let wrong_name = try_with("other.test", &format!("sslmode=verify-full {ca}")).unwrap_err();
    assert!(matches!(wrong_name, Error::Tls { .. }), "{wrong_name}");
    let wrong_issuer = try_with("db.test", &format!("sslmode=verify-ca {own}")).unwrap_err();
    assert!(matches!(wrong_issuer, Error::Tls { .. }), "{wrong_issuer}");
    assert!(
        try_with("db.test", &format!("sslmode=require {own}")).is_err(),
        "a root certificate makes require verify the issuer"
    );
    install("self.crt", "self.key");
    assert!(try_with("db.test", &format!("sslmode=verify-full {own}")).is_ok());
    assert!(try_with("other.test", &format!("sslmode=verify-full {own}")).is_err());
    assert!(try_with("db.test", &format!("sslmode=verify-full {ca}")).is_err());
}
