//! Imports point down: a room uses rooms of lower floors, and of its own floor without a cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The floors, ground first, as `src/lib.rs` describes them.
const FLOORS: &[&[&str]] = &[
    &["base"],
    &["codec", "lang", "expr"],
    &["config", "tribes"],
    &["web"],
    &["pipe", "logs", "net"],
    &["upstream", "node"],
    &["modules"],
    &["server"],
    &["demo"],
];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// Every source file of the library with the room it belongs to.
fn sources() -> Vec<(String, PathBuf)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&src, &mut found);
    // A room's tests in a file of their own may look at any other room.
    found.retain(|path| path.file_name() != Some("tests.rs".as_ref()));
    let room = |path: &Path| {
        let first = path.strip_prefix(&src).unwrap().components().next().unwrap();
        first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
    };
    found.into_iter().map(|path| (room(&path), path)).filter(|(room, _)| room != "lib" && room != "bin").collect()
}

/// The rooms a text names as `crate::ROOM` or in `crate::{ROOM::x, ROOM}`, with the line;
/// comments and the tests at its end apart.
fn edges(text: &str) -> Vec<(usize, String)> {
    let code: String = text
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n")
        .collect();
    let mut found = Vec::new();
    for (at, word) in code.match_indices("crate::") {
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + word.len()..];
        let rooms = match rest.strip_prefix('{') {
            Some(list) => listed(list),
            None => vec![name(rest)],
        };
        found.extend(rooms.into_iter().map(|room| (line, room)));
    }
    found
}

/// The first names of a brace's entries.
fn listed(list: &str) -> Vec<String> {
    let (mut depth, mut start, mut rooms) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                rooms.push(name(&list[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    rooms
}

fn name(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

#[test]
fn imports_point_down() {
    let mut upward = Vec::new();
    let mut level: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let sources = sources();
    assert!(sources.len() > 100, "only {} files", sources.len());
    for (room, path) in &sources {
        let from = floor(room).unwrap_or_else(|| panic!("{} is in no room of a floor", path.display()));
        for (line, used) in edges(&fs::read_to_string(path).unwrap()) {
            // Names that are not rooms: macros exported at the crate's root.
            let Some(to) = floor(&used) else { continue };
            if to > from {
                upward.push(format!("{}:{line}: {room} uses {used}", path.display()));
            } else if to == from && used != *room {
                level.entry(room.clone()).or_default().insert(used);
            }
        }
    }
    assert!(upward.is_empty(), "upward imports:\n{}", upward.join("\n"));
    for (room, used) in &level {
        for other in used {
            let back = level.get(other).is_some_and(|rooms| rooms.contains(room));
            assert!(!back, "{room} and {other} use each other");
        }
    }
}

/// The second program shares the ground floors with the first, and nothing above them.
#[test]
fn the_node_stands_apart() {
    let mut strange = Vec::new();
    for (room, path) in &sources() {
        let allowed: &[&str] = match room.as_str() {
            "tribes" => &["base", "codec", "tribes"],
            "node" => &["base", "codec", "net", "tribes", "node"],
            _ => continue,
        };
        for (line, used) in edges(&fs::read_to_string(path).unwrap()) {
            if floor(&used).is_some() && !allowed.contains(&used.as_str()) {
                strange.push(format!("{}:{line}: {room} uses {used}", path.display()));
            }
        }
    }
    assert!(strange.is_empty(), "{}", strange.join("\n"));
}

/// All ways to name a room are seen.
#[test]
fn imports_are_found() {
    let text = "use crate::web::{Table, x};\nuse crate::{\n  base::{a, b},\n  config, // crate::server\n};\nlet a = crate::pipe::f();\n#[cfg(test)]\nuse crate::modules;\n";
    let rooms: Vec<_> = edges(text).into_iter().filter(|(_, room)| !room.is_empty()).collect();
    let expected = [(1, "web"), (2, "base"), (2, "config"), (6, "pipe")];
    assert_eq!(rooms, expected.map(|(line, room)| (line, room.to_owned())));
}

/// A file that grows past this holds two things; 600 lines is where to think of it.
#[test]
fn files_are_small() {
    const LIMIT: usize = 700;
    let long: Vec<String> = sources()
        .iter()
        .map(|(_, path)| (fs::read_to_string(path).unwrap().lines().count(), path))
        .filter(|(lines, _)| *lines > LIMIT)
        .map(|(lines, path)| format!("{}: {lines}", path.display()))
        .collect();
    assert!(long.is_empty(), "split by meaning:\n{}", long.join("\n"));
}
