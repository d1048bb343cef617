//! What rows of several modules share.

use crate::config::{Args, Cmd, Fatal, PostConfig};

/// Accepts any words: for rows whose behaviour is not there yet (see [`crate::config::Support`]).
pub fn accept(_: &mut Cmd<'_>, _: &Args<'_>) -> Result<(), String> {
    Ok(())
}

/// No checks after the walk.
pub fn nothing(_: &mut PostConfig<'_>) -> Result<(), Fatal> {
    Ok(())
}
