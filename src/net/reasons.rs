//! Why a handshake failed, in the words of the library under httpd: those are what logs are searched for.

use rustls::{Error, InvalidMessage, PeerIncompatible};

/// Alerts that have a name, by number.
const ALERTS: [(u8, &str); 33] = [
    (10, "sslv3 alert unexpected message"),
    (20, "sslv3 alert bad record mac"),
    (21, "tlsv1 alert decryption failed"),
    (22, "tlsv1 alert record overflow"),
    (30, "sslv3 alert decompression failure"),
    (40, "sslv3 alert handshake failure"),
    (41, "sslv3 alert no certificate"),
    (42, "sslv3 alert bad certificate"),
    (43, "sslv3 alert unsupported certificate"),
    (44, "sslv3 alert certificate revoked"),
    (45, "sslv3 alert certificate expired"),
    (46, "sslv3 alert certificate unknown"),
    (47, "sslv3 alert illegal parameter"),
    (48, "tlsv1 alert unknown ca"),
    (49, "tlsv1 alert access denied"),
    (50, "tlsv1 alert decode error"),
    (51, "tlsv1 alert decrypt error"),
    (60, "tlsv1 alert export restriction"),
    (70, "tlsv1 alert protocol version"),
    (71, "tlsv1 alert insufficient security"),
    (80, "tlsv1 alert internal error"),
    (86, "tlsv1 alert inappropriate fallback"),
    (90, "tlsv1 alert user cancelled"),
    (100, "tlsv1 alert no renegotiation"),
    (109, "tlsv13 alert missing extension"),
    (110, "tlsv1 unsupported extension"),
    (111, "tlsv1 certificate unobtainable"),
    (112, "tlsv1 unrecognized name"),
    (113, "tlsv1 bad certificate status response"),
    (114, "tlsv1 bad certificate hash value"),
    (115, "tlsv1 alert unknown psk identity"),
    (116, "tlsv13 alert certificate required"),
    (120, "tlsv1 alert no application protocol"),
];

/// A request where a handshake was to come.
pub const HTTP_REQUEST: &str = "error:0A00009C:SSL routines::http request";

/// What our own resolver's refusal comes out as: no certificate goes with what the client offers.
pub fn is_nothing_shared(error: &Error) -> bool {
    matches!(error, Error::General(text) if text == "no server certificate chain resolved")
}

/// What an error line says behind `SSL Library Error: `.
pub fn words(error: &Error) -> String {
    use InvalidMessage as Invalid;
    use PeerIncompatible as Peer;
    let (number, text) = match error {
        Error::AlertReceived(alert) => return of_alert(u8::from(*alert)),
        error if is_nothing_shared(error) => (0xc1, NO_SHARED_CIPHER),
        Error::PeerIncompatible(
            Peer::NoCipherSuitesInCommon
            | Peer::NoSignatureSchemesInCommon
            | Peer::SignatureAlgorithmsExtensionRequired
            | Peer::NoKxGroupsInCommon,
        ) => (0xc1, NO_SHARED_CIPHER),
        Error::PeerIncompatible(
            Peer::Tls12NotOffered
            | Peer::Tls12NotOfferedOrEnabled
            | Peer::SupportedVersionsExtensionRequired
            | Peer::ServerDoesNotSupportTls12Or13
            | Peer::ServerTlsVersionIsDisabledByOurConfig,
        ) => (0x102, "unsupported protocol"),
        Error::InvalidMessage(Invalid::InvalidContentType | Invalid::UnknownProtocolVersion) => {
            (0x10b, "wrong version number")
        }
        Error::InvalidMessage(Invalid::MessageTooLarge) | Error::PeerSentOversizedRecord => {
            (0xc6, "packet length too long")
        }
        Error::InvalidMessage(Invalid::HandshakePayloadTooLarge | Invalid::UnexpectedMessage(_))
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => (0xf4, "unexpected message"),
        Error::InvalidMessage(_) => (0x9f, "length mismatch"),
        Error::NoCertificatesPresented => {
            (0xc7, "peer did not return a certificate -- No CAs known to server for verification?")
        }
        Error::InvalidCertificate(_) => (0x86, "certificate verify failed"),
        Error::DecryptError => (0x119, "decryption failed or bad record mac"),
        other => return other.to_string(),
    };
    format!("error:0A{number:06X}:SSL routines::{text}")
}

const NO_SHARED_CIPHER: &str = "no shared cipher -- Too restrictive SSLCipherSuite or using DSA server certificate?";

fn of_alert(number: u8) -> String {
    let reason = 1000 + u32::from(number);
    let name = ALERTS.iter().find(|(known, _)| *known == number).map(|(_, name)| (*name).to_owned());
    let name = name.unwrap_or_else(|| format!("reason({reason})"));
    format!("error:0A{reason:06X}:SSL routines::{name} (SSL alert number {number})")
}

#[cfg(test)]
mod tests {
    use rustls::AlertDescription;

    use super::*;

    #[test]
    fn failures_are_told_in_the_words_that_logs_are_searched_for() {
        for (error, said) in [
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                "error:0A000418:SSL routines::tlsv1 alert unknown ca (SSL alert number 48)",
            ),
            (
                Error::AlertReceived(AlertDescription::from(99)),
                "error:0A00044B:SSL routines::reason(1099) (SSL alert number 99)",
            ),
            (
                Error::PeerIncompatible(PeerIncompatible::Tls12NotOfferedOrEnabled),
                "error:0A000102:SSL routines::unsupported protocol",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "error:0A00010B:SSL routines::wrong version number",
            ),
            (
                Error::NoCertificatesPresented,
                "error:0A0000C7:SSL routines::peer did not return a certificate -- No CAs known to server for \
                 verification?",
            ),
            (Error::FailedToGetCurrentTime, "failed to get current time"),
        ] {
            assert_eq!(words(&error), said);
        }
    }
}
