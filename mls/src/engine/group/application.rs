//! Application data of a group.

use openmls::framing::{ContentType, PrivateMessageIn, ProcessedMessageContent, ProtocolMessage};

use openmls_traits::OpenMlsProvider as _;

use super::super::message::{Decrypted, Encrypted};
use super::super::padding::Padding;
use super::log::Entry;
use super::{MAX_PAST_EPOCHS, RoomGroup, encode};
use crate::credential::DeviceCredential;
use crate::device::Device;
use crate::error::{CallerFault, Epochs, Error, LibraryFault, PeerFault, Signed, process_error};
use crate::framing::{self, Framed};

impl RoomGroup {
    pub(in crate::engine) fn encrypt(
        &mut self,
        device: &Device,
        plaintext: &[u8],
        padding: Padding,
    ) -> Result<Encrypted, Error> {
        let commit_event_id = self.epochs.event(self.epoch()).ok_or(CallerFault::NoCommitYet)?.to_owned();
        self.group
            .set_configuration(self.provider.storage(), &padding.config(plaintext.len()))
            .map_err(LibraryFault::mls)?;
        let message = self
            .group
            .create_message(&self.provider, device.signer(), plaintext)
            .map_err(LibraryFault::mls)?;
        self.log.push(Entry::Encrypted);
        Ok(Encrypted {
            ciphertext: encode(&message)?,
            commit_event_id,
            algorithm: device.suite().room_algorithm(),
        })
    }

    pub(in crate::engine) fn decrypt(&mut self, ciphertext: &[u8]) -> Result<Decrypted, Error> {
        let Framed { value, bytes }: Framed<PrivateMessageIn> =
            framing::read(ciphertext).map_err(PeerFault::from)?;
        let message = ProtocolMessage::from(value);
        if message.content_type() != ContentType::Application {
            return Err(PeerFault::NotApplicationData.into());
        }
        if message.group_id() != self.group.group_id() {
            return Err(PeerFault::WrongGroup { got: message.group_id().to_vec() }.into());
        }
        let (expected, epoch) = (self.epoch(), message.epoch().as_u64());
        if epoch > expected {
            return Err(PeerFault::EpochAhead { expected, got: epoch }.into());
        }
        let kept = expected.saturating_sub(MAX_PAST_EPOCHS as u64).max(self.first_epoch);
        if epoch < kept {
            return Err(PeerFault::EpochTooOld { epoch }.into());
        }
        let epochs = Epochs { group: expected, message: epoch };
        let processed = self
            .group
            .process_message(&self.provider, message)
            .map_err(|error| process_error(error, epochs, Signed::Message))?;
        let sender = processed.credential().serialized_content().to_vec();
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(data) => {
                self.log.push(Entry::Decrypted(bytes));
                Ok(Decrypted::Message {
                    sender: DeviceCredential::decode(&sender).map_err(PeerFault::from)?.address().clone(),
                    plaintext: data.into_bytes(),
                    epoch,
                    commit_event_id: self.epochs.event(epoch).map(str::to_owned),
                })
            }
            ProcessedMessageContent::OwnPrivateMessage => Ok(Decrypted::Own { epoch }),
            _ => Err(PeerFault::NotApplicationData.into()),
        }
    }
}
