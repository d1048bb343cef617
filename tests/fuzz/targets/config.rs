//! Configurations: read and applied without panic, whatever stands in the files. Every file that is included has the
//! same text.
#![no_main]

use std::cell::Cell;
use std::io;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tandem::config::{Globals, Places, Rows, Walk, compile, shape};
use tandem::lang::{Host, Kind, Known, Notice, Reader};
use tandem::modules;

/// All modules are loaded.
static ROWS: LazyLock<Rows> = LazyLock::new(|| {
    let mut rows = Rows::default();
    modules::ALL.iter().for_each(|module| rows.add(&module.row));
    rows
});

/// Files in memory, a few of them.
struct Files<'a> {
    text: &'a [u8],
    left: Cell<u32>,
}

impl Host for Files<'_> {
    fn directive(&self, name: &[u8]) -> Option<Known> {
        let row = ROWS.find(name)?;
        Some(Known { name: row.name, read_time: row.places.any(Places::READ) })
    }

    fn arguments(&self, name: &[u8], args: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, String> {
        ROWS.find(name).map_or_else(|| Ok(Vec::new()), |row| shape::calls(row, args))
    }

    fn has_module(&self, name: &[u8]) -> bool {
        name.len().is_multiple_of(2)
    }

    fn load_module(&mut self, _: &[u8], _: &[u8], _: &[u8], _: &mut Vec<Notice>) -> Result<(), String> {
        Ok(())
    }

    fn load_file(&mut self, _: &[u8], _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn version(&self) -> [i32; 3] {
        [2, 4, 71]
    }

    fn env(&self, name: &[u8]) -> Option<Vec<u8>> {
        (name.len() == 1).then(|| self.text.get(..8).unwrap_or(self.text).to_vec())
    }

    fn read(&self, _: &[u8]) -> io::Result<Vec<u8>> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(self.text.to_vec())
            }
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn kind(&self, path: &[u8]) -> Option<Kind> {
        Some(if path.ends_with(b"d") { Kind::Directory } else { Kind::File })
    }

    fn list(&self, _: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        Ok(vec![b"a".to_vec(), b"b.conf".to_vec()])
    }
}

fuzz_target!(|input: (&[u8], &[u8])| {
    let (main, included) = input;
    let mut files = Files { text: included, left: Cell::new(8) };
    let tree = Reader::new(&mut files, b"/nowhere".to_vec()).read_text("main", main.to_vec());
    let Ok(tree) = tree else { return };
    let mut walk = Walk::new(&ROWS, Globals::default());
    if walk.run(&tree).is_ok() {
        compile(walk.servers);
    }
});
