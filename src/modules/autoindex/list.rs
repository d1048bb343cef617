//! The listing itself, in its three forms.

use super::entry::Entry;
use super::order::Order;
use super::rules::{self, Subject};
use super::{DEFAULT_WIDTH, IndexDir, Width, option};
use crate::base::clock::push_strftime;
use crate::base::path::{escape_html, escape_relative_path};

/// Everything a listing is printed by.
pub(super) struct List<'a> {
    pub conf: &'a IndexDir,
    pub opts: u32,
    pub order: Order,
    /// What the links of the columns keep of the query.
    pub keep: Vec<u8>,
}

impl List<'_> {
    fn has(&self, bit: u32) -> bool {
        self.opts & bit != 0
    }

    fn xhtml(&self) -> &'static [u8] {
        if self.has(option::XHTML) { b" /" } else { b"" }
    }

    /// Appends the listing.
    pub(super) fn push(&self, entries: &[Entry], out: &mut Vec<u8>) {
        let table = self.has(option::TABLE);
        let fancy = self.has(option::FANCY);
        let name_width =
            self.width(self.conf.name_width, !table && fancy, entries.iter().map(|entry| entry.name.len()));
        let description_width = match self.conf.description_width {
            // As wide as the widest: none is cut.
            Some(Width::Widest) => usize::MAX,
            set => self.width(set, false, std::iter::empty()),
        };
        let rule = if table { self.push_table_head(out) } else { Vec::new() };
        if !table && fancy {
            self.push_fancy_head(name_width, out);
        } else if !table {
            out.extend_from_slice(b"<ul>");
        }
        for (at, entry) in entries.iter().enumerate() {
            let mut path = Vec::new();
            escape_relative_path(&entry.name, &mut path);
            let mut anchor = Vec::new();
            escape_html(&path, &mut anchor);
            let shown: &[u8] = if entry.parent { b"Parent Directory" } else { &entry.name };
            if table {
                self.push_row(at, entry, &anchor, shown, (name_width, description_width), out);
            } else if fancy {
                self.push_line(entry, &anchor, shown, (name_width, description_width), out);
            } else {
                out.extend_from_slice(&[b"<li><a href=\"", anchor.as_slice(), b"\"> "].concat());
                escape_html(shown, out);
                out.extend_from_slice(b"</a></li>\n");
            }
        }
        if table {
            out.extend_from_slice(&rule);
            out.extend_from_slice(b"</table>\n");
        } else if fancy {
            if !self.has(option::NO_RULES) {
                out.extend_from_slice(&[b"<hr", self.xhtml(), b">"].concat());
            }
            out.extend_from_slice(b"</pre>\n");
        } else {
            out.extend_from_slice(b"</ul>\n");
        }
    }

    fn width(&self, set: Option<Width>, adjust: bool, widths: impl Iterator<Item = usize>) -> usize {
        match set {
            Some(Width::Fixed(width)) => usize::try_from(width).unwrap_or(0),
            set => {
                let least = usize::try_from(DEFAULT_WIDTH).unwrap_or(0);
                let widest = widths.max().unwrap_or(0).max(least);
                if adjust && set == Some(Width::Widest) { widest } else { least }
            }
        }
    }

    fn push_size_attributes(&self, out: &mut Vec<u8>) {
        for (name, value) in [("width", self.conf.icon_width), ("height", self.conf.icon_height)] {
            if let Some(value) = value.filter(|value| *value != 0) {
                out.extend_from_slice(format!(" {name}=\"{value}\"").as_bytes());
            }
        }
        out.extend_from_slice(self.xhtml());
        out.push(b'>');
    }

    /// The head of a column, which sorts by it.
    fn push_column(&self, name: &str, key: u8, out: &mut Vec<u8>) {
        if self.has(option::NO_SORTING) {
            out.extend_from_slice(name.as_bytes());
            return;
        }
        let turn = self.order.key == key && self.order.ascending();
        let direction = if turn { 'D' } else { 'A' };
        out.extend_from_slice(format!("<a href=\"?C={};O={direction}", char::from(key)).as_bytes());
        out.extend_from_slice(&self.keep);
        out.extend_from_slice(format!("\">{name}</a>").as_bytes());
    }

    /// They are of use to a style sheet only.
    fn classes(&self) -> bool {
        self.conf.style_sheet.is_some()
    }

    fn blank_icon(&self) -> Option<&[u8]> {
        rules::find(&self.conf.icons, Subject::name(rules::BLANK))
    }

    /// Appends the head of the table; gives the row that rules it off.
    fn push_table_head(&self, out: &mut Vec<u8>) -> Vec<u8> {
        let class: &[u8] = if self.classes() { b" id=\"indexlist\"" } else { b"" };
        let head: &[u8] = if self.classes() { b" class=\"indexhead\"" } else { b"" };
        out.extend_from_slice(&[b"  <table", class, b">\n   <tr", head, b">"].concat());
        let column = |class: &str| -> Vec<u8> {
            if self.classes() { format!("<th class=\"{class}\">").into_bytes() } else { b"<th>".to_vec() }
        };
        let mut columns = 1;
        if !self.has(option::NO_ICON) {
            columns += 1;
            match self.classes() {
                true => out.extend_from_slice(&column("indexcolicon")),
                false => out.extend_from_slice(b"<th valign=\"top\">"),
            }
            match self.blank_icon() {
                Some(icon) => {
                    out.extend_from_slice(b"<img src=\"");
                    escape_html(icon, out);
                    out.extend_from_slice(b"\" alt=\"[ICO]\"");
                    self.push_size_attributes(out);
                }
                None => out.extend_from_slice(b"&nbsp;"),
            }
            out.extend_from_slice(b"</th>");
        }
        out.extend_from_slice(&column("indexcolname"));
        self.push_column("Name", b'N', out);
        for (hidden, name, key, class) in [
            (option::NO_MODIFIED, "Last modified", b'M', "indexcollastmod"),
            (option::NO_SIZE, "Size", b'S', "indexcolsize"),
            (option::NO_DESCRIPTION, "Description", b'D', "indexcoldesc"),
        ] {
            if !self.has(hidden) {
                columns += 1;
                out.extend_from_slice(b"</th>");
                out.extend_from_slice(&column(class));
                self.push_column(name, key, out);
            }
        }
        out.extend_from_slice(b"</th></tr>\n");
        if self.has(option::NO_RULES) {
            return Vec::new();
        }
        let class = if self.classes() { " class=\"indexbreakrow\"" } else { "" };
        let slash = String::from_utf8_lossy(self.xhtml());
        let rule = format!("   <tr{class}><th colspan=\"{columns}\"><hr{slash}></th></tr>\n").into_bytes();
        out.extend_from_slice(&rule);
        rule
    }

    fn push_icon(&self, entry: &Entry, out: &mut Vec<u8>) -> bool {
        let Some(icon) = entry.icon.as_ref().or(self.conf.default_icon.as_ref()) else { return false };
        out.extend_from_slice(b"<img src=\"");
        escape_html(icon, out);
        out.extend_from_slice(b"\" alt=\"[");
        out.extend_from_slice(entry.alt.as_deref().unwrap_or(b"   "));
        out.extend_from_slice(b"]\"");
        self.push_size_attributes(out);
        true
    }

    /// The name as a link, cut to the width and filled up to it.
    fn push_name(&self, anchor: &[u8], shown: &[u8], width: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&[b"<a href=\"", anchor, b"\">"].concat());
        if shown.len() > width {
            let cut = [shown.get(..width.saturating_sub(3)).unwrap_or_default(), b"..>"].concat();
            escape_html(&cut, out);
        } else {
            escape_html(shown, out);
        }
        out.extend_from_slice(b"</a>");
        out.extend(std::iter::repeat_n(b' ', width.saturating_sub(shown.len())));
    }

    fn push_time(&self, seconds: i64, out: &mut Vec<u8>) {
        let format: &[u8] = if self.has(option::OLD_DATES) { b"%d-%b-%Y %H:%M  " } else { b"%Y-%m-%d %H:%M  " };
        push_strftime(out, format, seconds.saturating_mul(1_000_000));
    }

    fn push_row(
        &self,
        at: usize,
        entry: &Entry,
        anchor: &[u8],
        shown: &[u8],
        (name_width, description_width): (usize, usize),
        out: &mut Vec<u8>,
    ) {
        let classes = self.classes();
        let cell = |class: &str, plain: &[u8]| -> Vec<u8> {
            if classes { format!("<td class=\"{class}\">").into_bytes() } else { plain.to_vec() }
        };
        if classes {
            let alternate: &[u8] = if at & 1 == 1 { b"odd" } else { b"even" };
            out.extend_from_slice(&[b"   <tr class=\"", alternate].concat());
            if self.has(option::ALT_CLASS) {
                push_class(entry.alt.as_deref().unwrap_or_default(), out);
            }
            out.extend_from_slice(b"\">");
        } else {
            out.extend_from_slice(b"<tr>");
        }
        if !self.has(option::NO_ICON) {
            out.extend_from_slice(&cell("indexcolicon", b"<td valign=\"top\">"));
            if self.has(option::ICONS_ARE_LINKS) {
                out.extend_from_slice(&[b"<a href=\"", anchor, b"\">"].concat());
            }
            if !self.push_icon(entry, out) {
                out.extend_from_slice(b"&nbsp;");
            }
            if self.has(option::ICONS_ARE_LINKS) {
                out.extend_from_slice(b"</a>");
            }
            out.extend_from_slice(b"</td>");
        }
        out.extend_from_slice(&cell("indexcolname", b"<td>"));
        if self.conf.name_width == Some(Width::Widest) {
            self.push_name(anchor, shown, shown.len(), out);
        } else {
            self.push_name(anchor, shown, name_width, out);
        }
        if !self.has(option::NO_MODIFIED) {
            out.extend_from_slice(b"</td>");
            match entry.modified {
                Some(seconds) => {
                    out.extend_from_slice(&cell("indexcollastmod", b"<td align=\"right\">"));
                    self.push_time(seconds, out);
                }
                None => {
                    out.extend_from_slice(&cell("indexcollastmod", b"<td>"));
                    out.extend_from_slice(b"&nbsp;");
                }
            }
        }
        if !self.has(option::NO_SIZE) {
            out.extend_from_slice(b"</td>");
            out.extend_from_slice(&cell("indexcolsize", b"<td align=\"right\">"));
            out.extend_from_slice(size(entry.size).as_bytes());
        }
        if !self.has(option::NO_DESCRIPTION) {
            out.extend_from_slice(b"</td>");
            out.extend_from_slice(&cell("indexcoldesc", b"<td>"));
            match &entry.description {
                Some(text) => out.extend_from_slice(&self.cut(text, description_width)),
                None => out.extend_from_slice(b"&nbsp;"),
            }
        }
        out.extend_from_slice(b"</td></tr>\n");
    }

    fn push_fancy_head(&self, name_width: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<pre>");
        if !self.has(option::NO_ICON) {
            match self.blank_icon() {
                Some(icon) => {
                    out.extend_from_slice(b"<img src=\"");
                    escape_html(icon, out);
                    out.extend_from_slice(b"\" alt=\"Icon \"");
                    self.push_size_attributes(out);
                    out.push(b' ');
                }
                None => out.extend_from_slice(b"      "),
            }
        }
        self.push_column("Name", b'N', out);
        out.extend(std::iter::repeat_n(b' ', name_width.saturating_sub(4) + 1));
        if !self.has(option::NO_MODIFIED) {
            self.push_column("Last modified", b'M', out);
            out.extend_from_slice(b"      ");
        }
        if !self.has(option::NO_SIZE) {
            self.push_column("Size", b'S', out);
            out.extend_from_slice(b"  ");
        }
        if !self.has(option::NO_DESCRIPTION) {
            self.push_column("Description", b'D', out);
        }
        if self.has(option::NO_RULES) {
            out.push(b'\n');
        } else {
            out.extend_from_slice(&[b"<hr", self.xhtml(), b">"].concat());
        }
    }

    fn push_line(
        &self,
        entry: &Entry,
        anchor: &[u8],
        shown: &[u8],
        (name_width, description_width): (usize, usize),
        out: &mut Vec<u8>,
    ) {
        if !self.has(option::NO_ICON) {
            if self.has(option::ICONS_ARE_LINKS) {
                out.extend_from_slice(&[b"<a href=\"", anchor, b"\">"].concat());
            }
            if !self.push_icon(entry, out) {
                out.extend_from_slice(b"     ");
            }
            if self.has(option::ICONS_ARE_LINKS) {
                out.extend_from_slice(b"</a>");
            }
            out.push(b' ');
        }
        self.push_name(anchor, shown, name_width, out);
        out.push(b' ');
        if !self.has(option::NO_MODIFIED) {
            match entry.modified {
                Some(seconds) => self.push_time(seconds, out),
                None => out.extend_from_slice(b"                   "),
            }
        }
        if !self.has(option::NO_SIZE) {
            out.extend_from_slice(size(entry.size).as_bytes());
            out.extend_from_slice(b"  ");
        }
        if let Some(text) = entry.description.as_ref().filter(|_| !self.has(option::NO_DESCRIPTION)) {
            out.extend_from_slice(&self.cut(text, description_width));
        }
        out.push(b'\n');
    }

    /// A description cut to its width; tags count nothing and entities one.
    fn cut(&self, text: &[u8], width: usize) -> Vec<u8> {
        let mut left = width;
        if self.conf.description_width.is_none() {
            for (bit, more) in [(option::NO_ICON, 6), (option::NO_MODIFIED, 19), (option::NO_SIZE, 7)] {
                left += if self.has(bit) { more } else { 0 };
            }
        }
        let mut at = 0;
        while let Some(byte) = text.get(at).filter(|byte| left > 0 || **byte == b'<') {
            let stop = match byte {
                b'<' => b'>',
                b'&' => {
                    left -= 1;
                    b';'
                }
                _ => {
                    left -= 1;
                    at += 1;
                    continue;
                }
            };
            match text.get(at..).and_then(|rest| memchr::memchr(stop, rest)) {
                Some(end) => at += end + 1,
                None => {
                    left = 0;
                    at = text.len();
                }
            }
        }
        if left == 0 && at < text.len() {
            return [text.get(..at.saturating_sub(1)).unwrap_or_default(), b">"].concat();
        }
        text.to_vec()
    }
}

