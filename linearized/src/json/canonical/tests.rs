use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Any JSON that the strict reader accepts.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-MAX_INTEGER..=MAX_INTEGER).prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite and not a large integer", |n| n.is_finite() && n.fract() != 0.0)
            .prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        ".{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("\\PC{0,6}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn canonical(text: &str) -> String {
    String::from_utf8(to_vec(&serde_json::from_str(text).unwrap())).unwrap()
}

/// RFC 8785 §3.2.2 and §3.2.3: the worked example.
#[test]
fn the_rfc_example() {
    let input = r#"{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"#;
    let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
                    \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
    assert_eq!(canonical(input), expected);
}

/// RFC 8785 §3.2.3: keys sort by UTF-16 code units, so U+1F600 comes before U+FB33.
#[test]
fn the_rfc_key_order() {
    let input = r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#;
    assert_eq!(canonical(input), "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}");
}

/// RFC 8785 Appendix B: bit patterns of doubles and how they are written.
#[test]
fn the_rfc_number_samples() {
    for (bits, text) in [
        (0x0000_0000_0000_0000_u64, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] {
        assert_eq!(to_vec(&json!(f64::from_bits(bits))), text.as_bytes(), "{bits:x}");
    }
}

#[test]
fn integers_and_integral_doubles_are_the_same() {
    assert_eq!(canonical("[50,50.0,-0,-0.0,5E1]"), "[50,50,0,0,50]");
}

/// RFC 8785 §3.2.2.3 with Appendix D: what a double cannot hold is rounded to one, and so written the same by whoever
/// reads it again.
#[test]
fn integers_beyond_a_double_are_rounded() {
    for (input, output) in [
        ("9007199254740991", "9007199254740991"),
        ("-9007199254740991", "-9007199254740991"),
        ("9007199254740993", "9007199254740992"),
        ("-9007199254740993", "-9007199254740992"),
        ("9223372036854775807", "9223372036854776000"),
        ("-9223372036854775808", "-9223372036854776000"),
        ("18446744073709551615", "18446744073709552000"),
        ("1000000000000000000000", "1e+21"),
    ] {
        assert_eq!(canonical(input), output);
        assert_eq!(canonical(output), output);
    }
}

/// RFC 8785 §3.2.2.2: which control characters have short escapes, and that nothing else is escaped.
#[test]
fn only_what_has_to_be_is_escaped() {
    let input: String = ('\0'..='\u{a0}').chain("/\u{2028}\u{2029}\u{fffe}\u{10ffff}".chars()).collect();
    let mut expected = String::from("\"");
    for letter in input.chars() {
        match letter {
            '\u{8}' => expected.push_str("\\b"),
            '\t' => expected.push_str("\\t"),
            '\n' => expected.push_str("\\n"),
            '\u{c}' => expected.push_str("\\f"),
            '\r' => expected.push_str("\\r"),
            '"' => expected.push_str("\\\""),
            '\\' => expected.push_str("\\\\"),
            '\0'..='\u{1f}' => expected.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => expected.push(letter),
        }
    }
    expected.push('"');
    assert_eq!(to_vec(&json!(input)), expected.as_bytes());
    // Each on its own, at the beginning and at the end of what needs no escaping.
    for letter in input.chars() {
        for text in [format!("{letter}"), format!("{letter}plain"), format!("plain{letter}")] {
            let again: String = serde_json::from_slice(&to_vec(&json!(text))).unwrap();
            assert_eq!(again, text);
        }
    }
}

#[test]
fn a_view_leaves_out_replaces_and_adds() {
    let object = json!({"a": 1, "b": {"x": 1}, "signatures": {}});
    let mut view = View::of(object.as_object().unwrap(), |key| key != "signatures");
    view.set("b", Node::Texts(vec!["$1", "$2"]));
    view.set("0", Node::Text("new"));
    view.set("c", Node::Object(View::new()));
    assert_eq!(view.to_vec(), br#"{"0":"new","a":1,"b":["$1","$2"],"c":{}}"#);
}

proptest! {
    #[test]
    fn keys_are_ordered_by_their_utf_16(
        start in "[a\u{80}\u{7ff}\u{d7ff}\u{e000}\u{10000}]{0,3}",
        a in "[ab\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}]{0,3}",
        b in "[ab\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}]{0,3}",
    ) {
        let (a, b) = (format!("{start}{a}"), format!("{start}{b}"));
        prop_assert_eq!(utf16_order(&a, &b), a.encode_utf16().cmp(b.encode_utf16()));
    }

    #[test]
    fn canonical_form_is_a_fixed_point(value in any_json()) {
        let once = to_vec(&value);
        let again: Value = serde_json::from_slice(&once).unwrap();
        prop_assert_eq!(to_vec(&again), once);
    }

    #[test]
    fn a_whole_view_writes_what_the_object_does(value in any_json()) {
        if let Value::Object(object) = &value {
            prop_assert_eq!(View::of(object, |_| true).to_vec(), to_vec(&value));
        }
    }
}
