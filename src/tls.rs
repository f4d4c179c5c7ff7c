//! TLS of a port: certificate and key from files, which may be read again while the server runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::{Config, TlsFiles};

/// Why the files cannot be used. The key's file is named and nothing of it shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TlsError {
    /// A file that is not there, not ours to read, or no PEM.
    #[error("`tls.{key}`: cannot read {}: {cause}", file.display())]
    Unreadable {
        /// `cert` or `key`.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong.
        cause: pem::Error,
    },
    /// A file of PEM without what it should hold.
    #[error("`tls.{key}`: {} holds no {what}; it should be a PEM file with -----BEGIN {what}-----", file.display())]
    Nothing {
        /// `cert` or `key`.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// Files that can be read and do not go together, or hold what is not supported.
    #[error("`tls`: {} and {} do not fit: {cause}", files.cert.display(), files.key.display())]
    Misfit {
        /// The files.
        files: TlsFiles,
        /// What is wrong.
        cause: rustls::Error,
    },
    /// No common version of TLS; not for our provider.
    #[error("`tls`: {0}")]
    Versions(rustls::Error),
}

/// The certificates of the ports that have TLS.
#[derive(Clone, Default)]
pub(crate) struct Certificates {
    /// The worker port's.
    pub(crate) workers: Option<Arc<Tls>>,
    /// The stream port's.
    pub(crate) streams: Option<Arc<Tls>>,
}

impl Certificates {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// Where they cannot be used, with the key and the reason.
    pub(crate) fn read(config: &Config) -> anyhow::Result<Self> {
        let read = |files: &Option<TlsFiles>, what| files.as_ref().map(Tls::read).transpose().context(what);
        Ok(Self {
            workers: read(&config.worker.tls, "the worker port (`tls` of the worker module)")?.map(Arc::new),
            streams: read(&config.stream.tls, "the stream port (`tls` of the stream module)")?.map(Arc::new),
        })
    }

    /// Reads the files that `config` names, for the ports that have TLS, without showing them yet.
    ///
    /// # Errors
    /// Where they cannot be used, with the key and the reason.
    pub(crate) fn read_again(&self, config: &Config) -> anyhow::Result<Fresh> {
        let ports = [
            ("the worker port (`tls` of the worker module)", &self.workers, &config.worker.tls),
            ("the stream port (`tls` of the stream module)", &self.streams, &config.stream.tls),
        ];
        let mut fresh = Vec::new();
        for (what, tls, files) in ports {
            if let (Some(tls), Some(files)) = (tls, files) {
                fresh.push((tls.clone(), certified(files, &tls.provider).context(what)?, files.cert.clone()));
            }
        }
        Ok(Fresh(fresh))
    }
}

/// Certificates that were read again, each with its port and its file.
pub(crate) struct Fresh(Vec<(Arc<Tls>, Arc<CertifiedKey>, PathBuf)>);

impl Fresh {
    /// Has connections to come see them. Those that are there stay as they are.
    pub(crate) fn show(self) {
        for (tls, certificate, file) in self.0 {
            *tls.current.0.write() = certificate;
            tracing::info!(cert = %file.display(), "SIGHUP: new connections get the certificate as it is now");
        }
    }
}

/// The certificate of a port.
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
}

/// What new connections are shown.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().clone())
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] where they cannot be used.
    pub(crate) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let current = Arc::new(Current(RwLock::new(certified(files, &provider)?)));
        Ok(Self { provider, current })
    }

    /// What a listener needs. It goes on to show what is the newest here.
    ///
    /// # Errors
    /// Never, with this provider.
    pub(crate) fn config(&self) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::Versions)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(self.current.clone());
        // actix-http adds it too, and h2 only with a feature that we do not have: there are no WebSockets in its HTTP/2.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Sockets last, so little is won by resuming; and a session that is resumed would be shown no new certificate.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

fn certified(files: &TlsFiles, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
    let unreadable = |key, file: &Path, cause| TlsError::Unreadable { key, file: file.to_owned(), cause };
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(&files.cert).and_then(Iterator::collect).map_err(|cause| unreadable("cert", &files.cert, cause))?;
    if chain.is_empty() {
        return Err(TlsError::Nothing { key: "cert", file: files.cert.clone(), what: "CERTIFICATE" });
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|cause| match cause {
        pem::Error::NoItemsFound => TlsError::Nothing { key: "key", file: files.key.clone(), what: "PRIVATE KEY" },
        cause => unreadable("key", &files.key, cause),
    })?;
    let fits = CertifiedKey::from_der(chain, key, provider);
    fits.map(Arc::new).map_err(|cause| TlsError::Misfit { files: files.clone(), cause })
}
