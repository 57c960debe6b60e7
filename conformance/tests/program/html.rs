//! The report in HTML, as a browser shows it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::chromium::Chromium;
use super::{code, output, text};

/// What a hostile server might answer with, in the hope that somebody opens the report.
const HOSTILE: &str = "<script>window.broken = 1</script><img src=x onerror=\"window.broken = 1\">'\"--></style></script>\
                       </pre></textarea><svg onload=window.broken=1>javascript:alert(1)\u{202e}${window.broken=1}";

fn exchange(between: &str, method: &str, url: &str, status: u16, more: &Value) -> Value {
    let mut exchange = json!({
        "between": between, "method": method, "url": url, "headers": [["content-type", "application/json"],
        ["authorization", "X-Matrix origin=\"localhost:4001\",destination=\"localhost:4000\",key=\"ed25519:1\",sig=\"c2ln\""]],
        "status": status, "at_ms": 12, "times": 1,
    });
    exchange.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    exchange
}

fn case(id: &str, verdict: &str, level: &str, role: &str, covers: &[&str], more: &Value) -> Value {
    let mut case = json!({
        "id": id, "title": format!("what {id} is about"), "verdict": verdict, "level": level, "role": role,
        "covers": covers, "duration_ms": 41,
    });
    case.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    case
}

/// A report with every verdict, and with what a hostile server answered wherever there is text.
pub(crate) fn sample() -> Value {
    let event = json!({
        "type": "m.room.message", "room_id": "!a:localhost:4000", "sender": "@bob:localhost:4001",
        "origin_server_ts": 1, "content": {"body": HOSTILE}, "hashes": {"lpdu": {"sha256": "x"}}, "signatures": {},
    });
    let to = "suite localhost:4001 -> target localhost:4000";
    let evidence = json!([
        exchange(
            "suite -> control API of the target",
            "POST",
            "http://127.0.0.1:1/control/v1/rooms",
            200,
            &json!({"body": {"creator": "alice", "join_rule": "public"}, "answer": {"room_id": "!a:localhost:4000"}})
        ),
        exchange(
            to,
            "GET",
            "https://localhost:4000/_matrix/federation/v1/make_join/!a/@bob?ver=I.1",
            200,
            &json!({"answer": {}})
        ),
        exchange(
            to,
            "PUT",
            "https://localhost:4000/_matrix/federation/v2/send/t1-0",
            200,
            &json!({
                "body": {"pdus": [event], "edus": []}, "body_base64": "e30",
                "answer": {"failed_pdus": {"$bad": {"error": HOSTILE}}, "errcode": HOSTILE},
                "answer_headers": [["x-hostile", HOSTILE]],
                "events": [{"in": "request", "at": "/pdus/0", "type": "m.room.message", "id": "$computedbythesuite0000000000000000000000000"}],
                "named": ["$bad"],
            })
        ),
        exchange(
            "target localhost:4000 -> suite localhost:4001",
            "PUT",
            "https://localhost:4001/_matrix/federation/v2/send/x",
            200,
            &json!({"body": HOSTILE, "answer": {"failed_pdus": {}}})
        ),
        exchange(
            "suite -> control API of the target",
            "GET",
            "http://127.0.0.1:1/control/v1/rooms/x/events?from=0",
            404,
            &json!({"times": 31, "answer": HOSTILE})
        ),
    ]);
    let failing = json!({"reason": format!("it is to be rejected, the answer was {HOSTILE}"), "evidence": evidence,
        "telling": {"exchange": 2, "how": "itself"}});
    let expectation = json!({"case": "5.2.3/*", "reason": HOSTILE, "link": "https://example.org/issue/1"});
    let cases = json!([
        case("3.1/proper-names", "pass", "MUST", "server", &["LM-04/3.1/1"], &json!({})),
        case("5.1/forged-signature", "fail", "MUST", "hub", &["LM-04/5.1/6", "LM-04/5.1/8"], &failing),
        case(
            "5.1/wrong-lpdu-hash",
            "fail",
            "MUST",
            "participant",
            &["LM-04/5.1/11", "R02"],
            &json!({"reason": "within 20 s the target should: send it", "evidence": evidence, "telling": {"exchange": 3, "how": "before"}})
        ),
        case(
            "5.2.3/cited-twice",
            "acceptable",
            "MUST",
            "participant",
            &["R13"],
            &json!({"reason": "R13: it notices"})
        ),
        case(
            "5.2.3/ban",
            "fail",
            "MUST",
            "hub",
            &["LM-04/auth/5.6.2"],
            &json!({"reason": "no", "expected": expectation})
        ),
        case("5.2.3/knock", "pass", "MUST", "hub", &["LM-04/auth/5.7"], &json!({"expected": expectation})),
        case(
            "6/small-order-r",
            "warn",
            "SHOULD",
            "server",
            &["LM-04/6/1"],
            &json!({"reason": "it takes it"})
        ),
        case("12.3/service", "skip", "MUST", "server", &["LM-04/12.3/10"], &json!({"reason": HOSTILE})),
    ]);
    json!({
        "format": 1,
        "suite": {"version": "0.1.0", "seed": 18446744073709551615_u64, "mls": "mixed", "started": "2026-01-02T03:04:05Z",
            "duration_ms": 12345, "cases": 364},
        "target": {"server_name": HOSTILE, "driver": HOSTILE},
        "summary": {"passed": 2, "failed": 3, "skipped": 1, "warned": 1, "acceptable": 1, "expected": 1, "unexpected_passes": 1},
        "baseline": {"started": HOSTILE, "version": "0.0.9", "better": [{"id": HOSTILE, "before": "fail", "now": "pass"}],
            "worse": [{"id": "5.1/forged-signature", "before": "pass", "now": "fail"}], "unknown": [], "new": ["6/small-order-r"],
            "removed": [HOSTILE]},
        "cases": cases,
    })
}

