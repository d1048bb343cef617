//! `mod_md.c`.

use crate::base::clock::{Unit, leading_integer, parse_interval};
use crate::config::{Args, Cmd, Directive, ModuleRow, Open, Places, SectionKind, Shape, latin1, row};
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
    row("MDCertificateAuthority", Places::SERVER, Shape::Argv, authority, "URL(s) or known name(s) of CA issuing the certificates").refused(),
    row("MDCertificateAgreement", Places::SERVER, Shape::Take1, accept, "either 'accepted' or the URL of CA Terms-of-Service agreement you accept").refused(),
    row("MDCAChallenges", Places::SERVER, Shape::Argv, accept, "A list of challenge types to be used.").refused(),
    row("MDCertificateProtocol", Places::SERVER, Shape::Take1, accept, "Protocol used to obtain/renew certificates").refused(),
    row("MDContactEmail", Places::SERVER, Shape::Take1, accept, "Email address used for account registration").refused(),
    row("MDDriveMode", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["auto", "manual", "always"], "unknown MDDriveMode \u{1}"), "deprecated, older name for MDRenewMode").refused(),
    row("MDRenewMode", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["auto", "manual", "always"], "unknown MDDriveMode \u{1}"), "Controls how renewal of Managed Domain certificates shall be handled.").refused(),
    row("MDomain", Places::SERVER, Shape::Argv, domain, "A group of server names with one certificate").refused(),
    row("<MDomainSet", Places::SERVER, Shape::Raw, domain_set, "Container for a managed domain with common settings and certificate.").refused(),
    row("<MDomain", Places::SERVER, Shape::Raw, domain_set, "Short form for <MDomainSet> container.").refused(),
    row("MDMember", Places::SERVER, Shape::Argv, members, "Define domain name(s) part of the Managed Domain. Use 'auto' or 'manual' to enable/disable auto adding names from virtual hosts.").refused(),
    row("MDMembers", Places::SERVER, Shape::Argv, members, "Define domain name(s) part of the Managed Domain. Use 'auto' or 'manual' to enable/disable auto adding names from virtual hosts.").refused(),
    row("MDMustStaple", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "unknown '\u{1}', supported parameter values are 'on' and 'off'"), "Enable/Disable the Must-Staple flag for new certificates.").refused(),
    row("MDPortMap", Places::SERVER, Shape::Take12, |c, a| outside_set(c).and_then(|()| port_map(a)), "Declare the mapped ports 80 and 443 on the local server. E.g. 80:8000 to indicate that the server port 8000 is reachable as port 80 from the internet. Use 80:- to indicate that port 80 is not reachable from the outside.").refused(),
    row("MDPrivateKeys", Places::SERVER, Shape::Argv, private_keys, "set the type and parameters for private key generation").refused(),
    row("MDHttpProxy", Places::SERVER, Shape::Take1, http_proxy, "URL of a HTTP(S) proxy to use for outgoing connections").refused(),
    row("MDStoreDir", Places::SERVER, Shape::Take1, |c, _| outside_set(c), "the directory for file system storage of managed domain data.").refused(),
    row("MDRenewWindow", Places::SERVER, Shape::Take1, window, "Time length for renewal before certificate expires (defaults to days).").refused(),
    row("MDRequireHttps", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, require_https, "Redirect non-secure requests to the https: equivalent.").refused(),
    row("MDNotifyCmd", Places::SERVER, Shape::Raw, |c, _| outside_set(c), "Set the command to run when signup/renew of domain is complete.").refused(),
    row("MDBaseServer", Places::SERVER, Shape::Take1, |c, a| outside_set(c).and_then(|()| check::one_of(a, &["on", "off"], "unknown '\u{1}', supported parameter values are 'on' and 'off'")), "Allow managing of base server outside virtual hosts.").refused(),
    row("MDChallengeDns01", Places::SERVER, Shape::Raw, accept, "Set the command for setup/teardown of dns-01 challenges").refused(),
    row("MDChallengeDns01Version", Places::SERVER, Shape::Take1, |c, a| outside_set(c).and_then(|()| check::one_of(a, &["1", "2"], "Only versions `1` and `2` are supported")), "Set the type of arguments to call `MDChallengeDns01` with").refused(),
    row("MDCertificateFile", Places::SERVER, Shape::Take1, in_set, "set the static certificate (chain) file to use for this domain.").refused(),
    row("MDCertificateKeyFile", Places::SERVER, Shape::Take1, in_set, "set the static private key file to use for this domain.").refused(),
    row("MDServerStatus", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "unknown '\u{1}', supported parameter values are 'on' and 'off'"), "On to see Managed Domains in server-status.").refused(),
    row("MDCertificateStatus", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "unknown '\u{1}', supported parameter values are 'on' and 'off'"), "On to see Managed Domain expose /.httpd/certificate-status.").refused(),
    row("MDWarnWindow", Places::SERVER, Shape::Take1, window, "When less time remains for a certificate, send our/log a warning (defaults to days)").refused(),
    row("MDMessageCmd", Places::SERVER, Shape::Raw, |c, _| outside_set(c), "Set the command run when a message about a domain is issued.").refused(),
    row("MDStapling", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "unknown '\u{1}', supported parameter values are 'on' and 'off'"), "Enable/Disable OCSP Stapling for this/all Managed Domain(s).").refused(),
    row("MDStapleOthers", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "unknown '\u{1}', supported parameter values are 'on' and 'off'"), "Enable/Disable OCSP Stapling for certificates not in Managed Domains.").refused(),
    row("MDStaplingKeepResponse", Places::SERVER, Shape::Take1, window, "The amount of time to keep an OCSP response in the store.").refused(),
    row("MDStaplingRenewWindow", Places::SERVER, Shape::Take1, window, "Time length for renewal before OCSP responses expire (defaults to days).").refused(),
    row("MDCertificateCheck", Places::SERVER, Shape::Take2, accept, "Set name and URL pattern for a certificate monitoring site.").refused(),
    row("MDActivationDelay", Places::SERVER, Shape::Take1, |c, a| outside_set(c).and_then(|()| delay(c, a)), "How long to delay activation of new certificates").refused(),
    row("MDCACertificateFile", Places::SERVER, Shape::Take1, accept, "Set the CA file to use for connections").refused(),
    row("MDHttpProxyCACertificateFile", Places::SERVER, Shape::Take1, accept, "Set the CA file to use for connections to the HTTP(S) proxy").refused(),
    row("MDExternalAccountBinding", Places::SERVER, Shape::Take12, binding, "Set the external account binding keyid and hmac values to use at CA").refused(),
    row("MDRetryDelay", Places::SERVER, Shape::Take1, |c, a| outside_set(c).and_then(|()| delay(c, a)), "Time length for first retry, doubled on every consecutive error.").refused(),
    row("MDRetryFailover", Places::SERVER, Shape::Take1, |c, a| outside_set(c).and_then(|()| check::at_least(a, 1, "invalid argument, must be a number > 0")), "The number of errors before a failover to another CA is triggered.").refused(),
    row("MDStoreLocks", Places::SERVER, Shape::Take1, |c, a| outside_set(c).and_then(|()| locks(a)), "Configure locking of store for updates.").refused(),
    row("MDMatchNames", Places::SERVER, Shape::Take1, |c, a| outside_set(c).and_then(|()| check::one_of(a, &["all", "servernames"], "invalid argument, must be a 'all' or 'servernames'")), "Determines how DNS names are matched to vhosts.").refused(),
    row("MDInitialDelay", Places::SERVER, Shape::Take1, |c, a| outside_set(c).and_then(|()| delay(c, a)), "How long to delay the first certificate check.").refused(),
    row("MDCheckInterval", Places::SERVER, Shape::Take1, |c, a| outside_set(c).and_then(|()| delay(c, a)), "Time between certificate checks.").refused(),
    row("MDProfile", Places::SERVER, Shape::Take1, accept, "The name of an CA profile to order certificates for.").refused(),
    row("MDProfileMandatory", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "unknown '\u{1}', supported parameter values are 'on' and 'off'"), "Determines if a configured CA profile is mandatory.").refused(),
    row("MDRenewViaARI", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "unknown '\u{1}', supported parameter values are 'on' and 'off'"), "Enable/Disable ACME ARI (RFC 9773) to trigger renewals.").refused(),
];

