//! Directives of the core that hold for directories and locations.

use std::sync::Arc;

use super::server::{Done, atoi, on_off, words};
use crate::base::clock::leading_integer;
use crate::base::path::EncodedSlashes;
use crate::config::core::{
    AcceptPathInfo, Canonical, CoreDir, ErrorDocument, EtagSet, Handler, Lookups, Overrides, RangeLimit, Signature,
    Text, etag, options,
};
use crate::config::{Args, Cmd, Places, SectionKind, latin1};
use crate::expr::Template;
use crate::web::status;

fn dir<'a>(cmd: &'a mut Cmd<'_>) -> &'a mut CoreDir {
    cmd.dir.get_mut::<CoreDir>()
}

/// The words of `Options`.
const OPTIONS: &[(&str, u8)] = &[
    ("Indexes", options::INDEXES),
    ("Includes", options::INCLUDES | options::INCLUDES_EXEC),
    ("IncludesNOEXEC", options::INCLUDES),
    ("FollowSymLinks", options::FOLLOW_SYM_LINKS),
    ("SymLinksIfOwnerMatch", options::SYM_LINKS_IF_OWNER),
    ("ExecCGI", options::EXEC_CGI),
    ("MultiViews", options::MULTI_VIEWS),
    ("RunScripts", options::MULTI_VIEWS | options::EXEC_CGI),
    ("All", options::ALL),
];

fn option_bits(word: &[u8]) -> Option<u8> {
    OPTIONS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word)).map(|(_, bits)| *bits)
}

/// The words that `Options` takes, for advice.
pub fn option_names() -> Vec<(&'static str, &'static str)> {
    OPTIONS.iter().map(|(name, _)| (*name, "")).chain([("None", "")]).collect()
}

/// The words that `AllowOverride` takes, for advice.
pub fn override_names() -> Vec<(&'static str, &'static str)> {
    ["AuthConfig", "FileInfo", "Indexes", "Limit", "Options", "Nonfatal", "None", "All"].map(|name| (name, "")).to_vec()
}

/// `Options`.
pub(super) fn set_options(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    const MIXED: &str = "Either all Options must start with + or -, or no Option may.";
    let mut set = dir(cmd).options;
    // Behind `All` or `None` there may be signs.
    let (mut first, mut signed, mut based) = (true, false, false);
    for word in words(args.raw) {
        let (sign, name) = match word.split_first() {
            Some((sign @ (b'+' | b'-'), name)) => (Some(*sign), name),
            _ => (None, word.as_slice()),
        };
        match sign {
            Some(_) if !first && !signed && !based => return Err(MIXED.to_owned()),
            Some(_) => signed = true,
            None if first => (set.explicit, set.bits) = (true, 0),
            None if signed => return Err(MIXED.to_owned()),
            None => {}
        }
        let (none, all) = (name.eq_ignore_ascii_case(b"none"), name.eq_ignore_ascii_case(b"all"));
        match (none, all) {
            (true, _) if !first => return Err("'Options None' must be the first Option given.".to_owned()),
            (true, _) if signed => return Err("You may not use 'Options +None' or 'Options -None'.".to_owned()),
            (_, true) if !first => return Err("'Options All' must be the first option given.".to_owned()),
            (_, true) if signed => return Err("You may not use 'Options +All' or 'Options -All'.".to_owned()),
            _ => based |= none || all,
        }
        let bits = match none {
            true => 0,
            false => option_bits(name).ok_or_else(|| format!("Illegal option {}", latin1(name)))?,
        };
        if cmd.options & bits != bits {
            return Err(format!("Option {} not allowed here", latin1(name)));
        }
        match sign {
            Some(b'-') => {
                set.remove |= bits;
                set.add &= !bits;
                set.bits &= !bits;
            }
            Some(_) => {
                set.add |= bits;
                set.remove &= !bits;
                set.bits |= bits;
            }
            None => set.bits |= bits,
        }
        first = false;
    }
    dir(cmd).options = set;
    Ok(())
}

/// Whether there are no folders for which `.htaccess` files could be allowed.
fn is_useless(cmd: &Cmd<'_>) -> bool {
    let kinds = [SectionKind::Limit, SectionKind::Location, SectionKind::Files];
    cmd.forbid(&kinds).is_err()
}

