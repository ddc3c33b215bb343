//! What a failure of TLS means, and who can mend it.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError as Bad, Error as TlsError};

/// Returns what to do about `error`, where TLS is its cause.
pub(super) fn remedy(error: &(dyn Error + 'static)) -> Option<&'static str> {
    match cause(error)? {
        TlsError::InvalidCertificate(bad) => Some(of_certificate(bad)),
        TlsError::InvalidMessage(_) => {
            Some("no TLS is spoken there: begin `base_url` with http://, or name the port that speaks it")
        }
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => Some(
            "the server asks for a client's certificate, and this program has none: use a key, or a gateway that does",
        ),
        TlsError::AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure)
        | TlsError::PeerIncompatible(_) => Some("the server must speak TLS 1.2 or 1.3 with a usual cipher"),
        _ => None,
    }
}

fn of_certificate(bad: &Bad) -> &'static str {
    match bad {
        Bad::UnknownIssuer => {
            "nobody whom this machine trusts signed the server's certificate: name a file with its CA's certificate in PEM in \
             the environment variable SSL_CERT_FILE, or add it to the system's"
        }
        Bad::Expired | Bad::ExpiredContext { .. } => {
            "the server's certificate has expired: have it renewed, or set this machine's clock right"
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: set this machine's clock right"
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            "the server's certificate is for other names: use one of those in `base_url`, or give the server a certificate \
             whose subject alternative names hold this one"
        }
        // The words of the library that reads certificates; it has no type of its own for this here.
        Bad::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the server shows the certificate of a CA as its own: make it one with the basic constraint CA:FALSE"
        }
        _ => "give the server a certificate that is in order",
    }
}

/// Finds the TLS library's own error among the causes.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        // An I/O error names as its source not what it wraps, but the source of that.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}
