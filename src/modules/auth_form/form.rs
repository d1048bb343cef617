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
}

fn names(conf: &FormDir) -> [&[u8]; 3] {
    [
        conf.username.as_deref().unwrap_or(b"httpd_username"),
        conf.password.as_deref().unwrap_or(b"httpd_password"),
        conf.location.as_deref().unwrap_or(b"httpd_location"),
    ]
}

impl Fields {
    /// Reads a body; one that is no form has nothing in it. Of several of one name the first counts.
    pub(super) fn read(ex: &mut Exchange, conf: &FormDir, text: &[u8]) -> Self {
        let pairs = if forms::is_form(ex) { forms::pairs(text) } else { Vec::new() };
        let find = |name: &[u8]| {
            let value = pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
            value.filter(|value| !value.is_empty())
        };
        let [user, password, location] = names(conf).map(find);
        if user.is_some() {
            // Known from here on, though not let in yet.
            ex.user.clone_from(&user);
        }
        Self { user, password, location }
    }

    /// Says what is missing.
    pub(super) fn missing(&self, ex: &Exchange, conf: &FormDir) -> Outcome {
        let [user, password, _] = names(conf);
        let (number, what, name) =
            if self.user.is_none() { ("AH02982", "username", user) } else { ("AH02983", "password", password) };
        let text =
            format!("{number}: form parsed, but {what} field '{}' was missing or empty, unauthorized", Bytes(name));
        logs::error!(ex, Level::Debug, "auth_form", "{text}");
        Outcome::Status(401)
    }
}
