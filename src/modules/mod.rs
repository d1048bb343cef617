//! Floor 6: one file or folder per httpd module, inside always in this order: `MODULE`, `Conf`, `DIRECTIVES`, `HOOKS`,
//! functions, tests. [`ALL`] is the only list of modules.

use crate::config::Directive;
use crate::pipe::Module;

pub mod access_compat;
pub mod actions;
pub mod alias;
pub mod allowmethods;
pub mod asis;
pub mod auth_basic;
pub mod auth_digest;
pub mod auth_form;
pub mod authn_anon;
pub mod authn_core;
pub mod authn_dbd;
pub mod authn_dbm;
pub mod authn_file;
pub mod authn_providers;
pub mod authn_socache;
pub mod authnz_fcgi;
pub mod authnz_ldap;
pub mod authz_core;
pub mod authz_dbd;
pub mod authz_dbm;
pub mod authz_groupfile;
pub mod authz_host;
pub mod authz_owner;
pub mod authz_user;
pub mod autoindex;
pub mod brotli;
pub mod bucketeer;
pub mod buffer;
pub mod cache;
pub mod cache_disk;
pub mod cache_socache;
pub mod case_filter;
pub mod case_filter_in;
pub mod cern_meta;
pub mod cgi;
pub mod cgid;
pub mod charset_lite;
mod check;
mod coding;
pub mod core;
pub mod data;
pub mod dav;
pub mod dav_fs;
pub mod dav_lock;
pub mod dbd;
mod dbm;
pub mod deflate;
pub mod dialup;
pub mod dir;
pub mod dumpio;
pub mod echo;
pub mod env;
pub mod expires;
pub mod ext_filter;
pub mod file_cache;
pub mod filter;
mod forms;
pub mod headers;
pub mod heartbeat;
pub mod heartmonitor;
pub mod http;
pub mod http2;
pub mod ident;
pub mod imagemap;
pub mod include;
pub mod info;
mod kept;
pub mod lbmethod_bybusyness;
pub mod lbmethod_byrequests;
pub mod lbmethod_bytraffic;
pub mod lbmethod_heartbeat;
pub mod ldap;
pub mod log_config;
pub mod log_debug;
pub mod log_forensic;
pub mod logio;
pub mod lua;
pub mod macros;
pub mod md;
pub mod mime;
pub mod mime_magic;
pub mod mpm;
pub mod negotiation;
mod passwords;
pub mod proxy;
pub mod proxy_ajp;
pub mod proxy_balancer;
pub mod proxy_connect;
pub mod proxy_express;
pub mod proxy_fcgi;
pub mod proxy_fdpass;
pub mod proxy_ftp;
pub mod proxy_hcheck;
pub mod proxy_html;
pub mod proxy_http;
pub mod proxy_http2;
pub mod proxy_scgi;
pub mod proxy_uwsgi;
pub mod proxy_wstunnel;
pub mod ratelimit;
pub mod reflector;
pub mod remoteip;
pub mod reqtimeout;
pub mod request;
pub mod rewrite;
pub mod rows;
pub mod sed;
pub mod session;
pub mod session_cookie;
pub mod session_crypto;
pub mod session_dbd;
pub mod setenvif;
pub mod shared;
pub mod slotmem_plain;
pub mod slotmem_shm;
pub mod so;
pub mod socache_dbm;
pub mod socache_memcache;
pub mod socache_redis;
pub mod socache_remote;
pub mod socache_shmcb;
pub mod speling;
pub mod ssl;
pub mod status;
pub mod substitute;
pub mod suexec;
pub mod unique_id;
pub mod unixd;
pub mod userdir;
pub mod usertrack;
pub mod version;
pub mod vhost_alias;
pub mod watchdog;
pub mod xml2enc;

/// The directive of this name, in any case, among the loaded modules (identifiers).
pub fn find_directive(name: &[u8], loaded: &[&str]) -> Option<&'static Directive> {
    ALL.iter()
        .filter(|module| loaded.contains(&module.row.id))
        .flat_map(|module| module.row.directives)
        .find(|row| row.name.as_bytes().eq_ignore_ascii_case(name))
}

