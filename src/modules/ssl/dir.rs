//! What the directives set per directory.

use std::sync::Arc;

use super::check;
use super::conf::{Verify, in_section, remark, verify_word};
use crate::codec::x509::NameStyle;
use crate::config::{Args, Cmd, Conf, get_words, latin1};
use crate::expr::Expr;
use crate::modules::slot;
use crate::pipe::tls::Names;

type Done = Result<(), String>;

/// `SSLOptions`, as bits.
pub(super) mod option {
    pub(in super::super) const STD_ENV_VARS: u8 = 1;
    pub(in super::super) const EXPORT_CERT_DATA: u8 = 2;
    pub(in super::super) const FAKE_BASIC_AUTH: u8 = 4;
    pub(in super::super) const STRICT_REQUIRE: u8 = 8;
    pub(super) const LEGACY_NAMES: u8 = 16;
}

/// Values per directory.
#[derive(Clone, Default)]
pub(super) struct SslDir {
    /// SSLOptions: what holds, and whether outer scopes say nothing about it.
    options: u8,
    absolute: bool,
    add: u8,
    remove: u8,
    /// SSLRequireSSL.
    pub(super) require_ssl: bool,
    /// SSLRequire, each with its text.
    pub(super) requires: Vec<(Arc<Expr>, String)>,
    /// SSLUserName.
    pub(super) user_name: Option<Vec<u8>>,
    /// SSLVerifyClient of a section.
    pub(super) verify: Option<Verify>,
    /// SSLVerifyDepth of a section.
    pub(super) depth: Option<u32>,
    /// SSLCipherSuite of a section: OpenSSL's names.
    pub(super) ciphers: Option<Arc<[&'static str]>>,
}

impl Conf for SslDir {
    const SLOT: usize = slot::SSL + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        let (more, less) = ((base.add & !add.remove) | add.add, (base.remove & !add.add) | add.remove);
        let own = add.absolute;
        Self {
            options: if own { add.options } else { (base.options & !less) | more },
            absolute: own || base.absolute,
            add: if own { add.add } else { more },
            remove: if own { add.remove } else { less },
            require_ssl: base.require_ssl || add.require_ssl,
            requires: base.requires.iter().chain(&add.requires).cloned().collect(),
            user_name: add.user_name.clone().or_else(|| base.user_name.clone()),
            verify: add.verify.or(base.verify),
            depth: add.depth.or(base.depth),
            ciphers: add.ciphers.clone().or_else(|| base.ciphers.clone()),
        }
    }
}

impl SslDir {
    /// Whether an option holds.
    pub(super) fn has(&self, option: u8) -> bool {
        self.options & option != 0
    }
}

/// `SSLOptions`.
pub(super) fn options(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::options(cmd, args)?;
    for word in get_words(args.raw) {
        let (sign, name) = match word.split_first() {
            Some((sign @ (b'+' | b'-'), name)) => (Some(*sign), name),
            _ => (None, word.as_slice()),
        };
        let bit = match name.to_ascii_lowercase().as_slice() {
            b"stdenvvars" => option::STD_ENV_VARS,
            b"exportcertdata" => option::EXPORT_CERT_DATA,
            b"fakebasicauth" => option::FAKE_BASIC_AUTH,
            b"strictrequire" => option::STRICT_REQUIRE,
            b"legacydnstringformat" => option::LEGACY_NAMES,
            // OptRenegotiate saves a handshake that is never made here; CompatEnvVars is nothing in httpd either.
            _ => 0,
        };
        let conf = cmd.dir_conf::<SslDir>();
        match sign {
            Some(b'-') => {
                conf.options &= !bit;
                conf.add &= !bit;
                conf.remove |= bit;
            }
            Some(_) => {
                conf.options |= bit;
                conf.add |= bit;
                conf.remove &= !bit;
            }
            None => (conf.options, conf.add, conf.remove, conf.absolute) = (bit, bit, 0, true),
        }
        let legacy = conf.has(option::LEGACY_NAMES);
        if bit == option::LEGACY_NAMES || sign.is_none() {
            let style = if legacy { NameStyle::Legacy } else { NameStyle::Rfc2253 };
            cmd.dir_conf::<Names>().style = Some(style);
        }
    }
    Ok(())
}

/// `SSLRequireSSL`.
pub(super) fn require_ssl(cmd: &mut Cmd<'_>, _: &Args<'_>) -> Done {
    cmd.dir_conf::<SslDir>().require_ssl = true;
    Ok(())
}

/// `SSLRequire expression`.
pub(super) fn require(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let condition = cmd.condition(args.raw).map_err(|why| format!("SSLRequire: {why}"))?;
    cmd.dir_conf::<SslDir>().requires.push((condition, latin1(args.raw)));
    Ok(())
}

/// `SSLUserName variable`.
pub(super) fn user_name(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<SslDir>().user_name = Some(args.word(0).to_vec());
    Ok(())
}

/// `SSLVerifyClient`.
pub(super) fn verify_client(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::verify(cmd, args)?;
    let verify = verify_word(args.word(0));
    if in_section(cmd) {
        if verify != Verify::None {
            remark(cmd, "clients are asked for certificates in the handshake, where this section judges them");
        }
        cmd.dir_conf::<SslDir>().verify = Some(verify);
    } else {
        cmd.server_conf::<super::SslServer>().auth.verify = Some(verify);
    }
    Ok(())
}

/// `SSLVerifyDepth`.
pub(super) fn verify_depth(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::depth(cmd, args)?;
    let depth = u32::try_from(crate::modules::check::number(args.word(0))).unwrap_or(u32::MAX);
    if in_section(cmd) {
        cmd.dir_conf::<SslDir>().depth = Some(depth);
    } else {
        cmd.server_conf::<super::SslServer>().auth.depth = Some(depth);
    }
    Ok(())
}
