//! `SSLOpenSSLConfCmd`: the commands of OpenSSL that mean something here.

use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::kx_group;

use super::build::{Lines, fatal};
use super::check;
use super::conf::{SslServer, refuse};
use crate::config::{Args, Cmd, latin1};
use crate::net::tls::Versions;

/// Names of key exchanges, in OpenSSL's spellings; `None`: known to it and not spoken here.
const GROUPS: &[(&str, Option<&'static dyn SupportedKxGroup>)] = &[
    ("X25519", Some(kx_group::X25519)),
    ("P-256", Some(kx_group::SECP256R1)),
    ("prime256v1", Some(kx_group::SECP256R1)),
    ("secp256r1", Some(kx_group::SECP256R1)),
    ("P-384", Some(kx_group::SECP384R1)),
    ("secp384r1", Some(kx_group::SECP384R1)),
    ("X25519MLKEM768", Some(kx_group::X25519MLKEM768)),
    ("SecP256r1MLKEM768", Some(kx_group::SECP256R1MLKEM768)),
    ("MLKEM768", Some(kx_group::MLKEM768)),
    ("MLKEM1024", Some(kx_group::MLKEM1024)),
    ("P-521", None),
    ("secp521r1", None),
    ("X448", None),
    ("P-224", None),
    ("secp224r1", None),
    ("secp256k1", None),
    ("brainpoolP256r1", None),
    ("brainpoolP384r1", None),
    ("brainpoolP512r1", None),
    ("ffdhe2048", None),
    ("ffdhe3072", None),
    ("ffdhe4096", None),
    ("ffdhe6144", None),
    ("ffdhe8192", None),
];

/// Options that are always as asked here, whichever way that is.
const IDLE: &[&str] = &[
    "DHSingle",
    "ECDHSingle",
    "UnsafeLegacyServerConnect",
    "NoRenegotiation",
    "NoResumptionOnRenegotiation",
    "AllowNoDHEKEX",
    "MiddleboxCompat",
    "AntiReplay",
    "ExtendedMasterSecret",
    "EncryptThenMac",
    "CANames",
    "KTLS",
    "PrioritizeChaCha",
    "Bugs",
];

/// What the commands of a server change.
#[derive(Default)]
pub(super) struct Tuning {
    pub(super) versions: Option<Versions>,
    pub(super) ciphers: Option<String>,
    pub(super) suites13: Option<String>,
    pub(super) groups: Option<Vec<&'static dyn SupportedKxGroup>>,
    pub(super) ticket_count: Option<usize>,
    pub(super) tickets: Option<bool>,
    pub(super) own_order: Option<bool>,
}

/// `SSLOpenSSLConfCmd`.
pub(super) fn command(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    check::conf_cmd(cmd, args)?;
    let known = ["curves", "groups", "ecdhparameters", "minprotocol", "maxprotocol", "protocol", "cipherstring"];
    let more = ["ciphersuites", "numtickets", "options", "dhparameters"];
    let name = latin1(args.word(0));
    let lower = name.to_ascii_lowercase();
    if !known.iter().chain(&more).any(|known| *known == lower) {
        return refuse(cmd, args, "this command of OpenSSL has no counterpart");
    }
    cmd.server_conf::<SslServer>().commands.push((name, latin1(args.word(1))));
    Ok(())
}

/// What a server's commands come to.
pub(super) fn tuning(conf: &SslServer, id: &str, notes: &mut Lines) -> Result<Tuning, Lines> {
    let mut tuning = Tuning::default();
    let mut versions = conf.versions.unwrap_or(Versions::ALL);
    for (name, value) in &conf.commands {
        let done = match name.to_ascii_lowercase().as_str() {
            "curves" | "groups" | "ecdhparameters" => groups(value, notes).map(|list| tuning.groups = Some(list)),
            "minprotocol" => bound(value).map(|least| {
                versions = Versions { v12: versions.v12 && least <= 2, v13: versions.v13 && least <= 3 };
            }),
            "maxprotocol" => bound(value).map(|most| {
                let most = if most == 0 { 3 } else { most };
                versions = Versions { v12: versions.v12 && most >= 2, v13: versions.v13 && most >= 3 };
            }),
            "protocol" => protocols(value, versions).map(|named| versions = named),
            "cipherstring" => {
                tuning.ciphers = Some(value.clone());
                Some(())
            }
            "ciphersuites" => {
                tuning.suites13 = Some(value.clone());
                Some(())
            }
            "numtickets" => {
                tuning.ticket_count = Some(value.parse().unwrap_or(0));
                Some(())
            }
            "options" => options(value, &mut tuning, notes),
            // Parameters of a key exchange that is not spoken here.
            _ => Some(()),
        };
        if done.is_none() {
            let text = format!("AH02407: \"SSLOpenSSLConfCmd {name} {value}\" failed for {id}");
            return Err(vec![("emerg", text), fatal()]);
        }
    }
    tuning.versions = Some(versions);
    Ok(tuning)
}

fn groups(list: &str, notes: &mut Lines) -> Option<Vec<&'static dyn SupportedKxGroup>> {
    let (mut found, mut absent) = (Vec::new(), Vec::new());
    for name in list.split(':') {
        match GROUPS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))? {
            (_, Some(group)) => found.push(*group),
            (_, None) => absent.push(name),
        }
    }
    if !absent.is_empty() {
        notes.push(("warn", format!("SSLOpenSSLConfCmd: groups that are not spoken here: {}", absent.join(" "))));
    }
    (!found.is_empty()).then_some(found)
}