/// The report in HTML.
fn page(report: &Value) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (json, html) = (folder.path().join("report.json"), folder.path().join("report.html"));
    std::fs::write(&json, report.to_string()).unwrap();
    let output = output(&["report", json.to_str().unwrap(), "--html", html.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    (folder, html)
}

#[test]
fn nothing_that_a_server_answers_becomes_markup() {
    let (_folder, path) = page(&sample());
    let html = std::fs::read_to_string(path).unwrap();
    assert_eq!(html.matches("<script>").count(), 1, "its own");
    assert_eq!(html.matches("</script>").count(), 1);
    assert_eq!((html.matches("<style>").count(), html.matches("</style>").count()), (1, 1));
    for mark in
        ["<img", "onerror=\"window", "<svg onload", "</textarea>", "\u{202e}", "style=", "<link", "<iframe"]
    {
        assert!(!html.contains(mark), "{mark}");
    }
    assert!(html.contains("&lt;script&gt;window.broken = 1&lt;/script&gt;"));
    // Nothing is called what it cannot be shown to be.
    assert!(!html.to_lowercase().contains("compliant"));
}

#[test]
fn a_link_of_an_expectation_is_followed_to_pages_only() {
    let mut report = sample();
    report["cases"][4]["expected"]["link"] = json!("javascript:window.broken=1");
    let (_folder, path) = page(&report);
    assert!(!std::fs::read_to_string(path).unwrap().contains("href=\"javascript:"));
}

#[test]
fn a_browser_runs_nothing_but_its_script_asks_for_nothing_and_complains_of_nothing() {
    let Some(mut browser) = Chromium::start() else { return };
    let (_folder, path) = page(&sample());
    browser.resize(1280, 900, false);
    browser.open(&path, "");
    // Everything unfolded, so that everything is laid out.
    browser.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })");
    assert_eq!(browser.evaluate("return typeof window.broken"), "undefined");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(browser.requested(), [format!("file://{}", path.display())]);
    // And the policy does keep other scripts out: without it this one would run.
    browser.evaluate(
        "const script = document.createElement('script'); script.textContent = 'window.broken = 1'; document.body.append(script);",
    );
    assert_eq!(browser.evaluate("return typeof window.broken"), "undefined");
}

