//! The steps of LM-04 §12.3 without any I/O: which question to ask next, and what its answer leads to.
//!
//! [`begin`] gives the first [`Next`]; each question takes its answer and gives the next one, until it is
//! [`Next::Done`]. Which name the certificate has to be for and what `Host` says is decided by the name in force, that
//! is the delegated one if there is one and the server's own otherwise, and never by an SRV record.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use mimi_linearized::id::ServerName;
use rustls::pki_types;

use super::error::ResolveError;
use super::policy::{AddressClass, AddressPolicy};
use super::srv::{Service, Target};
use super::table::Table;
use super::{DEFAULT_PORT, Endpoint};

/// How many addresses are tried of one name, those of all its SRV targets together.
const MAX_ADDRESSES: usize = 16;

/// The step of LM-04 §12.3 that leads to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// None: the name, or the one it is delegated to, is in the static table.
    Table,
    /// Step 1: the name has an explicit port.
    ExplicitPort,
    /// Step 2.1: the delegated name has an explicit port.
    DelegatedPort,
    /// Step 2.3: an SRV record of the delegated name.
    DelegatedSrv,
    /// Step 2.4: the delegated name and port 8448.
    Delegated,
    /// Step 3: an SRV record of the name.
    Srv,
    /// Step 4: the name and port 8448.
    Host,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "the static table",
            Self::ExplicitPort => "step 1",
            Self::DelegatedPort => "step 2.1",
            Self::DelegatedSrv => "step 2.3",
            Self::Delegated => "step 2.4",
            Self::Srv => "step 3",
            Self::Host => "step 4",
        })
    }
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Next {
    /// Ask the host for its delegation.
    WellKnown(AskWellKnown),
    /// Ask for the SRV record of `_matrix._tcp.` and a host.
    Srv(AskSrv),
    /// Ask for the addresses of a host.
    Addresses(AskAddresses),
    /// Nothing.
    Done(Result<Endpoint, ResolveError>),
}

/// What stays the same, or nearly, on the way.
#[derive(Debug)]
struct Course {
    table: Table,
    policy: AddressPolicy,
    /// The name asked for.
    server: ServerName,
    /// The name that it is delegated to.
    delegated: Option<ServerName>,
}

impl Course {
    /// The name that decides on certificate and `Host`.
    fn in_force(&self) -> &ServerName {
        self.delegated.as_ref().unwrap_or(&self.server)
    }

    fn choose(&self, own: Step, delegated: Step) -> Step {
        if self.delegated.is_some() { delegated } else { own }
    }

    fn endpoint(&self, step: Step, addresses: Vec<SocketAddr>) -> Result<Endpoint, ResolveError> {
        let name = self.in_force();
        let tls_name = pki_types::ServerName::try_from(name.host().to_owned())
            .map_err(|_| ResolveError::NotContactable(name.clone()))?;
        Ok(Endpoint { addresses, tls_name, host: name.as_str().to_owned(), step })
    }

    /// Goes on with the name in force: from the table, by its port, or by what `otherwise` asks.
    fn go_on(self, otherwise: impl FnOnce(Self) -> Next) -> Next {
        let name = self.in_force();
        if let Some(addresses) = self.table.get(name) {
            let addresses = addresses.to_vec();
            return Next::Done(self.endpoint(Step::Table, addresses));
        }
        match name.port() {
            Some(port) => {
                let target = Target { host: name.host().to_owned(), port };
                let step = self.choose(Step::ExplicitPort, Step::DelegatedPort);
                AskAddresses::next(self, step, vec![target])
            }
            None => otherwise(self),
        }
    }
}

/// Begins with the name of a server (`LM-04/12.3/1`).
pub(super) fn begin(server: ServerName, table: Table, policy: AddressPolicy) -> Next {
    if !server.is_contactable() {
        return Next::Done(Err(ResolveError::NotContactable(server)));
    }
    let course = Course { table, policy, server, delegated: None };
    course.go_on(|course| Next::WellKnown(AskWellKnown(course)))
}

