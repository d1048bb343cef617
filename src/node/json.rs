//! JSON, written; nothing here reads any.

/// A value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json {
    /// `null`
    #[default]
    Null,
    /// `true` and `false`
    Flag(bool),
    /// A whole number.
    Int(i64),
    /// Any other number; one that JSON has no form for becomes a text.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// An object; its order is kept.
    Object(Vec<(String, Self)>),
}

impl Json {
    /// An object of named values.
    pub fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// As text, two blanks for each level.
    pub fn pretty(&self) -> String {
        let mut out = String::new();
        self.push(&mut out, 0);
        out.push('\n');
        out
    }

    fn push(&self, out: &mut String, depth: usize) {
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        };
        match self {
            Self::Null => out.push_str("null"),
            Self::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Int(number) => out.push_str(&number.to_string()),
            Self::Float(number) if number.is_finite() => out.push_str(&format!("{number:?}")),
            Self::Float(number) => push_text(out, &number.to_string()),
            Self::Text(text) => push_text(out, text),
            Self::List(list) if list.is_empty() => out.push_str("[]"),
            Self::List(list) => {
                for (index, value) in list.iter().enumerate() {
                    out.push(if index == 0 { '[' } else { ',' });
                    line(out, depth + 1);
                    value.push(out, depth + 1);
                }
                line(out, depth);
                out.push(']');
            }
            Self::Object(members) if members.is_empty() => out.push_str("{}"),
            Self::Object(members) => {
                for (index, (name, value)) in members.iter().enumerate() {
                    out.push(if index == 0 { '{' } else { ',' });
                    line(out, depth + 1);
                    push_text(out, name);
                    out.push_str(": ");
                    value.push(out, depth + 1);
                }
                line(out, depth);
                out.push('}');
            }
        }
    }

    /// As a person reads it.
    pub fn plain(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Float(number) if !number.is_finite() => number.to_string(),
            Self::List(list) => format!("[{}]", list.iter().map(Self::plain).collect::<Vec<_>>().join(", ")),
            Self::Object(members) => {
                let members: Vec<_> = members.iter().map(|(name, value)| format!("{name}={}", value.plain())).collect();
                format!("{{{}}}", members.join(", "))
            }
            other => other.pretty().trim_end().to_owned(),
        }
    }
}

fn push_text(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    // Most texts hold nothing that is written in another way: whole runs are copied.
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_special(*c)) {
        let (plain, behind) = rest.split_at(at);
        out.push_str(plain);
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
        rest = behind.get(c.len_utf8()..).unwrap_or_default();
    }
    out.push_str(rest);
    out.push('"');
}

fn is_special(c: char) -> bool {
    // A page may hold the last three inside a script.
    c.is_control() || matches!(c, '"' | '\\' | '<' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written() {
        let value = Json::object([
            ("a\"b", Json::text("x\n<\u{1}ä")),
            ("n", Json::List(vec![Json::Null, Json::Int(-1), Json::Float(1.0), Json::Flag(true)])),
            ("e", Json::List(Vec::new())),
            ("f", Json::Float(f64::NAN)),
        ]);
        let expected = "{\n  \"a\\\"b\": \"x\\n\\u003c\\u0001ä\",\n  \"n\": [\n    null,\n    -1,\n    1.0,\n    true\n  ],\n  \"e\": [],\n  \"f\": \"NaN\"\n}\n";
        assert_eq!(value.pretty(), expected);
        assert_eq!(value.plain(), "{a\"b=x\n<\u{1}ä, n=[null, -1, 1.0, true], e=[], f=NaN}");
    }
}
