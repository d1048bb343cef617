//! The core's values per server, per directory and per process. They live on this floor because the pipe reads them;
//! the rows that set them are in `modules::core`.

use std::sync::Arc;

use super::{Conf, inner_or_outer};
use crate::base::path::EncodedSlashes;
use crate::expr::Template;

/// `modules::slot::CORE`, which is the first of all.
const CORE: usize = 0;

/// `TraceEnable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// 405.
    Off,
    /// Without a body.
    On,
    /// With a body.
    Extended,
}

/// Values per server. Names and paths of the server itself are in [`crate::config::ServerRec`].
#[derive(Clone, Debug, Default)]
pub struct CoreServer {
    /// DocumentRoot: absolute, no slash at the end (but `/` itself).
    pub document_root: Option<Vec<u8>>,
    /// AccessFileName.
    pub access_file_names: Option<Vec<Vec<u8>>>,
    /// TraceEnable, default on.
    pub trace: Option<Trace>,
    /// HttpProtocolOptions `Allow0.9` (default) or `Require1.0`.
    pub http09: Option<bool>,
    /// HttpProtocolOptions `Strict` (default) or `Unsafe`.
    pub strict: Option<bool>,
    /// HttpProtocolOptions `RegisteredMethods`; default `LenientMethods`.
    pub registered_methods: Option<bool>,
    /// MergeTrailers, default off.
    pub merge_trailers: Option<bool>,
    /// Protocols in order of preference; default `http/1.1`.
    pub protocols: Option<Vec<Vec<u8>>>,
    /// ProtocolsHonorOrder, default on.
    pub protocols_honor_order: Option<bool>,
    /// Protocol.
    pub protocol: Option<Vec<u8>>,
    /// LimitInternalRecursion: redirects, subrequests; default 10 each.
    pub recursion: Option<(u32, u32)>,
    /// FlushMaxThreshold in bytes.
    pub flush_max_threshold: Option<usize>,
    /// FlushMaxPipelined, -1 is unlimited.
    pub flush_max_pipelined: Option<i64>,
    /// StrictHostCheck, default off.
    pub strict_host_check: Option<bool>,
    /// MergeSlashes, default on.
    pub merge_slashes: Option<bool>,
}

impl Conf for CoreServer {
    const SLOT: usize = CORE;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(
            base, add; document_root, access_file_names, trace, http09, strict, registered_methods, merge_trailers,
            protocols, protocols_honor_order, protocol, recursion, flush_max_threshold, flush_max_pipelined,
            strict_host_check, merge_slashes
        )
    }
}

/// `Options` as bits.
pub mod options {
    /// `Indexes`.
    pub const INDEXES: u8 = 1;
    /// `IncludesNOEXEC`, and part of `Includes`.
    pub const INCLUDES: u8 = 2;
    /// `FollowSymLinks`.
    pub const FOLLOW_SYM_LINKS: u8 = 4;
    /// `ExecCGI`.
    pub const EXEC_CGI: u8 = 8;
    /// `Includes` with exec.
    pub const INCLUDES_EXEC: u8 = 32;
    /// `SymLinksIfOwnerMatch`.
    pub const SYM_LINKS_IF_OWNER: u8 = 64;
    /// `MultiViews`.
    pub const MULTI_VIEWS: u8 = 128;
    /// `All`: everything but MultiViews and SymLinksIfOwnerMatch.
    pub const ALL: u8 = INDEXES | INCLUDES | INCLUDES_EXEC | FOLLOW_SYM_LINKS | EXEC_CGI;
}

/// `Options` of one scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionSet {
    /// Unsigned words were given: `bits` replaces what was set outside.
    pub explicit: bool,
    /// The options in force, see [`options`].
    pub bits: u8,
    /// Given with `+`.
    pub add: u8,
    /// Given with `-`.
    pub remove: u8,
}

impl Default for OptionSet {
    fn default() -> Self {
        Self { explicit: false, bits: options::FOLLOW_SYM_LINKS, add: 0, remove: 0 }
    }
}

impl OptionSet {
    /// Whether all options of `bits` are on.
    pub fn has(self, bits: u8) -> bool {
        self.bits & bits == bits
    }

    fn over(self, base: Self) -> Self {
        if self.explicit {
            return self;
        }
        let add = (base.add & !self.remove) | self.add;
        let remove = (base.remove & !self.add) | self.remove;
        let mut bits = (base.bits & !remove) | add;
        // Includes with exec outside and IncludesNOEXEC inside: no exec.
        let both = options::INCLUDES | options::INCLUDES_EXEC;
        if base.bits & both == both && self.bits & both == options::INCLUDES {
            bits &= !options::INCLUDES_EXEC;
        }
        Self { explicit: base.explicit, bits, add, remove }
    }
}