/// Step 2: whether the host delegates.
#[derive(Debug)]
pub(super) struct AskWellKnown(Course);

impl AskWellKnown {
    pub(super) fn host(&self) -> &str {
        self.0.server.host()
    }

    /// Takes the delegated name; none if the host gave none that is valid, for whatever reason (`LM-04/12.3/8`).
    pub(super) fn answer(self, delegated: Option<ServerName>) -> Next {
        let delegated = delegated.filter(ServerName::is_contactable);
        let course = Course { delegated, ..self.0 };
        if course.delegated.is_none() {
            return Next::Srv(AskSrv(course));
        }
        // A delegated name is not asked for a delegation of its own.
        course.go_on(|course| Next::Srv(AskSrv(course)))
    }
}

/// Steps 2.3 and 3: where the service is.
#[derive(Debug)]
pub(super) struct AskSrv(Course);

impl AskSrv {
    pub(super) fn host(&self) -> &str {
        self.0.in_force().host()
    }

    /// Takes what the SRV records say. Without any, port 8448 of the host itself is next (steps 2.4 and 4).
    pub(super) fn answer(self, service: Service) -> Next {
        let course = self.0;
        match service {
            Service::NotOffered => Next::Done(Err(ResolveError::NotOffered(course.in_force().clone()))),
            Service::At(targets) => {
                let step = course.choose(Step::Srv, Step::DelegatedSrv);
                AskAddresses::next(course, step, targets)
            }
            Service::Unknown => {
                let target = Target { host: course.in_force().host().to_owned(), port: DEFAULT_PORT };
                let step = course.choose(Step::Host, Step::Delegated);
                AskAddresses::next(course, step, vec![target])
            }
        }
    }
}

/// The end of each step: the addresses of a host, or of one SRV target after the other.
#[derive(Debug)]
pub(super) struct AskAddresses {
    course: Course,
    step: Step,
    current: Target,
    waiting: VecDeque<Target>,
    found: Vec<SocketAddr>,
    refused: Option<SocketAddr>,
    failure: Option<io::Error>,
}

impl AskAddresses {
    fn next(course: Course, step: Step, targets: Vec<Target>) -> Next {
        let mut waiting = VecDeque::from(targets);
        match waiting.pop_front() {
            None => Next::Done(Err(ResolveError::NoAddress(course.in_force().clone()))),
            Some(current) => Next::Addresses(Self {
                course,
                step,
                current,
                waiting,
                found: Vec::new(),
                refused: None,
                failure: None,
            }),
        }
    }

    pub(super) fn host(&self) -> &str {
        &self.current.host
    }

    /// Takes the host's addresses; none if it has none.
    pub(super) fn answer(mut self, addresses: io::Result<Vec<IpAddr>>) -> Next {
        match addresses {
            Ok(addresses) => {
                for address in addresses {
                    let address = SocketAddr::new(address, self.current.port);
                    if !self.course.policy.allows(address.ip()) {
                        self.refused.get_or_insert(address);
                    } else if !self.found.contains(&address) && self.found.len() < MAX_ADDRESSES {
                        self.found.push(address);
                    }
                }
            }
            Err(error) => self.failure = self.failure.or(Some(error)),
        }
        if self.found.len() < MAX_ADDRESSES
            && let Some(current) = self.waiting.pop_front()
        {
            self.current = current;
            return Next::Addresses(self);
        }
        Next::Done(self.done())
    }

    fn done(self) -> Result<Endpoint, ResolveError> {
        if !self.found.is_empty() {
            return self.course.endpoint(self.step, self.found);
        }
        let name = self.course.in_force().clone();
        Err(match (self.refused, self.failure) {
            (Some(address), _) => {
                ResolveError::Refused { name, address, class: AddressClass::of(address.ip()) }
            }
            (None, Some(error)) => ResolveError::Lookup { name, error },
            (None, None) => ResolveError::NoAddress(name),
        })
    }
}

#[cfg(test)]
mod tests;
