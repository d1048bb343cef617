//! `mod_charset_lite.c`: text of files and programs in another charset than clients get.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::codec::charset::{Charset, Conversion, Stop};
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, Slots, inner_or_outer, row};
use crate::logs::{self, Bytes, Errno, Level};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run};
use crate::web::{
    BodyFault, BodyFilter, Exchange, InputFilter, Outer, Planned, PlannedInput, Progress, ProxyKind, Refusal, Table,
};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "charset_lite_module",
        file: "mod_charset_lite.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
struct CharsetDir {
    source: Option<Arc<[u8]>>,
    default: Option<Arc<[u8]>>,
    implicit: Option<bool>,
    all_types: Option<bool>,
}

impl Conf for CharsetDir {
    const SLOT: usize = slot::CHARSET_LITE + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; source, default, implicit, all_types)
    }
}

impl CharsetDir {
    /// Whether documents are converted without being asked for.
    fn converts(&self) -> bool {
        let names = self.source.as_ref().zip(self.default.as_ref());
        self.implicit != Some(false) && names.is_some_and(|(source, default)| !source.eq_ignore_ascii_case(default))
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CharsetSourceEnc", Places::FILEINFO, Shape::Take1, |c, a| name(c, a, |conf| &mut conf.source), "source (html,cgi,ssi) file charset"),
    row("CharsetDefault", Places::FILEINFO, Shape::Take1, |c, a| name(c, a, |conf| &mut conf.default), "name of default charset"),
    row("CharsetOptions", Places::FILEINFO, Shape::Iterate, options, "valid options: ImplicitAdd, NoImplicitAdd, TranslateAllMimeTypes, NoTranslateAllMimeTypes"),
];

/// The hooks.
const HOOKS: &[Hook] = &[
    Hook { phase: Phase::Fixups, order: 0, wants, run: Run::Now(choose) },
    Hook { phase: Phase::InsertFilter, order: 20, wants, run: Run::Now(insert) },
];

type Done = Result<(), String>;

fn name(cmd: &mut Cmd<'_>, args: &Args<'_>, which: fn(&mut CharsetDir) -> &mut Option<Arc<[u8]>>) -> Done {
    *which(cmd.dir_conf::<CharsetDir>()) = Some(args.word(0).into());
    Ok(())
}

/// `CharsetOptions`, one word at a time.
fn options(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let conf = cmd.dir_conf::<CharsetDir>();
    match args.word(0).to_ascii_lowercase().as_slice() {
        b"implicitadd" => conf.implicit = Some(true),
        b"noimplicitadd" => conf.implicit = Some(false),
        b"translateallmimetypes" => conf.all_types = Some(true),
        b"notranslateallmimetypes" => conf.all_types = Some(false),
        _ => return Err(format!("Invalid CharsetOptions option: {}", args.text(0))),
    }
    Ok(())
}

fn wants(_: &Server, dir: &Slots) -> bool {
    dir.get::<CharsetDir>().is_some_and(|conf| conf.source.is_some() || conf.default.is_some())
}

/// What was decided for a request, in [`Exchange::ext`]: each way once, by whichever filter comes first.
#[derive(Default)]
struct Chosen {
    output: Option<Pair>,
    input: Option<Pair>,
}

/// From one charset to another, by their names.
#[derive(Clone)]
struct Pair {
    from: Arc<[u8]>,
    to: Arc<[u8]>,
}

impl Pair {
    fn open(&self) -> Option<Conversion> {
        Some(Conversion::new(Charset::find(&self.from)?, Charset::find(&self.to)?))
    }
}

/// Decides whether there is anything to convert.
fn choose(ex: &mut Exchange) -> Outcome {
    let Some(conf) = ex.dir::<CharsetDir>().cloned() else { return Outcome::Declined };
    let (Some(source), Some(default)) = (conf.source, conf.default) else {
        logs::error!(ex, Level::Debug, "charset_lite", "AH01448: incomplete configuration");
        return Outcome::Declined;
    };
    let around = ex.ext.get::<Outer>().and_then(|around| around.0.as_ref()?.dir.get::<CharsetDir>());
    // What becomes part of a document that is converted itself is not converted to what that is not in.
    let spoils = around.is_some_and(|around| around.converts() && around.source.as_deref() != Some(&*default));
    if ex.proxyreq != ProxyKind::None || source.eq_ignore_ascii_case(&default) || spoils {
        return Outcome::Declined;
    }
    let output = Some(Pair { from: source.clone(), to: default.clone() });
    let mut input = None;
    if matches!(ex.method.as_slice(), b"PUT" | b"POST") {
        let pair = Pair { from: default, to: source };
        match pair.open() {
            Some(_) => input = Some(pair),
            None => cannot(ex, "AH01453", &pair),
        }
    }
    *ex.ext.get_mut::<Chosen>() = Chosen { output, input };
    Outcome::Declined
}

fn cannot(ex: &Exchange, number: &str, pair: &Pair) {
    let (from, to) = (Bytes(&pair.from), Bytes(&pair.to));
    let text = "can't open translation";
    logs::error!(ex, Level::Error, "charset_lite", Errno(22) => "{}: {} {}->{}", number, text, from, to);
}

/// Adds the filters, unless that is for the configuration to do.
fn insert(ex: &mut Exchange) -> Outcome {
    let implicit = ex.dir::<CharsetDir>().is_none_or(|conf| conf.implicit != Some(false));
    let (output, input) =
        ex.ext.get::<Chosen>().map_or((false, false), |chosen| (chosen.output.is_some(), chosen.input.is_some()));
    if implicit && output {
        ex.plan(Planned { rank: 10, which: 0, start });
    }
    if implicit && input {
        ex.plan_input(PlannedInput { rank: 10, which: 0, start: start_input, environment: false });
    }
    Outcome::Declined
}

/// `XLATEOUT`.
pub fn start(ex: &mut Exchange, _: usize, length: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    let pair = ex.ext.get_mut::<Chosen>().output.take()?;
    let all = ex.dir::<CharsetDir>().is_some_and(|conf| conf.all_types == Some(true));
    let is = |kind: &[u8]| ex.content_type.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind));
    if ex.content_type.is_empty() || !(all || is(b"text/") || is(b"message/")) {
        let kind = Bytes(&ex.content_type);
        logs::error!(ex, Level::Debug, "charset_lite", "mime type is {}; no translation selected", kind);
        return None;
    }
    let Some(conversion) = pair.open() else {
        cannot(ex, "AH01453", &pair);
        return None;
    };
    if length == Some(0) {
        return None;
    }
    ex.headers_out.unset(b"Content-Length");
    Some(Box::new(Translated::new(conversion, ex)))
}