/// What `ErrorDocument` answers with.
#[derive(Clone)]
pub enum ErrorDocument {
    /// `default`: the server's own page.
    Canned,
    /// This text (an expression in string mode where it holds one).
    Message(Text),
    /// Internal redirect to this path.
    Local(Text),
    /// Redirect to this URL.
    Remote(Text),
}

/// A value that may be an expression in string mode.
#[derive(Clone)]
pub struct Text {
    /// As written.
    pub raw: Vec<u8>,
    /// Set when it holds `%{…}`.
    pub template: Option<Arc<Template>>,
}

/// `AcceptPathInfo`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcceptPathInfo {
    /// The handler decides.
    #[default]
    Default,
    /// Always.
    On,
    /// Never.
    Off,
}

/// `UseCanonicalName`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Canonical {
    /// What the client named.
    #[default]
    Off,
    /// ServerName.
    On,
    /// Reverse lookup of the local address.
    Dns,
}

/// `HostnameLookups`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lookups {
    /// None.
    #[default]
    Off,
    /// Reverse.
    On,
    /// Reverse, then forward.
    Double,
}

/// `ServerSignature`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signature {
    /// None.
    #[default]
    Off,
    /// Server line.
    On,
    /// Server line with ServerAdmin.
    Email,
}

/// `MaxRanges` and its sisters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RangeLimit {
    /// The built-in limit (200; 20 for overlaps and reversals).
    #[default]
    Default,
    /// No limit.
    Unlimited,
    /// No ranges at all.
    None,
    /// This many.
    At(u32),
}

/// `SetHandler`.
#[derive(Clone)]
pub enum Handler {
    /// `none`: takes back what was set outside.
    None,
    /// This one, or that which the expression gives.
    Named(Text),
}

/// `FileETag` as bits.
pub mod etag {
    /// `None`.
    pub const NONE: u8 = 1;
    /// `MTime`.
    pub const MTIME: u8 = 2;
    /// `INode`.
    pub const INODE: u8 = 4;
    /// `Size`.
    pub const SIZE: u8 = 8;
    /// `Digest`.
    pub const DIGEST: u8 = 16;
    /// `All`: everything but the digest.
    pub const ALL: u8 = MTIME | INODE | SIZE;
    /// Unless said otherwise.
    pub const DEFAULT: u8 = MTIME | SIZE;
}

/// `FileETag` of one scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EtagSet {
    /// Components given without sign; zero if none.
    pub bits: u8,
    /// Given with `+`.
    pub add: u8,
    /// Given with `-`.
    pub remove: u8,
}

impl EtagSet {
    fn over(self, base: Self) -> Self {
        if self.bits != 0 {
            return self;
        }
        let add = (base.add & !self.remove) | self.add;
        let remove = (base.remove & !self.add) | self.remove;
        Self { bits: base.bits, add, remove }
    }

    /// The components in force.
    pub fn effective(self) -> u8 {
        match (self.bits & !self.remove) | self.add {
            // The usual ones cannot be taken away without being named.
            0 => etag::DEFAULT,
            bits => bits,
        }
    }
}

/// `AllowOverride`: the classes of directives and the options a `.htaccess` file may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrides {
    /// Classes, see [`crate::config::Places`].
    pub classes: u16,
    /// Options, see [`options`].
    pub options: u8,
    /// `Nonfatal=`: what is only logged: 0 nothing, 1 override, 2 unknown, 3 all.
    pub nonfatal: u8,
}

/// `RLimitCPU`, `RLimitMEM` and `RLimitNPROC`: soft and hard limits of programs that requests run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rlimits {
    /// Seconds of processor time.
    pub cpu: Option<(Option<u64>, Option<u64>)>,
    /// Bytes of memory.
    pub memory: Option<(Option<u64>, Option<u64>)>,
    /// Processes of the account.
    pub processes: Option<(Option<u64>, Option<u64>)>,
}

impl Rlimits {
    fn over(self, base: Self) -> Self {
        Self {
            cpu: self.cpu.or(base.cpu),
            memory: self.memory.or(base.memory),
            processes: self.processes.or(base.processes),
        }
    }

