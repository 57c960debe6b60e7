//! Other servers' items: fetched once, kept for a while.

use axum::body::Body;
use http::HeaderMap;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use mimi_linearized::base64;
use mimi_linearized::json::{Value, strict};
use tokio::time::timeout;

use super::files::Arrived;
use super::multipart::{Piece, Reader};
use super::{About, Item, Media, MediaError, MxcUri, SHA256_MEMBER, SILENCE};
use crate::api::media_download;
use crate::client::{ClientError, FederationClient};
use crate::policy::Outsider;

/// The most bytes of JSON before an item.
const MAX_SAID_BYTES: usize = 64 * 1024;

impl Media {
    /// An item of any server, ready to be served to a local user: this server's own, a copy, or fetched now.
    ///
    /// # Errors
    /// As [`Media::own`], and what the other server answers, or why it does not.
    pub async fn get(&self, client: &FederationClient, uri: &MxcUri) -> Result<Item, MediaError> {
        if uri.server == self.parts.own {
            return self.own(&uri.id).await;
        }
        // Whoever comes meanwhile waits for the same copy.
        let turn = self.parts.fetching.take(uri.clone()).await;
        let entry = match self.find(uri).await? {
            Some(entry) => entry,
            None => {
                let fetched = timeout(self.parts.settings.fetch, self.fetch(client, uri)).await;
                fetched.unwrap_or_else(|_| {
                    Err(unreachable(uri, ClientError::Timeout(self.parts.settings.fetch)))
                })?;
                self.find(uri).await?.ok_or(MediaError::NotFound)?
            }
        };
        drop(turn);
        self.ready_copy(uri, entry).await
    }

    async fn fetch(&self, client: &FederationClient, uri: &MxcUri) -> Result<(), MediaError> {
        let (headers, body) = match media_download::call(client, uri, self.parts.settings.fetch).await {
            Ok(answer) => answer,
            Err(ClientError::Outsider(server)) => return Err(Outsider(server).into()),
            Err(ClientError::Api { error, .. }) => {
                return Err(MediaError::Peer { server: uri.server.clone(), error });
            }
            Err(error) => return Err(unreachable(uri, error)),
        };
        let (arrived, about) = self.take_in(uri, &headers, body).await?;
        self.keep_copy(uri, arrived, about).await
    }

    /// Writes an item to the disk as it arrives.
    async fn take_in(
        &self,
        uri: &MxcUri,
        headers: &HeaderMap,
        mut body: Body,
    ) -> Result<(Arrived, About), MediaError> {
        let unusable = |what: String| unreachable(uri, ClientError::Unusable(what));
        let mut reader =
            Reader::new(headers.get(CONTENT_TYPE)).map_err(|error| unusable(error.to_string()))?;
        let mut arriving = self.parts.files.begin(self.parts.settings.max_bytes).await?;
        let (mut part, mut said, mut about) = (0_u8, Vec::new(), About::default());
        loop {
            let frame = timeout(SILENCE, body.frame()).await;
            let frame = frame.map_err(|_| unreachable(uri, ClientError::Timeout(SILENCE)))?;
            let Some(frame) = frame else { break };
            let Ok(bytes) = frame.map_err(|error| unusable(error.to_string()))?.into_data() else { continue };
            for piece in reader.push(&bytes).map_err(|error| unusable(error.to_string()))? {
                match piece {
                    Piece::Part(headers) => {
                        part = part.saturating_add(1);
                        if part == 2 {
                            if headers.contains_key(http::header::LOCATION) {
                                // It may lead anywhere, past the policy and the rules for addresses.
                                return Err(unusable(
                                    "the item is elsewhere, and is not followed".to_owned(),
                                ));
                            }
                            let (kind, name) = (headers.get(CONTENT_TYPE), headers.get(CONTENT_DISPOSITION));
                            about = About::of_headers(kind, name);
                        }
                    }
                    Piece::Bytes(bytes) if part == 1 => {
                        said.extend(bytes);
                        if said.len() > MAX_SAID_BYTES {
                            return Err(unusable("what is said of the item is too long".to_owned()));
                        }
                    }
                    Piece::Bytes(bytes) => arriving.write(&bytes.into()).await?,
                }
            }
        }
        reader.finish().map_err(|error| unusable(error.to_string()))?;
        let Ok(Value::Object(said)) = strict::parse(&said) else {
            return Err(unusable("what is said of the item is no JSON object".to_owned()));
        };
        let arrived = arriving.finish().await?;
        // Servers that say nothing of it are believed.
        let right = said
            .get(SHA256_MEMBER)
            .is_none_or(|hash| hash.as_str().and_then(base64::decode_array::<32>) == Some(arrived.sha256));
        if right {
            Ok((arrived, about))
        } else {
            Err(unusable("the item has another hash than is said".to_owned()))
        }
    }
}

fn unreachable(uri: &MxcUri, error: ClientError) -> MediaError {
    MediaError::Unreachable { server: uri.server.clone(), error: Box::new(error) }
}
