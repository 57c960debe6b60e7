//! From a server name to what to connect to (LM-04 §12.3).
//!
//! | file | subject |
//! |---|---|
//! | `steps.rs` | the steps, without I/O: which question comes next, and which certificate and `Host` belong to the answer |
//! | `srv.rs` | which SRV records can be used, and in which order |
//! | `well_known.rs` | what an answer of `.well-known` means; redirections |
//! | `cache.rs` | how long such an answer is kept, and how long a host is left alone that gives none |
//! | `policy.rs` | which addresses may be connected to |
//! | `table.rs` | the static table |
//! | `lookups.rs` | what is asked |
//! | `dns.rs`, `fetch.rs` | asking DNS and web servers |
//!
//! The policy on addresses applies to each address after each lookup, also to those of web servers that are asked for
//! a delegation and of those that they redirect to, and connections are made to the very addresses that it was applied
//! to: a name whose records change in between gains nothing by it.

mod cache;
mod dns;
mod error;
mod fetch;
mod lookups;
mod policy;
mod srv;
mod steps;
mod table;
pub(crate) mod well_known;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mimi_linearized::id::ServerName;
use rand::RngExt as _;
use rustls::pki_types;

pub use error::ResolveError;
pub use lookups::Lookups;
pub use policy::{AddressClass, AddressPolicy};
pub use srv::SrvRecord;
pub use steps::Step;
pub use table::{StaticEntry, StaticEntryError};
pub use well_known::WELL_KNOWN_PATH;

use self::cache::Cache;
use self::dns::Dns;
use self::fetch::{Fresh, Web, asked_for_delegation};
use self::lookups::Asking;
use self::srv::Service;
use self::steps::Next;
use self::table::Table;
use crate::assembly::{Assembly, Unchanged};
use crate::clock::Clock;
use crate::tls::{ClientOffer, HttpVersions, Roots, TlsError, TlsVersions, client_config};

/// The port of a server whose name has none (LM-04 §12.3, steps 2.4 and 4).
pub const DEFAULT_PORT: u16 = 8448;

/// What web servers are offered, which need not be ready for a federation (reading R26).
const WEB_OFFER: ClientOffer =
    ClientOffer { tls: TlsVersions::Tls12AndTls13, http: HttpVersions::Http2AndHttp11 };

/// How long a resolution may take: a delegation has 10 s of it, each question to DNS 8 s.
const TOTAL: Duration = Duration::from_secs(25);

/// How long a server is taken to be where it was found, if no host was asked whether it delegates.
const UNDELEGATED_MS: i64 = 60 * 60 * 1_000;

/// Of how many hosts it is remembered what they answered.
const REMEMBERED_HOSTS: usize = 10_000;

/// Where to connect to for a server, and what to expect there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The addresses, each to be tried in turn; at least one. They are what the address policy was applied to, so that
    /// no second lookup can slip in another.
    pub addresses: Vec<SocketAddr>,
    /// The name that the certificate has to be valid for (`LM-04/12.3/4`).
    pub tls_name: pki_types::ServerName<'static>,
    /// The value of `Host` or `:authority` (`LM-04/12.3/5`).
    pub host: String,
    /// The step that led here.
    pub step: Step,
}

/// How names are resolved.
#[derive(Debug, Clone)]
pub struct ResolveOptions {
    /// Which addresses may be connected to beside global ones. None unless set.
    pub policy: AddressPolicy,
    /// The name server to ask, over UDP and TCP, instead of the operating system's and its file of names. The policy
    /// does not apply to it.
    pub name_server: Option<SocketAddr>,
    /// The port at which hosts are asked for their delegation; 443 unless set. Redirections have their own.
    pub well_known_port: u16,
    /// The time by which delegations are kept.
    pub clock: Clock,
}

impl Default for ResolveOptions {
    fn default() -> Self {
        let policy = AddressPolicy::default();
        Self { policy, name_server: None, well_known_port: 443, clock: Clock::system() }
    }
}

/// Resolves server names (`LM-04/12.3/1`). Clones share what they have learnt, and each has its own static table.
#[derive(Clone)]
pub struct Resolver {
    table: Table,
    policy: AddressPolicy,
    outside: Arc<Outside>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, policy, outside: _ } = self;
        f.debug_struct("Resolver").field("table", table).field("policy", policy).finish_non_exhaustive()
    }
}