    /// The limits as words of a shell, if there are any; `max` leaves a limit as it is.
    pub fn shell_words(self) -> Option<String> {
        let mut words = String::new();
        for (flag, unit, limits) in [('t', 1, self.cpu), ('v', 1024, self.memory), ('p', 1, self.processes)] {
            let (soft, hard) = limits.unwrap_or_default();
            for (kind, limit) in [('S', soft), ('H', hard)] {
                if let Some(limit) = limit {
                    words += &format!("ulimit -{kind} -{flag} {}; ", limit.div_ceil(unit));
                }
            }
        }
        (!words.is_empty()).then_some(words)
    }
}

/// Values per directory.
#[derive(Clone, Default)]
pub struct CoreDir {
    /// RLimitCPU, RLimitMEM, RLimitNPROC.
    pub rlimits: Rlimits,
    /// Options.
    pub options: OptionSet,
    /// AllowOverride; default none.
    pub allow_override: Option<Overrides>,
    /// AllowOverrideList, in lower case.
    pub allow_override_list: Option<Vec<Vec<u8>>>,
    /// ErrorDocument by status.
    pub error_documents: Vec<(u16, ErrorDocument)>,
    /// AcceptPathInfo.
    pub accept_path_info: Option<AcceptPathInfo>,
    /// ContentDigest, default off.
    pub content_digest: Option<bool>,
    /// UseCanonicalName.
    pub use_canonical_name: Option<Canonical>,
    /// UseCanonicalPhysicalPort, default off.
    pub use_canonical_port: Option<bool>,
    /// HostnameLookups.
    pub hostname_lookups: Option<Lookups>,
    /// LimitRequestBody in bytes, 0 is unlimited; default 1 GiB.
    pub limit_body: Option<u64>,
    /// LimitXMLRequestBody in bytes, 0 is unlimited; default 1 MB.
    pub limit_xml_body: Option<u64>,
    /// ServerSignature.
    pub signature: Option<Signature>,
    /// AddDefaultCharset; the inner `None` is `Off`.
    pub default_charset: Option<Option<Vec<u8>>>,
    /// ForceType; `none` as written takes back what was set outside.
    pub force_type: Option<Vec<u8>>,
    /// SetHandler.
    pub handler: Option<Handler>,
    /// SetOutputFilter as written.
    pub output_filters: Option<Vec<u8>>,
    /// SetInputFilter as written.
    pub input_filters: Option<Vec<u8>>,
    /// FileETag.
    pub etag: EtagSet,
    /// EnableMMAP, default on.
    pub mmap: Option<bool>,
    /// EnableSendfile, default off.
    pub sendfile: Option<bool>,
    /// ReadBufferSize in bytes.
    pub read_buffer: Option<u64>,
    /// MaxRanges.
    pub max_ranges: Option<RangeLimit>,
    /// MaxRangeOverlaps.
    pub max_overlaps: Option<RangeLimit>,
    /// MaxRangeReversals.
    pub max_reversals: Option<RangeLimit>,
    /// CGIPassAuth.
    pub cgi_pass_auth: Option<bool>,
    /// CGIVar REQUEST_URI is `original-uri` (true) or `current-uri`.
    pub cgi_original_uri: Option<bool>,
    /// QualifyRedirectURL, default off.
    pub qualify_redirect_url: Option<bool>,
    /// AllowEncodedSlashes.
    pub encoded_slashes: Option<EncodedSlashes>,
}

impl Conf for CoreDir {
    const SLOT: usize = CORE + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        let mut error_documents = base.error_documents.clone();
        for (status, document) in &add.error_documents {
            error_documents.retain(|(old, _)| old != status);
            error_documents.push((*status, document.clone()));
        }
        inner_or_outer!(
            base, add; allow_override, allow_override_list, accept_path_info, content_digest, use_canonical_name,
            use_canonical_port, hostname_lookups, limit_body, limit_xml_body, signature, default_charset, force_type,
            handler, output_filters, input_filters, mmap, sendfile, read_buffer, max_ranges, max_overlaps,
            max_reversals, cgi_pass_auth, cgi_original_uri, qualify_redirect_url, encoded_slashes;
            rlimits: add.rlimits.over(base.rlimits),
            options: add.options.over(base.options), etag: add.etag.over(base.etag), error_documents: error_documents
        )
    }
}

impl CoreDir {
    /// What ErrorDocument says for this status.
    pub fn error_document(&self, status: u16) -> Option<&ErrorDocument> {
        self.error_documents.iter().rev().find(|(of, _)| *of == status).map(|(_, document)| document)
    }
}

/// `ServerTokens`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tokens {
    /// Everything.
    #[default]
    Full,
    /// Product only.
    Prod,
    /// With the major version.
    Major,
    /// With the minor version.
    Minor,
    /// With the whole version.
    Min,
    /// With the operating system.
    Os,
}