/// `AllowOverride`.
pub(super) fn allow_override(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    if is_useless(cmd) {
        let text = format!("AH00114: Useless use of AllowOverride in line {} of {}.", cmd.at.line, cmd.at.file);
        cmd.warn("core", "warn", text);
    }
    let mut set = Overrides {
        classes: 0,
        options: options::ALL | options::SYM_LINKS_IF_OWNER | options::MULTI_VIEWS,
        nonfatal: 0,
    };
    for word in words(args.raw) {
        let (name, value) = match memchr::memchr(b'=', &word) {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word.as_slice(), None),
        };
        match name.to_ascii_lowercase().as_slice() {
            b"limit" => set.classes |= Places::LIMIT.0,
            b"options" => {
                set.classes |= Places::OPTIONS.0;
                set.options = options::ALL;
                if let Some(list) = value {
                    set.options = 0;
                    for option in list.split(|byte| *byte == b',') {
                        if option.eq_ignore_ascii_case(b"none") {
                            continue;
                        }
                        set.options |=
                            option_bits(option).ok_or_else(|| format!("Illegal option {}", latin1(option)))?;
                    }
                }
            }
            b"fileinfo" => set.classes |= Places::FILEINFO.0,
            b"authconfig" => set.classes |= Places::AUTHCFG.0,
            b"indexes" => set.classes |= Places::INDEXES.0,
            b"nonfatal" => {
                set.nonfatal |= match value.unwrap_or_default().to_ascii_lowercase().as_slice() {
                    b"override" => 1,
                    b"unknown" => 2,
                    b"all" => 3,
                    // Other words are accepted, and mean nothing.
                    _ => 0,
                };
            }
            b"none" => (set.classes, set.nonfatal) = (0, 0),
            b"all" => (set.classes, set.nonfatal) = (Places::ALL.0, 0),
            _ => return Err(format!("Illegal override option {}", latin1(name))),
        }
    }
    dir(cmd).allow_override = Some(set);
    Ok(())
}

/// `AllowOverrideList`.
pub(super) fn allow_override_list(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    if is_useless(cmd) {
        let text = format!("AH00115: Useless use of AllowOverrideList at {}:{}", cmd.at.file, cmd.at.line);
        cmd.warn("core", "warn", text);
    }
    let mut list = Vec::new();
    for word in args.words {
        if word.eq_ignore_ascii_case(b"none") {
            if args.words.len() > 1 {
                return Err("'None' not allowed with other directives in AllowOverrideList".to_owned());
            }
            break;
        }
        match crate::modules::find_directive(word, &cmd.globals.modules) {
            Some(row) if row.places.any(Places::ALL) => list.push(word.to_ascii_lowercase()),
            Some(_) => {
                let text = format!(
                    "AH00117: Discarding directive `{}' not allowed in AllowOverrideList at {}:{}",
                    latin1(word),
                    cmd.at.file,
                    cmd.at.line
                );
                cmd.warn("core", "warn", text);
            }
            None => {
                let text = format!(
                    "AH00116: Discarding unrecognized directive `{}' in AllowOverrideList at {}:{}",
                    latin1(word),
                    cmd.at.file,
                    cmd.at.line
                );
                cmd.warn("core", "warn", text);
            }
        }
    }
    dir(cmd).allow_override_list = Some(list);
    Ok(())
}

