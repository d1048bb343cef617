//! Sessions as applications see them, whoever keeps them.
//!
//! A [`Manager`] keeps the sessions of one application. Handlers do not speak to it directly but through
//! [`Exchange::session`](super::exchange::Exchange::session), which finds, joins and makes sessions as servlets do and
//! takes care of the cookie.

use std::fmt;
use std::sync::Arc;

use super::json::Json;

/// A value an application may put into a session; each is the Java class of its name.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `java.lang.String`
    Text(String),
    /// `java.lang.Integer`
    Int(i32),
    /// `java.lang.Long`
    Long(i64),
    /// `java.lang.Boolean`
    Flag(bool),
    /// `java.lang.Double`
    Double(f64),
}

impl Value {
    /// A value from the words of a form: `string`, `int`, `long`, `boolean`, `double`.
    ///
    /// # Errors
    /// The type that does not exist, or that the text is not of.
    pub fn parse(kind: &str, text: &str) -> Result<Self, BadValue> {
        let bad = || BadValue { kind: kind.to_owned(), text: text.to_owned() };
        let trimmed = text.trim();
        match kind {
            "string" | "" => Ok(Self::Text(text.to_owned())),
            "int" => trimmed.parse().map(Self::Int).map_err(|_| bad()),
            "long" => trimmed.parse().map(Self::Long).map_err(|_| bad()),
            "double" => trimmed.parse().map(Self::Double).map_err(|_| bad()),
            "boolean" => match trimmed {
                "true" => Ok(Self::Flag(true)),
                "false" => Ok(Self::Flag(false)),
                _ => Err(bad()),
            },
            _ => Err(bad()),
        }
    }

    /// Its Java class.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Text(_) => "java.lang.String",
            Self::Int(_) => "java.lang.Integer",
            Self::Long(_) => "java.lang.Long",
            Self::Flag(_) => "java.lang.Boolean",
            Self::Double(_) => "java.lang.Double",
        }
    }

    /// As JSON.
    pub fn json(&self) -> Json {
        match self {
            Self::Text(text) => Json::Text(text.clone()),
            Self::Int(number) => Json::Int(i64::from(*number)),
            Self::Long(number) => Json::Int(*number),
            Self::Flag(flag) => Json::Flag(*flag),
            Self::Double(number) => Json::Float(*number),
        }
    }
}

/// A text that is no value of its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[{text}] is no value of type [{kind}]; types are string, int, long, boolean and double")]
pub struct BadValue {
    kind: String,
    text: String,
}

/// An attribute as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Its Java class.
    pub class: String,
    /// Its value, or what can be told of it.
    pub value: Json,
}

/// A session as it is at a moment. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Its id.
    pub id: String,
    /// The client does not know of it yet.
    pub new: bool,
    /// When it was made.
    pub created: i64,
    /// When the request before this one came.
    pub accessed: i64,
    /// Seconds it may be idle; zero and below is for ever.
    pub max_inactive: i32,
    /// Whether this node is responsible for it.
    pub primary: bool,
    /// Bytes it takes, roughly.
    pub size: usize,
    /// Its attributes by name.
    pub attributes: Vec<Shown>,
}

/// The session is not there, or not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session is invalid")]
pub struct Invalid;

