//! Places: `m.location` (MSC3488), and those that change, `m.beacon_info` and `m.beacon` (MSC3489, MSC3672).

use ruma_events::beacon::BeaconEventContent;
use ruma_events::beacon_info::BeaconInfoEventContent;
use ruma_events::location::LocationEventContent;

use super::{need_relation, need_text, without_relations};
use crate::content::names::{ASSET, AUTOMATED, LOCATION, TEXT, TS};
use crate::content::{ContentError, Kind, schema};
use crate::json::Object;

pub(in crate::content) fn read(content: &Object) -> Result<Box<LocationEventContent>, ContentError> {
    let kind = Kind::Location;
    let mut content = without_relations(content);
    need_text(kind, &mut content, TEXT.unstable)?;
    AUTOMATED.to_unstable(&mut content);
    for part in [LOCATION, ASSET, TS] {
        part.to_stable(&mut content);
    }
    let location: Box<LocationEventContent> = schema(kind, &content)?;
    uri(kind, &location.location.uri)?;
    Ok(location)
}

pub(in crate::content) fn beacon_info(content: &Object) -> Result<Box<BeaconInfoEventContent>, ContentError> {
    let mut content = content.clone();
    for part in [ASSET, TS] {
        part.to_unstable(&mut content);
    }
    schema(Kind::BeaconInfo, &content)
}

pub(in crate::content) fn beacon(content: &Object) -> Result<Box<BeaconEventContent>, ContentError> {
    need_relation(Kind::Beacon, content, "m.reference")?;
    let mut content = content.clone();
    for part in [LOCATION, TS] {
        part.to_unstable(&mut content);
    }
    let beacon: Box<BeaconEventContent> = schema(Kind::Beacon, &content)?;
    uri(Kind::Beacon, &beacon.location.uri)?;
    Ok(beacon)
}

/// Two or three coordinates, and perhaps parameters (RFC 5870 §3.3). In the reference system that it stands for if none
/// is named, latitude and longitude have their bounds.
pub(super) fn uri(kind: Kind, uri: &str) -> Result<(), ContentError> {
    match coordinates(uri) {
        Some(_) => Ok(()),
        None => Err(ContentError::Rule { kind, field: "uri", rule: "is no `geo:` URI of a place on earth" }),
    }
}

/// Latitude and longitude in degrees.
pub(in crate::content) fn coordinates(uri: &str) -> Option<(f64, f64)> {
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("geo") {
        return None;
    }
    let (coordinates, parameters) = rest.split_once(';').unwrap_or((rest, ""));
    let mut numbers = coordinates.split(',').map(number);
    let (latitude, longitude) = (numbers.next()??, numbers.next()??);
    let bounded = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    // A third is the height; a fourth is one too many.
    let fits = numbers.next().is_none_or(|height| height.is_some()) && numbers.next().is_none();
    let plain = parameters.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"'));
    (bounded && fits && plain).then_some((latitude, longitude))
}

/// Digits with an optional sign and fraction: no exponents, infinities or blanks.
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (all_digits(whole) && all_digits(fraction)).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_those_of_the_rfc() {
        assert_eq!(coordinates("geo:51.5008,0.1247;u=35"), Some((51.5008, 0.1247)));
        assert_eq!(coordinates("GEO:-90,-180,100"), Some((-90.0, -180.0)));
        for not in [
            "",
            "geo:",
            "geo:1",
            "geo:1,2,3,4",
            "geo:91,0",
            "geo:0,181",
            "geo:NaN,0",
            "geo:1e1,0",
            "geo: 1,2",
            "geo:1.,2",
            "http:1,2",
            "geo:1,2;u=\"><script>",
        ] {
            assert_eq!(coordinates(not), None, "{not}");
        }
    }
}
