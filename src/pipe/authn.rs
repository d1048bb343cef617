//! Who knows users and passwords: what a provider of authentication is asked and answers. Each is a row of its module;
//! whoever authenticates (Basic, Digest, a form) asks them in the order of the configuration.

use std::future::Future;
use std::pin::Pin;

use crate::config::Slots;
use crate::web::Exchange;

/// What a provider says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// The password is right, or there is a hash for the user and realm.
    Granted,
    /// The password is wrong.
    Denied,
    /// No such user.
    #[default]
    NotFound,
    /// It cannot tell.
    Failed,
}

/// A question about a user.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The request.
    pub ex: &'a Exchange,
    /// Its per-directory values, under an alias with the alias's own laid over them.
    pub dir: &'a Slots,
    /// Who.
    pub user: &'a [u8],
    /// Where the hash is one of user, realm and password: the realm.
    pub realm: Option<&'a [u8]>,
}

/// What a provider says, and the hash it found: others may keep it.
#[derive(Debug, Default)]
pub struct Reply {
    /// Its answer.
    pub answer: Answer,
    /// The hash.
    pub hash: Option<Vec<u8>>,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { answer, hash: None }
    }
}

/// An answer on its way: files are read and hashes computed off the threads that serve requests.
pub type Replying<'a> = Pin<Box<dyn Future<Output = Reply> + 'a>>;

/// A hash on its way to where it is kept.
pub type Keeping<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Keeps a hash that a provider found.
pub type Keep = for<'a> fn(Ask<'a>, &'a Provider, &'a [u8]) -> Keeping<'a>;

/// One provider.
pub struct Provider {
    /// Its name in the configuration.
    pub name: &'static str,
    /// The module that must be loaded for it.
    pub module: &'static str,
    /// How it is asked; none: not carried out here, the server does not start with it.
    pub ask: Option<Ways>,
    /// Keeps a hash that another provider found.
    pub keep: Option<Keep>,
}

/// How a provider is asked.
#[derive(Clone, Copy)]
pub struct Ways {
    /// Whether a password is the user's.
    pub password: Judge,
    /// The hash of user, realm and password; none: the provider cannot tell.
    pub hash: Option<for<'a> fn(Ask<'a>) -> Replying<'a>>,
}

/// Who says whether a password is the user's.
#[derive(Clone, Copy)]
pub enum Judge {
    /// One who only looks.
    Looks(for<'a> fn(Ask<'a>, &'a [u8]) -> Replying<'a>),
    /// One who changes the request, asked by this name.
    Changes(for<'a> fn(&'a mut Exchange, &'a [u8], &'a [u8], &'a [u8]) -> Judging<'a>),
}

/// A judgement on its way; the arguments of its maker are the request, the provider's name, user and password.
pub type Judging<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;
