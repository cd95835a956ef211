//! The HTTP client: connections, certificates and proxies.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, Once},
    time::Duration,
};

use reqwest::{Client, ClientBuilder, redirect};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, pem::PemObject},
};

use rustls_platform_verifier::BuilderVerifierExt;

use crate::ArchiveError;

/// Redirects followed for one request.
const MOST_REDIRECTS: usize = 5;

/// What a client needs to know.
pub struct ClientSettings<'a> {
    /// The longest time until there is a connection.
    pub connect_timeout: Duration,
    /// The longest time without a byte.
    pub read_timeout: Duration,
    /// How it introduces itself.
    pub user_agent: &'a str,
    /// Whether it is meant for HTTPS, so that missing certificates are an error.
    pub https: bool,
}

/// A client that honours `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, and takes its
/// certificate authorities from `SSL_CERT_FILE` and `SSL_CERT_DIR`, else from the system.
///
/// # Errors
///
/// [`ArchiveError::Client`] for certificates or proxies that cannot be used.
pub fn client(settings: &ClientSettings<'_>) -> Result<Client, ArchiveError> {
    client_with(settings, environment_roots())
}

/// The authorities that the environment names, if it names any.
fn environment_roots() -> Option<Result<RootCertStore, ArchiveError>> {
    let file = env::var_os("SSL_CERT_FILE").filter(|value| !value.is_empty());
    let dirs = env::var_os("SSL_CERT_DIR").filter(|value| !value.is_empty());
    (file.is_some() || dirs.is_some()).then(|| {
        let dirs: Vec<PathBuf> = dirs.iter().flat_map(env::split_paths).collect();
        named_roots(file.as_deref().map(Path::new), &dirs)
    })
}

/// What TLS connections that are no requests take: the same certificate authorities as [`client`].
///
/// # Errors
///
/// [`ArchiveError::Client`] for certificates that cannot be used.
pub fn tls_config() -> Result<ClientConfig, ArchiveError> {
    install_provider();
    let unusable = |error: rustls::Error| ArchiveError::Client {
        why: error.to_string(),
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    match environment_roots() {
        Some(roots) => Ok(builder.with_root_certificates(roots?).with_no_client_auth()),
        None => Ok(builder
            .with_platform_verifier()
            .map_err(unusable)?
            .with_no_client_auth()),
    }
}

/// `roots`: the authorities named by the environment; `None` for the system's.
fn client_with(
    settings: &ClientSettings<'_>,
    roots: Option<Result<RootCertStore, ArchiveError>>,
) -> Result<Client, ArchiveError> {
    install_provider();
    let built = match roots {
        Some(roots) => roots.and_then(|roots| build(with_roots(builder(settings), roots)?)),
        None => build(builder(settings)),
    };
    match built {
        // Loopback mirrors must work on a machine without any certificates.
        Err(_) if !settings.https => build(with_roots(builder(settings), RootCertStore::empty())?),
        built => built,
    }
}

fn builder(settings: &ClientSettings<'_>) -> ClientBuilder {
    Client::builder()
        .user_agent(settings.user_agent)
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.read_timeout)
        .redirect(redirect::Policy::limited(MOST_REDIRECTS))
        .referer(false)
        // One connection per transfer: with HTTP/2 all archives would share one TCP window.
        .http1_only()
}

fn with_roots(builder: ClientBuilder, roots: RootCertStore) -> Result<ClientBuilder, ArchiveError> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ArchiveError::Client {
            why: error.to_string(),
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(builder.tls_backend_preconfigured(config))
}

fn build(builder: ClientBuilder) -> Result<Client, ArchiveError> {
    builder.build().map_err(|error| {
        let network = ArchiveError::network("the environment", error);
        ArchiveError::Client {
            why: format!(
                "{}; install the system's certificates (ca-certificates) or set SSL_CERT_FILE",
                network.one_line()
            ),
        }
    })
}

/// reqwest is built without a crypto provider and panics where none is installed.
fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if CryptoProvider::get_default().is_none() {
            // Fails only when another thread was faster, which is as good.
            let _ = ring::default_provider().install_default();
        }
    });
}

/// The authorities of a PEM bundle and of the PEM files in folders. The bundle must be readable;
/// of folders, as OpenSSL has it, whatever can be read counts.
fn named_roots(file: Option<&Path>, dirs: &[PathBuf]) -> Result<RootCertStore, ArchiveError> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        let pem = fs::read(file).map_err(|error| ArchiveError::Client {
            why: format!("SSL_CERT_FILE names {}: {error}", file.display()),
        })?;
        add(&mut roots, &pem);
    }
    for dir in dirs {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        for pem in entries.filter_map(|entry| fs::read(entry.path()).ok()) {
            add(&mut roots, &pem);
        }
    }
    if roots.is_empty() {
        return Err(ArchiveError::Client {
            why: "SSL_CERT_FILE and SSL_CERT_DIR name no certificate in PEM form".to_owned(),
        });
    }
    Ok(roots)
}

fn add(roots: &mut RootCertStore, pem: &[u8]) {
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
}