/// Authorities that have names.
const AUTHORITIES: &[&str] = &["LetsEncrypt", "LetsEncrypt-Test", "Buypass", "Buypass-Test"];

/// `MDCertificateAuthority`: names or URLs.
fn authority(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    for word in args.words.iter().filter(|word| !word.is_empty()) {
        let name = latin1(word);
        if AUTHORITIES.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            continue;
        }
        let Err(why) = uri(word) else { continue };
        return Err(format!(
            "The CA name '{name}' is not known and it is not a URL either ({why}). Known CA names are: {}.",
            AUTHORITIES.join(" ")
        ));
    }
    Ok(())
}

/// The scheme of a URI; the error says what is wrong with it.
fn uri(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    if text.iter().any(u8::is_ascii_whitespace) {
        return Err("whitespace in uri");
    }
    let (scheme, rest) = text.split_at(text.iter().position(|byte| b":/?#".contains(byte)).unwrap_or(text.len()));
    let Some(rest) = rest.strip_prefix(b":") else { return Err("missing uri scheme") };
    if check::is_broken_uri(text) {
        return Err("not an uri");
    }
    if rest.is_empty() {
        return Err("missing uri identifier");
    }
    if scheme == b"mailto" && !rest.contains(&b'@') {
        return Err("missing @");
    }
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.strip_prefix(b"//");
    if authority.is_some_and(|rest| !has_fine_port(rest)) {
        return Err("invalid port");
    }
    match scheme.as_slice() {
        b"http" | b"https" if authority.is_none() => Err("missing hostname"),
        _ => Ok(scheme),
    }
}

