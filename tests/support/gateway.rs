//! TLS in front of an endpoint, as a gateway speaks it: with the certificates of a CA of its own, good and bad, and with
//! everything that breaks below HTTP.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional, split};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What a server shows, and the key to it.
pub(crate) type Identity = Arc<ServerConfig>;

/// A CA that no system knows.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, as a file for `SSL_CERT_FILE`.
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for `name` that is in order.
    pub(crate) fn certify(&self, name: &str) -> Identity {
        self.sign(name, |_| {})
    }

    /// One whose time was over long ago.
    pub(crate) fn expired(&self, name: &str) -> Identity {
        self.sign(name, |params| {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        })
    }

    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name);
        change(&mut params);
        identity(&params.signed_by(&key, &self.issuer).unwrap(), &key)
    }
}

/// A certificate for `name` that nobody but itself vouches for, and its text. `openssl req -x509` makes one with `is_ca`.
pub(crate) fn self_signed(name: &str, is_ca: bool) -> (Identity, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = params(name);
    params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
    let certificate = params.self_signed(&key).unwrap();
    (identity(&certificate, &key), certificate.pem())
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "server");
    params
}

fn identity(certificate: &rcgen::Certificate, key: &KeyPair) -> Identity {
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth();
    Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap())
}

/// What becomes of a connection.
#[derive(Clone)]
pub(crate) enum Act {
    /// The request reaches the endpoint, and the answer comes back.
    Serve(Identity),
    /// Ends within the handshake.
    BreakHandshake,
    /// A server of plain HTTP makes nothing of it.
    Plain,
    /// Is reset after so many bytes of the answer, or at its end, without TLS's own farewell.
    Reset(Identity, usize),
}

/// Puts TLS in front of the endpoint at `url`; `act` decides over each connection by its number. Returns the address, with
/// `host` in the place of the endpoint's own.
pub(crate) fn front(url: &str, host: &str, mut act: impl FnMut(usize) -> Act + Send + 'static) -> String {
    let behind = url.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    let port = serve(move |number, stream| {
        let (act, behind) = (act(number), behind.clone());
        async move { play(act, stream, &behind).await }
    });
    format!("https://{host}:{port}/v1")
}

/// A proxy that takes every host's name for this machine. Returns its address.
pub(crate) fn proxy() -> String {
    let port = serve(|_, mut stream| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let port = String::from_utf8_lossy(&head).split([':', ' ']).nth(2).map(str::to_owned).unwrap_or_default();
        let mut behind = TcpStream::connect(format!("127.0.0.1:{port}")).await?;
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        copy_bidirectional(&mut stream, &mut behind).await.map(drop)
    });
    format!("http://127.0.0.1:{port}")
}

/// Gives each connection to `talk`, with its number, on a thread that lives as long as the test's process. Returns the port.
fn serve<F>(mut talk: impl FnMut(usize, TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap().port()).unwrap();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                // What a client makes of it is the test's matter.
                tokio::spawn(talk(number, stream));
            }
        });
    });
    told.recv().unwrap()
}

async fn play(act: Act, mut stream: TcpStream, behind: &str) -> std::io::Result<()> {
    let (identity, bytes) = match act {
        Act::BreakHandshake => {
            stream.read_exact(&mut [0; 5]).await?;
            return Ok(());
        }
        Act::Plain => {
            stream.read_exact(&mut [0; 5]).await?;
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await?;
            return stream.read_to_end(&mut Vec::new()).await.map(drop);
        }
        Act::Serve(identity) => (identity, None),
        Act::Reset(identity, bytes) => (identity, Some(bytes)),
    };
    let mut tls = TlsAcceptor::from(identity).accept(stream).await?;
    let mut behind = TcpStream::connect(behind).await?;
    let Some(bytes) = bytes else { return copy_bidirectional(&mut tls, &mut behind).await.map(drop) };
    {
        let (mut from, mut to) = split(&mut tls);
        let (mut answers, mut requests) = behind.split();
        let mut answers = (&mut answers).take(bytes as u64);
        tokio::select! {
            answered = copy(&mut answers, &mut to) => drop(answered?),
            asked = copy(&mut from, &mut requests) => drop(asked?),
        }
        to.flush().await?;
    }
    // The client has read it all before the connection goes.
    tokio::time::sleep(Duration::from_millis(50)).await;
    tls.get_ref().0.set_zero_linger()
}
