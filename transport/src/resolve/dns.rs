//! Asking DNS: addresses and SRV records, kept as long as their TTL says.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::srv::SrvRecord;

/// How long a name server may take to answer, before it is asked again, once.
const ATTEMPT: Duration = Duration::from_secs(3);
/// How long all of one question may take: attempts, name servers, aliases.
const QUESTION: Duration = Duration::from_secs(8);
/// The longest that records are kept, and that there are none.
const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(15 * 60);
/// How many answers are kept.
const KEPT_ANSWERS: u64 = 8_192;
/// The name server of a system that names none (resolv.conf(5)).
const LOCAL_NAME_SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);

/// Asks DNS.
pub(super) struct Dns {
    /// The name server to ask instead of the system's.
    name_server: Option<SocketAddr>,
    /// Set up when it is first needed: reading the system's configuration blocks.
    ready: OnceCell<Ready>,
}

struct Ready {
    resolver: TokioResolver,
    /// The system's file of names, which comes before its name servers; empty for a name server of our own.
    hosts: Hosts,
}

impl Dns {
    /// Asks `name_server`, or the system's name servers if there is none.
    pub(super) fn new(name_server: Option<SocketAddr>) -> Self {
        Self { name_server, ready: OnceCell::new() }
    }

    async fn ready(&self) -> io::Result<&Ready> {
        let name_server = self.name_server;
        let setting_up = || async {
            let ready = tokio::task::spawn_blocking(move || Ready::new(name_server)).await;
            ready.map_err(io::Error::other)?
        };
        self.ready.get_or_try_init(setting_up).await
    }

    /// The addresses of a host, those of IPv6 and IPv4 in turn; none if it has none. Aliases are followed. The name is
    /// looked up as it stands: no search list applies.
    pub(super) async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let name = absolute(host)?;
        let ready = self.ready().await?;
        let listed = ready.listed(&name);
        if !listed.is_empty() {
            return Ok(listed);
        }
        let found = match timeout(QUESTION, ready.resolver.lookup_ip(name)).await? {
            Ok(found) => found.iter().collect(),
            Err(error) => none_or(error)?,
        };
        Ok(in_turn(found))
    }

    /// The SRV records of `_matrix._tcp.<host>`; none if there are none.
    pub(super) async fn services(&self, host: &str) -> io::Result<Vec<SrvRecord>> {
        let name = absolute(&format!("_matrix._tcp.{host}"))?;
        let ready = self.ready().await?;
        let found = match timeout(QUESTION, ready.resolver.srv_lookup(name)).await? {
            Ok(found) => found,
            Err(error) => return none_or(error),
        };
        let record = |data: &RData| match data {
            RData::SRV(srv) => Some(SrvRecord {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.to_ascii().trim_end_matches('.').to_owned(),
            }),
            _ => None,
        };
        Ok(found.answers().iter().filter_map(|answer| record(&answer.data)).collect())
    }
}

impl Ready {
    fn new(name_server: Option<SocketAddr>) -> io::Result<Self> {
        let (config, hosts) = match name_server {
            Some(address) => (only(address), Hosts::default()),
            None => {
                let config = match hickory_resolver::system_conf::read_system_conf() {
                    Ok((config, _)) => config,
                    Err(error) => {
                        tracing::warn!(%error, "the system names no name server; asking its own at port 53");
                        only(LOCAL_NAME_SERVER)
                    }
                };
                (config, Hosts::from_system().unwrap_or_default())
            }
        };
        let mut options = ResolverOpts::default();
        options.timeout = ATTEMPT;
        options.attempts = 1;
        options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        options.cache_size = KEPT_ANSWERS;
        options.use_hosts_file = ResolveHosts::Never;
        options.positive_max_ttl = Some(MAX_TTL);
        options.negative_max_ttl = Some(MAX_NEGATIVE_TTL);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = builder.with_options(options).build().map_err(io::Error::other)?;
        Ok(Self { resolver, hosts })
    }

    /// The addresses that the system's file has for the name.
    fn listed(&self, name: &Name) -> Vec<IpAddr> {
        let of_type = |record_type| {
            let found = self.hosts.lookup_static_host(&Query::query(name.clone(), record_type));
            let answers = found.iter().flat_map(Lookup::answers);
            answers.filter_map(|answer| answer.data.ip_addr()).collect::<Vec<_>>()
        };
        [of_type(RecordType::AAAA), of_type(RecordType::A)].concat()
    }
}

/// One name server, over UDP and TCP.
fn only(address: SocketAddr) -> ResolverConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    let server = NameServerConfig::new(address.ip(), true, connections.into());
    ResolverConfig::from_parts(None, Vec::new(), vec![server])
}

/// A name as it stands, without a search list.
fn absolute(host: &str) -> io::Result<Name> {
    let mut name = Name::from_ascii(host).map_err(io::Error::other)?;
    name.set_fqdn(true);
    Ok(name)
}

/// Nothing, if the error says that there is nothing.
fn none_or<T>(error: NetError) -> io::Result<Vec<T>> {
    if error.is_no_records_found() { Ok(Vec::new()) } else { Err(io::Error::other(error)) }
}

/// The addresses of both families in turn, each in its order, so that a family which leads nowhere costs no more than
/// every other attempt.
fn in_turn(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut ordered = Vec::new();
    loop {
        let pair = [v6.next(), v4.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let order = |text: &str| {
            let addresses = text.split_whitespace().map(|text| text.parse().unwrap()).collect();
            let ordered: Vec<_> = in_turn(addresses).iter().map(ToString::to_string).collect();
            ordered.join(" ")
        };
        assert_eq!(order("1.1.1.1 1.1.1.2 1.1.1.3 ::1 ::2"), "::1 1.1.1.1 ::2 1.1.1.2 1.1.1.3");
        assert_eq!(order("1.1.1.1"), "1.1.1.1");
        assert_eq!(order(""), "");
    }

    #[tokio::test]
    async fn localhost_is_known_without_asking() {
        // Nobody answers there.
        let dns = Dns::new(Some("127.0.0.1:1".parse().unwrap()));
        let found = dns.addresses("localhost").await.unwrap();
        assert_eq!(found, ["::1", "127.0.0.1"].map(|text| text.parse::<IpAddr>().unwrap()));
        assert_eq!(dns.services("localhost").await.unwrap(), []);
        assert!(dns.addresses("nowhere.invalid").await.unwrap().is_empty(), "RFC 6761 §6.4");
    }

    #[test]
    fn names_are_absolute() {
        assert_eq!(absolute("a.org").unwrap().to_ascii(), "a.org.");
        assert!(absolute(&"a".repeat(64)).is_err());
    }
}
