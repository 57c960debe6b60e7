//! Other servers that are not found where they are (LM-04 §12.3).

use crate::mutant::naming::Naming;
use crate::mutant::{Fault, Mutant, mutant};

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12.3/no-delegations",
        "`.well-known` is never asked for",
        &["LM-04/12.3/1", "LM-04/12.3/7", "LM-04/12.3/9"],
        Fault::Names(Naming::NoDelegations),
    ),
    mutant(
        "12.3/no-services",
        "SRV records are not looked for",
        &["LM-04/12.3/1", "LM-04/12.3/10", "LM-04/12.3/12"],
        Fault::Names(Naming::NoServices),
    ),
    mutant(
        "12.3/other-default-port",
        "the default port is 443",
        &["LM-04/12.3/11", "LM-04/12.3/13"],
        Fault::Names(Naming::OtherPort),
    ),
    mutant(
        "12.3/service-of-the-delegating",
        "the SRV record is that of the name that delegates",
        &["LM-04/12.3/10"],
        Fault::Names(Naming::ServiceOfTheDelegating),
    ),
    mutant(
        "12.3.1/ends-there",
        "a server whose host gives no delegation is not found",
        &["LM-04/12.3.1/8", "LM-04/12.3/8", "LM-04/12.3/12"],
        Fault::Names(Naming::EndsThere),
    ),
    mutant(
        "12.3/host-without-port",
        "the `Host` of a name with a port lacks it",
        &["LM-04/12.3/5", "LM-04/12.3/6", "LM-04/12.3/9"],
        Fault::Names(Naming::HostWithoutPort),
    ),
    mutant(
        "12.3/host-of-the-delegating",
        "`Host` is the name that delegates",
        &["LM-04/12.3/5", "LM-04/12.3/10", "LM-04/12.3/11"],
        Fault::Names(Naming::HostOfTheDelegating),
    ),
    mutant(
        "12.3/certificate-of-the-delegating",
        "the certificate is checked for the name that delegates",
        &["LM-04/12.3/4", "LM-04/12.3/9", "LM-04/12.3/10", "LM-04/12.3/11"],
        Fault::Names(Naming::CertificateOfTheDelegating),
    ),
    mutant(
        "12.3/any-certificate",
        "certificates are not checked",
        &["LM-04/12.3/4", "LM-04/12.3.1/3", "LM-04/12.4/25"],
        Fault::Names(Naming::AnyCertificate),
    ),
    mutant(
        "12.3/any-success",
        "a delegation with any status of 2xx is taken",
        &["LM-04/12.3/8", "LM-04/12.3.1/4"],
        Fault::Names(Naming::AnySuccess),
    ),
    mutant(
        "12.3.1/not-redirected",
        "redirections are not followed",
        &["LM-04/12.3.1/1"],
        Fault::Names(Naming::NotRedirected),
    ),
    mutant(
        "12.3.1/redirected-without-end",
        "redirections are followed without end",
        &["LM-04/12.3.1/2"],
        Fault::Names(Naming::RedirectedWithoutEnd),
    ),
    mutant(
        "12.3.1/json-only",
        "a delegation has to say that it is JSON",
        &["LM-04/12.3.1/7"],
        Fault::Names(Naming::JsonOnly),
    ),
    mutant(
        "12.3.1/never-kept",
        "delegations are not kept",
        &["LM-04/12.3.1/9", "LM-04/12.3.1/11"],
        Fault::Names(Naming::NeverKept),
    ),
    mutant(
        "12.3.1/kept-for-long",
        "delegations are kept for a day, whatever they say",
        &["LM-04/12.3.1/9"],
        Fault::Names(Naming::KeptForLong),
    ),
    mutant(
        "12.3.1/asked-again",
        "a host that answers with an error is asked again at once",
        &["LM-04/12.3.1/13"],
        Fault::Names(Naming::AskedAgain),
    ),
];