#[test]
fn filters_narrow_the_tables() {
    let Some(mut browser) = Chromium::start() else { return };
    let (_folder, path) = page(&sample());
    browser.resize(1280, 900, false);
    browser.open(&path, "");
    let shown = "return [...document.querySelectorAll('table[data-rows=cases] tbody tr')].filter((row) => row.checkVisibility()).map((row) => row.id)";
    let set = |form: &str, filter: &str, value: &str| {
        format!(
            "const control = document.querySelector('form[data-filters={form}] [data-filter={filter}]');
             control.value = {}; control.dispatchEvent(new Event('input', {{ bubbles: true }}));",
            json!(value)
        )
    };
    let count = |table: &str| format!("return document.querySelector('[data-count={table}]').textContent");
    assert_eq!(browser.evaluate(&count("cases")), "8 cases");
    for (filter, value, rows) in [
        ("verdict", "fail", vec!["case-5.1_forged-signature", "case-5.1_wrong-lpdu-hash", "case-5.2.3_ban"]),
        ("role", "participant", vec!["case-5.1_wrong-lpdu-hash"]),
        ("text", "LPDU-hash what", vec!["case-5.1_wrong-lpdu-hash"]),
        ("text", "nothing like it", vec![]),
    ] {
        browser.evaluate(&set("cases", filter, value));
        assert_eq!(browser.evaluate(shown), json!(rows), "{filter} {value}");
    }
    assert_eq!(browser.evaluate(&count("cases")), "0 of 8 cases");
    browser.evaluate("document.querySelector('form[data-filters=cases] [type=reset]').click()");
    assert_eq!(browser.evaluate(&count("cases")), "8 cases");
    browser.evaluate(&set("cases", "level", "SHOULD"));
    assert_eq!(browser.evaluate(shown), json!(["case-6_small-order-r"]));
    browser.evaluate(&set("cases", "section", "5.1"));
    assert_eq!(browser.evaluate(shown), json!([]));

    // A bar of the picture shows the cases of its section, whatever was chosen before.
    browser.evaluate("document.querySelector('a[data-section=\"6\"]').click()");
    assert_eq!(browser.evaluate(shown), json!(["case-6_small-order-r"]));

    let all =
        browser.evaluate("return document.querySelectorAll('table[data-rows=requirements] tbody tr').length");
    assert!(all.as_u64().unwrap() > 1_000, "{all}");
    for (filter, value) in [("draft", "lm-04"), ("level", "MUST"), ("section", "5.1"), ("verdict", "fail")] {
        browser.evaluate(&set("requirements", filter, value));
    }
    let left = "return [...document.querySelectorAll('table[data-rows=requirements] tbody tr')].filter((row) => !row.hidden).map((row) => row.querySelector('code').textContent)";
    assert_eq!(browser.evaluate(left), json!(["LM-04/5.1/6", "LM-04/5.1/8", "LM-04/5.1/11"]));
    browser.evaluate(&set("requirements", "role", "client"));
    assert_eq!(browser.evaluate(left), json!([]));
    // A link to a row that is filtered out shows it again.
    browser.evaluate("location.hash = '#req-LM-04_3.1_1'");
    assert_eq!(browser.evaluate("return document.getElementById('req-LM-04_3.1_1').hidden"), false);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn findings_unfold_and_are_copied() {
    let Some(mut browser) = Chromium::start() else { return };
    let (_folder, path) = page(&sample());
    browser.resize(1280, 900, false);
    browser.open(&path, "#finding-5.1_wrong-lpdu-hash");
    let open = "return [...document.querySelectorAll('.finding')].map((fold) => fold.open)";
    // What counts against the run is first, and the one that the address names is unfolded.
    assert_eq!(browser.evaluate(open), json!([true, true, false, false, false, false]));
    browser.evaluate("document.querySelector('[data-close]').click()");
    assert_eq!(browser.evaluate(open), json!([false, false, false, false, false, false]));
    browser.evaluate("document.querySelector('[data-open]').click()");
    assert_eq!(browser.evaluate(open), json!([true, true, true, true, true, true]));
    // Where there is no clipboard, the command is selected.
    let copied = "Object.defineProperty(navigator, 'clipboard', { value: undefined });
        const button = document.querySelector('[data-copy^=curl-]'); button.closest('details').open = true; button.click();";
    browser.evaluate(copied);
    let selected = browser.evaluate("return String(getSelection())");
    assert!(selected.as_str().unwrap().contains("curl -i -X"), "{selected}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn it_is_readable_at_the_width_of_a_phone_and_by_those_who_do_not_see_it() {
    let Some(mut browser) = Chromium::start() else { return };
    let (_folder, path) = page(&sample());
    for (width, mobile) in [(320, true), (390, true), (1280, false)] {
        browser.resize(width, 800, mobile);
        browser.open(&path, "");
        browser.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })");
        let wide = browser.evaluate("return document.scrollingElement.scrollWidth");
        assert_eq!(wide, width, "the page scrolls sideways");
        let beyond = browser.evaluate(
            "const inside = (e) => e.closest('.sequence, pre, nav');
             return [...document.querySelectorAll('body *')].filter((e) => !inside(e) && e.getBoundingClientRect().right > innerWidth + 1
                && e.checkVisibility() && !e.closest('.visually-hidden, thead')).slice(0, 5).map((e) => e.outerHTML.slice(0, 200))",
        );
        assert_eq!(beyond, json!([]), "at {width}");
        let small = browser.evaluate(
            "return [...document.querySelectorAll('p, td, li, dd, summary, button, label')].filter((e) => e.checkVisibility()
                && parseFloat(getComputedStyle(e).fontSize) < 11.5).length",
        );
        assert_eq!(small, 0, "text too small to read");
    }
    let broken = browser.evaluate(
        "return [...document.querySelectorAll('.rows td:is([data-label=Level], [data-label=Binds], [data-label=Role])')].filter((e) => {
            const range = document.createRange(); range.selectNodeContents(e); return range.getClientRects().length > 1; }).length",
    );
    assert_eq!(broken, 0, "words are broken on a screen that has room for them");
    let controls = browser.controls();
    assert!(controls.len() > 60, "{controls:?}");
    let unnamed: Vec<_> = controls.iter().filter(|(_, name)| name.trim().is_empty()).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
    for needed in
        [("combobox", "Verdict"), ("searchbox", "Text"), ("button", "Show all"), ("button", "Copy as curl")]
    {
        assert!(
            controls.iter().any(|(role, name)| (role.as_str(), name.as_str()) == needed),
            "{needed:?}: {controls:?}"
        );
    }
    // What can be clicked can be reached without a pointer.
    let unreachable = browser.evaluate(
        "return [...document.querySelectorAll('a, button, summary, select, input, pre')].filter((e) => e.tabIndex < 0).length",
    );
    assert_eq!(unreachable, 0);
}

