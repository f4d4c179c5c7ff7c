//! A WebSocket over TCP, or over TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config, tungstenite};

use super::{Address, ClientError};

/// How long connecting may take, TLS and handshake included.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of an answer that is no handshake is repeated.
const SAID_CHARS: usize = 200;

/// What a connection goes over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open WebSocket.
pub(super) type Connection = WebSocketStream<Box<dyn Stream>>;

/// Connects and shakes hands.
///
/// # Errors
/// Where nobody answers, or otherwise than with a WebSocket.
pub(super) async fn open(address: &Address) -> Result<Connection, ClientError> {
    match timeout(PATIENCE, async { shake_hands(dial(address).await?, address).await }).await {
        Ok(opened) => opened,
        Err(_) => Err(unreachable(address, &format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// Connects, with TLS where the address says so.
///
/// # Errors
/// Where nobody is there, or cannot be believed.
pub(crate) async fn dial(address: &Address) -> Result<Box<dyn Stream>, ClientError> {
    let failed = |error: io::Error| unreachable(address, &error.to_string());
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    if !address.tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(address.host.clone()).map_err(|error| unreachable(address, &error.to_string()))?;
    match tls(address)?.connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(ClientError::Unreachable {
            url: address.url.clone(),
            reason: error.to_string(),
            hint: "use the name that the certificate is for in --url; an authority of your own goes into the file that SSL_CERT_FILE names",
        }),
    }
}

fn tls(address: &Address) -> Result<TlsConnector, ClientError> {
    let mut roots = RootCertStore::empty();
    // What cannot be read of the machine's is as if it were not there; without any, the connection says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = &address.cert {
        let own = CertificateDer::pem_file_iter(file).into_iter().flatten().flatten();
        roots.add_parsable_certificates(own);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unreachable(address, &error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn shake_hands(stream: Box<dyn Stream>, address: &Address) -> Result<Connection, ClientError> {
    let bad = |reason: String| ClientError::Address { url: address.url.clone(), reason, form: address.hints.form };
    let url = format!("ws://{}{}", address.authority(), address.target);
    let mut request = url.into_client_request().map_err(|error| bad(error.to_string()))?;
    if let Some(token) = &address.token {
        let invalid = |_| ClientError::Token { by: token.by };
        let value = HeaderValue::from_str(&format!("Bearer {}", token.text)).map_err(invalid)?;
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    // A result may have 64 MiB and a group's state any size; what is too much is the server's to say.
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((connection, _)) => Ok(connection),
        Err(tungstenite::Error::Http(response)) => {
            let (url, status) = (address.url.clone(), response.status().as_u16());
            let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned();
            let said: String = body.trim().chars().take(SAID_CHARS).collect();
            let said = if said.is_empty() { "nothing more".to_owned() } else { said };
            Err(match status {
                401 => ClientError::Unauthorized { url, reason: format!("HTTP 401 {}", address.shown()), hint: address.hints.refused },
                _ => ClientError::Answered { url, status, said },
            })
        }
        Err(error) => Err(ClientError::Protocol { url: address.url.clone(), reason: error.to_string() }),
    }
}

fn unreachable(address: &Address, reason: &str) -> ClientError {
    ClientError::Unreachable { url: address.url.clone(), reason: reason.to_owned(), hint: address.hints.away }
}
