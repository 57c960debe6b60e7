//! What a server forgets, mixes up or repeats (LM-04 §12.2.5, §12.5, §12.10).

use crate::mutant::store::StoreFault;
use crate::mutant::{Fault, Mutant, mutant};

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "5.1/append-lost",
        "an event that another server sent is acknowledged and lost",
        &["LM-04/12.5.1/9", "LM-04/5.1/2"],
        Fault::Stores(StoreFault::AppendLost),
    ),
    mutant(
        "5.1/lpdus-forgotten",
        "an LPDU that comes again makes a second event",
        &["LM-04/5.1/3", "R14"],
        Fault::Stores(StoreFault::LpdusForgotten),
    ),
    mutant(
        "5.1/events-forgotten",
        "no event is found by its id",
        &["LM-04/12.6/1", "LM-04/5.1/3"],
        Fault::Stores(StoreFault::LocateNothing),
    ),
    mutant(
        "12.6.4/list-backwards",
        "a room's list is read backwards",
        &["LM-04/12.6.4/6", "LM-04/12.5/3"],
        Fault::Stores(StoreFault::RecordsBackwards),
    ),
    mutant(
        "12.6.4/list-with-gaps",
        "a room's list is read with gaps",
        &["LM-04/12.6.4/5", "LM-04/12.5/3"],
        Fault::Stores(StoreFault::RecordsWithGap),
    ),
    mutant(
        "3.5.2/events-mixed-up",
        "the events of a state are those of other slots",
        &["LM-04/3.5.2/1", "LM-04/3.5.2/3", "LM-04/12.6.2/2"],
        Fault::Stores(StoreFault::ReadBackOther),
    ),
    mutant(
        "4.5.1/commits-lost",
        "commits that stand apart are acknowledged and lost",
        &["R35"],
        Fault::Stores(StoreFault::MessagesLost),
    ),
    mutant(
        "4.5.1/trees-lost",
        "trees that stand apart are lost",
        &["R35"],
        Fault::Stores(StoreFault::TreesLost),
    ),
    mutant(
        "4.5.1/another-tree",
        "a tree that stands apart is that of another commit",
        &["R35"],
        Fault::Stores(StoreFault::OtherTree),
    ),
    mutant(
        "12.2.5/answers-forgotten",
        "answers to transactions are forgotten at once",
        &["LM-04/12.2.5/2", "LM-04/12.2.5/3"],
        Fault::Stores(StoreFault::AnswersForgotten),
    ),
    mutant(
        "12.2.5/answers-emptied",
        "a repeated transaction is answered with nothing",
        &["LM-04/12.2.5/2", "LM-04/12.2.5/3"],
        Fault::Stores(StoreFault::AnswersEmptied),
    ),
    mutant(
        "12.2.5/answers-of-all",
        "answers to transactions are kept by their ids alone",
        &["LM-04/12.2.5/4"],
        Fault::Stores(StoreFault::AnswersOfAll),
    ),
    mutant(
        "12.5/every-other-event",
        "of a room's list every other event is sent on",
        &["LM-04/12.5/3", "LM-04/5.1/2"],
        Fault::Stores(StoreFault::CursorsSkip),
    ),
    mutant(
        "12.10.2/edus-lost",
        "EDUs are acknowledged and lost",
        &["LM-04/12.10.2/3", "LM-04/12.9/2"],
        Fault::Stores(StoreFault::EdusLost),
    ),
    mutant(
        "12.5/lpdus-lost",
        "events of local users are acknowledged and lost",
        &["LM-04/3/1"],
        Fault::Stores(StoreFault::LpdusLost),
    ),
    mutant(
        "12.10.1.1/devices-forgotten",
        "devices are acknowledged and not found",
        &["LM-04/12.10.1.1/1", "LM-04/12.10.1.1/2"],
        Fault::Stores(StoreFault::DevicesForgotten),
    ),
    mutant(
        "12.10.1/devices-kept",
        "a device stays after it was removed",
        &["LM-04/12.10.1.1/3"],
        Fault::Stores(StoreFault::DevicesKept),
    ),
    mutant(
        "12.10.1.1/first-device",
        "a device stays as it was published first",
        &["LM-04/12.10.1.1/2"],
        Fault::Stores(StoreFault::FirstDevice),
    ),
    mutant(
        "12.10.3.1/claims-repeated",
        "the store gives a key package out again",
        &["LM-04/12.10.3.1/8"],
        Fault::Stores(StoreFault::ClaimsRepeated),
    ),
    mutant(
        "12.10.3.1/packages-lost",
        "key packages are acknowledged and lost",
        &["LM-04/12.10.3.1/7"],
        Fault::Stores(StoreFault::PackagesLost),
    ),
    mutant(
        "12.10.2/inbox-lost",
        "nothing gets into users' inboxes",
        &["LM-04/12.10.2/2", "LM-04/12.10.1/3"],
        Fault::Stores(StoreFault::InboxLost),
    ),
    mutant(
        "12.10.2/inbox-twice",
        "everything gets into users' inboxes twice",
        &["LM-04/12.10.2/2"],
        Fault::Stores(StoreFault::InboxTwice),
    ),
    mutant(
        "12.10.1/one-user-told",
        "of several users whom something concerns only one is told",
        &["LM-04/12.10.1/3"],
        Fault::Stores(StoreFault::InboxOfOne),
    ),
    mutant(
        "12.10.1/rooms-forgotten",
        "nobody is told of changed devices, as no room is remembered",
        &["LM-04/12.10.1/1"],
        Fault::Stores(StoreFault::RoomsForgotten),
    ),
];
