//! What stands in a login form.

use super::FormDir;
use crate::logs::{self, Bytes, Level};
use crate::modules::forms;
use crate::pipe::Outcome;
use crate::web::Exchange;

/// Who logs in, and where they want to go then. What is empty is not there.
pub(super) struct Fields {
    pub user: Option<Vec<u8>>,
    pub password: Option<Vec<u8>>,
    pub location: Option<Vec<u8>>,
    pub asked: Asked,
}

/// The request that the form was shown in place of.
#[derive(Default)]
pub(super) struct Asked {
    pub method: Option<Vec<u8>>,
    pub mimetype: Option<Vec<u8>>,
    pub body: Option<Vec<u8>>,
}

fn names(conf: &FormDir) -> [&[u8]; 6] {
    [
        conf.username.as_deref().unwrap_or(b"httpd_username"),
        conf.password.as_deref().unwrap_or(b"httpd_password"),
        conf.location.as_deref().unwrap_or(b"httpd_location"),
        conf.method.as_deref().unwrap_or(b"httpd_method"),
        conf.mimetype.as_deref().unwrap_or(b"httpd_mimetype"),
        conf.body.as_deref().unwrap_or(b"httpd_body"),
    ]
}

impl Fields {
    /// Reads a body; one that is no form has nothing in it. Of several of one name the first counts.
    pub(super) fn read(ex: &mut Exchange, conf: &FormDir, text: &[u8]) -> Self {
        let pairs = if forms::is_form(ex) { forms::pairs(text) } else { Vec::new() };
        let find = |name: &[u8]| pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
        let [user, password, location, method, mimetype, body] = names(conf).map(find);
        // Only a body may be empty.
        let [user, password, location, method, mimetype] =
            [user, password, location, method, mimetype].map(|value| value.filter(|value| !value.is_empty()));
        if user.is_some() {
            // Known from here on, though not let in yet.
            ex.user.clone_from(&user);
        }
        Self { user, password, location, asked: Asked { method, mimetype, body } }
    }

    /// Says what is missing.
    pub(super) fn missing(&self, ex: &Exchange, conf: &FormDir) -> Outcome {
        let [user, password, ..] = names(conf);
        let (number, what, name) =
            if self.user.is_none() { ("AH02982", "username", user) } else { ("AH02983", "password", password) };
        let text =
            format!("{number}: form parsed, but {what} field '{}' was missing or empty, unauthorized", Bytes(name));
        logs::error!(ex, Level::Debug, "auth_form", "{text}");
        Outcome::Status(401)
    }
}
