//! Resources that are told of in front of a response, and pushed: what configurations say of them.

use super::conf::{Http2Dir, Http2Server, on_off};
use super::told::{Hints, Order};
use crate::config::{Args, Cmd, Place};
use crate::modules::check;

type Done = Result<(), String>;

/// Those of the server, outside of all sections.
fn hints<'a>(cmd: &'a mut Cmd<'_>) -> &'a mut Hints {
    match cmd.place {
        Place::Main | Place::VirtualHost => &mut cmd.server_conf::<Http2Server>().hints,
        Place::Section(_) | Place::Htaccess => &mut cmd.dir_conf::<Http2Dir>().hints,
    }
}

/// `H2EarlyHint name value`.
pub(super) fn early_hint(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    hints(cmd).fields.push((args.word(0).to_vec(), args.word(1).to_vec()));
    Ok(())
}

/// `H2PushResource [add] path [critical]`.
pub(super) fn resource(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let add = args.word(0).eq_ignore_ascii_case(b"add") && args.words.len() > 1;
    if !add && args.words.len() > 2 {
        return Err("too many parameter".to_owned());
    }
    let critical = match args.opt(if add { 2 } else { 1 }) {
        Some(word) if !word.eq_ignore_ascii_case(b"critical") => return Err("unknown last parameter".to_owned()),
        word => word.is_some(),
    };
    let path = args.word(usize::from(add));
    let more: &[u8] = if critical { b"; critical" } else { b"" };
    hints(cmd).resources.push([b"<", path, b">; rel=preload", more].concat());
    Ok(())
}

/// `H2Push on|off`.
pub(super) fn push(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<Http2Dir>().push = Some(on_off(args)?);
    Ok(())
}

/// `H2PushPriority type order [weight]`. Streams of the same order take turns, whatever their weights.
pub(super) fn priority(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let mut weight = args.opt(2);
    let order = match args.word(1).to_ascii_lowercase().as_slice() {
        b"before" if args.opt(2).is_some() => return Err("dependency 'Before' does not allow a weight".to_owned()),
        b"after" => Order::After,
        b"before" => Order::Before,
        b"interleaved" => Order::Interleaved,
        // A weight alone.
        word if word.first().is_some_and(u8::is_ascii_digit) && weight.is_none() => {
            weight = args.opt(1);
            Order::After
        }
        _ => return Err("dependency must be one of 'After', 'Before' or 'Interleaved'".to_owned()),
    };
    if weight.is_some_and(|weight| check::number(weight) < 1) {
        return Err("weight must be a number >= 1".to_owned());
    }
    cmd.server_conf::<Http2Server>().orders.insert(0, (args.word(0).to_vec(), order));
    Ok(())
}

/// `H2PushDiarySize number`.
pub(super) fn diary(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let size = match check::number(args.word(0)) {
        ..0 => return Err("value must be >= 0".to_owned()),
        size if size & size.saturating_sub(1) != 0 => return Err("value must a power of 2".to_owned()),
        size => size,
    };
    cmd.server_conf::<Http2Server>().diary = Some(usize::try_from(size).unwrap_or(usize::MAX));
    Ok(())
}