/// `XLATEIN`.
pub fn start_input(ex: &mut Exchange, _: usize) -> Option<Box<dyn InputFilter>> {
    let pair = ex.ext.get_mut::<Chosen>().input.take()?;
    let conversion = pair.open()?;
    Some(Box::new(Translated::new(conversion, ex)))
}

struct Translated {
    conversion: Conversion,
    /// The beginning of a character.
    rest: Vec<u8>,
    /// Text of a request in front of such, which may turn out to be broken: nobody has seen it then.
    withheld: Vec<u8>,
    failed: bool,
    /// Where in what was pushed last something is passed on.
    passed: Vec<usize>,
    of: logs::OfBody,
}

/// So much is passed on at a time.
const PIECE: usize = 16 << 10;

impl Translated {
    fn new(conversion: Conversion, ex: &Exchange) -> Self {
        Self {
            conversion,
            rest: Vec::new(),
            withheld: Vec::new(),
            failed: false,
            passed: Vec::new(),
            of: logs::OfBody::new(ex),
        }
    }

    fn convert(&mut self, input: &[u8], out: &mut Vec<u8>) {
        if self.failed {
            return;
        }
        let joined = match self.rest.is_empty() {
            true => None,
            false => Some([self.rest.as_slice(), input].concat()),
        };
        let text = joined.as_deref().unwrap_or(input);
        let (taken, stop) = self.conversion.run(text, out);
        let rest = text.get(taken..).unwrap_or_default().to_vec();
        match stop {
            Stop::All | Stop::Short => self.rest = rest,
            Stop::Bad => {
                self.failed = true;
                let text = "AH02997: AH02198: xlate filter - returning error";
                logs::error!(&self.of, Level::Error, "charset_lite", Errno(22) => "{}", text);
            }
        }
    }