/// `ErrorDocument status text|path|URL`.
pub(super) fn error_document(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let code = u16::try_from(atoi(args.word(0))).ok().filter(|code| status::known(*code).is_some());
    let code = code.ok_or_else(|| format!("Unsupported HTTP response code {}", args.text(0)))?;
    let what = args.word(1);
    let is_url = {
        let scheme = what.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
        scheme > 0 && what.get(scheme..).is_some_and(|rest| rest.starts_with(b"://"))
    };
    let text = |raw: &[u8]| -> Result<Text, String> {
        let template = template(cmd, raw).map_err(|why| format!("Cannot parse expression in ErrorDocument: {why}"))?;
        Ok(Text { raw: raw.to_vec(), template })
    };
    let document = if what.contains(&b' ') {
        ErrorDocument::Message(text(what)?)
    } else if what.first() == Some(&b'/') {
        ErrorDocument::Local(text(what)?)
    } else if is_url {
        if code == 401 {
            let text = format!(
                "AH00113: {}:{} cannot use a full URL in a 401 ErrorDocument directive --- ignoring!",
                cmd.at.file, cmd.at.line
            );
            cmd.warn("core", "notice", text);
            return Ok(());
        }
        ErrorDocument::Remote(text(what)?)
    } else if what.eq_ignore_ascii_case(b"default") {
        ErrorDocument::Canned
    } else {
        ErrorDocument::Message(text(what.strip_prefix(b"\"").unwrap_or(what))?)
    };
    let documents = &mut dir(cmd).error_documents;
    documents.retain(|(of, _)| *of != code);
    documents.push((code, document));
    Ok(())
}

/// The compiled form of a value in string mode, if it holds anything to expand.
fn template(cmd: &Cmd<'_>, raw: &[u8]) -> Result<Option<Arc<Template>>, String> {
    if memchr::memmem::find(raw, b"%{").is_none() {
        return Ok(None);
    }
    cmd.template(raw).map(Some)
}

/// `AcceptPathInfo`.
pub(super) fn accept_path_info(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let value = match args.word(0).to_ascii_lowercase().as_slice() {
        b"on" => AcceptPathInfo::On,
        b"off" => AcceptPathInfo::Off,
        b"default" => AcceptPathInfo::Default,
        _ => return Err("AcceptPathInfo must be set to on, off or default".to_owned()),
    };
    dir(cmd).accept_path_info = Some(value);
    Ok(())
}

/// `ContentDigest`.
pub(super) fn content_digest(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    dir(cmd).content_digest = Some(args.on());
    Ok(())
}

/// `UseCanonicalName`.
pub(super) fn use_canonical_name(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let value = match args.word(0).to_ascii_lowercase().as_slice() {
        b"on" => Canonical::On,
        b"off" => Canonical::Off,
        b"dns" => Canonical::Dns,
        _ => return Err("parameter must be 'on', 'off', or 'dns'".to_owned()),
    };
    dir(cmd).use_canonical_name = Some(value);
    Ok(())
}

fn parameter_on_off(args: &Args<'_>) -> Result<bool, String> {
    on_off(args).ok_or_else(|| "parameter must be 'on' or 'off'".to_owned())
}

/// `UseCanonicalPhysicalPort`.
pub(super) fn use_canonical_port(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    dir(cmd).use_canonical_port = Some(parameter_on_off(args)?);
    Ok(())
}

/// `HostnameLookups`.
pub(super) fn hostname_lookups(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let value = match args.word(0).to_ascii_lowercase().as_slice() {
        b"on" => Lookups::On,
        b"off" => Lookups::Off,
        b"double" => Lookups::Double,
        _ => return Err("parameter must be 'on', 'off', or 'double'".to_owned()),
    };
    dir(cmd).hostname_lookups = Some(value);
    Ok(())
}

/// `LimitRequestBody`.
pub(super) fn limit_body(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let (number, rest) = leading_integer(args.word(0));
    let number = number.ok_or_else(|| "LimitRequestBody argument is not parsable.".to_owned())?;
    let number = u64::try_from(number).ok().filter(|_| rest.is_empty());
    dir(cmd).limit_body = Some(number.ok_or_else(|| "LimitRequestBody requires a non-negative integer.".to_owned())?);
    Ok(())
}

/// `LimitXMLRequestBody`.
pub(super) fn limit_xml_body(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    // A body this large is kept six times over.
    const MOST: u64 = 3_074_457_345_618_258_601;
    let number = leading_integer(args.word(0)).0.unwrap_or(i64::MAX);
    let number =
        u64::try_from(number).map_err(|_| "LimitXMLRequestBody requires a non-negative integer.".to_owned())?;
    if number > MOST {
        return Err(format!("LimitXMLRequestBody must not exceed {MOST}"));
    }
    dir(cmd).limit_xml_body = Some(number);
    Ok(())
}

