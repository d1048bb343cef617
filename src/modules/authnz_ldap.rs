//! `mod_authnz_ldap.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authnz_ldap_module",
        file: "mod_authnz_ldap.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthLDAPURL", Places::AUTHCFG, Shape::Take12, url, "URL to define LDAP connection. This should be an RFC 2255 compliant
URL of the form ldap://host[:port]/basedn[?attrib[?scope[?filter]]].
<ul>
<li>Host is the name of the LDAP server. Use a space separated list of hosts 
to specify redundant servers.
<li>Port is optional, and specifies the port to connect to.
<li>basedn specifies the base DN to start searches from
<li>Attrib specifies what attribute to search for in the directory. If not provided, it defaults to <b>uid</b>.
<li>Scope is the scope of the search, and can be either <b>sub</b> or <b>one</b>. If not provided, the default is <b>sub</b>.
<li>Filter is a filter to use in the search. If not provided, defaults to <b>(objectClass=*)</b>.
</ul>
Searches are performed using the attribute and the filter combined. For example, assume that the
LDAP URL is <b>ldap://ldap.airius.com/ou=People, o=Airius?uid?sub?(posixid=*)</b>. Searches will
be done using the filter <b>(&((posixid=*))(uid=<i>username</i>))</b>, where <i>username</i>
is the user name passed by the HTTP client. The search will be a subtree search on the branch <b>ou=People, o=Airius</b>.").refused(),
    row("AuthLDAPBindDN", Places::AUTHCFG, Shape::Take1, accept, "DN to use to bind to LDAP server. If not provided, will do an anonymous bind.").refused(),
    row("AuthLDAPBindPassword", Places::AUTHCFG, Shape::Take1, accept, "Password to use to bind to LDAP server. If not provided, will do an anonymous bind.").refused(),
    row("AuthLDAPBindAuthoritative", Places::AUTHCFG, Shape::Flag, accept, "Set to 'on' to return failures when user-specific bind fails - defaults to on.").refused(),
    row("AuthLDAPRemoteUserIsDN", Places::AUTHCFG, Shape::Flag, accept, "Set to 'on' to set the REMOTE_USER environment variable to be the full DN of the remote user. By default, this is set to off, meaning that the REMOTE_USER variable will contain whatever value the remote user sent.").refused(),
    row("AuthLDAPRemoteUserAttribute", Places::AUTHCFG, Shape::Take1, accept, "Override the user supplied username and place the contents of this attribute in the REMOTE_USER environment variable.").refused(),
    row("AuthLDAPCompareDNOnServer", Places::AUTHCFG, Shape::Flag, accept, "Set to 'on' to force auth_ldap to do DN compares (for the \"require dn\" directive) using the server, and set it 'off' to do the compares locally (at the expense of possible false matches). See the documentation for a complete description of this option.").refused(),
    row("AuthLDAPSubGroupAttribute", Places::AUTHCFG, Shape::Iterate, accept, "Attribute labels used to define sub-group (or nested group) membership in groups - defaults to member and uniqueMember").refused(),
    row("AuthLDAPSubGroupClass", Places::AUTHCFG, Shape::Iterate, accept, "LDAP objectClass values used to identify sub-group instances - defaults to groupOfNames and groupOfUniqueNames").refused(),
    row("AuthLDAPMaxSubGroupDepth", Places::AUTHCFG, Shape::Take1, accept, "Maximum subgroup nesting depth to be evaluated - defaults to 10 (top-level group = 0)").refused(),
    row("AuthLDAPGroupAttribute", Places::AUTHCFG, Shape::Iterate, accept, "A list of attribute labels used to identify the user members of groups - defaults to member and uniquemember").refused(),
    row("AuthLDAPGroupAttributeIsDN", Places::AUTHCFG, Shape::Flag, accept, "If set to 'on', auth_ldap uses the DN that is retrieved from the server for subsequent group comparisons. If set to 'off', auth_ldap uses the string provided by the client directly. Defaults to 'on'.").refused(),
    row("AuthLDAPDereferenceAliases", Places::AUTHCFG, Shape::Take1, |_, a| check::one_of(a, &["never", "searching", "finding", "always", "on", "off"], "Unrecognized value for AuthLDAPDereferenceAliases directive"), "Determines how aliases are handled during a search. Can be one of the values \"never\", \"searching\", \"finding\", or \"always\". Defaults to always.").refused(),
    row("AuthLDAPCharsetConfig", Places::SERVER, Shape::Take1, accept, "Character set conversion configuration file. If omitted, character set conversion is disabled.").refused(),
    row("AuthLDAPAuthorizePrefix", Places::AUTHCFG, Shape::Take1, accept, "The prefix to add to environment variables set during successful authorization, default 'AUTHORIZE_'").refused(),
    row("AuthLDAPInitialBindAsUser", Places::AUTHCFG, Shape::Flag, accept, "Set to 'on' to perform the initial DN lookup with the basic auth credentials instead of anonymous or hard-coded credentials").refused(),
    row("AuthLDAPInitialBindPattern", Places::AUTHCFG, Shape::Take2, bind_pattern, "The regex and substitution to determine a username that can bind based on an HTTP basic auth username").refused(),
    row("AuthLDAPSearchAsUser", Places::AUTHCFG, Shape::Flag, accept, "Set to 'on' to perform authorization-based searches with the users credentials, when this module has also performed authentication.  Does not affect nested groups lookup.").refused(),
    row("AuthLDAPCompareAsUser", Places::AUTHCFG, Shape::Flag, accept, "Set to 'on' to perform authorization-based compares with the users credentials, when this module has also performed authentication.  Does not affect nested groups lookups.").refused(),
];

/// `AuthLDAPURL url [NONE|SSL|TLS|STARTTLS]`.
fn url(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.word(0).to_ascii_lowercase();
    if [&b"ldap://"[..], b"ldaps://", b"ldapi://"].iter().any(|scheme| word.starts_with(scheme)) {
        return Ok(());
    }
    Err("The scheme was not recognised as a valid LDAP URL scheme.".to_owned())
}

/// `AuthLDAPInitialBindPattern pattern substitution`.
fn bind_pattern(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let wrong = |_| format!("AuthLDAPInitialBindPattern: cannot compile regular expression '{}'", args.text(0));
    cmd.pattern(args.word(0), false).map(|_| ()).map_err(wrong)
}
