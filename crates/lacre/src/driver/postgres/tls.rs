//! TLS as `sslmode` promises it.
//!
//! In: the TLS half of a target. Out: a configuration for rustls. The verifiers differ from the library's only where libpq promises
//! less (`require` believes anyone, `verify-ca` ignores the name) or more (a self-signed server certificate that is itself the trusted root).

use std::{fs::File, io::BufReader, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::{
    error::{Error, Result},
    target::{Roots, SslMode, Tls},
};

/// Builds the configuration for one target.
///
/// # Errors
/// [`Error::ConnectionFile`] for certificates that cannot be read, [`Error::Tls`] for those that cannot be used.
pub fn client_config(tls: &Tls) -> Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = verifier(tls, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificates(certificate, "sslcert")?, private_key(key)?)
            .map_err(|error| unusable(&format!("client certificate: {error}")))?,
    };
    if tls.direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(config)
}

fn unusable(why: &str) -> Error {
    Error::Tls { target: "server".to_owned(), why: why.to_owned() }
}

/// Chooses what is proved: nothing, the issuer, or issuer and name.
fn verifier(tls: &Tls, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    let proof = match (tls.mode, &tls.roots) {
        (SslMode::VerifyFull, _) => Proof::IssuerAndName,
        (SslMode::VerifyCa, _) | (SslMode::Require, Roots::File(_)) => Proof::Issuer,
        _ => return Ok(Arc::new(Anyone { provider: Arc::clone(provider) })),
    };
    let roots = match &tls.roots {
        Roots::File(path) => certificates(path, "sslrootcert")?,
        Roots::System => rustls_native_certs::load_native_certs().certs,
        Roots::None => Vec::new(),
    };
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(roots.iter().cloned());
    if added == 0 {
        return Err(unusable("no trusted root certificate could be read"));
    }
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
        .build()
        .map_err(|error| unusable(&error.to_string()))?;
    Ok(Arc::new(Issued { inner, roots, proof }))
}

fn certificates(path: &Path, role: &'static str) -> Result<Vec<CertificateDer<'static>>> {
    let refused = |why: String| Error::ConnectionFile { path: path.to_owned(), role, why };
    let file = File::open(path).map_err(|error| refused(error.to_string()))?;
    let found: std::io::Result<Vec<_>> = rustls_pemfile::certs(&mut BufReader::new(file)).collect();
    let found = found.map_err(|error| refused(error.to_string()))?;
    if found.is_empty() { Err(refused("it holds no PEM certificate".to_owned())) } else { Ok(found) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let refused = |why: String| Error::ConnectionFile { path: path.to_owned(), role: "sslkey", why };
    let file = File::open(path).map_err(|error| refused(error.to_string()))?;
    rustls_pemfile::private_key(&mut BufReader::new(file))
        .map_err(|error| refused(error.to_string()))?
        .ok_or_else(|| refused("it holds no unencrypted PEM private key".to_owned()))
}

/// Believes any certificate but still checks that the server holds its key: `sslmode=require` and below.
#[derive(Debug)]
struct Anyone {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What has to hold besides the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Issuer,
    IssuerAndName,
}

/// Checks the chain, and the name when asked.
#[derive(Debug)]
struct Issued {
    inner: Arc<WebPkiServerVerifier>,
    roots: Vec<CertificateDer<'static>>,
    proof: Proof,
}

impl ServerCertVerifier for Issued {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let error = match self.inner.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Ok(verified) => return Ok(verified),
            Err(error) => error,
        };
        match &error {
            // The library looks at the name only after the chain, so this error says that the chain is good.
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) if self.proof == Proof::Issuer => Ok(ServerCertVerified::assertion()),
            // A self-signed server certificate given as its own root is marked as an authority. Its dates were checked before this
            // error, and being one of the roots is all the chain there is.
            rustls::Error::InvalidCertificate(CertificateError::Other(other))
                if other.to_string().contains("CaUsedAsEndEntity")
                    && self.roots.iter().any(|root| root.as_ref() == end_entity.as_ref()) =>
            {
                if self.proof == Proof::IssuerAndName {
                    verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            _ => Err(error),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
