//! What is wrong and accepted all the same.

use crate::mutant::mending::Mending;
use crate::mutant::{Fault, Mutant, mutant};

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12.4/no-header",
        "a request needs no signature",
        &["LM-04/12.4/22"],
        Fault::Mends(Mending::NoHeader),
    ),
    mutant(
        "12.4/any-signature",
        "any signature of a request will do",
        &["LM-04/12.4/18", "LM-04/12.4/5"],
        Fault::Mends(Mending::RequestSignature),
    ),
    mutant(
        "12.4/any-destination",
        "a request may be signed for another server",
        &["LM-04/12.4/14"],
        Fault::Mends(Mending::Destination),
    ),
    mutant(
        "12.4/query-not-signed",
        "the query need not be the one that was signed",
        &["LM-04/12.4/3"],
        Fault::Mends(Mending::Query),
    ),
    mutant(
        "12.4/method-not-signed",
        "the method need not be the one that was signed",
        &["LM-04/12.4/2"],
        Fault::Mends(Mending::Method),
    ),
    mutant(
        "12.4/one-good-header",
        "one good header makes up for others",
        &["LM-04/12.4/21"],
        Fault::Mends(Mending::OtherHeaders),
    ),
    mutant(
        "12.4/expired-key",
        "a request may be signed with a key that has expired",
        &["LM-04/12.4/19"],
        Fault::Mends(Mending::ExpiredKey),
    ),
    mutant(
        "12.4.1.2/retired-key",
        "a request may be signed with a key that was retired",
        &["LM-04/12.4.1.2/9", "LM-04/12.4.1.2/8"],
        Fault::Mends(Mending::RetiredKey),
    ),
    mutant(
        "12.6/outsiders",
        "every server is served what the hub itself may see",
        &["LM-04/12.6.2/4", "LM-04/12.6.3/3", "LM-04/12.6.4/7", "LM-04/12.6.1/4"],
        Fault::Mends(Mending::Outsiders),
    ),
    mutant(
        "5.1/lpdu-not-signed",
        "an LPDU needs no signature that holds",
        &["LM-04/5.1/6", "LM-04/auth/1", "LM-04/6.3/2", "LM-04/6.3/3", "LM-04/6.3/5", "LM-04/6.3/7"],
        Fault::Mends(Mending::LpduSignature),
    ),
    mutant(
        "5.1/lpdu-hash-wrong",
        "an LPDU's content hash is not compared",
        &["LM-04/5.1/11", "LM-04/5.1/10"],
        Fault::Mends(Mending::LpduHash),
    ),
    mutant(
        "5.1/pdu-not-signed",
        "a PDU needs no signatures that hold",
        &["LM-04/5.1/7", "LM-04/5.1/8", "LM-04/auth/2", "LM-04/12.5.1/11", "LM-04/6.3/2"],
        Fault::Mends(Mending::PduSignature),
    ),
    mutant(
        "5.1/hub-fields-in-lpdu",
        "one of the hub's fields in an LPDU is overlooked",
        &["R01"],
        Fault::Mends(Mending::HubFields),
    ),
    mutant(
        "3.5/types-in-any-case",
        "an event type counts in any case",
        &["LM-04/3.5/4"],
        Fault::Mends(Mending::CaseOfTypes),
    ),
    mutant(
        "5.1/pdu-from-stranger",
        "a PDU is taken from whoever sends it",
        &["R10"],
        Fault::Mends(Mending::Stranger),
    ),
    mutant(
        "5.1/whole-event-to-hub",
        "a hub makes a PDU of a whole event",
        &["R10"],
        Fault::Mends(Mending::WholeEvent),
    ),
    mutant(
        "7/ambiguous-json",
        "JSON that readers disagree on is read as one of them does",
        &["LM-04/7/1"],
        Fault::Mends(Mending::AmbiguousJson),
    ),
];
