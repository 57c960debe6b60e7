//! JSON in and out: strict on the way in ([`strict`]), RFC 8785 on the way out ([`canonical`]).

pub mod canonical;
pub mod strict;

pub use serde_json::{Map, Value};

/// A JSON object.
pub type Object = Map<String, Value>;

/// The largest integer that every JSON reader keeps exactly: 2^53 − 1 (RFC 8785 §3.2.2.3, reading R07).
pub const MAX_INTEGER: i64 = 9_007_199_254_740_991;

/// The value as an integer, if it is integral after canonicalisation (`50.0` is 50) and within ±[`MAX_INTEGER`]
/// (reading R07).
#[must_use]
pub fn as_integer(value: &Value) -> Option<i64> {
    let number = value.as_number()?;
    let integer = match number.as_i64() {
        Some(integer) => integer,
        None => integral(number.as_f64()?)?,
    };
    (-MAX_INTEGER..=MAX_INTEGER).contains(&integer).then_some(integer)
}

/// A finite double as an integer, if it has no fraction and lies within ±[`MAX_INTEGER`].
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "MAX_INTEGER is exact as a double, and within it so is every integral double as an i64"
)]
fn integral(double: f64) -> Option<i64> {
    (double.fract() == 0.0 && double.abs() <= MAX_INTEGER as f64).then_some(double as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn integers_are_integral_values() {
        assert_eq!(as_integer(&json!(50)), Some(50));
        assert_eq!(as_integer(&json!(50.0)), Some(50));
        assert_eq!(as_integer(&json!(-0.0)), Some(0));
        assert_eq!(as_integer(&json!(MAX_INTEGER)), Some(MAX_INTEGER));
        for not in [
            json!(50.5),
            json!("50"),
            json!(null),
            json!(true),
            json!(MAX_INTEGER + 1),
            json!(1e300),
            json!(u64::MAX),
        ] {
            assert_eq!(as_integer(&not), None, "{not}");
        }
    }
}