/// What a row's class says of its alternate text.
fn push_class(alt: &[u8], out: &mut Vec<u8>) {
    if alt.is_empty() {
        return;
    }
    out.push(b'-');
    out.extend(alt.to_ascii_lowercase());
}

/// A size in four columns.
pub(in crate::modules) fn size(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else { return "  - ".to_owned() };
    if bytes < 973 {
        return format!("{bytes:3} ");
    }
    let mut whole = bytes;
    for unit in ['K', 'M', 'G', 'T', 'P', 'E'] {
        let mut rest = whole & 1023;
        whole >>= 10;
        if whole >= 973 {
            continue;
        }
        if whole < 9 || (whole == 9 && rest < 973) {
            rest = (rest * 5 + 256) / 512;
            if rest >= 10 {
                whole += 1;
                rest = 0;
            }
            return format!("{whole}.{rest}{unit}");
        }
        return format!("{:3}{unit}", whole + u64::from(rest >= 512));
    }
    "****".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_four_columns() {
        for (bytes, want) in [
            (0, "  0 "),
            (972, "972 "),
            (973, "1.0K"),
            (1536, "1.5K"),
            (10 << 10, " 10K"),
            (1 << 20, "1.0M"),
            (1 << 40, "1.0T"),
        ] {
            assert_eq!(size(Some(bytes)), want);
        }
        assert_eq!(size(None), "  - ");
    }

    #[test]
    fn descriptions_are_cut_between_tags() {
        let conf = IndexDir { description_width: Some(Width::Fixed(12)), ..IndexDir::default() };
        let order = Order { key: b'N', direction: b'A', version: false, ignore_case: false };
        let list = List { conf: &conf, opts: 0, order, keep: Vec::new() };
        let cut = |text: &str| String::from_utf8(list.cut(text.as_bytes(), 12)).unwrap();
        assert_eq!(cut("short"), "short");
        assert_eq!(cut("exactly12chr"), "exactly12chr");
        assert_eq!(cut("more than twelve"), "more than t>");
        assert_eq!(cut("<b>exactly12chr</b>"), "<b>exactly12chr</b>");
        assert_eq!(cut("&auml;xactly12ch&auml;"), "&auml;xactly12ch&auml;");
        assert_eq!(cut("<open"), "<open");
    }
}
