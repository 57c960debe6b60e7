//! What goes over the wire between servers: connections, requests, keys, transactions, history, devices (LM-04 §12).

mod connection;
mod delegation;
mod deliveries;
mod devices;
mod edus;
mod ephemeral;
mod fan_out;
mod history;
mod hostile;
mod notary;
mod rate_limits;
mod request_auth;
mod requests;
mod resolution;
mod server_keys;
mod stretches;
mod transactions;
mod well_known;

use crate::case::Case;

pub(super) const CASES: &[&[Case]] = &[
    connection::CASES,
    resolution::CASES,
    delegation::CASES,
    well_known::CASES,
    requests::CASES,
    rate_limits::CASES,
    request_auth::CASES,
    request_auth::header::CASES,
    request_auth::own::CASES,
    server_keys::CASES,
    notary::CASES,
    notary::asking::CASES,
    notary::bulk::CASES,
    transactions::CASES,
    deliveries::CASES,
    fan_out::CASES,
    history::CASES,
    stretches::CASES,
    edus::CASES,
    ephemeral::CASES,
    devices::CASES,
    hostile::CASES,
];