/// How much light a colour and its ground differ by (WCAG 2.2, contrast ratio).
const CONTRAST: &str = "
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => { const [r, g, b] = channels(colour).map((c) => c / 255)
        .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const ground = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
        if (channels(c)[3] !== 0) return c; } return 'rgb(255, 255, 255)'; };
    const texts = [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && !(e instanceof SVGElement)
        && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) && !e.closest('.visually-hidden, .skip-link'));
    return texts.map((e) => { const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((a, b) => b - a);
        return [(a + 0.05) / (b + 0.05), e.outerHTML.slice(0, 120)]; }).filter(([ratio]) => ratio < 4.5).slice(0, 5)";

#[test]
fn text_stands_out_from_its_ground_by_day_and_by_night() {
    let Some(mut browser) = Chromium::start() else { return };
    let (_folder, path) = page(&sample());
    browser.resize(1280, 900, false);
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        browser.open(&path, "");
        browser.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })");
        assert_eq!(browser.evaluate(CONTRAST), json!([]), "{scheme}");
    }
    let night = browser.evaluate("return getComputedStyle(document.body).backgroundColor");
    assert_ne!(night, "rgb(255, 255, 255)");
}

/// `MIMI_SCREENSHOTS=DIR`, and `MIMI_REPORT=FILE` for another report than the sample: pictures for people.
#[test]
fn pictures_are_taken_for_whoever_asks() {
    let Some(folder) = std::env::var_os("MIMI_SCREENSHOTS") else { return };
    let Some(mut browser) = Chromium::start() else { return };
    let report = std::env::var_os("MIMI_REPORT")
        .map_or_else(sample, |path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap());
    let (_folder, path) = page(&report);
    std::fs::create_dir_all(&folder).unwrap();
    for (name, width, height, mobile) in [("phone", 390, 844, true), ("desktop", 1280, 900, false)] {
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            browser.resize(width, height, mobile);
            for part in ["", "#findings", "#readiness", "#requirements", "#cases"] {
                browser.open(&path, part);
                let part = part.trim_start_matches('#');
                let file = format!("{name}-{scheme}-{}.png", if part.is_empty() { "top" } else { part });
                browser.screenshot(&Path::new(&folder).join(file), false);
            }
            browser.open(&path, "#findings");
            browser.evaluate("document.querySelector('.sequence')?.scrollIntoView({ block: 'center' })");
            browser.screenshot(&Path::new(&folder).join(format!("{name}-{scheme}-sequence.png")), false);
        }
    }
}