/// What is asked, and what it answered.
struct Outside {
    lookups: Arc<dyn Lookups>,
    well_known_port: u16,
    clock: Clock,
    delegations: Mutex<Cache>,
    /// Hosts that are being asked for their delegation.
    asking: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Resolver {
    /// A resolver with an empty static table. `roots` are the authorities that the certificates of web servers have to
    /// come from, which are asked for delegations.
    ///
    /// # Errors
    /// [`TlsError::Config`], if the TLS library refuses the versions.
    pub fn new(roots: &Roots, options: ResolveOptions) -> Result<Self, TlsError> {
        Self::assemble(roots, options, &Unchanged)
    }

    /// As [`Resolver::new`], with other parts in the place of some of its own.
    pub(crate) fn assemble(
        roots: &Roots,
        options: ResolveOptions,
        assembly: &dyn Assembly,
    ) -> Result<Self, TlsError> {
        let ResolveOptions { policy, name_server, well_known_port, clock } = options;
        let web = Web { tls: assembly.client_tls(client_config(roots, WEB_OFFER)?, roots), policy };
        let lookups = assembly.lookups(Arc::new(Asking { dns: Dns::new(name_server), web }));
        let delegations = Mutex::new(Cache::new(REMEMBERED_HOSTS));
        let outside = Outside { lookups, well_known_port, clock, delegations, asking: Mutex::default() };
        Ok(Self { table: Table::default(), policy, outside: Arc::new(outside) })
    }

    /// Adds an entry to the table. Names in it are not looked up, and the address policy does not apply to them. A
    /// name with several entries is tried at each, in order. Delegated names are looked for in it too.
    pub fn insert(&mut self, entry: StaticEntry) {
        self.table.insert(entry);
    }

    /// Finds out where `server` is, within 25 s. Delegations are kept as their headers say, DNS records for their TTL.
    ///
    /// # Errors
    /// [`ResolveError`] says why there is nothing to connect to.
    pub async fn resolve(&self, server: &ServerName) -> Result<Endpoint, ResolveError> {
        self.resolve_until(server).await.map(|(endpoint, _)| endpoint)
    }

    /// As [`Resolver::resolve`], with the time until which the answer may be relied on, in milliseconds since the Unix
    /// epoch, by [`Locate::now_ms`]: as long as a delegation, or that there is none, is kept; an hour where no host
    /// was asked for one, as DNS records do change. Entries of the table are for ever.
    ///
    /// # Errors
    /// As [`Resolver::resolve`].
    async fn resolve_until(&self, server: &ServerName) -> Result<(Endpoint, i64), ResolveError> {
        let resolved = tokio::time::timeout(TOTAL, self.take_steps(server)).await;
        resolved.unwrap_or_else(|late| Err(ResolveError::Lookup { name: server.clone(), error: late.into() }))
    }

    async fn take_steps(&self, server: &ServerName) -> Result<(Endpoint, i64), ResolveError> {
        let mut until_ms = None;
        let mut next = steps::begin(server.clone(), self.table.clone(), self.policy);
        loop {
            next = match next {
                Next::Done(result) => {
                    return result.map(|endpoint| {
                        let Endpoint { step, addresses, host, .. } = &endpoint;
                        tracing::debug!(%server, %step, ?addresses, host, "resolved");
                        let until_ms = match (step, until_ms) {
                            (_, Some(until_ms)) => until_ms,
                            (Step::Table, None) => i64::MAX,
                            (_, None) => self.now_ms().saturating_add(UNDELEGATED_MS),
                        };
                        (endpoint, until_ms)
                    });
                }
                Next::WellKnown(question) => {
                    let delegated = self.outside.delegation(question.host()).await;
                    until_ms = self.outside.delegations().until_ms(question.host());
                    question.answer(delegated)
                }
                Next::Srv(question) => {
                    let service = self.outside.service(question.host()).await;
                    question.answer(service)
                }
                Next::Addresses(question) => {
                    let addresses = self.outside.lookups.addresses(question.host()).await;
                    question.answer(addresses)
                }
            };
        }
    }
}

/// Finds out where servers are. A [`Resolver`] does so by the steps of LM-04 §12.3; something else can stand before it (see
/// [`Assembly`]).
#[async_trait]
pub trait Locate: Send + Sync + 'static {
    /// Where `server` is, and until when that may be relied on, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`ResolveError`] says why there is nothing to connect to.
    async fn locate(&self, server: &ServerName) -> Result<(Endpoint, i64), ResolveError>;

    /// The time by which that is measured, in milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;
}

#[async_trait]
impl Locate for Resolver {
    async fn locate(&self, server: &ServerName) -> Result<(Endpoint, i64), ResolveError> {
        self.resolve_until(server).await
    }

