//! SRV records (RFC 2782): which of them can be used, and in which order.

use mimi_linearized::id::ServerName;

/// How many records of one name are followed. Those beyond are the ones that would be tried last.
const MAX_TARGETS: usize = 8;

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvRecord {
    /// Lower ones are tried first.
    pub priority: u16,
    /// The share among records of one priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host, without its final full stop; empty for the root, which says that there is no such service.
    pub target: String,
}

/// Where an SRV record points to: a host whose addresses are to be looked up, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
}

/// What the SRV records of a name say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Service {
    /// Nothing: there is none, or none that can be used.
    Unknown,
    /// That there is no such service: a single record with the target `.`.
    NotOffered,
    /// Where it is, in the order in which it is to be tried; at least one.
    At(Vec<Target>),
}

/// What these records say. `pick(n)` gives a number from 0 to `n`, each as likely as the others.
///
/// Records without a port, and with targets that are no host names (an address among them) are passed over (reading R38).
pub(super) fn service(records: Vec<SrvRecord>, pick: &mut impl FnMut(u32) -> u32) -> Service {
    if let [only] = records.as_slice()
        && only.target.is_empty()
    {
        return Service::NotOffered;
    }
    let mut usable: Vec<_> = records.into_iter().filter(is_usable).collect();
    if usable.is_empty() {
        return Service::Unknown;
    }
    // Records of weight 0 go to the front of their priority, so that they are chosen by a pick of 0 only.
    usable.sort_by_key(|record| (record.priority, record.weight));
    let mut ordered = Vec::new();
    while let Some(first) = usable.first()
        && ordered.len() < MAX_TARGETS
    {
        let priority = first.priority;
        let group = || usable.iter().take_while(|record| record.priority == priority);
        let picked = pick(group().map(|record| u32::from(record.weight)).sum());
        let mut sum = 0;
        let chosen = group().position(|record| {
            sum = u32::saturating_add(sum, record.weight.into());
            sum >= picked
        });
        let SrvRecord { target, port, .. } = usable.remove(chosen.unwrap_or_default());
        ordered.push(Target { host: target, port });
    }
    Service::At(ordered)
}

fn is_usable(record: &SrvRecord) -> bool {
    let name = ServerName::parse(&record.target);
    let is_host = name.is_ok_and(|name| name.host() == record.target && name.is_contactable());
    is_host && record.port != 0
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn record(priority: u16, weight: u16, port: u16, target: &str) -> SrvRecord {
        SrvRecord { priority, weight, port, target: target.to_owned() }
    }

    fn hosts(service: &Service) -> Vec<&str> {
        match service {
            Service::At(targets) => targets.iter().map(|target| target.host.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn what_cannot_be_used_is_passed_over() {
        let lowest = &mut |_| 0;
        assert_eq!(service(vec![], lowest), Service::Unknown);
        assert_eq!(service(vec![record(0, 0, 0, "")], lowest), Service::NotOffered);
        // The root beside others says nothing (RFC 2782: there MUST be no other).
        let both = service(vec![record(0, 0, 0, ""), record(0, 0, 1, "a.org")], lowest);
        assert_eq!(both, Service::At(vec![Target { host: "a.org".to_owned(), port: 1 }]));
        for (port, target) in
            [(0, "a.org"), (1, "10.0.0.1"), (1, "127.1"), (1, "-a.org"), (1, "a b"), (1, "a.org:5")]
        {
            assert_eq!(
                service(vec![record(0, 0, port, target)], lowest),
                Service::Unknown,
                "{target}:{port}"
            );
        }
    }

    #[test]
    fn lower_priorities_come_first_and_weights_share_within_one() {
        let records = vec![
            record(20, 9, 1, "late"),
            record(10, 0, 1, "zero"),
            record(10, 1, 1, "one"),
            record(10, 3, 1, "three"),
        ];
        let order = |first: u32| {
            let mut picks = vec![0, 0, first];
            hosts(&service(records.clone(), &mut |_| picks.pop().unwrap_or_default()))
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(order(0), ["zero", "one", "three", "late"]);
        assert_eq!(order(1), ["one", "zero", "three", "late"]);
        for pick in 2..=4 {
            assert_eq!(order(pick), ["three", "zero", "one", "late"]);
        }
        // Out of the picks 0 to 4, each record has about its share.
        let mut firsts: HashMap<String, u32> = HashMap::new();
        for pick in 0..=4 {
            *firsts.entry(order(pick).remove(0)).or_default() += 1;
        }
        assert_eq!(
            firsts,
            HashMap::from([("zero", 1), ("one", 1), ("three", 3)].map(|(k, v)| (k.to_owned(), v)))
        );
    }

    proptest! {
        #[test]
        fn the_order_has_each_record_once_and_keeps_priorities(
            weights in prop::collection::vec((0_u16..4, any::<u16>()), 1..12),
            picks in prop::collection::vec(any::<u32>(), 12),
        ) {
            let records: Vec<_> = weights
                .iter()
                .enumerate()
                .map(|(i, (priority, weight))| record(*priority, *weight, 1, &format!("h{i}.org")))
                .collect();
            let mut picks = picks.into_iter();
            let found = service(records.clone(), &mut |n| {
                picks.next().unwrap_or_default().checked_rem(n + 1).unwrap_or_default()
            });
            let found = hosts(&found);
            prop_assert_eq!(found.len(), records.len().min(MAX_TARGETS));
            let priorities: Vec<_> = found
                .iter()
                .map(|host| records.iter().find(|record| record.target == **host).unwrap().priority)
                .collect();
            prop_assert!(priorities.is_sorted(), "{:?}", priorities);
            let mut once = found.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), found.len());
        }
    }
}