/// Values of the process.
#[derive(Clone, Debug, Default)]
pub struct CoreProcess {
    /// ServerTokens.
    pub tokens: Option<Tokens>,
    /// PidFile as written; default `httpd.pid` in the runtime directory.
    pub pid_file: Option<Vec<u8>>,
    /// ScoreBoardFile as written.
    pub scoreboard: Option<Vec<u8>>,
    /// ExtendedStatus; mod_status turns it on unless said otherwise.
    pub extended_status: Option<bool>,
    /// SeeRequestTail.
    pub see_request_tail: Option<bool>,
    /// MaxConnectionsPerChild.
    pub max_connections_per_child: Option<i64>,
    /// CoreDumpDirectory, absolute.
    pub core_dump_dir: Option<Vec<u8>>,
    /// RegisterHttpMethod.
    pub methods: Vec<Vec<u8>>,
    /// AcceptFilter: protocol, filter.
    pub accept_filters: Vec<(Vec<u8>, Vec<u8>)>,
    /// Mutex: type (`default` too), mechanism, directory.
    pub mutexes: Vec<Mutex>,
    /// RegexDefaultOptions as flags for [`crate::base::pattern::Pattern`].
    pub regex_flags: crate::base::pattern::Flags,
}

/// One `Mutex` setting.
#[derive(Clone, Debug)]
pub struct Mutex {
    /// `default`, `watchdog-callback` …
    pub kind: Vec<u8>,
    /// Mechanism as -S prints it: `default`, `none`, `fcntl`, `flock`, `sysvsem`, `pthread`, `posixsem`.
    pub mechanism: &'static str,
    /// Directory of `file:`, `fcntl:`, `flock:`, absolute.
    pub dir: Option<Vec<u8>>,
    /// OmitPID was given.
    pub omit_pid: bool,
}

impl CoreProcess {
    /// Whether connections of this protocol (in lower case) are accepted only once their client has sent something.
    pub fn defers_accept(&self, protocol: &str) -> bool {
        let named = self.accept_filters.iter().rev().find(|(of, _)| of.eq_ignore_ascii_case(protocol.as_bytes()));
        // The system knows one filter, whatever it is called.
        named.map_or(matches!(protocol, "http" | "https"), |(_, filter)| !filter.eq_ignore_ascii_case(b"none"))
    }
}

impl Conf for CoreProcess {
    const SLOT: usize = CORE + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_options_change_and_unsigned_ones_replace() {
        let base = OptionSet { explicit: true, bits: options::ALL, add: 0, remove: 0 };
        let signed = OptionSet { add: options::MULTI_VIEWS, remove: options::INDEXES, ..OptionSet::default() };
        let merged = signed.over(base);
        assert!(merged.has(options::MULTI_VIEWS | options::EXEC_CGI) && !merged.has(options::INDEXES));
        let plain = OptionSet { explicit: true, bits: options::INDEXES, add: 0, remove: 0 };
        assert_eq!(plain.over(base).bits, options::INDEXES);
        assert!(OptionSet::default().has(options::FOLLOW_SYM_LINKS));
    }

    #[test]
    fn etag_components_follow_the_same_rule() {
        assert_eq!(EtagSet::default().effective(), etag::DEFAULT);
        let inner = EtagSet { add: etag::INODE, remove: etag::SIZE, bits: 0 };
        assert_eq!(inner.over(EtagSet::default()).effective(), etag::INODE);
        let less = EtagSet { remove: etag::SIZE, ..EtagSet::default() };
        assert_eq!(less.over(EtagSet::default()).effective(), etag::DEFAULT);
        let all = EtagSet { bits: etag::ALL, ..EtagSet::default() };
        assert_eq!(inner.over(all).effective(), etag::MTIME | etag::INODE);
    }

    #[test]
    fn error_documents_are_laid_over_by_status() {
        let page = |text: &[u8]| ErrorDocument::Message(Text { raw: text.to_vec(), template: None });
        let with = |error_documents| CoreDir { error_documents, ..CoreDir::default() };
        let base = with(vec![(404, page(b"outer")), (500, page(b"five"))]);
        let add = with(vec![(404, page(b"inner"))]);
        let merged = CoreDir::merge(&base, &add);
        assert_eq!(merged.error_documents.len(), 2);
        assert!(matches!(merged.error_document(404), Some(ErrorDocument::Message(text)) if text.raw == b"inner"));
        assert!(matches!(merged.error_document(500), Some(ErrorDocument::Message(text)) if text.raw == b"five"));
    }
}
