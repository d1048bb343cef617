//! What compiles release builds hands the compiler the profile, and nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{TempDir, copy_program};

/// What the wrapper makes of the arguments of a compiler with that LLVM.
fn compiled(llvm: &str, arguments: &str, learning: Option<&str>) -> String {
    let dir = TempDir::new("profile");
    let (script, compiler) = (dir.path().join("script"), dir.path().join("rustc"));
    fs::write(&script, format!("#!/bin/sh\n[ \"$1\" = -vV ] && echo 'LLVM version: {llvm}' && exit\necho \"$@\"\n"))
        .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    copy_program(&script, &compiler);
    let wrapper = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cargo/rustc");
    let mut command = Command::new(wrapper);
    command.arg(compiler).args(arguments.split(' ')).env_remove("TANDEM_PROFILE");
    if let Some(place) = learning {
        command.env("TANDEM_PROFILE", place);
    }
    let told = command.output().unwrap();
    assert!(told.status.success(), "{told:?}");
    String::from_utf8(told.stdout).unwrap()
}

const RELEASE: &str = "--crate-name x --crate-type lib -C opt-level=3 -C codegen-units=1";

#[test]
fn a_release_is_built_with_the_profile() {
    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cargo/tandem.profdata");
    // Where the server could not write its part, half of this is left.
    assert!(fs::metadata(&profile).unwrap().len() > 1_000_000);
    assert_eq!(compiled("22.1.2", RELEASE, None), format!("{RELEASE} -Cprofile-use={}\n", profile.display()));
    assert_eq!(compiled("22.1.2", RELEASE, Some("/p")), format!("{RELEASE} -Cprofile-generate=/p\n"));
}

/// Cargo tells tests where the programs are in variables with a dash in their names.
#[test]
fn variables_of_any_name_arrive() {
    let wrapper = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cargo/rustc");
    let told = Command::new(wrapper).args(["env"]).env("CARGO_BIN_EXE_a-b", "here").output().unwrap();
    assert!(String::from_utf8(told.stdout).unwrap().contains("CARGO_BIN_EXE_a-b=here\n"));
}

#[test]
fn everything_else_is_built_as_it_was_asked_for() {
    let script = RELEASE.replace("name x", "name build_script_build");
    let instrumented = format!("{RELEASE} -Zsanitizer=address");
    for arguments in ["--crate-name x -C debuginfo=2", script.as_str(), instrumented.as_str()] {
        assert_eq!(compiled("22.1.2", arguments, Some("/p")), format!("{arguments}\n"));
    }
    // An older compiler does not read the profile.
    assert_eq!(compiled("21.0.0", RELEASE, None), format!("{RELEASE}\n"));
}
