//! `mod_md.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow { id: "md_module", file: "mod_md.c", builtin: false, directives: DIRECTIVES, post_config: nothing },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("MDCertificateAuthority", Places::SERVER, Shape::Argv, accept, "URL(s) or known name(s) of CA issuing the certificates").refused(),
    row("MDCertificateAgreement", Places::SERVER, Shape::Take1, accept, "either 'accepted' or the URL of CA Terms-of-Service agreement you accept").refused(),
    row("MDCAChallenges", Places::SERVER, Shape::Argv, accept, "A list of challenge types to be used.").refused(),
    row("MDCertificateProtocol", Places::SERVER, Shape::Take1, accept, "Protocol used to obtain/renew certificates").refused(),
    row("MDContactEmail", Places::SERVER, Shape::Take1, accept, "Email address used for account registration").refused(),
    row("MDDriveMode", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["auto", "manual", "always"], "unknown MDDriveMode \u{1}"), "deprecated, older name for MDRenewMode").refused(),
    row("MDRenewMode", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["auto", "manual", "always"], "unknown MDDriveMode \u{1}"), "Controls how renewal of Managed Domain certificates shall be handled.").refused(),
    row("MDomain", Places::SERVER, Shape::Argv, accept, "A group of server names with one certificate").refused(),
    row("<MDomainSet", Places::SERVER, Shape::Raw, accept, "Container for a managed domain with common settings and certificate.").refused(),
    row("<MDomain", Places::SERVER, Shape::Raw, accept, "Short form for <MDomainSet> container.").refused(),
    row("MDMember", Places::SERVER, Shape::Argv, accept, "Define domain name(s) part of the Managed Domain. Use 'auto' or 'manual' to enable/disable auto adding names from virtual hosts.").refused(),
    row("MDMembers", Places::SERVER, Shape::Argv, accept, "Define domain name(s) part of the Managed Domain. Use 'auto' or 'manual' to enable/disable auto adding names from virtual hosts.").refused(),
    row("MDMustStaple", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "unknown '\u{1}', supported parameter values are 'on' and 'off'"), "Enable/Disable the Must-Staple flag for new certificates.").refused(),
    row("MDPortMap", Places::SERVER, Shape::Take12, accept, "Declare the mapped ports 80 and 443 on the local server. E.g. 80:8000 to indicate that the server port 8000 is reachable as port 80 from the internet. Use 80:- to indicate that port 80 is not reachable from the outside.").refused(),
    row("MDPrivateKeys", Places::SERVER, Shape::Argv, accept, "set the type and parameters for private key generation").refused(),
    row("MDHttpProxy", Places::SERVER, Shape::Take1, accept, "URL of a HTTP(S) proxy to use for outgoing connections").refused(),
    row("MDStoreDir", Places::SERVER, Shape::Take1, accept, "the directory for file system storage of managed domain data.").refused(),
    row("MDRenewWindow", Places::SERVER, Shape::Take1, accept, "Time length for renewal before certificate expires (defaults to days).").refused(),
    row("MDRequireHttps", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, |_, a| check::one_of(a, &["off", "temporary", "permanent"], "unknown '\u{1}', supported parameter values are 'temporary' and 'permanent'"), "Redirect non-secure requests to the https: equivalent.").refused(),
    row("MDNotifyCmd", Places::SERVER, Shape::Raw, accept, "Set the command to run when signup/renew of domain is complete.").refused(),
    row("MDBaseServer", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "unknown '\u{1}', supported parameter values are 'on' and 'off'"), "Allow managing of base server outside virtual hosts.").refused(),
    row("MDChallengeDns01", Places::SERVER, Shape::Raw, accept, "Set the command for setup/teardown of dns-01 challenges").refused(),
    row("MDChallengeDns01Version", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["1", "2"], "Only versions `1` and `2` are supported"), "Set the type of arguments to call `MDChallengeDns01` with").refused(),
    row("MDCertificateFile", Places::SERVER, Shape::Take1, accept, "set the static certificate (chain) file to use for this domain.").refused(),
    row("MDCertificateKeyFile", Places::SERVER, Shape::Take1, accept, "set the static private key file to use for this domain.").refused(),
    row("MDServerStatus", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "unknown '\u{1}', supported parameter values are 'on' and 'off'"), "On to see Managed Domains in server-status.").refused(),
    row("MDCertificateStatus", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "unknown '\u{1}', supported parameter values are 'on' and 'off'"), "On to see Managed Domain expose /.httpd/certificate-status.").refused(),
    row("MDWarnWindow", Places::SERVER, Shape::Take1, accept, "When less time remains for a certificate, send our/log a warning (defaults to days)").refused(),
    row("MDMessageCmd", Places::SERVER, Shape::Raw, accept, "Set the command run when a message about a domain is issued.").refused(),
    row("MDStapling", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "unknown '\u{1}', supported parameter values are 'on' and 'off'"), "Enable/Disable OCSP Stapling for this/all Managed Domain(s).").refused(),
    row("MDStapleOthers", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "unknown '\u{1}', supported parameter values are 'on' and 'off'"), "Enable/Disable OCSP Stapling for certificates not in Managed Domains.").refused(),
    row("MDStaplingKeepResponse", Places::SERVER, Shape::Take1, accept, "The amount of time to keep an OCSP response in the store.").refused(),
    row("MDStaplingRenewWindow", Places::SERVER, Shape::Take1, accept, "Time length for renewal before OCSP responses expire (defaults to days).").refused(),
    row("MDCertificateCheck", Places::SERVER, Shape::Take2, accept, "Set name and URL pattern for a certificate monitoring site.").refused(),
    row("MDActivationDelay", Places::SERVER, Shape::Take1, accept, "How long to delay activation of new certificates").refused(),
    row("MDCACertificateFile", Places::SERVER, Shape::Take1, accept, "Set the CA file to use for connections").refused(),
    row("MDHttpProxyCACertificateFile", Places::SERVER, Shape::Take1, accept, "Set the CA file to use for connections to the HTTP(S) proxy").refused(),
    row("MDExternalAccountBinding", Places::SERVER, Shape::Take12, accept, "Set the external account binding keyid and hmac values to use at CA").refused(),
    row("MDRetryDelay", Places::SERVER, Shape::Take1, accept, "Time length for first retry, doubled on every consecutive error.").refused(),
    row("MDRetryFailover", Places::SERVER, Shape::Take1, |_, a| check::at_least(a, 1, "invalid argument, must be a number > 0"), "The number of errors before a failover to another CA is triggered.").refused(),
    row("MDStoreLocks", Places::SERVER, Shape::Take1, accept, "Configure locking of store for updates.").refused(),
    row("MDMatchNames", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["all", "servernames"], "invalid argument, must be a 'all' or 'servernames'"), "Determines how DNS names are matched to vhosts.").refused(),
    row("MDInitialDelay", Places::SERVER, Shape::Take1, accept, "How long to delay the first certificate check.").refused(),
    row("MDCheckInterval", Places::SERVER, Shape::Take1, accept, "Time between certificate checks.").refused(),
    row("MDProfile", Places::SERVER, Shape::Take1, accept, "The name of an CA profile to order certificates for.").refused(),
    row("MDProfileMandatory", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "unknown '\u{1}', supported parameter values are 'on' and 'off'"), "Determines if a configured CA profile is mandatory.").refused(),
    row("MDRenewViaARI", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "unknown '\u{1}', supported parameter values are 'on' and 'off'"), "Enable/Disable ACME ARI (RFC 9773) to trigger renewals.").refused(),
];