/// What a module brings that directives name, and whether it is there: `Require` words, providers of authentication,
/// shared object caches.
pub fn words(id: &str) -> Vec<(String, bool)> {
    let required = authz_core::providers::PROVIDERS.iter().filter(|row| row.module == id);
    let required = required.map(|row| (format!("Require {}", row.name), row.parse.is_some()));
    let asked = authn_providers::PROVIDERS.iter().filter(|row| row.module == id);
    let asked = asked.map(|row| (format!("Auth*Provider {}", row.name), row.ask.is_some()));
    let caches = check::SOCACHES.iter().filter(|row| row.1 == id && row.0 != "default");
    let caches = caches.map(|row| (format!("socache {}", row.0), true));
    required.chain(asked).chain(caches).collect()
}

/// The name under which the log shows the module with this identifier, if `written` means it: the name itself, with
/// `_module`, or its source file.
pub fn log_name(id: &str, written: &[u8]) -> Option<&'static str> {
    let module = ALL.iter().find(|module| module.row.id == id)?;
    let short = module.row.id.strip_suffix("_module").unwrap_or(module.row.id);
    let means = [short, module.row.id, module.row.file].iter().any(|name| name.as_bytes() == written);
    means.then_some(short)
}

/// Every module, in the order httpd's binary and Debian's packages bring them. Hooks of equal order run in this order.
pub static ALL: &[&Module] = &[
    &core::MODULE,
    &so::MODULE,
    &watchdog::MODULE,
    &http::MODULE,
    &log_config::MODULE,
    &logio::MODULE,
    &version::MODULE,
    &unixd::MODULE,
    &access_compat::MODULE,
    &actions::MODULE,
    &alias::MODULE,
    &allowmethods::MODULE,
    &asis::MODULE,
    &auth_basic::MODULE,
    &auth_digest::MODULE,
    &auth_form::MODULE,
    &authn_anon::MODULE,
    &authn_core::MODULE,
    &authn_dbd::MODULE,
    &authn_dbm::MODULE,
    &authn_file::MODULE,
    &authn_socache::MODULE,
    &authnz_fcgi::MODULE,
    &authnz_ldap::MODULE,
    &authz_core::MODULE,
    &authz_dbd::MODULE,
    &authz_dbm::MODULE,
    &authz_groupfile::MODULE,
    &authz_host::MODULE,
    &authz_owner::MODULE,
    &authz_user::MODULE,
    &autoindex::MODULE,
    &brotli::MODULE,
    &bucketeer::MODULE,
    &buffer::MODULE,
    &cache::MODULE,
    &cache_disk::MODULE,
    &cache_socache::MODULE,
    &case_filter::MODULE,
    &case_filter_in::MODULE,
    &cern_meta::MODULE,
    &cgi::MODULE,
    &cgid::MODULE,
    &charset_lite::MODULE,
    &data::MODULE,
    &dav::MODULE,
    &dav_fs::MODULE,
    &dav_lock::MODULE,
    &dbd::MODULE,
    &deflate::MODULE,
    &dialup::MODULE,
    &dir::MODULE,
    &dumpio::MODULE,
    &echo::MODULE,
    &env::MODULE,
    &expires::MODULE,
    &ext_filter::MODULE,
    &file_cache::MODULE,
    &filter::MODULE,
    &headers::MODULE,
    &heartbeat::MODULE,
    &heartmonitor::MODULE,
    &http2::MODULE,
    &ident::MODULE,
    &imagemap::MODULE,
    &include::MODULE,
    &info::MODULE,
    &lbmethod_bybusyness::MODULE,
    &lbmethod_byrequests::MODULE,
    &lbmethod_bytraffic::MODULE,
    &lbmethod_heartbeat::MODULE,
    &ldap::MODULE,
    &log_debug::MODULE,
    &log_forensic::MODULE,
    &lua::MODULE,
    &macros::MODULE,
    &md::MODULE,
    &mime::MODULE,
    &mime_magic::MODULE,
    &mpm::EVENT,
    &mpm::PREFORK,
    &mpm::WORKER,
    &negotiation::MODULE,
    &proxy::MODULE,
    &proxy_ajp::MODULE,
    &proxy_balancer::MODULE,
    &proxy_connect::MODULE,
    &proxy_express::MODULE,
    &proxy_fcgi::MODULE,
    &proxy_fdpass::MODULE,
    &proxy_ftp::MODULE,
    &proxy_hcheck::MODULE,
    &proxy_html::MODULE,
    &proxy_http::MODULE,
    &proxy_http2::MODULE,
    &proxy_scgi::MODULE,
    &proxy_uwsgi::MODULE,
    &proxy_wstunnel::MODULE,
    &ratelimit::MODULE,
    &reflector::MODULE,
    &remoteip::MODULE,
    &reqtimeout::MODULE,
    &request::MODULE,
    &rewrite::MODULE,
    &sed::MODULE,
    &session::MODULE,
    &session_cookie::MODULE,
    &session_crypto::MODULE,
    &session_dbd::MODULE,
    &setenvif::MODULE,
    &slotmem_plain::MODULE,
    &slotmem_shm::MODULE,
    &socache_dbm::MODULE,
    &socache_memcache::MODULE,
    &socache_redis::MODULE,
    &socache_shmcb::MODULE,
    &speling::MODULE,
    &ssl::MODULE,
    &status::MODULE,
    &substitute::MODULE,
    &suexec::MODULE,
    &unique_id::MODULE,
    &userdir::MODULE,
    &usertrack::MODULE,
    &vhost_alias::MODULE,
    &xml2enc::MODULE,
];