/// A version's number behind the point; 0 is none.
fn bound(word: &str) -> Option<u8> {
    let known = [("None", 0), ("SSLv3", 0), ("TLSv1", 0), ("TLSv1.1", 1), ("TLSv1.2", 2), ("TLSv1.3", 3)];
    known.iter().find(|(name, _)| *name == word).map(|(_, number)| *number)
}

fn protocols(list: &str, before: Versions) -> Option<Versions> {
    let mut left = before;
    for word in list.split(',').map(str::trim) {
        let (on, name) = match word.split_at_checked(1) {
            Some(("-", name)) => (false, name),
            Some(("+", name)) => (true, name),
            _ => (true, word),
        };
        match name {
            _ if name.eq_ignore_ascii_case("ALL") => (left.v12, left.v13) = (on, on),
            "TLSv1.2" => left.v12 = on,
            "TLSv1.3" => left.v13 = on,
            "SSLv2" | "SSLv3" | "TLSv1" | "TLSv1.1" => {}
            _ => return None,
        }
    }
    Some(left)
}

fn options(list: &str, tuning: &mut Tuning, notes: &mut Lines) -> Option<()> {
    for word in list.split(',').map(str::trim) {
        let (on, name) = match word.split_at_checked(1) {
            Some(("-", name)) => (false, name),
            Some(("+", name)) => (true, name),
            _ => (true, word),
        };
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        if is("SessionTicket") {
            tuning.tickets = Some(on);
        } else if is("ServerPreference") {
            tuning.own_order = Some(on);
        } else if (is("Compression") || is("UnsafeLegacyRenegotiation") || is("EmptyFragments")) && on {
            notes.push(("warn", format!("SSLOpenSSLConfCmd: {name} is never done here")));
        } else if !["Compression", "UnsafeLegacyRenegotiation", "EmptyFragments"].iter().any(|known| is(known))
            && !IDLE.iter().any(|known| is(known))
        {
            return None;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(commands: &[(&str, &str)]) -> Result<Tuning, Lines> {
        let commands = commands.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        tuning(&SslServer { commands, ..SslServer::default() }, "a.test:443", &mut Vec::new())
    }

    #[test]
    fn commands_are_obeyed_or_fail_as_openssls() {
        let versions = |commands: &[(&str, &str)]| with(commands).ok().and_then(|tuning| tuning.versions).unwrap();
        let (two, three) = (Versions { v12: true, v13: false }, Versions { v12: false, v13: true });
        assert_eq!(versions(&[("MinProtocol", "TLSv1.3")]), three);
        assert_eq!(versions(&[("maxprotocol", "TLSv1.2")]), two);
        assert_eq!(versions(&[("MaxProtocol", "None"), ("MinProtocol", "None")]), Versions::ALL);
        assert_eq!(versions(&[("Protocol", "-ALL, TLSv1.2")]), two);
        assert_eq!(versions(&[("Protocol", "ALL,-TLSv1.2")]), three);
        let groups = |list: &str| with(&[("Curves", list)]).ok().and_then(|tuning| tuning.groups).map(|all| all.len());
        assert_eq!((groups("prime256v1:x25519:P-521"), groups("P-521"), groups("P-256:bogus")), (Some(2), None, None));
        for (name, value) in [("Curves", "auto"), ("MinProtocol", "tlsv1.2"), ("Options", "bogus"), ("Protocol", "x")] {
            let lines = with(&[(name, value)]).err().unwrap();
            let text = format!("AH02407: \"SSLOpenSSLConfCmd {name} {value}\" failed for a.test:443");
            assert_eq!(lines.first().map(|(_, text)| text.as_str()), Some(text.as_str()));
        }
        let tuned = with(&[("Options", "ServerPreference,-SessionTicket,+NoRenegotiation")]).ok().unwrap();
        assert_eq!((tuned.own_order, tuned.tickets), (Some(true), Some(false)));
    }
}
