//! Prints the OpenAPI description of what servers ask each other: `transport/federation-api.json`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    let document = serde_json::to_string_pretty(&mimi_transport::api::openapi::document())?;
    writeln!(std::io::stdout(), "{document}")
}
