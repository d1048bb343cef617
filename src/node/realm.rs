//! Realms: who the users are, what they can prove it with, and which roles they have.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use md5::Md5;
use roxmltree::{Document, ParsingOptions};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::components::{Component, Kind};
use super::log;

/// Somebody who has shown who they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principal {
    /// Their name.
    pub name: String,
    /// What they may be taken for.
    pub roles: Vec<String>,
}

/// Where users are known.
#[derive(Debug)]
pub enum Realm {
    /// Nobody is.
    Null,
    /// A file of users: UserDatabaseRealm, MemoryRealm.
    File(UserFile),
    /// Whoever one of these knows: CombinedRealm.
    Combined(Vec<Self>),
    /// The same, but who fails too often has to wait: LockOutRealm.
    LockOut(Vec<Self>, Lock),
}

impl Realm {
    /// The realm of an element. `databases` are the files of the users' databases by name.
    ///
    /// # Errors
    /// Why it is none that could be asked.
    pub fn of(element: &Component, databases: &[(String, PathBuf)], dir: &Path) -> Result<Self, String> {
        let inner =
            || element.all(Kind::Realm).map(|realm| Self::of(realm, databases, dir)).collect::<Result<Vec<_>, _>>();
        let name = element.class.short();
        if element.text("allRolesMode").is_some_and(|mode| mode != "strict") {
            return Err(format!("[allRolesMode] of [{name}] is not [strict]"));
        }
        match name {
            "NullRealm" => Ok(Self::Null),
            "CombinedRealm" => Ok(Self::Combined(inner()?)),
            "LockOutRealm" => Ok(Self::LockOut(inner()?, Lock::of(element))),
            "MemoryRealm" => {
                let path = dir.join(element.text("pathname").unwrap_or_default());
                Ok(Self::File(UserFile::new(path, Handler::of(element)?)))
            }
            "UserDatabaseRealm" => {
                let resource = element.text("resourceName").unwrap_or_default();
                let found = databases.iter().find(|(name, _)| name == resource);
                let (_, path) = found.ok_or_else(|| format!("there is no database [{resource}] of users"))?;
                Ok(Self::File(UserFile::new(path.clone(), Handler::of(element)?)))
            }
            _ => Err(format!("[{name}] is not supported here")),
        }
    }

    /// Whoever has this name and password.
    pub fn authenticate(&self, name: &str, password: &str) -> Option<Principal> {
        match self {
            Self::Null => None,
            Self::File(file) => file.authenticate(name, password),
            Self::Combined(realms) => realms.iter().find_map(|realm| realm.authenticate(name, password)),
            Self::LockOut(realms, lock) => {
                let found = realms.iter().find_map(|realm| realm.authenticate(name, password));
                lock.judge(name, found, Instant::now())
            }
        }
    }

    /// Reads files of users that have changed.
    pub fn refresh(&self) {
        match self {
            Self::Null => {}
            Self::File(file) => file.refresh(),
            Self::Combined(realms) | Self::LockOut(realms, _) => realms.iter().for_each(Self::refresh),
        }
    }
}

/// `tomcat-users.xml`, read again when it changes.
#[derive(Debug)]
pub struct UserFile {
    path: PathBuf,
    handler: Handler,
    users: ArcSwap<HashMap<String, User>>,
    changed: Mutex<Option<SystemTime>>,
}

#[derive(Debug, Default)]
struct User {
    password: String,
    roles: Vec<String>,
}

impl UserFile {
    fn new(path: PathBuf, handler: Handler) -> Self {
        let file = Self { path, handler, users: ArcSwap::default(), changed: Mutex::default() };
        if !file.path.is_file() {
            file.warn(&format!("The specified user database [{}] could not be found", file.path.display()));
        }
        file.refresh();
        file
    }

    fn warn(&self, text: &str) {
        log::warning("org.apache.catalina.users.MemoryUserDatabase.open", text);
    }

    fn refresh(&self) {
        let changed = std::fs::metadata(&self.path).and_then(|data| data.modified()).ok();
        let mut known = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.is_none() || *known == changed {
            return;
        }
        *known = changed;
        let read = std::fs::read_to_string(&self.path).map_err(|error| error.to_string());
        match read.and_then(|text| users(&text)) {
            Ok(users) => self.users.store(users.into()),
            // Those known so far stay.
            Err(error) => self.warn(&format!("[{}]: {error}", self.path.display())),
        }
    }

    fn authenticate(&self, name: &str, password: &str) -> Option<Principal> {
        let users = self.users.load();
        let user = users.get(name).filter(|user| self.handler.matches(password, &user.password))?;
        Some(Principal { name: name.to_owned(), roles: user.roles.clone() })
    }
}

