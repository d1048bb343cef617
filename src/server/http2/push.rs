//! Server push (RFC 9113 section 8.4): what a response says is to be loaded ahead, in `Link`, goes with it as if it had
//! been asked for, once a connection.

use std::cell::Cell;
use std::collections::VecDeque;
use std::hash::BuildHasher as _;
use std::rc::Rc;

use foldhash::fast::FixedState;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};

use super::Session;
use super::ends::{Inbox, Respond};
use super::stream::{self, Origin};
use crate::codec::preload::{path_within, preloads};
use crate::web::Table;

/// What a client wants pushed (`Accept-Push-Policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Default,
    FastLoad,
    Head,
}

impl Policy {
    /// `None`: nothing.
    fn of(fields: &HeaderMap) -> Option<Self> {
        let Some(value) = fields.get("accept-push-policy") else { return Some(Self::Default) };
        let named = |word: &[u8]| {
            value.as_bytes().split(|byte| *byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(word))
        };
        match () {
            () if named(b"fast-load") => Some(Self::FastLoad),
            () if named(b"head") => Some(Self::Head),
            () if named(b"default") || !named(b"none") => Some(Self::Default),
            () => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::FastLoad => "fast-load",
            Self::Head => "head",
        }
    }
}

/// What of a request is needed to push something with its response.
pub(super) struct Pushing {
    uri: Uri,
    /// Fields that what is pushed is asked for with.
    fields: HeaderMap,
    policy: Policy,
    /// Nothing is to be pushed after all.
    quiet: Rc<Cell<bool>>,
}

impl Pushing {
    /// `None` where nothing may be pushed.
    pub(super) fn of(session: &Session, request: &Request<Inbox>) -> Option<Box<Self>> {
        if !session.pushes() || request.method() != Method::GET {
            return None;
        }
        let uri = request.uri().clone();
        let host = HeaderValue::from_str(uri.authority()?.as_str()).ok()?;
        uri.scheme()?;
        let policy = Policy::of(request.headers())?;
        let mut fields = HeaderMap::new();
        for name in [
            header::ACCEPT,
            header::ACCEPT_ENCODING,
            header::ACCEPT_LANGUAGE,
            header::CACHE_CONTROL,
            header::USER_AGENT,
        ] {
            for value in request.headers().get_all(&name) {
                fields.append(&name, value.clone());
            }
        }
        fields.insert(header::HOST, host);
        Some(Box::new(Self { uri, fields, policy, quiet: Rc::default() }))
    }

    pub(super) fn quiet(&self) -> Rc<Cell<bool>> {
        self.quiet.clone()
    }

    /// Has pushed what these fields of a response name; the policy by which that was done, if anything is named.
    pub(super) fn announce(
        &self,
        session: &Rc<Session>,
        respond: &mut Respond,
        fields: &Table,
    ) -> Option<&'static str> {
        if self.quiet.get() {
            return None;
        }
        let (scheme, authority) = (self.uri.scheme_str()?.as_bytes(), self.uri.authority()?.as_str().as_bytes());
        let mut named = false;
        for value in fields.get_all(b"Link") {
            preloads(value, |link| {
                let path = path_within(link.target, scheme, authority);
                let Some(path) = path.and_then(|path| PathAndQuery::try_from(path).ok()) else { return };
                named = true;
                self.push(session, respond, path, link.critical);
            });
        }
        named.then(|| self.policy.name())
    }

    fn push(&self, session: &Rc<Session>, respond: &mut Respond, path: PathAndQuery, critical: bool) {
        // As for streams that clients open: no more than may be served at a time.
        if session.live.get() >= session.settings.most_streams {
            return;
        }
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(path);
        let Ok(uri) = Uri::from_parts(parts) else { return };
        if !session.diary.borrow_mut().is_new(FixedState::default().hash_one(&uri)) {
            return;
        }
        let mut request = Request::new(());
        *request.method_mut() = if self.policy == Policy::Head { Method::HEAD } else { Method::GET };
        *request.uri_mut() = uri;
        request.headers_mut().clone_from(&self.fields);
        let asked = (request.method().clone(), request.uri().clone());
        let parent = respond.id();
        let Some(promised) = respond.promise(request) else { return };
        let mut request = Request::new(Inbox::none());
        (*request.method_mut(), *request.uri_mut()) = asked;
        request.headers_mut().clone_from(&self.fields);
        session.pushed.set(true);
        stream::start(session.clone(), request, promised, Origin::Pushed { parent, critical });
    }
}

/// What was pushed on a connection: as much of it as there is room for, the last ones.
pub(super) struct Diary {
    most: usize,
    seen: VecDeque<u64>,
}

impl Diary {
    pub(super) fn new(most: usize) -> Self {
        Self { most, seen: VecDeque::new() }
    }

    /// Notes a resource.
    fn is_new(&mut self, resource: u64) -> bool {
        if self.most == 0 {
            return true;
        }
        let at = self.seen.iter().position(|seen| *seen == resource);
        if let Some(at) = at {
            self.seen.remove(at);
        } else if self.seen.len() >= self.most {
            self.seen.pop_front();
        }
        self.seen.push_back(resource);
        at.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diary_remembers_what_was_last_named() {
        let mut diary = Diary::new(2);
        assert!(diary.is_new(1) && diary.is_new(2));
        assert!(!diary.is_new(1));
        // The one that was not named for longest goes.
        assert!(diary.is_new(3) && !diary.is_new(1) && diary.is_new(2));
        let mut none = Diary::new(0);
        assert!(none.is_new(1) && none.is_new(1));
    }

    #[test]
    fn clients_say_what_they_want_pushed() {
        for (value, policy) in [
            ("none", None),
            ("None , head", Some(Policy::Head)),
            ("head, fast-load", Some(Policy::FastLoad)),
            ("none, default", Some(Policy::Default)),
            ("bogus", Some(Policy::Default)),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert("accept-push-policy", value.parse().unwrap());
            assert_eq!(Policy::of(&fields), policy, "{value}");
        }
        assert_eq!(Policy::of(&HeaderMap::new()), Some(Policy::Default));
    }
}
