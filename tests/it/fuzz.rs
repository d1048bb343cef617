//! The fuzz targets compile, and their seeds pass: a target that has rotted would find nothing, unnoticed.

use std::path::Path;

/// Targets by name.
macro_rules! targets {
    ($($name:ident $path:literal),* $(,)?) => {
        $(
            // The attribute is for the root of a program.
            #[allow(unused_attributes)]
            #[path = $path]
            mod $name;
        )*
        const TARGETS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $name::run)),*];
    };
}

targets! {
    ajp "../fuzz/targets/ajp.rs",
    chunked "../fuzz/targets/chunked.rs",
    config "../fuzz/targets/config.rs",
    expr "../fuzz/targets/expr.rs",
    fcgi "../fuzz/targets/fcgi.rs",
    html "../fuzz/targets/html.rs",
    http2_head "../fuzz/targets/http2_head.rs",
    java "../fuzz/targets/java.rs",
    object_cache "../fuzz/targets/object_cache.rs",
    ocsp "../fuzz/targets/ocsp.rs",
    pattern "../fuzz/targets/pattern.rs",
    proxy_header "../fuzz/targets/proxy_header.rs",
    request_head "../fuzz/targets/request_head.rs",
    response_head "../fuzz/targets/response_head.rs",
    sessions "../fuzz/targets/sessions.rs",
    ticket "../fuzz/targets/ticket.rs",
    tribes "../fuzz/targets/tribes.rs",
}

/// What libFuzzer's macro makes of a target, as a function. Targets name the macro by the crate they have it from, and
/// this one goes by that name, see `main.rs`. It stands behind them, else they had it without naming it.
#[macro_export]
macro_rules! fuzz_target {
    (|$input:ident: $type:ty| $body:block) => {
        pub(super) fn run(data: &[u8]) {
            let input = arbitrary::Unstructured::new(data);
            let Ok($input) = <$type as arbitrary::Arbitrary<'_>>::arbitrary_take_rest(input) else { return };
            $body
        }
    };
}

#[path = "../fuzz/seeds.rs"]
#[allow(dead_code, unreachable_pub)]
mod seeds;

#[test]
fn every_target_is_known() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let package = std::fs::read_to_string(dir.join("Cargo.toml")).unwrap();
    let mut files: Vec<String> = std::fs::read_dir(dir.join("targets"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    assert_eq!(files, TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for file in files {
        assert!(
            package.contains(&format!("path = \"targets/{file}.rs\"")),
            "{file} is no program of tests/fuzz/Cargo.toml"
        );
    }
}

#[test]
fn seeds_pass() {
    let all = seeds::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")).unwrap();
    for (target, seeds) in all {
        assert!(seeds.len() > 50, "{target} has {} seeds", seeds.len());
        let (_, run) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
        seeds.iter().for_each(|seed| run(seed));
    }
}

/// Every target runs: on nothing, and on bytes that say nothing.
#[test]
fn noise_passes() {
    let mut state = 7_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        // Numerical Recipes' generator: any will do.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(600)
    .collect();
    for (_, run) in TARGETS {
        (0..noise.len()).step_by(37).for_each(|len| run(&noise[..len]));
    }
}
