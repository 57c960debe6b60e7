use proptest::prelude::*;

use super::*;

fn name(text: &str) -> ServerName {
    ServerName::parse(text).unwrap()
}

/// A world in which everything has an answer, and what was asked of it.
#[derive(Debug, Default, Clone, Copy)]
struct World<'a> {
    table: &'a [&'a str],
    policy: AddressPolicy,
    well_known: Option<&'a str>,
    srv: &'a [(&'a str, &'a [(&'a str, u16)])],
    /// Hosts and their addresses; `!` for a lookup that fails.
    addresses: &'a [(&'a str, &'a str)],
    not_offered: bool,
}

fn walk(world: &World<'_>, server: &str) -> (Result<Endpoint, ResolveError>, Vec<String>) {
    let mut table = Table::default();
    for entry in world.table {
        table.insert(entry.parse().unwrap());
    }
    let mut asked = Vec::new();
    let mut next = begin(name(server), table, world.policy);
    loop {
        next = match next {
            Next::Done(result) => return (result, asked),
            Next::WellKnown(question) => {
                asked.push(format!("well-known {}", question.host()));
                question.answer(world.well_known.map(name))
            }
            Next::Srv(question) => {
                asked.push(format!("srv {}", question.host()));
                let found = world.srv.iter().find(|(host, _)| *host == question.host());
                let target = |(host, port): &(&str, u16)| Target { host: (*host).to_owned(), port: *port };
                question.answer(match found {
                    _ if world.not_offered => Service::NotOffered,
                    None => Service::Unknown,
                    Some((_, targets)) => Service::At(targets.iter().map(target).collect()),
                })
            }
            Next::Addresses(question) => {
                asked.push(format!("addresses {}", question.host()));
                let found = world.addresses.iter().find(|(host, _)| *host == question.host());
                question.answer(match found {
                    Some((_, "!")) => Err(io::Error::other("the name server is down")),
                    Some((_, found)) => {
                        Ok(found.split_whitespace().map(|text| text.parse().unwrap()).collect())
                    }
                    None => Ok(Vec::new()),
                })
            }
        };
    }
}

/// What comes out: step, certificate, `Host`, addresses.
fn way(result: &Result<Endpoint, ResolveError>) -> (Step, String, String, String) {
    let endpoint = result.as_ref().unwrap();
    let addresses: Vec<_> = endpoint.addresses.iter().map(ToString::to_string).collect();
    (endpoint.step, endpoint.tls_name.to_str().into_owned(), endpoint.host.clone(), addresses.join(" "))
}

