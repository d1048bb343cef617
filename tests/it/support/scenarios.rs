//! Tests that are files: one test a scenario, and one that none is left out.

/// A test for each scenario of a directory, by the `run` of the room that names them.
macro_rules! scenarios {
    (in $dir:literal: $($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        /// No scenario lies about unused.
        #[test]
        fn every_scenario_is_run() {
            let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join($dir);
            let mut there: Vec<String> =
                std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            there.sort();
            let mut run = vec![$(format!("{}.test", stringify!($name))),*];
            run.sort();
            assert_eq!(there, run);
        }
    };
}
pub(crate) use scenarios;