    /// Nothing follows.
    fn finish(&mut self) {
        if !self.rest.is_empty() && !self.failed {
            self.failed = true;
            let bytes: String = self.rest.iter().map(|byte| format!("{byte:02x}")).collect();
            let text = "AH02997: AH02196: xlate filter - incomplete char at end of input -";
            logs::error!(&self.of, Level::Error, "charset_lite", "{} {}", text, bytes);
        }
    }
}

impl BodyFilter for Translated {
    fn data(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let from = out.len();
        self.convert(input, out);
        self.passed.extend((from..out.len()).step_by(PIECE).skip(1));
        if out.len() > from {
            self.passed.push(out.len());
        }
    }

    fn stretches(&mut self, ends: &mut Vec<usize>) {
        ends.append(&mut self.passed);
    }

    fn flush(&mut self, _: &mut Vec<u8>) {}

    fn end(&mut self, _: &mut Vec<u8>, _: &mut Table) {
        self.finish();
    }

    fn failed(&self) -> bool {
        self.failed
    }

    fn refusal(&self) -> Refusal {
        Refusal::Measured
    }
}

impl InputFilter for Translated {
    fn poll(
        &mut self,
        _: &mut Context<'_>,
        input: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Progress, BodyFault>> {
        let mut text = std::mem::take(&mut self.withheld);
        self.convert(input, &mut text);
        if last {
            self.finish();
        }
        if self.failed {
            return Poll::Ready(Err(BodyFault::Refused { status: 400, errno: Errno::GENERAL.0 }));
        }
        // A client that always stops inside of a character is not waited for: that would hold all of its body.
        match self.rest.is_empty() || text.len() > PIECE {
            true => out.append(&mut text),
            false => self.withheld = text,
        }
        Poll::Ready(Ok(Progress { taken: input.len(), ended: last }))
    }

    fn settle(&mut self, fields: &mut Table) {
        fields.unset(b"Content-Length");
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::web::testing;

    #[test]
    fn a_body_that_always_stops_inside_of_a_character_is_not_held_for_ever() {
        let ex = testing::exchange(&testing::live(vec![Server::default()], &[]), "POST / HTTP/1.1");
        let latin1 = Charset::find(b"iso-8859-1").unwrap();
        let mut filter = Translated::new(Conversion::new(Charset::UTF8, latin1), &ex);
        let (piece, mut out) = ("ä".repeat(3 * PIECE / 8), Vec::new());
        // Each piece but the first begins with the second byte of a character, and all end with the first of one.
        let text = piece.as_bytes();
        for (from, held) in [(0, true), (text.len() - 1, true), (2 * text.len() - 1, false)] {
            let bytes: Vec<u8> =
                text.iter().copied().cycle().skip(from).take(text.len() - usize::from(from == 0)).collect();
            assert_eq!(bytes.last(), Some(&0xc3));
            let done = filter.poll(&mut Context::from_waker(Waker::noop()), &bytes, false, &mut out);
            assert!(matches!(done, Poll::Ready(Ok(_))));
            assert_eq!(out.is_empty(), held, "{from}: {}", out.len());
        }
        assert!(filter.withheld.is_empty());
    }
}