/// LM-04 §12.3, one row for each step: which name the certificate is for, what `Host` says, what is asked on the way.
#[test]
fn each_step_has_its_certificate_host_and_questions() {
    let addresses = &[
        ("example.org", "8.8.8.1"),
        ("matrix.example.net", "8.8.8.2 2001:4860::2"),
        ("srv.example.com", "8.8.8.3"),
        ("srv2.example.com", "8.8.8.4"),
    ];
    let own_srv: &[(&str, &[(&str, u16)])] = &[("example.org", &[("srv.example.com", 5269)])];
    let both_srv: &[(&str, &[(&str, u16)])] = &[
        ("example.org", &[("srv.example.com", 5269)]),
        ("matrix.example.net", &[("srv2.example.com", 1), ("srv.example.com", 2)]),
    ];
    let (wk, srv, at) = ("well-known ", "srv ", "addresses ");
    type Row<'a> = (&'a str, World<'a>, (Step, &'a str, &'a str, &'a str), &'a [(&'a str, &'a str)]);
    let world = World { addresses, ..World::default() };
    let rows: &[Row<'_>] = &[
        (
            "example.org:8448",
            World { well_known: Some("matrix.example.net"), srv: own_srv, ..world },
            (Step::ExplicitPort, "example.org", "example.org:8448", "8.8.8.1:8448"),
            &[(at, "example.org")],
        ),
        (
            "example.org",
            World {
                well_known: Some("matrix.example.net:443"),
                srv: both_srv,
                addresses,
                ..World::default()
            },
            (
                Step::DelegatedPort,
                "matrix.example.net",
                "matrix.example.net:443",
                "8.8.8.2:443 [2001:4860::2]:443",
            ),
            &[(wk, "example.org"), (at, "matrix.example.net")],
        ),
        (
            "example.org",
            World { well_known: Some("matrix.example.net"), srv: both_srv, addresses, ..World::default() },
            (Step::DelegatedSrv, "matrix.example.net", "matrix.example.net", "8.8.8.4:1 8.8.8.3:2"),
            &[
                (wk, "example.org"),
                (srv, "matrix.example.net"),
                (at, "srv2.example.com"),
                (at, "srv.example.com"),
            ],
        ),
        (
            "example.org",
            World { well_known: Some("matrix.example.net"), srv: own_srv, addresses, ..World::default() },
            (Step::Delegated, "matrix.example.net", "matrix.example.net", "8.8.8.2:8448 [2001:4860::2]:8448"),
            &[(wk, "example.org"), (srv, "matrix.example.net"), (at, "matrix.example.net")],
        ),
        (
            "example.org",
            World { srv: both_srv, addresses, ..World::default() },
            (Step::Srv, "example.org", "example.org", "8.8.8.3:5269"),
            &[(wk, "example.org"), (srv, "example.org"), (at, "srv.example.com")],
        ),
        (
            "example.org",
            World { addresses, ..World::default() },
            (Step::Host, "example.org", "example.org", "8.8.8.1:8448"),
            &[(wk, "example.org"), (srv, "example.org"), (at, "example.org")],
        ),
        // The table comes before everything, and is not judged.
        (
            "example.org",
            World {
                table: &["example.org=127.0.0.1:5", "example.org=10.0.0.1:6"],
                addresses,
                ..World::default()
            },
            (Step::Table, "example.org", "example.org", "127.0.0.1:5 10.0.0.1:6"),
            &[],
        ),
        (
            "example.org:7",
            World { table: &["example.org:7=[::1]:7", "example.org=10.0.0.1:6"], ..World::default() },
            (Step::Table, "example.org", "example.org:7", "[::1]:7"),
            &[],
        ),
        // A delegated name may be in it too; certificate and `Host` are those of the delegated name.
        (
            "example.org",
            World {
                table: &["matrix.example.net:443=127.0.0.1:9"],
                well_known: Some("matrix.example.net:443"),
                ..World::default()
            },
            (Step::Table, "matrix.example.net", "matrix.example.net:443", "127.0.0.1:9"),
            &[(wk, "example.org")],
        ),
        // Delegation to oneself ends the delegation, and is asked for once.
        (
            "example.org",
            World { well_known: Some("example.org"), addresses, ..World::default() },
            (Step::Delegated, "example.org", "example.org", "8.8.8.1:8448"),
            &[(wk, "example.org"), (srv, "example.org"), (at, "example.org")],
        ),
    ];
    for (server, world, expected, questions) in rows {
        let (result, asked) = walk(world, server);
        let (step, tls_name, host, addresses) = way(&result);
        assert_eq!((step, tls_name.as_str(), host.as_str(), addresses.as_str()), *expected);
        let questions: Vec<_> = questions.iter().map(|(kind, host)| format!("{kind}{host}")).collect();
        assert_eq!(asked, questions, "{}", expected.0);
    }
}

#[test]
fn names_that_cannot_be_contacted_are_refused() {
    for server in ["-a.org", "a..org", "a.org:0", "a.org:65536"] {
        let entry = format!("{server}=127.0.0.1:1");
        let world = World { table: &[&entry], ..World::default() };
        let (result, asked) = walk(&world, server);
        assert!(matches!(result, Err(ResolveError::NotContactable(_))), "{result:?}");
        assert!(asked.is_empty(), "nothing is asked for {server} (`LM-04/3.1/2`)");
        // Delegation to such a name is none.
        let world =
            World { well_known: Some(server), addresses: &[("example.org", "8.8.8.8")], ..World::default() };
        assert_eq!(way(&walk(&world, "example.org").0).0, Step::Host);
    }
}

