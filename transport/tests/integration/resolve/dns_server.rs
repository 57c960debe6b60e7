//! A name server on loopback, over UDP and TCP.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, SOA, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

/// How long answers may be kept, in seconds, unless said otherwise.
const TTL: u32 = 300;

/// What a name server says of a name and type.
#[derive(Debug, Clone)]
enum Said {
    Records(Vec<RData>, u32),
    /// The first of them once, and so on; the last for ever.
    InTurn(Vec<RData>),
    Failure,
}

#[derive(Debug, Default)]
struct Zone {
    said: HashMap<(Name, RecordType), Said>,
    asked: Vec<(String, RecordType)>,
    truncates: bool,
}

/// A name server on loopback.
#[derive(Debug, Clone)]
pub(crate) struct DnsServer {
    pub(crate) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

fn absolute(name: &str) -> Name {
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    name
}

fn address_data(address: &str) -> RData {
    match address.parse().unwrap() {
        IpAddr::V4(address) => RData::A(address.into()),
        IpAddr::V6(address) => RData::AAAA(address.into()),
    }
}

impl DnsServer {
    pub(crate) async fn start() -> Self {
        // The same port has to be free for both.
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let server = Self { address: udp.local_addr().unwrap(), zone: Arc::default() };
        let zone = Arc::clone(&server.zone);
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, peer) = udp.recv_from(&mut buffer).await.unwrap();
                let answer = answer(&zone, &buffer[..length], true);
                udp.send_to(&answer, peer).await.unwrap();
            }
        });
        let zone = Arc::clone(&server.zone);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let zone = Arc::clone(&zone);
                tokio::spawn(async move {
                    while let Ok(length) = stream.read_u16().await {
                        let mut query = vec![0; length.into()];
                        stream.read_exact(&mut query).await.unwrap();
                        let answer = answer(&zone, &query, false);
                        stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
                        stream.write_all(&answer).await.unwrap();
                    }
                });
            }
        });
        server
    }

    fn say(&self, name: &str, record_type: RecordType, said: Said) {
        self.zone.lock().unwrap().said.insert((absolute(name), record_type), said);
    }

    /// Gives a name addresses of one family.
    pub(crate) fn addresses(&self, name: &str, addresses: &[&str]) -> &Self {
        self.addresses_for(name, addresses, TTL)
    }

    pub(crate) fn addresses_for(&self, name: &str, addresses: &[&str], ttl: u32) -> &Self {
        let data: Vec<_> = addresses.iter().copied().map(address_data).collect();
        self.say(name, data[0].record_type(), Said::Records(data, ttl));
        self
    }

    /// Gives a name another address each time, which is not to be kept.
    pub(crate) fn addresses_in_turn(&self, name: &str, addresses: &[&str]) -> &Self {
        let data = addresses.iter().copied().map(address_data).collect();
        self.say(name, RecordType::A, Said::InTurn(data));
        self
    }

    /// Gives a name SRV records: priority, weight, port, target.
    pub(crate) fn services(&self, host: &str, records: &[(u16, u16, u16, &str)]) -> &Self {
        let data = records.iter().map(|(priority, weight, port, target)| {
            RData::SRV(SRV::new(*priority, *weight, *port, absolute(target)))
        });
        self.say(&format!("_matrix._tcp.{host}"), RecordType::SRV, Said::Records(data.collect(), TTL));
        self
    }

    pub(crate) fn alias(&self, name: &str, of: &str) -> &Self {
        let data = RData::CNAME(CNAME(absolute(of)));
        self.say(name, RecordType::CNAME, Said::Records(vec![data], TTL));
        self
    }

    /// Lets lookups of a name and type fail.
    pub(crate) fn fails(&self, name: &str, record_type: RecordType) -> &Self {
        self.say(name, record_type, Said::Failure);
        self
    }

    /// From now on, answers over UDP are cut off.
    pub(crate) fn truncates(&self) {
        self.zone.lock().unwrap().truncates = true;
    }

    /// How often this was asked.
    pub(crate) fn asked(&self, name: &str, record_type: RecordType) -> usize {
        let asked = &self.zone.lock().unwrap().asked;
        asked.iter().filter(|asked| **asked == (format!("{name}."), record_type)).count()
    }

    /// Whether anything was asked that has to do with this name.
    pub(crate) fn heard_of(&self, name: &str) -> bool {
        self.zone.lock().unwrap().asked.iter().any(|(asked, _)| asked.contains(name))
    }
}

fn answer(zone: &Mutex<Zone>, query: &[u8], over_udp: bool) -> Vec<u8> {
    let query = Message::from_vec(query).unwrap();
    let question = query.queries[0].clone();
    let (name, record_type) = (question.name().clone(), question.query_type());
    let mut zone = zone.lock().unwrap();
    zone.asked.push((name.to_ascii().to_ascii_lowercase(), record_type));
    let mut answer = Message::response(query.metadata.id, OpCode::Query);
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_query(question);
    if over_udp && zone.truncates {
        answer.metadata.truncation = true;
        return answer.to_vec().unwrap();
    }
    let mut owner = name.clone();
    while let Some(Said::Records(data, ttl)) = zone.said.get(&(owner.clone(), RecordType::CNAME)) {
        answer.add_answer(Record::from_rdata(owner.clone(), *ttl, data[0].clone()));
        let RData::CNAME(CNAME(target)) = &data[0] else { unreachable!("an alias is one") };
        owner = target.clone();
    }
    let known = zone.said.keys().any(|(known, _)| *known == owner);
    match zone.said.get_mut(&(owner.clone(), record_type)) {
        Some(Said::Records(data, ttl)) => {
            for data in data {
                answer.add_answer(Record::from_rdata(owner.clone(), *ttl, data.clone()));
            }
        }
        Some(Said::InTurn(data)) => {
            let now = if data.len() > 1 { data.remove(0) } else { data[0].clone() };
            answer.add_answer(Record::from_rdata(owner, 0, now));
        }
        Some(Said::Failure) => answer.metadata.response_code = ResponseCode::ServFail,
        None => {
            if !known {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            let zone = absolute("example");
            let soa = SOA::new(zone.clone(), zone.clone(), 1, 3600, 3600, 3600, TTL);
            answer.add_authority(Record::from_rdata(zone, TTL, RData::SOA(soa)));
        }
    }
    answer.to_vec().unwrap()
}
