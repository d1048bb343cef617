//! CrawlerSessionManagerValve: a crawler that brings no session gets the one it had, which does not last long.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::components::Component;
use super::exchange::{Exchange, RequestedId};
use super::valves::{Valve, whole};
use crate::base::pattern::Pattern;

/// Crawlers that are remembered. Tomcat forgets one when its session ends; here it is noticed when there is no more room.
const MOST: usize = 10_000;

/// What crawlers call themselves, unless configured.
const AGENTS: &str = ".*[bB]ot.*|.*Yahoo! Slurp.*|.*Feedfetcher-Google.*";

/// The valve.
pub struct Crawlers {
    agents: Option<Pattern>,
    addresses: Option<Pattern>,
    /// Seconds that their sessions may be idle.
    interval: i32,
    by_host: bool,
    by_context: bool,
    /// The session of each, and its application.
    known: Mutex<HashMap<String, String>>,
}

impl fmt::Debug for Crawlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrawlerSessionManagerValve").finish_non_exhaustive()
    }
}

impl Crawlers {
    /// The valve of an element.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn of(element: &Component) -> Result<Self, String> {
        let pattern = |name: &str| element.text(name).filter(|text| !text.is_empty()).map(whole).transpose();
        Ok(Self {
            agents: Some(element.set("crawlerUserAgents").unwrap_or(AGENTS))
                .filter(|text| !text.is_empty())
                .map(whole)
                .transpose()?,
            addresses: pattern("crawlerIps")?,
            interval: i32::try_from(element.number("sessionInactiveInterval")).unwrap_or(60),
            by_host: element.flag("hostAware"),
            by_context: element.flag("contextAware"),
            known: Mutex::default(),
        })
    }

    /// What a crawler is remembered by; `None` is anybody else.
    fn name(&self, exchange: &Exchange) -> Option<String> {
        let request = &exchange.request;
        let fits = |pattern: &Option<Pattern>, text: &str| {
            pattern.as_ref().is_some_and(|pattern| pattern.is_match(text.as_bytes()))
        };
        let mut agents = request.headers("user-agent");
        // Who says twice what it is, is no crawler.
        let agent = agents.next().filter(|_| agents.next().is_none());
        if !agent.is_some_and(|agent| fits(&self.agents, agent)) && !fits(&self.addresses, &request.remote_addr) {
            return None;
        }
        let host = if self.by_host { request.server_name.as_str() } else { "" };
        let context = exchange.context.as_ref().filter(|_| self.by_context).map_or("", |context| context.name.as_str());
        Some(format!("{host}-{context}-{}", request.remote_addr))
    }
}

impl Valve for Crawlers {
    fn before(&self, exchange: &mut Exchange) -> bool {
        if let Some(name) = self.name(exchange)
            && exchange.session(false).is_none()
            && let Some(id) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned()
        {
            exchange.request.requested = Some(RequestedId { id, from_cookie: true });
        }
        true
    }

    fn after(&self, exchange: &mut Exchange) {
        let Some(name) = self.name(exchange) else { return };
        let (Some(held), Some(context)) = (exchange.session(false), exchange.context.clone()) else { return };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(&name).is_some_and(|id| id == held.id()) {
            return;
        }
        if known.len() >= MOST {
            known.retain(|_, id| context.manager.exists(id));
        }
        if known.len() < MOST {
            known.insert(name, held.id().to_owned());
        }
        drop(known);
        // One that ended meanwhile needs no limit.
        let _ = context.manager.set_max_inactive(held.id(), self.interval);
    }
}