/// First slot of each module: `+ 0` for its per-server values, `+ 1` for its per-directory values, `+ 2` for its
/// process-wide values (see [`crate::config::Conf::SLOT`]).
pub mod slot {
    /// `core`.
    pub const CORE: usize = 0;
    /// `so`.
    pub const SO: usize = 3;
    /// `watchdog`.
    pub const WATCHDOG: usize = 6;
    /// `http`.
    pub const HTTP: usize = 9;
    /// `log_config`.
    pub const LOG_CONFIG: usize = 12;
    /// `logio`.
    pub const LOGIO: usize = 15;
    /// `version`.
    pub const VERSION: usize = 18;
    /// `unixd`.
    pub const UNIXD: usize = 21;
    /// `access_compat`.
    pub const ACCESS_COMPAT: usize = 24;
    /// `actions`.
    pub const ACTIONS: usize = 27;
    /// `alias`.
    pub const ALIAS: usize = 30;
    /// `allowmethods`.
    pub const ALLOWMETHODS: usize = 33;
    /// `asis`.
    pub const ASIS: usize = 36;
    /// `auth_basic`.
    pub const AUTH_BASIC: usize = 39;
    /// `auth_digest`.
    pub const AUTH_DIGEST: usize = 42;
    /// `auth_form`.
    pub const AUTH_FORM: usize = 45;
    /// `authn_anon`.
    pub const AUTHN_ANON: usize = 48;
    /// `authn_core`.
    pub const AUTHN_CORE: usize = 51;
    /// `authn_dbd`.
    pub const AUTHN_DBD: usize = 54;
    /// `authn_dbm`.
    pub const AUTHN_DBM: usize = 57;
    /// `authn_file`.
    pub const AUTHN_FILE: usize = 60;
    /// `authn_socache`.
    pub const AUTHN_SOCACHE: usize = 63;
    /// `authnz_fcgi`.
    pub const AUTHNZ_FCGI: usize = 66;
    /// `authnz_ldap`.
    pub const AUTHNZ_LDAP: usize = 69;
    /// `authz_core`.
    pub const AUTHZ_CORE: usize = 72;
    /// `authz_dbd`.
    pub const AUTHZ_DBD: usize = 75;
    /// `authz_dbm`.
    pub const AUTHZ_DBM: usize = 78;
    /// `authz_groupfile`.
    pub const AUTHZ_GROUPFILE: usize = 81;
    /// `authz_host`.
    pub const AUTHZ_HOST: usize = 84;
    /// `authz_owner`.
    pub const AUTHZ_OWNER: usize = 87;
    /// `authz_user`.
    pub const AUTHZ_USER: usize = 90;
    /// `autoindex`.
    pub const AUTOINDEX: usize = 93;
    /// `brotli`.
    pub const BROTLI: usize = 96;
    /// `bucketeer`.
    pub const BUCKETEER: usize = 99;
    /// `buffer`.
    pub const BUFFER: usize = 102;
    /// `cache`.
    pub const CACHE: usize = 105;
    /// `cache_disk`.
    pub const CACHE_DISK: usize = 108;
    /// `cache_socache`.
    pub const CACHE_SOCACHE: usize = 111;
    /// `case_filter`.
    pub const CASE_FILTER: usize = 114;
    /// `case_filter_in`.
    pub const CASE_FILTER_IN: usize = 117;
    /// `cern_meta`.
    pub const CERN_META: usize = 120;
    /// `cgi`.
    pub const CGI: usize = 123;
    /// `cgid`.
    pub const CGID: usize = 126;
    /// `charset_lite`.
    pub const CHARSET_LITE: usize = 129;
    /// `data`.
    pub const DATA: usize = 132;
    /// `dav`.
    pub const DAV: usize = 135;
    /// `dav_fs`.
    pub const DAV_FS: usize = 138;
    /// `dav_lock`.
    pub const DAV_LOCK: usize = 141;
    /// `dbd`.
    pub const DBD: usize = 144;
    /// `deflate`.
    pub const DEFLATE: usize = 147;
    /// `dialup`.
    pub const DIALUP: usize = 150;
    /// `dir`.
    pub const DIR: usize = 153;
    /// `dumpio`.
    pub const DUMPIO: usize = 156;
    /// `echo`.
    pub const ECHO: usize = 159;
    /// `env`.
    pub const ENV: usize = 162;
    /// `expires`.
    pub const EXPIRES: usize = 165;
    /// `ext_filter`.
    pub const EXT_FILTER: usize = 168;
    /// `file_cache`.
    pub const FILE_CACHE: usize = 171;
    /// `filter`.
    pub const FILTER: usize = 174;
    /// `headers`.
    pub const HEADERS: usize = 177;
    /// `heartbeat`.
    pub const HEARTBEAT: usize = 180;
    /// `heartmonitor`.
    pub const HEARTMONITOR: usize = 183;
    /// `http2`.
    pub const HTTP2: usize = 186;
    /// `ident`.
    pub const IDENT: usize = 189;
    /// `imagemap`.
    pub const IMAGEMAP: usize = 192;
    /// `include`.
    pub const INCLUDE: usize = 195;
    /// `info`.
    pub const INFO: usize = 198;
    /// `lbmethod_bybusyness`.
    pub const LBMETHOD_BYBUSYNESS: usize = 201;
    /// `lbmethod_byrequests`.
    pub const LBMETHOD_BYREQUESTS: usize = 204;
    /// `lbmethod_bytraffic`.
    pub const LBMETHOD_BYTRAFFIC: usize = 207;
    /// `lbmethod_heartbeat`.
    pub const LBMETHOD_HEARTBEAT: usize = 210;
    /// `ldap`.
    pub const LDAP: usize = 213;
    /// `log_debug`.
    pub const LOG_DEBUG: usize = 216;
    /// `log_forensic`.
    pub const LOG_FORENSIC: usize = 219;
    /// `lua`.
    pub const LUA: usize = 222;
    /// `macros`.
    pub const MACROS: usize = 225;
    /// `md`.
    pub const MD: usize = 228;
    /// `mime`.
    pub const MIME: usize = 231;
    /// `mime_magic`.
    pub const MIME_MAGIC: usize = 234;
    /// `mpm_event`.
    pub const MPM_EVENT: usize = 237;
    /// `mpm_prefork`.
    pub const MPM_PREFORK: usize = 240;
    /// `mpm_worker`.
    pub const MPM_WORKER: usize = 243;
    /// `negotiation`.
    pub const NEGOTIATION: usize = 246;
    /// `proxy`.
    pub const PROXY: usize = 249;
    /// `proxy_ajp`.
    pub const PROXY_AJP: usize = 252;
    /// `proxy_balancer`.
    pub const PROXY_BALANCER: usize = 255;
    /// `proxy_connect`.
    pub const PROXY_CONNECT: usize = 258;
    /// `proxy_express`.
    pub const PROXY_EXPRESS: usize = 261;
    /// `proxy_fcgi`.
    pub const PROXY_FCGI: usize = 264;
    /// `proxy_fdpass`.
    pub const PROXY_FDPASS: usize = 267;
    /// `proxy_ftp`.
    pub const PROXY_FTP: usize = 270;
    /// `proxy_hcheck`.
    pub const PROXY_HCHECK: usize = 273;
    /// `proxy_html`.
    pub const PROXY_HTML: usize = 276;
    /// `proxy_http`.
    pub const PROXY_HTTP: usize = 279;
    /// `proxy_http2`.
    pub const PROXY_HTTP2: usize = 282;
    /// `proxy_scgi`.
    pub const PROXY_SCGI: usize = 285;
    /// `proxy_uwsgi`.
    pub const PROXY_UWSGI: usize = 288;
    /// `proxy_wstunnel`.
    pub const PROXY_WSTUNNEL: usize = 291;
    /// `ratelimit`.
    pub const RATELIMIT: usize = 294;
    /// `reflector`.
    pub const REFLECTOR: usize = 297;
    /// `remoteip`.
    pub const REMOTEIP: usize = 300;
    /// `reqtimeout`.
    pub const REQTIMEOUT: usize = 303;
    /// `request`.
    pub const REQUEST: usize = 306;
    /// `rewrite`.
    pub const REWRITE: usize = 309;
    /// `sed`.
    pub const SED: usize = 312;
    /// `session`.
    pub const SESSION: usize = 315;
    /// `session_cookie`.
    pub const SESSION_COOKIE: usize = 318;
    /// `session_crypto`.
    pub const SESSION_CRYPTO: usize = 321;
    /// `session_dbd`.
    pub const SESSION_DBD: usize = 324;
    /// `setenvif`.
    pub const SETENVIF: usize = 327;
    /// `slotmem_plain`.
    pub const SLOTMEM_PLAIN: usize = 330;
    /// `slotmem_shm`.
    pub const SLOTMEM_SHM: usize = 333;
    /// `socache_dbm`.
    pub const SOCACHE_DBM: usize = 336;
    /// `socache_memcache`.
    pub const SOCACHE_MEMCACHE: usize = 339;
    /// `socache_redis`.
    pub const SOCACHE_REDIS: usize = 342;
    /// `socache_shmcb`.
    pub const SOCACHE_SHMCB: usize = 345;
    /// `speling`.
    pub const SPELING: usize = 348;
    /// `ssl`.
    pub const SSL: usize = 351;
    /// `status`.
    pub const STATUS: usize = 354;
    /// `substitute`.
    pub const SUBSTITUTE: usize = 357;
    /// `suexec`.
    pub const SUEXEC: usize = 360;
    /// `unique_id`.
    pub const UNIQUE_ID: usize = 363;
    /// `userdir`.
    pub const USERDIR: usize = 366;
    /// `usertrack`.
    pub const USERTRACK: usize = 369;
    /// `vhost_alias`.
    pub const VHOST_ALIAS: usize = 372;
    /// `xml2enc`.
    pub const XML2ENC: usize = 375;
}