/// `ServerSignature`.
pub(super) fn signature(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let value = match args.word(0).to_ascii_lowercase().as_slice() {
        b"on" => Signature::On,
        b"off" => Signature::Off,
        b"email" => Signature::Email,
        _ => return Err("ServerSignature: use one of: off | on | email".to_owned()),
    };
    dir(cmd).signature = Some(value);
    Ok(())
}

/// `AddDefaultCharset`.
pub(super) fn add_default_charset(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let value = match on_off(args) {
        Some(false) => None,
        Some(true) => Some(b"iso-8859-1".to_vec()),
        None => Some(args.word(0).to_vec()),
    };
    dir(cmd).default_charset = Some(value);
    Ok(())
}

/// `DefaultType`: only a warning is left of it.
pub(super) fn default_type(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    if !args.word(0).eq_ignore_ascii_case(b"none") && !args.word(0).eq_ignore_ascii_case(b"off") {
        let text =
            format!("AH00117: Ignoring deprecated use of DefaultType in line {} of {}.", cmd.at.line, cmd.at.file);
        cmd.warn("core", "warn", text);
    }
    Ok(())
}

/// `ForceType`.
pub(super) fn force_type(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    dir(cmd).force_type = Some(args.word(0).to_ascii_lowercase());
    Ok(())
}

/// `SetHandler`.
pub(super) fn set_handler(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let word = args.word(0);
    let handler = if word.eq_ignore_ascii_case(b"none") {
        Handler::None
    } else if word.starts_with(b"expr=") || memchr::memmem::find(word, b"%{").is_some() {
        let text = word.strip_prefix(b"expr=").unwrap_or(word);
        let template = template(cmd, text).map_err(|why| format!("Can't parse expression : {why}"))?;
        Handler::Named(Text { raw: text.to_vec(), template })
    } else {
        // Handler names compare in lower case; the part behind `proxy:` is a URL.
        let raw = if word.starts_with(b"proxy:") { word.to_vec() } else { word.to_ascii_lowercase() };
        Handler::Named(Text { raw, template: None })
    };
    dir(cmd).handler = Some(handler);
    Ok(())
}

/// `SetOutputFilter`.
pub(super) fn output_filter(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    crate::modules::filter::check_names(cmd, args.word(0));
    dir(cmd).output_filters = Some(args.word(0).to_vec());
    Ok(())
}

/// `SetInputFilter`.
pub(super) fn input_filter(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    crate::modules::filter::check_input_names(cmd, args.word(0));
    dir(cmd).input_filters = Some(args.word(0).to_vec());
    Ok(())
}

/// `FileETag`.
pub(super) fn file_etag(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let mut set = dir(cmd).etag;
    let mut first = true;
    for word in words(args.raw) {
        let (sign, name) = match word.split_first() {
            Some((sign @ (b'+' | b'-'), name)) => (Some(*sign), name),
            _ => (None, word.as_slice()),
        };
        if sign.is_none() && std::mem::take(&mut first) {
            // The first word without a sign makes all forgotten that other lines said.
            set = EtagSet::default();
        }
        let bits = match name.to_ascii_lowercase().as_slice() {
            b"none" => {
                if sign.is_some() {
                    return Err("FileETag keyword 'None' cannot be used with '+' or '-'".to_owned());
                }
                set = EtagSet { bits: etag::NONE, add: 0, remove: 0 };
                continue;
            }
            b"all" => {
                if sign.is_some() {
                    return Err("FileETag keyword 'All' cannot be used with '+' or '-'".to_owned());
                }
                set = EtagSet { bits: etag::ALL, add: 0, remove: 0 };
                continue;
            }
            b"mtime" => etag::MTIME,
            b"size" => etag::SIZE,
            b"inode" => etag::INODE,
            b"digest" => etag::DIGEST,
            _ => return Err(format!("Unknown keyword '{}' for FileETag directive", latin1(name))),
        };
        match sign {
            Some(b'+') => {
                set.add |= bits;
                set.remove &= !bits;
            }
            Some(_) => {
                set.remove |= bits;
                set.add &= !bits;
            }
            None => {
                set.bits = (set.bits & !etag::NONE) | bits;
                (set.add, set.remove) = (0, 0);
            }
        }
    }
    dir(cmd).etag = set;
    Ok(())
}

