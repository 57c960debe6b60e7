//! Where a NATS store is, as it is written in a setting.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;

/// How long a change, or finding out how far the log goes, may take before it has failed. A cluster that has lost its
/// leader has another one well before.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many copies of everything a cluster keeps, unless set.
const REPLICAS: usize = 3;

/// The most that NATS allows.
const MAX_REPLICAS: usize = 5;

/// Where a NATS store is, and what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsConfig {
    /// The servers of one cluster, without what is in `login`.
    pub servers: Vec<ServerAddr>,
    /// Who the process says it is, if it has to.
    pub login: Option<Login>,
    /// What the names of the stream and of its subjects begin with: letters, digits, `-` and `_`. Two servers that share a
    /// cluster have different ones.
    pub prefix: String,
    /// How many copies of everything the cluster keeps: 1 to 5. It counts when the stream is made.
    pub replicas: usize,
    /// A PEM file of a certificate authority to trust, beside the operating system's.
    pub ca: Option<PathBuf>,
    /// How long a change may take before it has failed.
    pub patience: Duration,
}

/// Who a client of NATS says it is. It is never printed.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Login {
    /// A user of the servers' `authorization`.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token of the servers' `authorization`.
    Token(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password",
            Self::Token(_) => "Token",
        })
    }
}

/// Why a text is no NATS store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It does not begin with `nats://` or `tls://`.
    #[error(
        "a NATS store is written nats://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…][?replicas=N&prefix=NAME&ca=FILE]"
    )]
    Shape,
    /// A server's address is none. What is before an `@` is left out.
    #[error("{0} is no address of a NATS server")]
    Server(String),
    /// Two servers have different users, passwords or tokens: those of one cluster have the same.
    #[error("{0} has another user, password or token than the servers before it")]
    Logins(String),
    /// A setting is not known.
    #[error("{0} is no setting of a NATS store; replicas, prefix and ca are")]
    Setting(String),
    /// The number of replicas is none.
    #[error("replicas must be a number from 1 to {MAX_REPLICAS}, not {0}")]
    Replicas(String),
    /// The prefix has other characters than it may have.
    #[error("a prefix has 1 to 64 letters, digits, `-` and `_`; this is not one: {0}")]
    Prefix(String),
}

impl NatsConfig {
    /// A store on these servers, with everything else as it is unless set.
    #[must_use]
    pub fn new(servers: Vec<ServerAddr>) -> Self {
        Self {
            servers,
            login: None,
            prefix: "mimi".to_owned(),
            replicas: REPLICAS,
            ca: None,
            patience: PATIENCE,
        }
    }
}

impl FromStr for NatsConfig {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Shape)?;
        if !["nats", "tls"].contains(&scheme) {
            return Err(AddressError::Shape);
        }
        let (servers, settings) = rest.split_once('?').unwrap_or((rest, ""));
        let mut config = Self::new(Vec::new());
        for server in servers.split(',') {
            let (login, address) = server.rsplit_once('@').unwrap_or(("", server));
            let address = address.trim_end_matches('/');
            let parsed = format!("{scheme}://{address}").parse::<ServerAddr>();
            config.servers.push(parsed.map_err(|_| AddressError::Server(address.to_owned()))?);
            match login_of(login) {
                // One that says nothing has that of the others.
                None => {}
                Some(login) if config.login.as_ref().is_none_or(|before| *before == login) => {
                    config.login = Some(login);
                }
                Some(_) => return Err(AddressError::Logins(address.to_owned())),
            }
        }
        for (name, value) in form_urlencoded::parse(settings.as_bytes()) {
            match &*name {
                "replicas" => {
                    let number = value.parse().ok().filter(|number| (1..=MAX_REPLICAS).contains(number));
                    config.replicas = number.ok_or_else(|| AddressError::Replicas(value.into_owned()))?;
                }
                "prefix" => {
                    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
                    if value.is_empty() || value.len() > 64 || !value.chars().all(allowed) {
                        return Err(AddressError::Prefix(value.into_owned()));
                    }
                    config.prefix = value.into_owned();
                }
                "ca" => config.ca = Some(PathBuf::from(value.into_owned())),
                _ => return Err(AddressError::Setting(name.into_owned())),
            }
        }
        Ok(config)
    }
}

/// What is before the `@` of an address, with its percent-encoding undone: `USER:PASSWORD`, or a token.
fn login_of(text: &str) -> Option<Login> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    match text.split_once(':') {
        _ if text.is_empty() => None,
        Some((user, password)) => Some(Login::Password { user: decoded(user), password: decoded(password) }),
        None => Some(Login::Token(decoded(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_servers_and_settings() {
        let config: NatsConfig =
            "nats://a:4222,b:4223,[::1]:4224?replicas=5&prefix=x_1-y&ca=/etc/ca.pem".parse().unwrap();
        let hosts: Vec<_> =
            config.servers.iter().map(|server| (server.host().to_owned(), server.port())).collect();
        assert_eq!(hosts.len(), 3);
        assert_eq!(hosts[1], ("b".to_owned(), 4223));
        assert_eq!((config.replicas, config.prefix.as_str()), (5, "x_1-y"));
        assert_eq!(config.ca, Some(PathBuf::from("/etc/ca.pem")));
        let plain: NatsConfig = "tls://a".parse().unwrap();
        assert_eq!((plain.replicas, plain.prefix.as_str(), plain.ca), (3, "mimi", None));
        assert!(plain.servers[0].tls_required());
    }

    #[test]
    fn a_login_is_the_clusters_and_is_not_printed() {
        let config: NatsConfig = "nats://mimi:p%40ss:w@a,mimi:p%40ss:w@b:4223,c?replicas=3".parse().unwrap();
        let login = Login::Password { user: "mimi".to_owned(), password: "p@ss:w".to_owned() };
        assert_eq!(config.login, Some(login));
        assert!(config.servers.iter().all(|server| !server.has_user_pass()));
        assert!(!format!("{config:?}").contains("p@ss"));
        let token: NatsConfig = "nats://t0ken@a".parse().unwrap();
        assert_eq!(token.login, Some(Login::Token("t0ken".to_owned())));
        for text in ["nats://mimi:one@a,mimi:other@b", "nats://mimi:secret@a b"] {
            let error = text.parse::<NatsConfig>().unwrap_err().to_string();
            assert!(!["one", "secret"].iter().any(|secret| error.contains(secret)), "{error}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "a:4222",
            "http://a",
            "nats://a?replicas=0",
            "nats://a?replicas=6",
            "nats://a?replicas=x",
            "nats://a?prefix=",
            "nats://a?prefix=a.b",
            "nats://a?colour=red",
            "nats://a b",
        ] {
            assert!(text.parse::<NatsConfig>().is_err(), "{text}");
        }
    }
}
