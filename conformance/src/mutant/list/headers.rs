//! `Authorization` headers that are not understood, and should be (LM-04 §12.4).

use http::header::AUTHORIZATION;

use crate::mutant::seen::Sent;
use crate::mutant::{Fault, Mutant, mutant};

/// Does not understand an `Authorization` header that has this.
fn unread(sent: &mut Sent, has: impl Fn(&str) -> bool) {
    let odd = sent.headers.get_all(AUTHORIZATION).iter().any(|value| value.to_str().is_ok_and(&has));
    if odd {
        sent.headers.remove(AUTHORIZATION);
    }
}

/// The names of the parameters of a header, in order.
fn names(header: &str) -> impl Iterator<Item = &str> {
    let parameters = header.split_once(' ').map_or("", |(_, parameters)| parameters);
    parameters.split(',').filter_map(|pair| Some(pair.split_once('=')?.0.trim()))
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12.4/order-of-parameters",
        "the parameters of the header need to be in one order",
        &["LM-04/12.4/8"],
        Fault::Takes(|sent| {
            unread(sent, |header| names(header).next() != Some("origin"));
        }),
    ),
    mutant(
        "12.4/case-of-parameters",
        "the names of the header's parameters need to be in lower case",
        &["LM-04/12.4/9"],
        Fault::Takes(|sent| {
            unread(sent, |header| names(header).any(|name| name.chars().any(char::is_uppercase)));
        }),
    ),
    mutant(
        "12.4/quotes-needed",
        "the header's values need quotes",
        &["LM-04/12.4/10"],
        Fault::Takes(|sent| {
            unread(sent, |header| header.split(',').any(|pair| !pair.trim_end().ends_with('"')));
        }),
    ),
    mutant(
        "12.4/no-escapes",
        "the header's values may have no escapes",
        &["LM-04/12.4/12"],
        Fault::Takes(|sent| {
            unread(sent, |header| header.contains('\\'));
        }),
    ),
    mutant(
        "12.4/other-signature-name",
        "the signature is found under `signature` alone",
        &["LM-04/12.4/16"],
        Fault::Takes(|sent| {
            unread(sent, |header| names(header).any(|name| name == "sig"));
        }),
    ),
    mutant(
        "12.4/no-unknown-parameters",
        "an unknown parameter of the header is refused",
        &["LM-04/12.4/17"],
        Fault::Takes(|sent| {
            unread(sent, |header| {
                let known = ["origin", "destination", "key", "sig", "signature"];
                names(header).any(|name| !known.contains(&name.to_ascii_lowercase().as_str()))
            });
        }),
    ),
    mutant(
        "12.4/one-header",
        "a request has one signature at most",
        &["LM-04/12.4/20"],
        Fault::Takes(|sent| {
            if sent.headers.get_all(AUTHORIZATION).iter().count() > 1 {
                sent.headers.remove(AUTHORIZATION);
            }
        }),
    ),
    mutant(
        "12.4/one-signature-name",
        "the signature is found under `sig` alone",
        &["LM-04/12.4/16"],
        Fault::Takes(|sent| {
            unread(sent, |header| names(header).any(|name| name == "signature"));
        }),
    ),
];
