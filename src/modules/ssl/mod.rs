//! `mod_ssl.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::check as words;
use crate::modules::rows::accept;
use crate::pipe::Module;

mod access;
mod build;
mod check;
mod commands;
mod conf;
mod dir;
mod hooks;
mod ocsp;
mod phrase;
mod proxy;
mod stapling;

pub use access::{require_ssl, require_verified};
pub use build::id_of;
pub use conf::{Run, SslServer};
pub use ocsp::write_line;
pub use stapling::{Watch as StaplingWatch, watch as watch_stapling};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "ssl_module",
        file: "mod_ssl.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: build::post_config,
    },
    hooks: hooks::HOOKS,
};

/// Why passwords cannot stand in place of certificates.
const NO_SRP: &str = "the TLS library, rustls, has no SRP";

const SUITES: &str = "suites that rustls lacks are named in a warning, a list that leaves none is refused";
const SECTION_SUITES: &str = "suites that rustls lacks are named in a warning, a list that leaves none is refused; a \
                              section forbids other suites in TLS 1.2, where httpd would change them";
const VERSIONS: &str = "TLSv1 and TLSv1.1 are named in a warning and not spoken; those alone are refused";
const ONE_HANDSHAKE: &str = "what sections ask for is asked in the one handshake and judged there, with a warning; httpd \
                             asks again, and breaks off where 403 is answered here";
