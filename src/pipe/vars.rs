//! A request as expressions see it.

use std::cell::RefCell;
use std::fs;
use std::future::Future as _;
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::names;
use crate::base::clock::{Clock as _, SystemClock, local_time, parse_http_date, push_strftime};
use crate::expr::{EvalError, Expr, FileTest, Lookup, Scratch, Template, Var, Vars};
use crate::logs::text::push_u64;
use crate::web::{Exchange, LogId};

thread_local! {
    /// Memory of evaluations, lent to one at a time.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Appends the value of a text with `%{…}` in it.
pub fn expand(ex: &Exchange, template: &Template, out: &mut Vec<u8>) -> Result<(), EvalError> {
    let mut scratch = SCRATCH.take();
    let result = template.eval(ex, &mut scratch, out);
    SCRATCH.replace(scratch);
    result
}

/// Whether a condition holds.
pub fn holds(ex: &Exchange, condition: &Expr) -> Result<bool, EvalError> {
    let mut scratch = SCRATCH.take();
    let result = condition.eval(ex, &mut scratch);
    SCRATCH.replace(scratch);
    result
}

/// The request fields that expressions asked for since the last call belong into the response's `Vary`.
pub fn vary(ex: &mut Exchange, scratch: &mut Scratch) {
    for name in scratch.take_vary() {
        if !super::has_token(ex.headers_out.get_all(b"Vary"), &name) {
            ex.headers_out.merge(b"Vary", &name);
        }
    }
}

/// Files that an expression reads are small; the rest is cut off.
const FILE_MAX: u64 = 1 << 20;

fn path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

fn on_off(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"on" } else { b"off" });
}

fn log_id(id: &std::cell::OnceCell<LogId>, out: &mut Vec<u8>) {
    if let Some(id) = id.get() {
        out.extend_from_slice(id.text());
    }
}

/// Two digits of each.
fn two_digits(values: &[u8], out: &mut Vec<u8>) {
    for value in values {
        out.push(b'0' + value / 10 % 10);
        out.push(b'0' + value % 10);
    }
}

/// Appends one field of the local time of now.
fn push_time(var: Var, out: &mut Vec<u8>) {
    let now = local_time(SystemClock.wall());
    match var {
        Var::TimeYear => push_u64(out, u64::from(now.year)),
        Var::TimeMon => two_digits(&[now.month], out),
        Var::TimeDay => two_digits(&[now.day], out),
        Var::TimeHour => two_digits(&[now.hour], out),
        Var::TimeMin => two_digits(&[now.minute], out),
        Var::TimeSec => two_digits(&[now.second], out),
        Var::TimeWday => push_u64(out, u64::from(now.weekday)),
        _ => {
            push_u64(out, u64::from(now.year));
            two_digits(&[now.month, now.day, now.hour, now.minute, now.second], out);
        }
    }
}

impl Exchange {
    /// Appends the name of the file's owner or group.
    fn push_owner(&self, group: bool, out: &mut Vec<u8>) {
        let Some(info) = &self.finfo else { return };
        let name = if group {
            nix::unistd::Group::from_gid(info.gid().into()).ok().flatten().map(|group| group.name)
        } else {
            nix::unistd::User::from_uid(info.uid().into()).ok().flatten().map(|user| user.name)
        };
        out.extend_from_slice(name.unwrap_or_default().as_bytes());
    }
}