    fn now_ms(&self) -> i64 {
        self.outside.clock.now_ms()
    }
}

impl Outside {
    fn delegations(&self) -> MutexGuard<'_, Cache> {
        // The cache is whole whenever the lock is free.
        self.delegations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asking(&self) -> MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<()>>>> {
        // The map is whole whenever the lock is free.
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self, host: &str) -> Option<Option<ServerName>> {
        self.delegations().get(host, self.clock.now_ms())
    }

    /// What the host delegates to. A host is asked by one at a time, and to the end, even if nobody waits for it any
    /// more: otherwise a host that never answers would be asked by every request for as long as that has time.
    async fn delegation(self: &Arc<Self>, host: &str) -> Option<ServerName> {
        if let Some(kept) = self.kept(host) {
            return kept;
        }
        let turn = Arc::clone(self.asking().entry(host.to_owned()).or_default());
        let turn = turn.lock_owned().await;
        if let Some(kept) = self.kept(host) {
            self.asking().remove(host);
            return kept;
        }
        let (outside, host) = (Arc::clone(self), host.to_owned());
        let asking = tokio::spawn(async move {
            let delegated = outside.ask(&host).await;
            outside.asking().remove(&host);
            drop(turn);
            delegated
        });
        asking.await.unwrap_or_default()
    }

    /// Asks the host and keeps what it says.
    async fn ask(&self, host: &str) -> Option<ServerName> {
        let now_ms = self.clock.now_ms();
        match asked_for_delegation(&*self.lookups, host, self.well_known_port, now_ms).await {
            Ok(Fresh { to, fresh_ms }) => {
                self.delegations().delegated(host, to.clone(), fresh_ms, now_ms);
                Some(to)
            }
            Err(error) => {
                tracing::debug!(host, %error, "no delegation");
                self.delegations().failed(host, now_ms);
                None
            }
        }
    }

    /// What the SRV records of a host say. A failure of DNS says as little as no record: the next step asks DNS again
    /// and reports it, and a server found there has to have the same certificate.
    async fn service(&self, host: &str) -> Service {
        match self.lookups.services(host).await {
            Ok(records) => srv::service(records, &mut |most| rand::rng().random_range(0..=most)),
            Err(error) => {
                tracing::debug!(host, %error, "looking up the SRV record");
                Service::Unknown
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServerName {
        ServerName::parse(text).unwrap()
    }

    fn resolver(policy: AddressPolicy) -> Resolver {
        Resolver::new(&Roots::none(), ResolveOptions { policy, ..ResolveOptions::default() }).unwrap()
    }

    #[tokio::test]
    async fn the_table_comes_first_and_is_not_judged() {
        let mut resolver = resolver(AddressPolicy::default());
        for entry in ["example.org=127.0.0.1:5", "example.org=10.0.0.1:6"] {
            resolver.insert(entry.parse().unwrap());
        }
        let endpoint = resolver.resolve(&name("example.org")).await.unwrap();
        assert_eq!(endpoint.addresses, ["127.0.0.1:5", "10.0.0.1:6"].map(|text| text.parse().unwrap()));
        assert_eq!((endpoint.host.as_str(), endpoint.step), ("example.org", Step::Table));
    }

    #[tokio::test]
    async fn loopback_is_refused_unless_allowed() {
        let localhost = name("localhost:1234");
        let error = resolver(AddressPolicy::default()).resolve(&localhost).await.unwrap_err();
        assert!(matches!(error, ResolveError::Refused { class: AddressClass::Loopback, .. }), "{error}");
        let policy = AddressPolicy { allow_loopback: true, ..AddressPolicy::default() };
        let endpoint = resolver(policy).resolve(&localhost).await.unwrap();
        assert!(endpoint.addresses.iter().all(|a| a.ip().is_loopback() && a.port() == 1234), "{endpoint:?}");
        assert_eq!((endpoint.host.as_str(), endpoint.step), ("localhost:1234", Step::ExplicitPort));
    }

    #[tokio::test]
    async fn names_that_cannot_be_contacted_are_refused() {
        let mut resolver = resolver(AddressPolicy::default());
        for server in ["-a.org", "a..org", "a.org:0", "a.org:65536"] {
            resolver.insert(StaticEntry { name: name(server), address: ([127, 0, 0, 1], 1).into() });
            let error = resolver.resolve(&name(server)).await.unwrap_err();
            assert!(matches!(error, ResolveError::NotContactable(_)), "{error}");
        }
    }
}
