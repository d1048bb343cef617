//! Resources that are told of in front of a response, and pushed: what is kept of it.

use crate::web::Table;

/// What becomes of a response that is pushed, beside the one it goes with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// It has what the other leaves.
    #[default]
    After,
    /// The other has what it leaves.
    Before,
    /// They take turns.
    Interleaved,
}

/// What 103 says in front of a response.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// H2PushResource: values of `Link`.
    pub resources: Vec<Vec<u8>>,
    /// H2EarlyHint: any field.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Hints {
    /// The inner section's stand behind, of resources, and in front, of other fields.
    pub(super) fn merge(base: &Self, add: &Self) -> Self {
        Self {
            resources: base.resources.iter().chain(&add.resources).cloned().collect(),
            fields: add.fields.iter().chain(&base.fields).cloned().collect(),
        }
    }

    /// Those of a section, or in place of what it does not have, the server's: as fields.
    pub(super) fn fields(dir: Option<&Self>, server: Option<&Self>) -> Table {
        let mut fields = Table::default();
        let own = dir.filter(|dir| !dir.resources.is_empty()).or(server);
        for link in own.map(|hints| hints.resources.as_slice()).unwrap_or_default() {
            fields.merge(b"Link", link);
        }
        let own = dir.filter(|dir| !dir.fields.is_empty()).or(server);
        for (name, value) in own.map(|hints| hints.fields.as_slice()).unwrap_or_default() {
            fields.merge(name, value);
        }
        fields
    }

    pub(super) fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.fields.is_empty()
    }
}

/// The order of a response of this type; `None`: nothing was said of it.
pub fn order_of(orders: &[(Vec<u8>, Order)], kind: Option<&[u8]>) -> Option<Order> {
    let kind = kind?;
    let end = kind.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t')).unwrap_or(kind.len());
    let find = |wanted: &[u8]| orders.iter().find(|(name, _)| name == wanted).map(|(_, order)| *order);
    find(kind.get(..end)?).or_else(|| find(b"*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_a_type_counts_and_the_star_for_the_rest() {
        let orders = [(&b"text/css"[..], Order::Before), (b"*", Order::Interleaved), (b"text/css", Order::After)]
            .map(|(name, order)| (name.to_vec(), order));
        assert_eq!(order_of(&orders, Some(b"text/css; charset=utf-8")), Some(Order::Before));
        assert_eq!(order_of(&orders, Some(b"image/png")), Some(Order::Interleaved));
        assert_eq!(order_of(&orders, None), None);
        assert_eq!(order_of(&[], Some(b"image/png")), None);
    }

    #[test]
    fn a_section_has_its_own_hints_or_the_servers() {
        let server = Hints { resources: vec![b"<a>".to_vec()], fields: vec![(b"X-S".to_vec(), b"s".to_vec())] };
        let outer = Hints { resources: Vec::new(), fields: vec![(b"X-A".to_vec(), b"b".to_vec())] };
        let inner = Hints { resources: vec![b"<c>".to_vec()], fields: vec![(b"X-A".to_vec(), b"c".to_vec())] };
        let both = Hints::merge(&outer, &inner);
        let shown = |dir: Option<&Hints>| {
            let fields = Hints::fields(dir, Some(&server));
            fields.iter().map(|(name, value)| [name, b": ", value].concat()).collect::<Vec<_>>()
        };
        assert_eq!(shown(None), [b"Link: <a>".to_vec(), b"X-S: s".to_vec()]);
        assert_eq!(shown(Some(&outer)), [b"Link: <a>".to_vec(), b"X-A: b".to_vec()]);
        assert_eq!(shown(Some(&both)), [b"Link: <c>".to_vec(), b"X-A: c, b".to_vec()]);
    }
}
