//! `mod_auth_form.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "auth_form_module",
        file: "mod_auth_form.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthFormProvider", Places::AUTHCFG, Shape::Iterate, |_, a| check::one_of(a, &["file", "dbm", "dbd", "anon", "ldap", "socache"], "Unknown Authn provider: \u{1}"), "specify the auth providers for a directory or location").refused(),
    row("AuthFormUsername", Places::AUTHCFG, Shape::Take1, accept, "The field of the login form carrying the username").refused(),
    row("AuthFormPassword", Places::AUTHCFG, Shape::Take1, accept, "The field of the login form carrying the password").refused(),
    row("AuthFormLocation", Places::AUTHCFG, Shape::Take1, accept, "The field of the login form carrying the URL to redirect on successful login.").refused(),
    row("AuthFormMethod", Places::AUTHCFG, Shape::Take1, accept, "The field of the login form carrying the original request method.").refused(),
    row("AuthFormMimetype", Places::AUTHCFG, Shape::Take1, accept, "The field of the login form carrying the original request mimetype.").refused(),
    row("AuthFormBody", Places::AUTHCFG, Shape::Take1, accept, "The field of the login form carrying the urlencoded original request body.").refused(),
    row("AuthFormSize", Places::DIR, Shape::Take1, accept, "Maximum size of body parsed by the form parser").refused(),
    row("AuthFormLoginRequiredLocation", Places::AUTHCFG, Shape::Take1, accept, "If set, redirect the browser to this URL rather than return 401 Not Authorized.").refused(),
    row("AuthFormLoginSuccessLocation", Places::AUTHCFG, Shape::Take1, accept, "If set, redirect the browser to this URL when a login processed by the login handler is successful.").refused(),
    row("AuthFormLogoutLocation", Places::AUTHCFG, Shape::Take1, accept, "The URL of the logout successful page. An attempt to access an URL handled by the handler form-logout-handler will result in an redirect to this page after logout.").refused(),
    row("AuthFormSitePassphrase", Places::AUTHCFG, Shape::Take1, accept, "If set, use this passphrase to determine whether the user should be authenticated. Bypasses the user authentication check on every website hit, and is useful for high traffic sites.").refused(),
    row("AuthFormAuthoritative", Places::AUTHCFG, Shape::Flag, accept, "Set to 'Off' to allow access control to be passed along to lower modules if the UserID is not known to this module").refused(),
    row("AuthFormFakeBasicAuth", Places::AUTHCFG, Shape::Flag, accept, "Set to 'On' to pass through authentication to the rest of the server as a basic authentication header.").refused(),
    row("AuthFormDisableNoStore", Places::AUTHCFG, Shape::Flag, accept, "Set to 'on' to stop the sending of a Cache-Control no-store header with the login screen. This allows the browser to cache the credentials, but at the risk of it being possible for the login form to be resubmitted and revealed to the backend server through XSS. Use at own risk.").refused(),
];
