//! Inputs for the targets out of the golden data of the tests. As a program, `seeds DIR` fills `DIR/<target>/`.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// A frame's marks stand around a four byte length and its content.
const FRAME_HEAD: usize = 7 + 4;
const FRAME_TAIL: usize = 7;

/// Inputs of one target.
pub type Seeds = Vec<Vec<u8>>;

fn main() -> io::Result<()> {
    let Some(into) = env::args_os().nth(1) else { return Err(io::Error::other("usage: seeds DIR")) };
    for (target, seeds) in all(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))? {
        let dir = Path::new(&into).join(target);
        fs::create_dir_all(&dir)?;
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(dir.join(format!("seed-{number:04}")), seed)?;
        }
        println!("{target}: {}", seeds.len());
    }
    Ok(())
}

/// What there is for each target below the folder of the tests.
///
/// # Errors
/// A file that cannot be read.
pub fn all(tests: &Path) -> io::Result<Vec<(&'static str, Seeds)>> {
    Ok(vec![
        ("ajp", ajp(&read(tests, "ajp/exchanges.txt")?)),
        ("tribes", tribes(&read(tests, "tribes/vectors.txt")?)),
        ("java", java(tests, &["objects", "messages", "deltas"])?),
        ("sessions", java(tests, &["messages", "deltas"])?),
        ("html", html(&read(tests, "html/events.json")?)),
        ("expr", expr(&[read(tests, "expr/parse.tsv")?, read(tests, "expr/eval.tsv")?])),
        ("config", config(tests)?),
    ])
}

fn read(tests: &Path, name: &str) -> io::Result<String> {
    fs::read_to_string(tests.join(name)).map_err(|e| io::Error::other(format!("{name}: {e}")))
}

/// Packets, and their payloads alone.
fn ajp(text: &str) -> Seeds {
    let packets: Seeds = text.lines().filter_map(|line| hex(line.split(' ').nth(1)?)).collect();
    let payloads = packets.iter().filter_map(|packet| Some(packet.get(4..)?.to_vec()));
    payloads.chain(packets.iter().cloned()).collect()
}

/// Datagrams and frames, and what their marks are around.
fn tribes(text: &str) -> Seeds {
    let recorded: Seeds = text.lines().filter_map(|line| hex(line.split(' ').nth(2)?)).collect();
    let content = |frame: &Vec<u8>| Some(frame.get(FRAME_HEAD..frame.len().checked_sub(FRAME_TAIL)?)?.to_vec());
    recorded.iter().filter_map(content).chain(recorded.iter().cloned()).collect()
}

fn java(tests: &Path, names: &[&str]) -> io::Result<Seeds> {
    let mut seeds = Vec::new();
    for name in names {
        let text = read(tests, &format!("java/{name}.txt"))?;
        seeds.extend(text.lines().filter_map(|line| hex(line.split('\t').nth(1)?)));
    }
    Ok(seeds)
}

/// Each list of events begins with its document, a string of JSON.
fn html(text: &str) -> Seeds {
    let documents = text.lines().filter_map(|line| line.strip_prefix("[\"")?.split_once("\", ["));
    documents.map(|(document, _)| document.as_bytes().to_vec()).collect()
}

/// Expressions, about a request in which everything is `a`.
fn expr(tables: &[String]) -> Seeds {
    let texts = tables.iter().flat_map(|table| table.lines()).filter_map(|line| line.split('\t').nth(1));
    texts.map(|text| two(text.as_bytes(), b"a")).collect()
}

/// Cases end their input with `---`: files, each behind `-- name`, or one configuration behind `conf`.
fn config(tests: &Path) -> io::Result<Seeds> {
    let mut seeds = Vec::new();
    for dir in ["config", "files", "gateways", "cache"] {
        for path in files(&tests.join(dir))? {
            let text = fs::read(&path)?;
            for case in String::from_utf8_lossy(&text).split("\n== ") {
                let input = case.split("\n---").next().unwrap_or_default();
                if let Some((_, conf)) = input.split_once("\nconf\n") {
                    seeds.push(two(conf.as_bytes(), b""));
                    continue;
                }
                let mut files = input.split("\n-- ").filter_map(|file| Some(file.split_once('\n')?.1));
                let main = files.next().unwrap_or_default();
                seeds.push(two(main.as_bytes(), files.next().unwrap_or_default().as_bytes()));
            }
        }
    }
    for path in files(&tests.join("../conf"))?.into_iter().chain(files(&tests.join("../conf/extra"))?) {
        seeds.push(two(&fs::read(path)?, b""));
    }
    Ok(seeds)
}

fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<_> = fs::read_dir(dir)?.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_file()).collect();
    files.sort();
    Ok(files)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|c| u8::try_from(c.to_digit(16)?).ok()).collect::<Option<_>>()?;
    (!digits.is_empty() && digits.len().is_multiple_of(2))
        .then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Input of a target that takes two byte strings: `arbitrary` reads the length of the first from the end.
fn two(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut out = [first, second].concat();
    let len = (first.len() as u32).to_be_bytes();
    out.extend_from_slice(match out.len() {
        0..=255 => &len[3..],
        256..=65_535 => &len[2..],
        _ => &len,
    });
    out
}