const LISTS: &str = "lists of the first version are refused";

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("SSLPassPhraseDialog", Places::SERVER, Shape::Take1, conf::pass_phrase, "SSL dialog mechanism for the pass phrase query ('builtin', '|/path/to/pipe_program', or 'exec:/path/to/cgi_program')"),
    row("SSLSessionCache", Places::SERVER, Shape::Take1, conf::session_cache, "SSL Session Cache storage ('none', 'nonenotnull', 'dbm:/path/to/file')").because("sessions stay in the memory of the process, whatever is named"),
    row("SSLCryptoDevice", Places::SERVER, Shape::Take1, |_, a| words::one_of(a, &["builtin", "dynamic"], "SSLCryptoDevice: Invalid argument; must be one of: 'builtin' (none), 'dynamic' (Dynamic engine loading support)"), "SSL external Crypto Device usage ('builtin', '...')").moot(),
    row("SSLRandomSeed", Places::SERVER, Shape::Take23, check::random_seed, "SSL Pseudo Random Number Generator (PRNG) seeding source ('startup|connect builtin|file:/path|exec:/path [bytes]')").moot(),
    row("SSLVHostSNIPolicy", Places::SERVER, Shape::Take1, conf::sni_policy, "SSL VirtualHost SNI compatibility policy setting"),
    row("SSLEngine", Places::SERVER, Shape::Take1, conf::engine, "SSL switch for the protocol engine ('on', 'off')"),
    row("SSLFIPS", Places::SERVER, Shape::Flag, conf::fips, "Enable FIPS-140 mode (`on', `off')").because("on is refused: not built with a FIPS module"),
    row("SSLCipherSuite", Places::AUTHCFG.or(Places::SERVER), Shape::Take12, conf::ciphers, "Colon-delimited list of permitted SSL Ciphers, optional preceded by protocol identifier ('XXX:...:XXX' - see manual)").because(SECTION_SUITES),
    row("SSLCertificateFile", Places::SERVER, Shape::Take1, conf::certificate, "SSL Server Certificate file ('/path/to/file' - PEM or DER encoded)"),
    row("SSLCertificateKeyFile", Places::SERVER, Shape::Take1, conf::key, "SSL Server Private Key file ('/path/to/file' - PEM or DER encoded)"),
    row("SSLCertificateChainFile", Places::SERVER, Shape::Take1, conf::chain, "SSL Server CA Certificate Chain file ('/path/to/file' - PEM encoded)"),
    row("SSLSessionTicketKeyFile", Places::SERVER, Shape::Take1, conf::ticket_key, "TLS session ticket encryption/decryption key file (RFC 5077) ('/path/to/file' - file with 48 bytes of random data)"),
    row("SSLCACertificatePath", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, conf::ca_path, "SSL CA Certificate path ('/path/to/dir' - contains PEM encoded files)"),
    row("SSLCACertificateFile", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, conf::ca_file, "SSL CA Certificate file ('/path/to/file' - PEM encoded)"),
    row("SSLCADNRequestPath", Places::SERVER, Shape::Take1, conf::names_path, "SSL CA Distinguished Name path ('/path/to/dir' - symlink hashes to PEM of acceptable CA names to request)"),
    row("SSLCADNRequestFile", Places::SERVER, Shape::Take1, conf::names_file, "SSL CA Distinguished Name file ('/path/to/file' - PEM encoded to derive acceptable CA names to request)"),
    row("SSLCARevocationPath", Places::SERVER, Shape::Take1, conf::crl_path, "SSL CA Certificate Revocation List (CRL) path ('/path/to/dir' - contains PEM encoded files)").because(LISTS),
    row("SSLCARevocationFile", Places::SERVER, Shape::Take1, conf::crl_file, "SSL CA Certificate Revocation List (CRL) file ('/path/to/file' - PEM encoded)").because(LISTS),
    row("SSLCARevocationCheck", Places::SERVER, Shape::Raw, conf::revocation, "SSL CA Certificate Revocation List (CRL) checking mode"),
    row("SSLVerifyClient", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, dir::verify_client, "SSL Client verify type ('none', 'optional', 'require', 'optional_no_ca')").because(ONE_HANDSHAKE),
    row("SSLVerifyDepth", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, dir::verify_depth, "SSL Client verify depth ('N' - number of intermediate certificates)"),
    row("SSLSessionCacheTimeout", Places::SERVER, Shape::Take1, conf::resume_for, "SSL Session Cache object lifetime ('N' - number of seconds)"),
    row("SSLProtocol", Places::SERVER, Shape::Raw, conf::protocol, "Enable or disable various SSL protocols ('[+-][TLSv1|TLSv1.1|TLSv1.2] ...' - see manual)").because(VERSIONS),
    row("SSLHonorCipherOrder", Places::SERVER, Shape::Flag, conf::own_order, "Use the server's cipher ordering preference"),
    row("SSLCompression", Places::SERVER, Shape::Flag, check::compression, "Enable SSL level compression (`on', `off')"),
    row("SSLSessionTickets", Places::SERVER, Shape::Flag, conf::tickets, "Enable or disable TLS session tickets(`on', `off')"),
    row("SSLInsecureRenegotiation", Places::SERVER, Shape::Flag, accept, "Enable support for insecure renegotiation").moot().because("it is always off: nobody shakes hands again"),
    row("SSLUserName", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, dir::user_name, "Set user name to SSL variable value"),
    row("SSLStrictSNIVHostCheck", Places::SERVER, Shape::Flag, conf::strict_sni, "Strict SNI virtual host checking"),
    row("SSLSRPVerifierFile", Places::SERVER, Shape::Take1, words::file, "SRP verifier file ('/path/to/file' - created by srptool)").refused().because(NO_SRP),
    row("SSLSRPUnknownUserSeed", Places::SERVER, Shape::Take1, accept, "SRP seed for unknown users (to avoid leaking a user's existence) ('some secret text')").refused().because(NO_SRP),
    row("SSLProxyEngine", Places::SERVER.or(Places::PROXY), Shape::Flag, proxy::engine, "SSL switch for the proxy protocol engine ('on', 'off')"),
    row("SSLProxyProtocol", Places::SERVER.or(Places::PROXY), Shape::Raw, proxy::protocol, "SSL Proxy: enable or disable SSL protocol flavors ('[+-][TLSv1|TLSv1.1|TLSv1.2] ...' - see manual)").because(VERSIONS),
    row("SSLProxyCipherSuite", Places::SERVER.or(Places::PROXY), Shape::Take12, proxy::ciphers, "SSL Proxy: colon-delimited list of permitted SSL ciphers , optionally preceded by protocol specifier ('XXX:...:XXX' - see manual)").because(SUITES),
    row("SSLProxyVerify", Places::SERVER.or(Places::PROXY), Shape::Take1, proxy::verify, "SSL Proxy: whether to verify the remote certificate ('on' or 'off')"),
    row("SSLProxyVerifyDepth", Places::SERVER.or(Places::PROXY), Shape::Take1, proxy::depth, "SSL Proxy: maximum certificate verification depth ('N' - number of intermediate certificates)"),
    row("SSLProxyCACertificateFile", Places::SERVER.or(Places::PROXY), Shape::Take1, proxy::ca_file, "SSL Proxy: file containing server certificates ('/path/to/file' - PEM encoded certificates)"),
    row("SSLProxyCACertificatePath", Places::SERVER.or(Places::PROXY), Shape::Take1, proxy::ca_path, "SSL Proxy: directory containing server certificates ('/path/to/dir' - contains PEM encoded certificates)"),
    row("SSLProxyCARevocationPath", Places::SERVER.or(Places::PROXY), Shape::Take1, proxy::crl_path, "SSL Proxy: CA Certificate Revocation List (CRL) path ('/path/to/dir' - contains PEM encoded files)").because(LISTS),
    row("SSLProxyCARevocationFile", Places::SERVER.or(Places::PROXY), Shape::Take1, proxy::crl_file, "SSL Proxy: CA Certificate Revocation List (CRL) file ('/path/to/file' - PEM encoded)").because(LISTS),
    row("SSLProxyCARevocationCheck", Places::SERVER.or(Places::PROXY), Shape::Raw, proxy::revocation, "SSL Proxy: CA Certificate Revocation List (CRL) checking mode"),
    row("SSLProxyMachineCertificateFile", Places::SERVER.or(Places::PROXY), Shape::Take1, proxy::machine_file, "SSL Proxy: file containing client certificates ('/path/to/file' - PEM encoded certificates)"),
    row("SSLProxyMachineCertificatePath", Places::SERVER.or(Places::PROXY), Shape::Take1, proxy::machine_path, "SSL Proxy: directory containing client certificates ('/path/to/dir' - contains PEM encoded certificates)"),
    row("SSLProxyMachineCertificateChainFile", Places::SERVER.or(Places::PROXY), Shape::Take1, proxy::machine_chain, "SSL Proxy: file containing issuing certificates of the client certificate (`/path/to/file' - PEM encoded certificates)"),
    row("SSLProxyCheckPeerExpire", Places::SERVER.or(Places::PROXY), Shape::Flag, proxy::check_expire, "SSL Proxy: check the peer certificate's expiration date"),
    row("SSLProxyCheckPeerCN", Places::SERVER.or(Places::PROXY), Shape::Flag, proxy::check_common_name, "SSL Proxy: check the peer certificate's CN"),
    row("SSLProxyCheckPeerName", Places::SERVER.or(Places::PROXY), Shape::Flag, proxy::check_name, "SSL Proxy: check the peer certificate's name (must be present in subjectAltName extension or CN"),
    row("SSLOptions", Places::OPTIONS, Shape::Raw, dir::options, "Set one or more options to configure the SSL engine('[+-]option[=value] ...' - see manual)"),
    row("SSLRequireSSL", Places::AUTHCFG, Shape::Raw, dir::require_ssl, "Require the SSL protocol for the per-directory context (no arguments)"),
    row("SSLRequire", Places::AUTHCFG, Shape::Raw, dir::require, "Require a boolean expression to evaluate to true for granting access(arbitrary complex boolean expression - see manual)").because("PeerExtList is refused"),
    row("SSLRenegBufferSize", Places::AUTHCFG, Shape::Take1, check::reneg_buffer_size, "Configure the amount of memory that will be used for buffering the request body if a per-location SSL renegotiation is required due to changed access control requirements").moot(),
    row("SSLOCSPEnable", Places::SERVER, Shape::Raw, ocsp::enable, "Enable use of OCSP to verify certificate revocation mode ('on', 'leaf', 'off')"),
    row("SSLOCSPDefaultResponder", Places::SERVER, Shape::Take1, ocsp::default_responder, "URL of the default OCSP Responder"),
    row("SSLOCSPOverrideResponder", Places::SERVER, Shape::Flag, ocsp::override_responder, "Force use of the default responder URL ('on', 'off')"),
    row("SSLOCSPResponseTimeSkew", Places::SERVER, Shape::Take1, ocsp::skew, "Maximum time difference in OCSP responses"),
    row("SSLOCSPResponseMaxAge", Places::SERVER, Shape::Take1, ocsp::max_age, "Maximum age of OCSP responses"),
    row("SSLOCSPResponderTimeout", Places::SERVER, Shape::Take1, ocsp::patience, "OCSP responder query timeout"),
    row("SSLOCSPUseRequestNonce", Places::SERVER, Shape::Flag, ocsp::nonce, "Whether OCSP queries use a nonce or not ('on', 'off')"),
    row("SSLOCSPProxyURL", Places::SERVER, Shape::Take1, ocsp::proxy, "Proxy URL to use for OCSP requests"),
    row("SSLOCSPNoVerify", Places::SERVER, Shape::Flag, ocsp::no_verify, "Do not verify OCSP Responder certificate ('on', 'off')"),
    row("SSLOCSPResponderCertificateFile", Places::SERVER, Shape::Take1, ocsp::trusted, "Trusted OCSP responder certificates(`/path/to/file' - PEM encoded certificates)"),
    row("SSLStaplingCache", Places::SERVER, Shape::Take1, stapling::cache, "SSL Stapling Response Cache storage (`dbm:/path/to/file')"),
    row("SSLUseStapling", Places::SERVER, Shape::Flag, stapling::on, "SSL switch for the OCSP Stapling protocol (`on', `off')"),
    row("SSLStaplingResponseTimeSkew", Places::SERVER, Shape::Take1, stapling::skew, "SSL stapling option for maximum time difference in OCSP responses"),
    row("SSLStaplingResponderTimeout", Places::SERVER, Shape::Take1, stapling::patience, "SSL stapling option for OCSP responder timeout"),
    row("SSLStaplingResponseMaxAge", Places::SERVER, Shape::Take1, stapling::max_age, "SSL stapling option for maximum age of OCSP responses"),
    row("SSLStaplingStandardCacheTimeout", Places::SERVER, Shape::Take1, stapling::keep, "SSL stapling option for normal OCSP Response Cache Lifetime"),
    row("SSLStaplingReturnResponderErrors", Places::SERVER, Shape::Flag, stapling::return_errors, "SSL stapling switch to return Status Errors Back to Client(`on', `off')"),
    row("SSLStaplingFakeTryLater", Places::SERVER, Shape::Flag, stapling::fake_try_later, "SSL stapling switch to send tryLater response to client on error (`on', `off')"),
    row("SSLStaplingErrorCacheTimeout", Places::SERVER, Shape::Take1, stapling::keep_error, "SSL stapling option for OCSP Response Error Cache Lifetime"),
    row("SSLStaplingForceURL", Places::SERVER, Shape::Take1, stapling::force_url, "SSL stapling option to Force the OCSP Stapling URL"),
    row("SSLOpenSSLConfCmd", Places::SERVER, Shape::Take2, commands::command, "OpenSSL configuration command"),
    row("SSLLog", Places::ALL, Shape::Raw, words::gone, "SSLLog directive is no longer supported - use ErrorLog."),
    row("SSLLogLevel", Places::ALL, Shape::Raw, words::gone, "SSLLogLevel directive is no longer supported - use LogLevel."),
];
