//! TLS in front of a server that speaks none.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tapemill_test_servers::Certificates;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// A port of 127.0.0.1 that takes TLS and passes on what is in it. Dropping it ends it.
pub struct TlsFront {
    port: u16,
    _runtime: Runtime,
}

impl TlsFront {
    /// Before a server of this machine.
    ///
    /// # Panics
    ///
    /// When no port is free, or the certificates are none.
    #[track_caller]
    pub fn before(server: SocketAddr, certificates: &Certificates) -> Self {
        let chain = CertificateDer::pem_file_iter(certificates.certificate())
            .expect("it can be read")
            .collect::<Result<Vec<_>, _>>();
        let key = PrivateKeyDer::from_pem_file(certificates.key()).expect("it is a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("they are known")
            .with_no_client_auth()
            .with_single_cert(chain.expect("they are certificates"), key)
            .expect("they go together");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut client = acceptor.accept(stream).await?;
                    let mut server = TcpStream::connect(server).await?;
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Self {
            port,
            _runtime: runtime,
        }
    }

    /// `localhost:PORT`, a name that the certificate is for.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }
}