/// `EnableMMAP`.
pub(super) fn enable_mmap(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    dir(cmd).mmap = Some(parameter_on_off(args)?);
    Ok(())
}

/// `EnableSendfile`.
pub(super) fn enable_sendfile(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    dir(cmd).sendfile = Some(parameter_on_off(args)?);
    Ok(())
}

/// `ReadBufferSize`.
pub(super) fn read_buffer_size(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let (number, rest) = leading_integer(args.word(0));
    let number = number.and_then(|number| u32::try_from(number).ok()).filter(|_| rest.is_empty());
    let Some(number) = number else {
        return Err(format!("parameter must be a number between 0 and (4294967295U)): {}", args.text(0)));
    };
    dir(cmd).read_buffer = Some(u64::from(number));
    Ok(())
}

fn range_limit(cmd: &Cmd<'_>, args: &Args<'_>) -> Result<RangeLimit, String> {
    Ok(match args.word(0).to_ascii_lowercase().as_slice() {
        b"none" => RangeLimit::None,
        b"default" => RangeLimit::Default,
        b"unlimited" => RangeLimit::Unlimited,
        // As many bits as httpd looks at.
        word => match u32::try_from(atoi(word) as i32) {
            Ok(number) if number > 0 => RangeLimit::At(number),
            _ => {
                return Err(format!(
                    "{} requires 'none', 'default', 'unlimited' or a positive integer",
                    cmd.directive.name
                ));
            }
        },
    })
}

/// `MaxRanges`.
pub(super) fn max_ranges(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    dir(cmd).max_ranges = Some(range_limit(cmd, args)?);
    Ok(())
}

/// `MaxRangeOverlaps`.
pub(super) fn max_overlaps(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    dir(cmd).max_overlaps = Some(range_limit(cmd, args)?);
    Ok(())
}

/// `MaxRangeReversals`.
pub(super) fn max_reversals(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    dir(cmd).max_reversals = Some(range_limit(cmd, args)?);
    Ok(())
}

/// `CGIPassAuth`.
pub(super) fn cgi_pass_auth(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    dir(cmd).cgi_pass_auth = Some(args.on());
    Ok(())
}

/// `CGIVar REQUEST_URI rule`.
pub(super) fn cgi_var(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    if args.word(0) != b"REQUEST_URI" {
        return Err(format!("Unrecognized CGI variable: \"{}\"", args.text(0)));
    }
    let original = match args.word(1) {
        b"current-uri" => false,
        b"original-uri" => true,
        _ => return Err("Valid rules for REQUEST_URI are 'current-uri' and 'original-uri'".to_owned()),
    };
    dir(cmd).cgi_original_uri = Some(original);
    Ok(())
}

/// `QualifyRedirectURL`.
pub(super) fn qualify_redirect_url(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    dir(cmd).qualify_redirect_url = Some(args.on());
    Ok(())
}

/// `AllowEncodedSlashes`.
pub(super) fn allow_encoded_slashes(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    let value = match args.word(0).to_ascii_lowercase().as_slice() {
        b"on" => EncodedSlashes::Decode,
        b"off" => EncodedSlashes::Refuse,
        b"nodecode" => EncodedSlashes::Keep,
        _ => return Err("AllowEncodedSlashes must be On, Off, or NoDecode".to_owned()),
    };
    dir(cmd).encoded_slashes = Some(value);
    Ok(())
}

/// `RLimit…`: the soft limit of programs, and the hard one; the same if it is not given.
pub(super) fn rlimit(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let limit = |word: &[u8]| match word.eq_ignore_ascii_case(b"max") {
        true => None,
        false => Some(leading_integer(word).0.and_then(|number| u64::try_from(number).ok()).unwrap_or(0)),
    };
    let limits = Some((limit(args.word(0)), args.opt(1).and_then(limit)));
    let own = match cmd.directive.name {
        "RLimitCPU" => &mut dir(cmd).rlimits.cpu,
        "RLimitMEM" => &mut dir(cmd).rlimits.memory,
        _ => &mut dir(cmd).rlimits.processes,
    };
    *own = limits;
    Ok(())
}