/// Whether the port of an authority, if it has one, is one that mod_md takes.
fn has_fine_port(rest: &[u8]) -> bool {
    let authority = rest.split(|byte| b"/?#".contains(byte)).next().unwrap_or_default();
    let port = match memchr::memrchr(b':', authority) {
        Some(at) if !authority.ends_with(b"]") => authority.get(at + 1..).unwrap_or_default(),
        _ => return true,
    };
    // Of a large number the lower bits are taken; the bound is mod_md's own.
    port.iter().any(|byte| !byte.is_ascii_digit()) || (1..=65353).contains(&(check::number(port) & 0xffff))
}

/// `MDHttpProxy URL`.
fn http_proxy(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    match uri(args.word(0))?.as_slice() {
        b"http" | b"https" => Ok(()),
        _ => Err("uri scheme must be http or https".to_owned()),
    }
}

/// `MDPrivateKeys Default|type [bits] ...`.
fn private_keys(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if args.words.is_empty() || args.word(0).is_empty() {
        return Err("needs to specify the private key type".to_owned());
    }
    let mut types: Vec<&[u8]> = Vec::new();
    let mut words = args.words.iter().copied().peekable();
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case(b"default") {
            if args.words.len() > 1 {
                return Err("'Default' allows no other parameter".to_owned());
            }
            continue;
        }
        if word.eq_ignore_ascii_case(b"rsa")
            && let Some(bits) = words.next_if(|next| next.first().is_some_and(u8::is_ascii_digit))
            // As a C int.
            && check::number(bits) as i32 <= 2047
        {
            return Err("must be 2048 or higher in order to be considered safe.".to_owned());
        }
        if types.iter().any(|known| known.eq_ignore_ascii_case(word)) {
            return Err(format!("two keys of type '{}' are not possible.", latin1(word)));
        }
        types.push(word);
    }
    Ok(())
}

/// `MDomain name ... [auto|manual]`.
fn domain(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    outside_set(cmd)?;
    let mode = |word: &&[u8]| word.eq_ignore_ascii_case(b"auto") || word.eq_ignore_ascii_case(b"manual");
    if args.words.iter().all(mode) { Err("needs at least one domain name".to_owned()) } else { Ok(()) }
}

/// Refused in an `<MDomainSet>`.
fn outside_set(cmd: &mut Cmd<'_>) -> Result<(), String> {
    if !cmd.inside(SectionKind::Block) {
        return Ok(());
    }
    Err(format!("{} is not allowed inside an '<MDomainSet' context", cmd.directive.name))
}

/// Whether an `<MDomainSet>` is around.
fn in_set(cmd: &mut Cmd<'_>, _: &Args<'_>) -> Result<(), String> {
    if cmd.inside(SectionKind::Block) {
        return Ok(());
    }
    Err(format!("{} is only valid inside a '<MDomainSet' context, not here", cmd.directive.name))
}

/// `MDMembers auto|manual`, or names in an `<MDomainSet>`.
fn members(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if cmd.inside(SectionKind::Block) || args.words.len() != 1 {
        return in_set(cmd, args);
    }
    check::one_of(args, &["auto", "manual"], "unknown value, use \"auto|manual\"")
}

