//! A name server on loopback, over UDP and TCP.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, SOA, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

/// How long answers may be kept, in seconds.
const TTL: u32 = 300;
/// How often a port is tried that is to be free for UDP and TCP.
const PORT_ATTEMPTS: usize = 100;
/// The longest question, in bytes.
const MAX_QUESTION: usize = 4096;

/// Where an SRV record leads.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// The host.
    pub(crate) target: String,
    /// The port.
    pub(crate) port: u16,
}

#[derive(Debug, Default)]
struct Zone {
    records: HashMap<(Name, RecordType), Vec<RData>>,
    asked: Vec<(Name, RecordType)>,
}

/// A name server that runs until it is dropped.
#[derive(Debug)]
pub(super) struct NameServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for NameServer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A name from the root, as all are in the zone. What is no name is the root itself, which nobody asks for.
fn absolute(name: &str) -> Name {
    let mut name = Name::from_ascii(name.to_ascii_lowercase()).unwrap_or_default();
    name.set_fqdn(true);
    name
}

fn service_name(host: &str) -> Name {
    absolute(&format!("_matrix._tcp.{host}"))
}

fn lock(zone: &Mutex<Zone>) -> MutexGuard<'_, Zone> {
    zone.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sockets at one port.
async fn sockets() -> io::Result<(UdpSocket, TcpListener)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..PORT_ATTEMPTS {
        let udp = UdpSocket::bind(("127.0.0.1", 0)).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl NameServer {
    pub(super) async fn start() -> io::Result<Self> {
        let (udp, tcp) = sockets().await?;
        let (address, zone) = (udp.local_addr()?, Arc::<Mutex<Zone>>::default());
        let tasks = [
            tokio::spawn(serve_udp(udp, Arc::clone(&zone))),
            tokio::spawn(serve_tcp(tcp, Arc::clone(&zone))),
        ];
        Ok(Self { address, zone, tasks })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    fn say(&self, name: Name, kind: RecordType, data: Vec<RData>) {
        lock(&self.zone).records.insert((name, kind), data);
    }

    /// Gives a name addresses.
    pub(super) fn addresses(&self, name: &str, addresses: &[IpAddr]) {
        let (mut four, mut six) = (Vec::new(), Vec::new());
        for address in addresses {
            match address {
                IpAddr::V4(address) => four.push(RData::A((*address).into())),
                IpAddr::V6(address) => six.push(RData::AAAA((*address).into())),
            }
        }
        self.say(absolute(name), RecordType::A, four);
        self.say(absolute(name), RecordType::AAAA, six);
    }

    /// Makes a name an alias.
    pub(super) fn alias(&self, name: &str, of: &str) {
        self.say(absolute(name), RecordType::CNAME, vec![RData::CNAME(CNAME(absolute(of)))]);
    }

    /// Gives a host an SRV record.
    pub(super) fn service(&self, host: &str, service: &Service) {
        let data = RData::SRV(SRV::new(1, 1, service.port, absolute(&service.target)));
        self.say(service_name(host), RecordType::SRV, vec![data]);
    }

    /// Whether the SRV records of a host were asked for.
    pub(super) fn asked_for_service(&self, host: &str) -> bool {
        lock(&self.zone).asked.contains(&(service_name(host), RecordType::SRV))
    }
}

async fn serve_udp(udp: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut buffer = vec![0; MAX_QUESTION];
    loop {
        // An error is one of some former answer that did not arrive.
        let Ok((length, peer)) = udp.recv_from(&mut buffer).await else { continue };
        if let Some(answer) = buffer.get(..length).and_then(|question| answer(&zone, question)) {
            let _ = udp.send_to(&answer, peer).await;
        }
    }
}

async fn serve_tcp(tcp: TcpListener, zone: Arc<Mutex<Zone>>) {
    while let Ok((mut stream, _)) = tcp.accept().await {
        let zone = Arc::clone(&zone);
        tokio::spawn(async move {
            while let Ok(length) = stream.read_u16().await {
                let mut question = vec![0; length.into()];
                if stream.read_exact(&mut question).await.is_err() {
                    return;
                }
                let Some(answer) = answer(&zone, &question) else { return };
                let Ok(length) = u16::try_from(answer.len()) else { return };
                if stream.write_u16(length).await.is_err() || stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// The answer to a question; none to what is none.
fn answer(zone: &Mutex<Zone>, question: &[u8]) -> Option<Vec<u8>> {
    let asked = Message::from_vec(question).ok()?;
    let question = asked.queries.first()?.clone();
    let (mut owner, kind) = (question.name().to_lowercase(), question.query_type());
    owner.set_fqdn(true);
    let mut answer = Message::response(asked.metadata.id, OpCode::Query);
    answer.metadata.recursion_desired = asked.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_query(question);
    let mut zone = lock(zone);
    zone.asked.push((owner.clone(), kind));
    while let Some(alias) =
        zone.records.get(&(owner.clone(), RecordType::CNAME)).and_then(|data| data.first())
    {
        answer.add_answer(Record::from_rdata(owner.clone(), TTL, alias.clone()));
        let RData::CNAME(CNAME(target)) = alias else { break };
        owner = target.clone();
    }
    let data = zone.records.get(&(owner.clone(), kind)).cloned().unwrap_or_default();
    if data.is_empty() {
        if !zone.records.keys().any(|(name, _)| *name == owner) {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        let origin = absolute("example");
        let soa = SOA::new(origin.clone(), origin.clone(), 1, 3600, 3600, 3600, TTL);
        answer.add_authority(Record::from_rdata(origin, TTL, RData::SOA(soa)));
    }
    for data in data {
        answer.add_answer(Record::from_rdata(owner.clone(), TTL, data));
    }
    answer.to_vec().ok()
}
