//! Whom we trust: the system's certificates, and those that an administrator laid down for one registry
//! (containers-certs.d(5), docker's `certs.d`).

use crate::error::{Context, Error, Result};
use crate::given;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem};

/// Where distributions keep their bundle.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
const MAX_BYTES: u64 = 16 << 20;

/// The configuration for a registry.
///
/// # Errors
/// Fails if a certificate that was laid down for the registry cannot be read.
pub fn config(registry: &str, directory: Option<&Path>, verify: bool) -> Result<TlsConfig> {
    let own = own_files(registry, directory)?;
    let mut roots = if verify { system_roots()? } else { Vec::new() };
    for file in &own.authorities {
        roots.extend(certificates(file)?);
    }
    if verify && roots.is_empty() {
        return Err(Error::new("no certificates of authorities are on this machine")
            .hint("install ca-certificates, or name a bundle by SSL_CERT_FILE"));
    }
    let client = match own.client {
        Some((certificate, key)) => {
            Some(ClientCert::new_with_certs(&certificates(&certificate)?, private_key(&key)?))
        }
        None => None,
    };
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots))
        .client_cert(client)
        .disable_verification(!verify)
        .build())
}

fn system_roots() -> Result<Vec<Certificate<'static>>> {
    if let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()) {
        return certificates(Path::new(&file)).context(|| "SSL_CERT_FILE");
    }
    for bundle in BUNDLES.map(Path::new) {
        if bundle.try_exists().unwrap_or(false) {
            return certificates(bundle);
        }
    }
    Ok(Vec::new())
}

#[derive(Default)]
struct Own {
    authorities: Vec<PathBuf>,
    client: Option<(PathBuf, PathBuf)>,
}

/// `*.crt` are authorities; `*.cert` with the `*.key` of the same name is ours.
fn own_files(registry: &str, directory: Option<&Path>) -> Result<Own> {
    let folders = match directory {
        Some(directory) => vec![directory.to_owned()],
        None => {
            let home = std::env::var_os("HOME")
                .filter(|home| !home.is_empty())
                .map(|home| PathBuf::from(home).join(".config/containers/certs.d"));
            let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
            home.into_iter().chain(system).map(|folder| folder.join(registry)).collect()
        }
    };
    let mut own = Own::default();
    for folder in folders {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(_) if directory.is_none() => continue,
            Err(error) => return Err(error).context(|| format!("--cert-dir {}", folder.display())),
        };
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        for file in files {
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => own.authorities.push(file),
                Some("cert") => own.client = Some((file.clone(), file.with_extension("key"))),
                _ => {}
            }
        }
        if !own.authorities.is_empty() || own.client.is_some() {
            break;
        }
    }
    Ok(own)
}

fn certificates(file: &Path) -> Result<Vec<Certificate<'static>>> {
    let pem = given::bytes(file, MAX_BYTES)?;
    let items = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
        Ok(_) => None,
        Err(error) => Some(Err(Error::new(error.to_string()).context(file.display().to_string()))),
    });
    items.collect()
}

fn private_key(file: &Path) -> Result<PrivateKey<'static>> {
    let pem = given::bytes(file, MAX_BYTES)?;
    let key = parse_pem(&pem).find_map(|item| match item {
        Ok(PemItem::PrivateKey(key)) => Some(key),
        _ => None,
    });
    key.ok_or_else(|| Error::new("no private key is in it").context(file.display().to_string()))
}