/// `<MDomainSet name ...>`.
fn domain_set(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    outside_set(cmd)?;
    let Some(text) = args.raw.strip_suffix(b">") else {
        return Err(format!("{}> directive missing closing '>'", cmd.directive.name));
    };
    if text.trim_ascii().is_empty() {
        return Err("<MDomainSet > section must specify a unique domain name".to_owned());
    }
    cmd.open = Some(Open::Block { leave: None, places: None });
    Ok(())
}

/// `MDPortMap http:80 https:443`.
fn port_map(args: &Args<'_>) -> Result<(), String> {
    for word in args.words {
        let (port, rest) = match (word.strip_prefix(b"http:"), word.strip_prefix(b"https:")) {
            (Some(_), _) => (Some(80), &word[4..]),
            (_, Some(_)) => (Some(443), &word[5..]),
            _ => leading_integer(word),
        };
        let port = port.ok_or("unable to parse first port number")?;
        let Some(local) = rest.strip_prefix(b":") else {
            return Err("no ':' after first port number".to_owned());
        };
        if local.first() != Some(&b'-') {
            let local = leading_integer(local).0.ok_or("unable to parse second port number")?;
            if !(1..=65535).contains(&local) {
                return Err("invalid number for port map, must be in ]0,65535]".to_owned());
            }
        }
        if !matches!(port, 80 | 443) {
            return Err("mapped port number must be 80 or 443".to_owned());
        }
    }
    Ok(())
}

/// In microseconds.
type Duration = i64;

const SECOND: Duration = 1_000_000;

/// A time: a number with a unit, days among them.
fn duration(word: &[u8]) -> Option<Duration> {
    let (number, rest) = leading_integer(word);
    let number = number.filter(|_| word.iter().any(u8::is_ascii_digit))?;
    let unit = match rest.first() {
        None => SECOND,
        // What is behind the letter is not looked at.
        Some(b'd' | b'D') => 86_400 * SECOND,
        Some(_) => {
            let digits = word.get(..word.len() - rest.len())?;
            let sign = if digits.contains(&b'-') { -1 } else { 1 };
            let plain: Vec<u8> = word.iter().copied().filter(|byte| !b"+- \t".contains(byte)).collect();
            let time = parse_interval(&plain, Unit::Second).ok()?;
            return i64::try_from(time.as_micros()).ok().map(|time| sign * time);
        }
    };
    Some(number.saturating_mul(unit))
}

/// A time, or a part of a certificate's life in percent.
fn window(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let (number, rest) = leading_integer(args.word(0));
    let name = cmd.directive.name;
    if duration(args.word(0)).is_some() {
        return Ok(());
    }
    // What is behind the sign is not looked at.
    match (number, rest.first()) {
        (Some(..0), Some(b'%')) => Err(format!("{name} percent must be less than 100")),
        (Some(0..=99), Some(b'%')) => Ok(()),
        (_, Some(b'%')) => match name {
            "MDStaplingKeepResponse" => Ok(()),
            "MDStaplingRenewWindow" => Err(format!("{name} with a length of 100% or more is not allowed.")),
            _ => Err(format!("{name} a length of 100% or more is not allowed.")),
        },
        _ => Err(format!("{name} has unrecognized format")),
    }
}

fn delay(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let Some(time) = duration(args.word(0)) else { return Err("unrecognized duration format".to_owned()) };
    match cmd.directive.name {
        "MDRetryDelay" if time <= 0 => Err("minimum delay must be greater than 0".to_owned()),
        "MDInitialDelay" if time < 0 => Err("initial delay must not be negative".to_owned()),
        "MDCheckInterval" if time < SECOND => Err("check interval cannot be less than one second".to_owned()),
        _ => Ok(()),
    }
}

fn require_https(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.not_in_dir_context()?;
    let text = "unknown '\u{1}', supported parameter values are 'temporary' and 'permanent'";
    check::one_of(args, &["off", "temporary", "permanent"], text)
}

fn locks(args: &Args<'_>) -> Result<(), String> {
    if duration(args.word(0)).is_some() {
        return Ok(());
    }
    check::one_of(args, &["on", "off"], "neither 'on', 'off' or a duration specified")
}

/// `MDExternalAccountBinding none|file`, or the key's name and the key.
fn binding(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if args.words.len() != 1 || args.word(0).eq_ignore_ascii_case(b"none") {
        return Ok(());
    }
    let (path, shown) = check::rooted(cmd, args.word(0));
    if crate::net::files::look(path).is_ok_and(|found| found.kind == crate::net::files::Kind::File) {
        Ok(())
    } else {
        Err(format!("MDExternalAccountBinding: file not found: {shown}"))
    }
}
