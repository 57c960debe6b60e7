//! The settings of federation policy and media.

use std::path::PathBuf;

use clap::Args;
use mimi_transport::media::{MediaSettings, ScannerSettings, TypePattern};
use mimi_transport::start::ServerConfig;

/// Settings that are a part of [`Settings`](super::settings::Settings).
#[derive(Debug, Args)]
pub(super) struct Services {
    /// Which servers to have to do with: a TOML file that is read again when it changes (docs/policy.md)
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The size of an attachment at most, such as 50MiB
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    media_max_bytes: Option<u64>,
    /// The size of all attachments of one user at most, such as 1GiB
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    media_quota_bytes: Option<u64>,
    /// The size of all copies of other servers' attachments at most
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    media_cache_bytes: Option<u64>,
    /// Types that users may upload, such as image/*; all, if there is none; may be repeated
    #[arg(long, value_name = "TYPE")]
    media_allow_type: Vec<TypePattern>,
    /// Types that users may not upload; may be repeated
    #[arg(long, value_name = "TYPE")]
    media_deny_type: Vec<TypePattern>,
    /// Where attachments are posted to before anybody gets them; who is not called clean is not served (docs/media.md)
    #[arg(long, value_name = "URL")]
    media_scanner: Option<ScannerSettings>,
}

impl Services {
    /// Puts them into a server's configuration.
    pub(super) fn apply(self, server: &mut ServerConfig) {
        server.policy = self.policy;
        let usual = MediaSettings::default();
        server.media = MediaSettings {
            max_bytes: self.media_max_bytes.unwrap_or(usual.max_bytes),
            quota_bytes: self.media_quota_bytes.unwrap_or(usual.quota_bytes),
            cache_bytes: self.media_cache_bytes.unwrap_or(usual.cache_bytes),
            allow_types: self.media_allow_type,
            deny_types: self.media_deny_type,
            scanner: self.media_scanner,
            ..usual
        };
    }
}

/// Why a text is no size.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no number of bytes, such as 1000, 64KiB, 50MiB or 1GiB")]
struct SizeError(String);

/// A number of bytes.
fn bytes(text: &str) -> Result<u64, SizeError> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1)];
    let read = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let size = read.and_then(|(number, factor)| number.trim_end().parse::<u64>().ok()?.checked_mul(*factor));
    size.ok_or_else(|| SizeError(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, size) in
            [("0", 0), ("1000", 1_000), ("64KiB", 65_536), ("50 MiB", 52_428_800), ("1GiB", 1 << 30)]
        {
            assert_eq!(bytes(text).unwrap(), size, "{text}");
        }
        for text in ["", "MiB", "-1", "1.5MiB", "1MB", "99999999999GiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