/// The users of a file: their roles are their own and those of their groups.
fn users(text: &str) -> Result<HashMap<String, User>, String> {
    let options = ParsingOptions { allow_dtd: true, nodes_limit: 200_000, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| error.to_string())?;
    let list = |text: Option<&str>| -> Vec<String> {
        text.unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let of = |name: &'static str| {
        document.root_element().children().filter(move |node| node.is_element() && node.tag_name().name() == name)
    };
    let groups: HashMap<&str, Vec<String>> = of("group")
        .filter_map(|group| {
            let name = group.attribute("groupname").or_else(|| group.attribute("name"))?;
            Some((name, list(group.attribute("roles"))))
        })
        .collect();
    let user = |node: roxmltree::Node<'_, '_>| {
        let name = node.attribute("username").or_else(|| node.attribute("name"))?;
        let mut roles = list(node.attribute("roles"));
        for group in list(node.attribute("groups")) {
            roles.extend(groups.get(group.as_str()).into_iter().flatten().cloned());
        }
        let password = node.attribute("password").unwrap_or_default().to_owned();
        Some((name.to_owned(), User { password, roles }))
    };
    Ok(of("user").filter_map(user).collect())
}

/// What a stored password is: as it stands, or what MessageDigestCredentialHandler makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler(Option<(Algorithm, u32)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Handler {
    fn of(realm: &Component) -> Result<Self, String> {
        let Some(element) = realm.one(Kind::CredentialHandler) else { return Ok(Self(None)) };
        let name = element.class.short();
        if name != "MessageDigestCredentialHandler" {
            return Err(format!("[{name}] is not supported here"));
        }
        let Some(algorithm) = element.text("algorithm") else { return Ok(Self(None)) };
        let algorithm = match algorithm.to_ascii_uppercase().as_str() {
            "MD5" => Algorithm::Md5,
            "SHA" | "SHA1" | "SHA-1" => Algorithm::Sha1,
            "SHA-256" => Algorithm::Sha256,
            "SHA-384" => Algorithm::Sha384,
            "SHA-512" => Algorithm::Sha512,
            _ => return Err(format!("the algorithm [{algorithm}] of [{name}] is not supported here")),
        };
        if element.text("encoding").is_some_and(|encoding| !encoding.eq_ignore_ascii_case("UTF-8")) {
            return Err(format!("the encoding of [{name}] is not UTF-8"));
        }
        let iterations = element.text("iterations").map_or(Ok(1), str::parse).ok().filter(|count| *count > 0);
        let iterations = iterations.ok_or_else(|| format!("[iterations] of [{name}] is no number above 0"))?;
        Ok(Self(Some((algorithm, iterations))))
    }

    /// Whether a stored password is this one: `DIGEST`, or `SALT$ITERATIONS$DIGEST`, as hexadecimal digits.
    fn matches(&self, password: &str, stored: &str) -> bool {
        let Some((algorithm, iterations)) = self.0 else { return same(password.as_bytes(), stored.as_bytes()) };
        let mut words = stored.split('$');
        let parts = (words.next(), words.next(), words.next(), words.next());
        let (salt, iterations, digest) = match parts {
            (Some(salt), Some(count), Some(digest), None) => match (unhex(salt), count.parse::<u32>()) {
                (Some(salt), Ok(count)) if count > 0 => (salt, count, digest),
                _ => return false,
            },
            (Some(digest), None, ..) => (Vec::new(), iterations, digest),
            _ => return false,
        };
        let password = password.as_bytes();
        let computed = match algorithm {
            Algorithm::Md5 => digested::<Md5>(&salt, password, iterations),
            Algorithm::Sha1 => digested::<Sha1>(&salt, password, iterations),
            Algorithm::Sha256 => digested::<Sha256>(&salt, password, iterations),
            Algorithm::Sha384 => digested::<Sha384>(&salt, password, iterations),
            Algorithm::Sha512 => digested::<Sha512>(&salt, password, iterations),
        };
        unhex(digest).is_some_and(|digest| same(&computed, &digest))
    }
}

fn digested<D: Digest>(salt: &[u8], password: &[u8], iterations: u32) -> Vec<u8> {
    let mut digest = D::new().chain_update(salt).chain_update(password).finalize();
    for _ in 1..iterations {
        digest = D::digest(&digest);
    }
    digest.to_vec()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok())
        .collect()
}

/// Comparison that takes the same time wherever the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

/// Who failed, how often, and when last.
#[derive(Debug)]
pub struct Lock {
    most: u32,
    time: Duration,
    size: usize,
    failed: Mutex<HashMap<String, (u32, Instant)>>,
}

impl Lock {
    fn of(element: &Component) -> Self {
        Self {
            most: u32::try_from(element.number("failureCount")).unwrap_or(0),
            time: Duration::from_secs(u64::try_from(element.number("lockOutTime")).unwrap_or(0)),
            size: element.count("cacheSize").max(1),
            failed: Mutex::default(),
        }
    }

