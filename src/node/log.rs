//! Lines as Tomcat writes them to `catalina.out`: time, level, thread, who, what.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use jiff::Zoned;
use tracing::field::{Field, Visit};

/// How loud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "names of java.util.logging")]
pub enum Level {
    Severe,
    Warning,
    Info,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Severe => "SEVERE",
            Self::Warning => "WARNING",
            Self::Info => "INFO",
        }
    }
}

/// Writes a line; `source` is the class and method a reader of Tomcat's logs looks for.
pub fn line(level: Level, source: &str, text: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("thread");
    let out = format(&Zoned::now(), level, name, source, text);
    // Whoever closed our log does not want it.
    let _ = std::io::stderr().lock().write_all(out.as_bytes());
}

/// The line itself; lines after the first are indented, so that nobody can forge an entry.
fn format(now: &Zoned, level: Level, thread: &str, source: &str, text: &str) -> String {
    let mut out = format!("{} {} [{thread}] {source} ", now.strftime("%d-%b-%Y %H:%M:%S%.3f"), level.name());
    for (index, part) in text.trim_end().split('\n').enumerate() {
        out.push_str(if index == 0 { "" } else { "\n\t" });
        out.extend(part.chars().map(|c| if c.is_control() && c != '\t' { '?' } else { c }));
    }
    out.push('\n');
    out
}

/// `INFO`.
pub fn info(source: &str, text: &str) {
    line(Level::Info, source, text);
}

/// `WARNING`.
pub fn warning(source: &str, text: &str) {
    line(Level::Warning, source, text);
}

/// `SEVERE`.
pub fn severe(source: &str, text: &str) {
    line(Level::Severe, source, text);
}

/// Lets what the rooms below report through `tracing` appear among these lines.
pub fn install() {
    use tracing_subscriber::layer::SubscriberExt as _;
    let subscriber = tracing_subscriber::registry().with(Layer);
    // A program that embeds a node may have its own.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

struct Layer;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Layer {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: tracing_subscriber::layer::Context<'_, S>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => Level::Severe,
            tracing::Level::WARN => Level::Warning,
            _ => Level::Info,
        };
        let mut text = Text::default();
        event.record(&mut text);
        let source = if text.source.is_empty() { event.metadata().target() } else { &text.source };
        line(level, source, &text.message);
    }
}

/// The message of an event, its other fields behind it; a field `source` names who speaks.
#[derive(Default)]
struct Text {
    message: String,
    source: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "source" => self.source = value.to_owned(),
            _ => self.record_debug(field, &format_args!("{value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => {
                let rest = std::mem::take(&mut self.message);
                write!(self.message, "{value:?}{rest}")
            }
            name => write!(self.message, " {name}=[{value:?}]"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_like_tomcats() {
        let now: Zoned = "2026-11-22T07:24:05.0426[UTC]".parse().unwrap();
        let shown = format(&now, Level::Info, "main", "a.b.C.m", "one\ntwo\x1b");
        assert_eq!(shown, "22-Nov-2026 07:24:05.042 INFO [main] a.b.C.m one\n\ttwo?\n");
    }
}
