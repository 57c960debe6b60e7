//! A request as a command line of curl.

use crate::evidence::Kept;
use crate::printable::printable;

/// Whether curl can send it: what the suite's own servers are asked needs them.
pub(super) fn is_possible(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// The command, for a POSIX shell. Signatures have no time in them: it is sent as it was.
pub(super) fn command(kept: &Kept) -> String {
    let exchange = &kept.exchange;
    let mut command = format!("curl -i -X {} {}", quote(&exchange.method), quote(&exchange.url));
    for (name, value) in &exchange.headers {
        // curl makes these itself.
        if !matches!(name.as_str(), "host" | "content-length" | "transfer-encoding" | "connection") {
            command.push_str(&format!(" \\\n  -H {}", quote(&format!("{name}: {value}"))));
        }
    }
    match (&kept.details.body_base64, &exchange.body) {
        (Some(exact), _) => {
            return format!(
                "printf %s {} | base64 -d | {command} \\\n  --data-binary @-",
                quote(&padded(exact))
            );
        }
        (None, serde_json::Value::Null) => {}
        (None, body) => command.push_str(&format!(" \\\n  --data-binary {}", quote(&body.to_string()))),
    }
    command
}

/// `base64 -d` of coreutils warns without padding.
fn padded(base64: &str) -> String {
    let mut text = base64.to_owned();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// One word of a shell. What cannot be seen is escaped the way `$'…'` reads it.
fn quote(text: &str) -> String {
    if printable(text) == text {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut quoted = String::from("$'");
    for character in text.chars() {
        match character {
            '\'' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            plain if plain.is_ascii_graphic() || plain == ' ' => quoted.push(plain),
            other => {
                let mut bytes = [0; 4];
                for byte in other.encode_utf8(&mut bytes).bytes() {
                    quoted.push_str(&format!("\\x{byte:02x}"));
                }
            }
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::evidence::{Details, Exchange};

    /// What a shell makes of it.
    fn arguments(command: &str) -> Vec<String> {
        let script = format!("curl() {{ for word; do printf '%s\\0' \"$word\"; done; }}\n{command}");
        let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{command}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim_end_matches('\0').split('\0').map(ToOwned::to_owned).collect()
    }

    #[test]
    fn a_shell_reads_the_same_request_whatever_is_in_it() {
        let nasty = "a'b\"$(touch /tmp/x)`id`\\\n\u{202e}é!";
        let exchange = Exchange {
            between: String::new(),
            method: "PUT".to_owned(),
            url: format!("https://host/{nasty}"),
            headers: vec![
                ("authorization".to_owned(), nasty.to_owned()),
                ("host".to_owned(), "x".to_owned()),
            ],
            body: json!({"text": nasty}),
            status: None,
            answer: json!(null),
            lie: None,
        };
        let kept = Kept { exchange, details: Details::default(), at_ms: 0, times: 1 };
        let body = json!({"text": nasty}).to_string();
        let header = format!("authorization: {nasty}");
        let url = format!("https://host/{nasty}");
        let expected = ["-i", "-X", "PUT", &url, "-H", &header, "--data-binary", &body];
        assert_eq!(arguments(&command(&kept)), expected);
        let details = Details { body_base64: Some("ew".to_owned()), ..Details::default() };
        let exact = Kept { details, ..kept };
        let piped = command(&exact);
        assert!(piped.starts_with("printf %s 'ew==' | base64 -d | curl"), "{piped}");
        assert_eq!(arguments(&piped).last().unwrap(), "@-");
    }
}
