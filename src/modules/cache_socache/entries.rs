//! Entries as objects of a shared cache: what a header file holds, and the body behind it.

use std::io;
use std::sync::Arc;

use crate::base::clock::{Clock as _, SystemClock};
use crate::logs::Level;
use crate::modules::cache::control::joined;
use crate::modules::cache::store::{Content, Entry, Info, Limits, Place, Said, Store, Writer};
use crate::modules::cache_disk::layout::{self, Header};
use crate::modules::shared::{NotKept, Shared};
use crate::web::Table;

/// A shared cache of entries.
#[derive(Clone)]
pub struct Entries {
    /// The cache.
    pub cache: Arc<dyn Shared>,
    /// How long entries are kept at most, and how much longer than they are fresh; in microseconds.
    pub times: (i64, i64),
}

impl Entries {
    /// When an entry is forgotten.
    fn until(&self, info: &Info) -> i64 {
        let (most, longer) = self.times;
        let last = info.request_time.saturating_add(most);
        if info.expire > last { last } else { info.expire.saturating_add(longer) }
    }

    fn find(&self, key: &[u8], now: i64, said: &mut Vec<Said>) -> Option<Arc<[u8]>> {
        self.cache.get(key, now).unwrap_or_else(|errno| {
            let text = format!("AH02352: Key not found in cache: {}", String::from_utf8_lossy(key));
            said.push(Said { level: Level::Debug, module: "cache_socache", errno: Some(errno), text });
            None
        })
    }

    fn put(&self, name: &[u8], header: &Header, body: &[u8]) -> Result<(), Said> {
        let (now, until) = (SystemClock.wall(), self.until(&header.info));
        let mut key = name.to_vec();
        let vary = header.response.as_ref().and_then(|fields| joined(fields, b"Vary"));
        let failed = |text: &str, level, errno| {
            let text = format!("{text}, ignoring: {}", String::from_utf8_lossy(name));
            Err(Said { level, module: "cache_socache", errno, text })
        };
        if let Some(vary) = vary {
            let names = layout::vary_names(&vary);
            let none = Table::default();
            let vary = layout::vary_file(header.info.expire, &names);
            if let Err(NotKept(errno)) = self.cache.put(name, &vary, until, now) {
                return failed("AH02373: Vary not written to cache", Level::Debug, errno);
            }
            key = layout::variant(&names, header.request.as_ref().unwrap_or(&none), name);
        }
        let mut object = layout::entry_file(header);
        object.extend_from_slice(body);
        match self.cache.put(&key, &object, until, now) {
            Ok(()) => Ok(()),
            Err(NotKept(errno)) => {
                // What was kept before is older than what was answered with.
                self.cache.remove(&key);
                failed("AH02386: could not write to cache", Level::Warn, errno)
            }
        }
    }
}

fn header(name: &[u8], info: &Info, response: &Table, request: &Table) -> Header {
    Header {
        info: info.clone(),
        name: name.to_vec(),
        body: None,
        head_only: false,
        response: Some(response.clone()),
        request: Some(request.clone()),
    }
}

impl Store for Entries {
    fn open(&self, key: &[u8], request: &Table, _: bool, said: &mut Vec<Said>) -> Option<Entry> {
        let now = SystemClock.wall();
        let mut object = self.find(key, now, said)?;
        let mut place = Place { key: key.to_vec(), variant: None };
        if let Some(layout::Parsed::Vary(names)) = layout::parse(&object) {
            let variant = layout::variant(&names, request, key);
            object = self.find(&variant, now, said)?;
            place.variant = Some(variant);
        }
        let (header, from) = layout::entry_and_body(&object)?;
        if header.name != key {
            return None;
        }
        Some(Entry {
            info: header.info,
            response: header.response?,
            request: header.request?,
            body: Content::Memory(object, from),
            place,
        })
    }

    fn create(&self, key: &[u8], limits: Limits) -> Box<dyn Writer> {
        Box::new(Writing { entries: self.clone(), name: key.to_vec(), most: limits.most, body: Vec::new() })
    }

    fn refresh(&self, entry: &Entry, info: &Info, response: &Table, request: &Table) -> Result<(), Said> {
        // The body stays what it is. (httpd loses it here, and answers with nothing from then on.)
        let body = match &entry.body {
            Content::Memory(object, from) => object.get(*from..).unwrap_or_default(),
            Content::File(..) => b"",
        };
        self.put(&entry.place.key, &header(&entry.place.key, info, response, request), body)
    }

    fn remove(&self, place: &Place) {
        self.cache.remove(place.variant.as_deref().unwrap_or(&place.key));
    }

    fn invalidate(&self, key: &[u8], request: &Table, said: &mut Vec<Said>) {
        if let Some(entry) = self.open(key, request, true, said) {
            self.remove(&entry.place);
        }
    }
}

/// An entry on its way into the cache.
struct Writing {
    entries: Entries,
    name: Vec<u8>,
    most: u64,
    body: Vec<u8>,
}

impl Writer for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if (self.body.len() + bytes.len()) as u64 > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.body.extend_from_slice(bytes);
        Ok(())
    }

    fn commit(self: Box<Self>, info: &Info, response: &Table, request: &Table) -> Result<(), Said> {
        self.entries.put(&self.name, &header(&self.name, info, response, request), &self.body)
    }
}
