//! URL paths, escaping, fnmatch.