    /// Lets whoever was found in unless too many tries went wrong before.
    fn judge(&self, name: &str, found: Option<Principal>, now: Instant) -> Option<Principal> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |at: Instant| now.saturating_duration_since(at);
        if found.is_none() {
            if failed.len() >= self.size && !failed.contains_key(name) {
                // Whoever failed longest ago is forgotten.
                let oldest = failed.iter().min_by_key(|(_, (_, at))| *at).map(|(name, _)| name.clone());
                oldest.map(|name| failed.remove(&name));
            }
            let record = failed.entry(name.to_owned()).or_insert((0, now));
            if record.0 >= self.most && age(record.1) > self.time {
                record.0 = 0;
            }
            *record = (record.0.saturating_add(1), now);
        }
        if failed.get(name).is_some_and(|(count, at)| *count >= self.most && age(*at) < self.time) {
            let text = format!("An attempt was made to authenticate the locked user [{name}]");
            log::warning("org.apache.catalina.realm.LockOutRealm.filterLockedAccounts", &text);
            return None;
        }
        if found.is_some() {
            failed.remove(name);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_the_roles_of_their_groups() {
        let users = users(
            "<tomcat-users xmlns='http://tomcat.apache.org/xml'><role rolename='a'/><group groupname='g' roles='x, y'/>
             <user username='tom' password='p' roles='a,b' groups='g,none'/><user name='ann'/><user/></tomcat-users>",
        )
        .unwrap();
        assert_eq!(users["tom"].roles, ["a", "b", "x", "y"]);
        assert_eq!((users["ann"].password.as_str(), users.len()), ("", 2));
        assert!(super::users("<tomcat-users>").is_err());
    }

    /// What Tomcat's digest.sh made of `tömcat`.
    #[test]
    fn passwords_are_digested_as_tomcat_does() {
        let by = |algorithm, iterations| Handler(Some((algorithm, iterations)));
        let digested = [
            (Algorithm::Md5, 1, "68eabe8b$1$2c3549b1128d017f2c3b7133a73f5b70"),
            (Algorithm::Md5, 9, "186081cf$3$aee3289e1de13448cbaa55d70d2f44b1"),
            (Algorithm::Sha1, 1, "6d216e53$1$7928bc0661cb7db8879030a80e55d706f641f054"),
            (Algorithm::Sha1, 1, "656d701c$3$9a71d632c7b519fe22bcc975f4b2d530260c46b0"),
            (Algorithm::Sha256, 1, "7b925004$3$492206a9552ad5b4d6884ee0be467957b67345e6df9041004867679e3583b41d"),
            (
                Algorithm::Sha384,
                1,
                "4d6432ac$3$cf91fe903731d6bd4dd3943840fdf19b76109195b899b260ba1216c234b6318d8d3dbe5d9f5bcfd62ed42e6780a3d240",
            ),
            (
                Algorithm::Sha512,
                1,
                "516d2cf0$1$7761b3361e70b7ff6701c8cbc12c51e434c33c41e4a1bd0873657525081f0799fe92a86661aec0d45217694148ea833c6e5b450a1d7f13f3b023b5d6903889b5",
            ),
            (Algorithm::Sha256, 1, "ee78c337625f0f74c3df3b5285ff37d30d05d89af2dcb280664c79fde59dd00d"),
        ];
        for (handler, stored) in digested.map(|(algorithm, iterations, stored)| (by(algorithm, iterations), stored)) {
            assert!(handler.matches("tömcat", stored) && !handler.matches("tomcat", stored), "{stored}");
        }
        assert!(Handler(None).matches("a", "a") && !Handler(None).matches("a", "A"));
        for bad in ["", "$1$", "00$0$00", "0$1$00", "x$1$y", "00$1", "00$1$00$0"] {
            assert!(!by(Algorithm::Md5, 1).matches("", bad), "{bad}");
        }
    }

    #[test]
    fn who_fails_too_often_has_to_wait() {
        let time = Duration::from_secs(300);
        let lock = Lock { most: 3, time, size: 2, failed: Mutex::default() };
        let (start, somebody) = (Instant::now(), Some(Principal::default()));
        let enters = |after: u64| lock.judge("a", somebody.clone(), start + Duration::from_secs(after)).is_some();
        let fails = |name: &str, after: u64| lock.judge(name, None, start + Duration::from_secs(after));
        fails("a", 0);
        fails("a", 0);
        assert!(enters(1));
        (0..3).for_each(|_| drop(fails("a", 2)));
        assert!(!enters(3) && !enters(301));
        assert!(enters(303));
        (0..3).for_each(|_| drop(fails("a", 400)));
        fails("b", 401);
        fails("c", 402);
        assert!(enters(403), "only so many are remembered");
    }
}
