//! `util_ldap.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "ldap_module",
        file: "util_ldap.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("LDAPSharedCacheSize", Places::SERVER, Shape::Take1, accept, "Set the size of the shared memory cache (in bytes). Use 0 to disable the shared memory cache. (default: 500000)").refused(),
    row("LDAPSharedCacheFile", Places::SERVER, Shape::Take1, accept, "Set the file name for the shared memory cache.").refused(),
    row("LDAPCacheEntries", Places::SERVER, Shape::Take1, accept, "Set the maximum number of entries that are possible in the LDAP search cache. Use 0 or -1 to disable the search cache (default: 1024)").refused(),
    row("LDAPCacheTTL", Places::SERVER, Shape::Take1, accept, "Set the maximum time (in seconds) that an item can be cached in the LDAP search cache. Use 0 for no limit. (default 600)").refused(),
    row("LDAPOpCacheEntries", Places::SERVER, Shape::Take1, accept, "Set the maximum number of entries that are possible in the LDAP compare cache. Use 0 or -1 to disable the compare cache (default: 1024)").refused(),
    row("LDAPOpCacheTTL", Places::SERVER, Shape::Take1, accept, "Set the maximum time (in seconds) that an item is cached in the LDAP operation cache. Use 0 for no limit. (default: 600)").refused(),
    row("LDAPTrustedGlobalCert", Places::SERVER, Shape::Take23, accept, "Takes three arguments; the first argument is the cert type of the second argument, one of CA_DER, CA_BASE64, CA_CERT7_DB, CA_SECMOD, CERT_DER, CERT_BASE64, CERT_KEY3_DB, CERT_NICKNAME, KEY_DER, or KEY_BASE64. The second argument specifes the file and/or directory containing the trusted CA certificates (and global client certs for Netware) used to validate the LDAP server. The third argument is an optional passphrase if applicable.").refused(),
    row("LDAPTrustedClientCert", Places::AUTHCFG, Shape::Take23, accept, "Takes three arguments: the first argument is the certificate type of the second argument, one of CA_DER, CA_BASE64, CA_CERT7_DB, CA_SECMOD, CERT_DER, CERT_BASE64, CERT_KEY3_DB, CERT_NICKNAME, KEY_DER, or KEY_BASE64. The second argument specifies the file and/or directory containing the client certificate, or certificate ID used to validate this LDAP client.  The third argument is an optional passphrase if applicable.").refused(),
    row("LDAPTrustedMode", Places::SERVER, Shape::Take1, accept, "Specify the type of security that should be applied to an LDAP connection. One of; NONE, SSL or STARTTLS.").refused(),
    row("LDAPVerifyServerCert", Places::SERVER, Shape::Flag, accept, "Set to 'ON' requires that the server certificate be verified before a secure LDAP connection can be establish.  Default 'ON'").refused(),
    row("LDAPConnectionTimeout", Places::SERVER, Shape::Take1, accept, "Specify the LDAP socket connection timeout in seconds (default: 10)").refused(),
    row("LDAPReferrals", Places::AUTHCFG, Shape::Take1, accept, "Choose whether referrals are chased ['ON'|'OFF'|'DEFAULT'].  Default 'ON'").refused(),
    row("LDAPReferralHopLimit", Places::AUTHCFG, Shape::Take1, accept, "Limit the number of referral hops that LDAP can follow. (Integer value, Consult LDAP SDK documentation for applicability and defaults").refused(),
    row("LDAPLibraryDebug", Places::SERVER, Shape::Take1, accept, "Enable debugging in LDAP SDK (Default: off, values: SDK specific").refused(),
    row("LDAPTimeout", Places::SERVER, Shape::Take1, accept, "Specify the LDAP bind/search timeout in seconds (0 = no limit). Default: 60").refused(),
    row("LDAPConnectionPoolTTL", Places::SERVER, Shape::Take1, accept, "Specify the maximum amount of time a bound connection can sit idle and still be considered valid for reuse(0 = no pool, -1 = no limit, n = time in seconds). Default: -1").refused(),
    row("LDAPRetries", Places::SERVER, Shape::Take1, accept, "Specify the number of times a failed LDAP operation should be retried (0 = no retries). Default: 3").refused(),
    row("LDAPRetryDelay", Places::SERVER, Shape::Take1, accept, "Specify the delay between retries of a failed LDAP operation (0 = no delay). Default: 0").refused(),
];
