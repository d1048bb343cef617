//! HTML: whatever comes, and however, no more elements end than begin.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tandem::codec::charset::Charset;
use tandem::codec::html::{Attribute, Element, Events, Parser};

#[derive(Default)]
struct Count {
    open: usize,
}

impl Events for Count {
    fn start(&mut self, name: &[u8], _: Option<&'static Element>, _: &[Attribute]) {
        assert!(!name.is_empty());
        self.open += 1;
    }

    fn end(&mut self, _: &[u8], _: Option<&'static Element>) {
        self.open = self.open.checked_sub(1).expect("no more elements end than begin");
    }

    fn text(&mut self, text: &[u8]) {
        assert!(!text.is_empty());
    }

    fn raw(&mut self, _: &[u8]) {}

    fn comment(&mut self, _: &[u8]) {}
}

fuzz_target!(|data: &[u8]| {
    let Some(([charset, size], document)) = data.split_first_chunk() else { return };
    let names = [&b"utf-8"[..], b"iso-8859-1", b"utf-16", b"shift_jis", b"iso-2022-jp", b""];
    let charset = names.get(usize::from(*charset) % names.len()).and_then(|name| Charset::find(name));
    let (mut parser, mut count) = (Parser::new(charset), Count::default());
    document.chunks(usize::from(*size).max(1)).for_each(|piece| parser.push(piece, &mut count));
    parser.end(&mut count);
});