#[test]
fn errors_say_what_was_in_the_way() {
    let world = |addresses| World { addresses, ..World::default() };
    let error = |world: &World<'_>| walk(world, "a.org").0.unwrap_err();
    assert!(matches!(error(&world(&[])), ResolveError::NoAddress(_)));
    assert!(matches!(error(&world(&[("a.org", "!")])), ResolveError::Lookup { .. }));
    assert!(matches!(
        error(&world(&[("a.org", "10.0.0.1 127.0.0.1")])),
        ResolveError::Refused { class: AddressClass::Private, .. }
    ));
    assert!(matches!(error(&World { not_offered: true, ..World::default() }), ResolveError::NotOffered(_)));
    // What is refused or fails for one target does not stand in the way of another.
    let srv: &[(&str, &[(&str, u16)])] = &[("a.org", &[("in.org", 1), ("down.org", 2), ("out.org", 3)])];
    let addresses = &[("in.org", "10.0.0.1"), ("down.org", "!"), ("out.org", "10.0.0.1 8.8.8.8 fe80::1")];
    let (result, _) = walk(&World { srv, addresses, ..World::default() }, "a.org");
    assert_eq!(way(&result).3, "8.8.8.8:3");
    // A service that is nowhere is not looked for elsewhere.
    let addresses = &[("a.org", "8.8.8.8"), ("in.org", "10.0.0.1"), ("down.org", "!")];
    let error = error(&World { srv, addresses, ..World::default() });
    assert!(matches!(error, ResolveError::Refused { .. }), "{error}");
}

fn host_name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a.org", "b.org", "c.org", "d.org"]).prop_map(str::to_owned)
}

fn server_name() -> impl Strategy<Value = ServerName> {
    (host_name(), prop::option::of(1_u16..=u16::MAX)).prop_map(|(host, port)| match port {
        Some(port) => name(&format!("{host}:{port}")),
        None => name(&host),
    })
}

fn found_service() -> impl Strategy<Value = Service> {
    let target = (host_name(), 1_u16..=u16::MAX).prop_map(|(host, port)| Target { host, port });
    prop_oneof![
        2 => Just(Service::Unknown),
        1 => Just(Service::NotOffered),
        4 => prop::collection::vec(target, 1..9).prop_map(Service::At),
    ]
}

proptest! {
    /// Whatever is answered: the way ends after few questions, asks for a delegation at most once and only for a name
    /// without a port, contacts no address that is not allowed, and takes certificate and `Host` from the name in force.
    #[test]
    fn every_way_ends_and_keeps_the_rules(
        server in server_name(),
        delegated in prop::option::of(server_name()),
        service in found_service(),
        lookups in prop::collection::vec(
            prop_oneof![
                1 => Just(None),
                6 => prop::collection::vec(
                    prop_oneof![any::<IpAddr>(), any::<[u8; 2]>().prop_map(|[a, b]| IpAddr::from([10, 0, a, b]))],
                    0..12,
                )
                .prop_map(Some),
            ],
            9,
        ),
        allow_private in any::<bool>(),
        allow_loopback in any::<bool>(),
    ) {
        let policy = AddressPolicy { allow_private, allow_loopback };
        let mut next = begin(server.clone(), Table::default(), policy);
        let (mut well_knowns, mut srvs, mut lookups_made) = (0, 0, 0);
        let mut lookups = lookups.into_iter();
        let result = loop {
            next = match next {
                Next::Done(result) => break result,
                Next::WellKnown(question) => {
                    well_knowns += 1;
                    prop_assert!(server.port().is_none());
                    prop_assert_eq!(question.host(), server.host());
                    question.answer(delegated.clone())
                }
                Next::Srv(question) => {
                    srvs += 1;
                    prop_assert_eq!(well_knowns, 1, "SRV comes after the delegation");
                    question.answer(service.clone())
                }
                Next::Addresses(question) => {
                    lookups_made += 1;
                    let answer = lookups.next().flatten();
                    question.answer(answer.ok_or_else(|| io::Error::other("down")))
                }
            };
            prop_assert!(well_knowns <= 1 && srvs <= 1 && lookups_made <= 8);
        };
        let in_force = delegated.filter(|_| server.port().is_none()).unwrap_or_else(|| server.clone());
        if let Ok(endpoint) = result {
            prop_assert!(!endpoint.addresses.is_empty() && endpoint.addresses.len() <= MAX_ADDRESSES);
            prop_assert!(endpoint.addresses.iter().all(|address| policy.allows(address.ip())));
            let tls_name = endpoint.tls_name.to_str();
            prop_assert_eq!(tls_name.as_ref(), in_force.host());
            prop_assert_eq!(endpoint.host.as_str(), in_force.as_str());
            if let Some(port) = in_force.port() {
                prop_assert!(endpoint.addresses.iter().all(|address| address.port() == port));
                prop_assert_eq!(srvs, 0);
            }
        }
    }
}