/// Keeps the sessions of one application. All of it may be called from any thread, and may block as long as the
/// cluster's send options make it wait.
pub trait Manager: Send + Sync + fmt::Debug {
    /// A request that belongs to this session begins; false if there is none that is valid.
    fn begin(&self, id: &str) -> bool;
    /// That request is over.
    fn end(&self, id: &str);
    /// The request is over and its changes go to the cluster, before [`Manager::end`].
    fn replicate(&self, id: &str);
    /// Makes a session of this id and begins it; false if there are too many.
    fn create(&self, id: &str) -> bool;
    /// Whether a valid session is there; it is not accessed by that.
    fn exists(&self, id: &str) -> bool;
    /// The session as it is.
    fn view(&self, id: &str) -> Option<View>;
    /// Sets an attribute.
    ///
    /// # Errors
    /// There is no such session.
    fn set(&self, id: &str, name: &str, value: Value) -> Result<(), Invalid>;
    /// Removes an attribute, which need not be there.
    ///
    /// # Errors
    /// There is no such session.
    fn remove(&self, id: &str, name: &str) -> Result<(), Invalid>;
    /// Sets how many seconds a session may be idle.
    ///
    /// # Errors
    /// There is no such session.
    fn set_max_inactive(&self, id: &str, seconds: i32) -> Result<(), Invalid>;
    /// Gives a session another id; the cluster is told at once.
    ///
    /// # Errors
    /// There is no such session.
    fn change_id(&self, id: &str, new: &str) -> Result<(), Invalid>;
    /// Ends a session; the cluster is told at once.
    ///
    /// # Errors
    /// There is no such session.
    fn invalidate(&self, id: &str) -> Result<(), Invalid>;
    /// The ids of all sessions.
    fn ids(&self) -> Vec<String>;
    /// Ends what was idle too long. Called every few seconds.
    fn background(&self);
    /// Whether this node is responsible for a session.
    fn is_primary(&self, id: &str) -> bool;
}

/// The session of a request.
#[derive(Clone, Debug)]
pub struct Held {
    /// Who keeps it.
    pub(super) manager: Arc<dyn Manager>,
    /// Its id.
    pub(super) id: String,
}

impl Held {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The session as it is.
    pub fn view(&self) -> Option<View> {
        self.manager.view(&self.id)
    }

    /// Sets an attribute.
    ///
    /// # Errors
    /// The session is not valid any more.
    pub fn set(&self, name: &str, value: Value) -> Result<(), Invalid> {
        self.manager.set(&self.id, name, value)
    }

    /// Removes an attribute, which need not be there.
    ///
    /// # Errors
    /// The session is not valid any more.
    pub fn remove(&self, name: &str) -> Result<(), Invalid> {
        self.manager.remove(&self.id, name)
    }

    /// Ends the session.
    ///
    /// # Errors
    /// The session is not valid any more.
    pub fn invalidate(&self) -> Result<(), Invalid> {
        self.manager.invalidate(&self.id)
    }
}

/// A new id: random bytes as hexadecimal digits, and the node's route behind a dot.
pub fn new_id(length: usize, route: Option<&str>) -> String {
    let mut random = vec![0; length.clamp(8, 64)];
    // Without randomness an id could be guessed: better no session.
    if getrandom::fill(&mut random).is_err() {
        std::process::abort();
    }
    let mut id: String = random.iter().map(|byte| format!("{byte:02X}")).collect();
    if let Some(route) = route {
        id.push('.');
        id.push_str(route);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_types_of_the_form() {
        assert_eq!(Value::parse("int", "-5"), Ok(Value::Int(-5)));
        assert_eq!(Value::parse("long", "5000000000"), Ok(Value::Long(5_000_000_000)));
        assert_eq!(Value::parse("boolean", "true"), Ok(Value::Flag(true)));
        assert_eq!(Value::parse("double", "1.5"), Ok(Value::Double(1.5)));
        assert_eq!(Value::parse("string", " x "), Ok(Value::Text(" x ".to_owned())));
        for (kind, text) in [("int", "5000000000"), ("boolean", "yes"), ("date", "1"), ("double", "x")] {
            assert!(Value::parse(kind, text).is_err(), "{kind} {text}");
        }
    }

    #[test]
    fn ids_are_upper_case_and_end_in_the_route() {
        let (one, other) = (new_id(16, Some("n1")), new_id(16, Some("n1")));
        assert_ne!(one, other);
        assert_eq!(one.len(), 35);
        assert!(one.ends_with(".n1"));
        assert!(one.bytes().take(32).all(|c| c.is_ascii_digit() || (b'A'..=b'F').contains(&c)));
        assert_eq!(new_id(16, None).len(), 32);
    }
}