impl Vars for Exchange {
    fn var(&self, var: Var, out: &mut Vec<u8>) {
        let context = self.ext.get::<names::Context>();
        let text: &[u8] = match var {
            Var::ApiVersion => b"20120211",
            Var::AuthType => self.auth_type.unwrap_or_default().as_bytes(),
            Var::ConnLogId => return log_id(&self.conn.log_id, out),
            Var::ConnRemoteAddr => &self.conn.peer_ip,
            Var::ContentType => &self.content_type,
            Var::ContextDocumentRoot => match context {
                Some(context) if !context.root.is_empty() => &context.root,
                _ => names::document_root(self),
            },
            Var::ContextPrefix => context.map_or(b"", |context| &context.prefix),
            Var::DocumentRoot => names::document_root(self),
            Var::Handler => &self.handler,
            Var::Http2 => return on_off(self.proto_num >= 2000, out),
            Var::Https => return on_off(self.conn.secure, out),
            Var::Ipv6 => return on_off(self.conn.peer.is_ipv6(), out),
            Var::IsSubreq => {
                if self.sub_depth > 0 {
                    b"true"
                } else {
                    b"false"
                }
            }
            Var::LastModified => {
                let when = self.headers_out.get(b"Last-Modified").and_then(parse_http_date);
                return push_strftime(out, b"%Y%m%d%H%M%S", when.unwrap_or(0).saturating_mul(1_000_000));
            }
            Var::PathInfo => &self.path_info,
            Var::QueryString => self.args.as_deref().unwrap_or_default(),
            Var::RemoteAddr => &self.client_ip,
            Var::RemoteHost => {
                return match self.client_name() {
                    Some(name) => out.extend_from_slice(&name),
                    None => out.extend_from_slice(&self.client_ip),
                };
            }
            Var::RemoteIdent => self.conn.ident.get().map_or(b"", |name| name),
            Var::RemotePort => return push_u64(out, u64::from(self.conn.peer.port())),
            Var::RemoteUser => self.user.as_deref().unwrap_or_default(),
            Var::RequestFilename => &self.filename,
            Var::RequestLogId => return log_id(&self.log_id, out),
            Var::RequestMethod => &self.method,
            Var::RequestScheme => names::scheme(self),
            Var::RequestStatus => return push_u64(out, u64::from(self.status)),
            Var::RequestUri => &self.uri,
            Var::ScriptGroup => return self.push_owner(true, out),
            Var::ScriptUser => return self.push_owner(false, out),
            Var::ServerAdmin => self.server().rec.admin.as_deref().unwrap_or(b"[no address given]"),
            Var::ServerName => names::server_name(self),
            Var::ServerPort => return push_u64(out, u64::from(names::server_port(self))),
            Var::ServerProtocol => &self.protocol,
            Var::ServerSoftware => names::server_software(self),
            Var::TheRequest => &self.the_request,
            Var::Time
            | Var::TimeDay
            | Var::TimeHour
            | Var::TimeMin
            | Var::TimeMon
            | Var::TimeSec
            | Var::TimeWday
            | Var::TimeYear => return push_time(var, out),
        };
        out.extend_from_slice(text);
    }

    fn request_header(&self, name: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(self.headers_in.get(name).unwrap_or_default());
    }

    fn response_header(&self, name: &[u8], out: &mut Vec<u8>) {
        let value = self.headers_out.get(name).or_else(|| self.err_headers_out.get(name));
        out.extend_from_slice(value.unwrap_or_default());
    }

    fn note(&self, name: &[u8], out: &mut Vec<u8>) -> bool {
        self.notes.get(name).map(|value| out.extend_from_slice(value)).is_some()
    }

    fn env(&self, name: &[u8], out: &mut Vec<u8>) -> bool {
        self.env.get(name).map(|value| out.extend_from_slice(value)).is_some()
    }

    fn os_env(&self, name: &[u8], out: &mut Vec<u8>) {
        if let Some(value) = std::env::var_os(std::ffi::OsStr::from_bytes(name)) {
            out.extend_from_slice(value.as_bytes());
        }
    }

    fn client(&self) -> Option<IpAddr> {
        std::str::from_utf8(&self.client_ip).ok()?.parse().ok()
    }

    fn file_is(&self, test: FileTest, name: &[u8]) -> bool {
        let name = path(name);
        let info = match test {
            FileTest::Symlink => return fs::symlink_metadata(name).is_ok_and(|info| info.is_symlink()),
            _ => fs::metadata(name),
        };
        info.is_ok_and(|info| match test {
            FileTest::Directory => info.is_dir(),
            FileTest::Regular => info.is_file(),
            FileTest::NotEmpty => info.is_file() && info.len() > 0,
            FileTest::Executable => info.permissions().mode() & 0o111 != 0,
            FileTest::Exists | FileTest::Symlink => true,
        })
    }

    fn lookup(&self, lookup: Lookup, target: &[u8]) -> bool {
        let asked = async {
            match lookup {
                Lookup::Uri => super::lookup(self, target).await,
                Lookup::File => super::lookup_file(self, target).await,
            }
        };
        // Expressions are evaluated at one go: what would have to be waited for counts as no.
        match pin!(asked).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(sub) => {
                sub.status < 400 && (lookup == Lookup::Uri || sub.finfo.as_ref().is_some_and(fs::Metadata::is_file))
            }
            Poll::Pending => false,
        }
    }

    fn read_file(&self, name: &[u8], out: &mut Vec<u8>) -> Result<(), EvalError> {
        let file = fs::File::open(path(name)).map_err(|_| EvalError::OpenFile(name.to_vec()))?;
        file.take(FILE_MAX).read_to_end(out).map_err(|_| EvalError::ReadFile(name.to_vec())).map(drop)
    }

    fn file_size(&self, name: &[u8]) -> u64 {
        fs::metadata(path(name)).ok().filter(fs::Metadata::is_file).map_or(0, |info| info.len())
    }

    fn ssl(&self, name: &[u8], out: &mut Vec<u8>) {
        super::tls::ssl_var(self, name, out);
    }
}
