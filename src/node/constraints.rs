//! Security constraints of a descriptor: what is asked of whoever asks for a path.

/// A descriptor's security: constraints, how users show who they are, and the roles that are declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// In order; an application's own stand in front of those of `conf/web.xml`.
    pub constraints: Vec<Constraint>,
    /// `login-config`.
    pub login: Option<Login>,
    /// `security-role`: the roles that `*` means.
    pub roles: Vec<String>,
}

/// `login-config`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// `BASIC`, `DIGEST`, `FORM`, `CLIENT-CERT`.
    pub method: String,
    /// What the client is told it logs in to.
    pub realm: Option<String>,
}

/// `security-constraint`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraint {
    /// What it is about.
    pub collections: Vec<Collection>,
    /// Who may; `None` is everybody.
    pub who: Option<Who>,
    /// Only over encrypted connections.
    pub confidential: bool,
}

/// `web-resource-collection`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collection {
    /// URL patterns.
    pub patterns: Vec<String>,
    /// `http-method`: those it is about.
    pub methods: Vec<String>,
    /// `http-method-omission`: it is about all but these.
    pub omitted: Vec<String>,
}

/// `auth-constraint`; nobody if all of it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// Users with one of these roles.
    pub roles: Vec<String>,
    /// `*`: users with any of the declared roles.
    pub all_roles: bool,
    /// `**`: every user.
    pub anyone: bool,
}

impl Collection {
    fn is_about(&self, method: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|of| of == method);
        if self.methods.is_empty() && self.omitted.is_empty() {
            return true;
        }
        named(&self.methods) || !self.omitted.is_empty() && !named(&self.omitted)
    }
}

impl Who {
    /// Whether nobody is let in.
    pub fn is_nobody(&self) -> bool {
        self.roles.is_empty() && !self.all_roles && !self.anyone
    }
}

impl Security {
    /// Whether nothing is asked of anybody.
    pub fn is_empty(&self) -> bool {
        self.constraints.is_empty()
    }

    /// Whether somebody has to say who they are.
    pub fn wants_users(&self) -> bool {
        self.constraints.iter().any(|constraint| constraint.who.as_ref().is_some_and(|who| !who.is_nobody()))
    }

    /// The constraints on a path inside the application. The best kind of pattern counts: a whole path, then the
    /// longest beginning, then an extension, then `/`.
    pub fn on(&self, path: &str, method: &str) -> Vec<&Constraint> {
        let path = if path.is_empty() { "/" } else { path };
        let exact = |pattern: &str| (pattern == path || pattern.is_empty() && path == "/").then_some(0);
        self.by(method, true, exact)
            .or_else(|| self.by(method, false, |pattern| beginning(pattern, path)))
            .or_else(|| self.by(method, true, |pattern| extension(pattern, path).then_some(0)))
            .or_else(|| self.by(method, true, |pattern| (pattern == "/").then_some(0)))
            .unwrap_or_default()
    }

    /// The constraints with the best patterns of a kind that are about a method; `None` if other kinds count. `settled`
    /// is a kind whose patterns count even if no constraint of them is about the method.
    fn by(&self, method: &str, settled: bool, fits: impl Fn(&str) -> Option<usize>) -> Option<Vec<&Constraint>> {
        let (mut best, mut found) = (None, Vec::new());
        for constraint in &self.constraints {
            for collection in &constraint.collections {
                let Some(weight) = collection.patterns.iter().filter_map(|pattern| fits(pattern)).max() else {
                    continue;
                };
                if best.is_some_and(|best| weight < best) {
                    continue;
                }
                if best.is_some_and(|best| weight > best) {
                    found.clear();
                }
                best = Some(weight);
                if collection.is_about(method) {
                    found.push(constraint);
                }
            }
        }
        (best.is_some() && settled || !found.is_empty()).then_some(found)
    }
}

/// How much of a path a pattern `/x/*` covers.
fn beginning(pattern: &str, path: &str) -> Option<usize> {
    let stem = pattern.strip_suffix("/*")?;
    if !stem.is_empty() && !stem.starts_with('/') {
        return None;
    }
    path.strip_prefix(stem).filter(|rest| rest.is_empty() || rest.starts_with('/')).map(|_| pattern.len())
}

fn extension(pattern: &str, path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let found = last.rsplit_once('.').map(|(_, extension)| extension).filter(|extension| !extension.is_empty());
    found.is_some() && pattern.strip_prefix("*.") == found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constraint(pattern: &str, methods: &[&str], role: &str) -> Constraint {
        let collection = Collection {
            patterns: vec![pattern.to_owned()],
            methods: methods.iter().map(ToString::to_string).collect(),
            omitted: Vec::new(),
        };
        let who = Some(Who { roles: vec![role.to_owned()], ..Who::default() });
        Constraint { collections: vec![collection], who, confidential: false }
    }

    #[test]
    fn the_best_kind_of_pattern_counts() {
        let security = Security {
            constraints: vec![
                constraint("/a/*", &[], "a"),
                constraint("/a/b/*", &[], "b"),
                constraint("/a/b/*", &["PUT"], "put"),
                constraint("/a/c/*", &["PUT"], "c"),
                constraint("/a/b/x", &["PUT"], "x"),
                constraint("*.e", &[], "e"),
                constraint("/", &[], "rest"),
            ],
            ..Security::default()
        };
        let roles = |path: &str, method: &str| -> String {
            let found = security.on(path, method);
            found.iter().map(|c| c.who.as_ref().unwrap().roles[0].as_str()).collect::<Vec<_>>().join(" ")
        };
        for (path, method, expected) in [
            ("/a", "GET", "a"),
            ("/ab", "GET", "rest"),
            ("/a/b.e", "GET", "a"),
            ("/a/b", "GET", "b"),
            ("/a/b/y", "PUT", "b put"),
            ("/a/b/x", "PUT", "x"),
            ("/a/b/x", "GET", ""),
            ("/a/c/y", "PUT", "c"),
            ("/a/c/y.e", "GET", "e"),
            ("/z.e", "GET", "e"),
            ("/z.e/y", "GET", "rest"),
            ("/z.", "GET", "rest"),
            ("", "GET", "rest"),
        ] {
            assert_eq!(roles(path, method), expected, "{method} {path}");
        }
    }
}
