//! Every provider of authentication, whichever module brings it.

use crate::modules::{authn_anon, authn_dbm, authn_file, authn_socache};
use crate::pipe::authn::Provider;

const fn refused(name: &'static str, module: &'static str) -> Provider {
    Provider { name, module, ask: None, keep: None }
}

/// The providers.
pub static PROVIDERS: &[Provider] = &[
    authn_file::PROVIDER,
    authn_dbm::PROVIDER,
    authn_anon::PROVIDER,
    authn_socache::PROVIDER,
    refused("dbd", "authn_dbd_module"),
    refused("ldap", "authnz_ldap_module"),
];
