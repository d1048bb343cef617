//! Writes a corpus for each target that the golden data of the tests can seed: `seeds DIR` fills `DIR/<target>/`.

use std::path::Path;
use std::{env, fs, io};

/// A frame's marks stand around a four byte length and its content.
const FRAME_HEAD: usize = 7 + 4;
const FRAME_TAIL: usize = 7;

struct Corpus<'a> {
    into: &'a Path,
    tests: &'a Path,
}

fn main() -> io::Result<()> {
    let Some(into) = env::args_os().nth(1) else { return Err(io::Error::other("usage: seeds DIR")) };
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let corpus = Corpus { into: Path::new(&into), tests: &tests };
    corpus.ajp()?;
    corpus.tribes()?;
    corpus.java()?;
    corpus.html()?;
    corpus.expr()?;
    corpus.config()
}

impl Corpus<'_> {
    fn read(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(self.tests.join(name)).map_err(|e| io::Error::other(format!("{name}: {e}")))
    }

    fn write(&self, target: &str, seeds: &[Vec<u8>]) -> io::Result<()> {
        let dir = self.into.join(target);
        fs::create_dir_all(&dir)?;
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(dir.join(format!("seed-{number:04}")), seed)?;
        }
        println!("{target}: {}", seeds.len());
        Ok(())
    }

    fn ajp(&self) -> io::Result<()> {
        let text = self.read("ajp/exchanges.txt")?;
        let packets: Vec<Vec<u8>> = text.lines().filter_map(|line| hex(line.split(' ').nth(1)?)).collect();
        let payloads = packets.iter().filter_map(|packet| packet.get(4..)).map(<[u8]>::to_vec);
        self.write("ajp", &payloads.chain(packets.iter().cloned()).collect::<Vec<_>>())
    }

    fn tribes(&self) -> io::Result<()> {
        let text = self.read("tribes/vectors.txt")?;
        let recorded: Vec<Vec<u8>> = text.lines().filter_map(|line| hex(line.split(' ').nth(2)?)).collect();
        let contents = recorded.iter().filter_map(|frame| frame.get(FRAME_HEAD..frame.len().checked_sub(FRAME_TAIL)?));
        self.write("tribes", &contents.map(<[u8]>::to_vec).chain(recorded.iter().cloned()).collect::<Vec<_>>())
    }

    fn java(&self) -> io::Result<()> {
        let (mut java, mut sessions) = (Vec::new(), Vec::new());
        for (name, of_sessions) in [("objects", false), ("messages", true), ("deltas", true)] {
            for stream in self.read(&format!("java/{name}.txt"))?.lines().filter_map(|l| hex(l.split('\t').nth(1)?)) {
                if of_sessions {
                    sessions.push(stream.clone());
                }
                java.push(stream);
            }
        }
        self.write("java", &java)?;
        self.write("sessions", &sessions)
    }

    /// Each event list begins with its document, a string of JSON.
    fn html(&self) -> io::Result<()> {
        let text = self.read("html/events.json")?;
        let documents = text.lines().filter_map(|line| line.strip_prefix("[\"")?.split_once("\", ["));
        self.write("html", &documents.map(|(document, _)| document.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    fn expr(&self) -> io::Result<()> {
        let (parse, eval) = (self.read("expr/parse.tsv")?, self.read("expr/eval.tsv")?);
        let texts = parse.lines().chain(eval.lines()).filter_map(|line| line.split('\t').nth(1));
        self.write("expr", &texts.map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    /// Cases end their input with `---`: files, each behind `-- name`, or one configuration behind `conf`.
    fn config(&self) -> io::Result<()> {
        let mut seeds = Vec::new();
        for dir in ["config", "files", "gateways", "cache"] {
            for path in files(&self.tests.join(dir))? {
                let text = fs::read(&path)?;
                let text = String::from_utf8_lossy(&text);
                for case in text.split("\n== ") {
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
        for path in files(&self.tests.join("../conf"))?.into_iter().chain(files(&self.tests.join("../conf/extra"))?) {
            seeds.push(two(&fs::read(path)?, b""));
        }
        self.write("config", &seeds)
    }
}

fn files(dir: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let mut files: Vec<_> = fs::read_dir(dir)?.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_file()).collect();
    files.sort();
    Ok(files)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    (!digits.is_empty() && digits.len() % 2 == 0).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Input of a target that takes two byte strings: `arbitrary` reads the length of the first from the end.
fn two(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut out = [first, second].concat();
    match out.len() {
        0..=255 => out.push(first.len() as u8),
        256..=65_535 => out.extend_from_slice(&(first.len() as u16).to_be_bytes()),
        _ => out.extend_from_slice(&(first.len() as u32).to_be_bytes()),
    }
    out
}
