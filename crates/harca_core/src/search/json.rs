//! JSON as jsonb prints it, one level at a time: numbers keep all their digits, and what lies deeper stays text, however
//! deep it is.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::search::decimal::Decimal;

/// One value, as text that is known to be JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a>(&'a RawValue);

/// The members of an object in the order in which jsonb keeps them: short keys first, those of one length by their bytes.
/// Of members with the same key there is the last.
pub(super) type Members<'a> = BTreeMap<Key, Value<'a>>;

/// The key of a member.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct Key(pub(super) String);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Deserialize::deserialize(deserializer).map(Self)
    }
}

impl<'a> Value<'a> {
    /// The value that a text is; none if it is no JSON.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The text that it is.
    pub(super) fn text(self) -> &'a str {
        self.0.get()
    }

    /// The name of its type, as `jsonb_typeof` gives it.
    pub(super) fn type_name(self) -> &'static str {
        match self.text().as_bytes().first() {
            Some(b'{') => "object",
            Some(b'[') => "array",
            Some(b'"') => "string",
            Some(b't' | b'f') => "boolean",
            Some(b'n') => "null",
            _ => "number",
        }
    }

    /// Whether it is null.
    pub(super) fn is_null(self) -> bool {
        self.type_name() == "null"
    }

    /// Its members, if it is an object.
    pub(super) fn members(self) -> Option<Members<'a>> {
        serde_json::from_str(self.text()).ok()
    }

    /// Its elements, if it is an array.
    pub(super) fn elements(self) -> Option<Vec<Value<'a>>> {
        serde_json::from_str(self.text()).ok()
    }

    /// What it says, if it is a string.
    pub(super) fn string(self) -> Option<String> {
        serde_json::from_str(self.text()).ok()
    }

    /// The number, if it is one.
    pub(super) fn number(self) -> Option<Decimal<'a>> {
        (self.type_name() == "number").then(|| Decimal::new(self.text()))
    }
}

/// The member of that name.
pub(super) fn member<'a>(members: &Members<'a>, name: &str) -> Option<Value<'a>> {
    members.get(&Key(name.to_owned())).copied()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// JSON texts of all kinds, with these words among keys and strings more often than chance has them.
    pub fn texts(words: &'static [&'static str]) -> impl Strategy<Value = String> {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let word = prop_oneof![
            prop::sample::select(words).prop_map(quoted),
            "[\\PC\"\\\\']{0,8}".prop_map(move |text| quoted(&text))
        ];
        let number = "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?";
        let leaf = prop_oneof![
            word.clone(),
            number,
            prop::sample::select(&["null", "true", "false"][..]).prop_map(String::from)
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|elements| format!("[{}]", elements.join(", "))),
                prop::collection::vec((word.clone(), inner), 0..4).prop_map(|members| {
                    let members: Vec<String> =
                        members.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
                    format!("{{{}}}", members.join(", "))
                }),
            ]
        })
    }

    #[test]
    fn members_are_in_the_order_of_jsonb_and_the_last_counts() {
        let text = r#" {"bb": 1, "a": 2, "é": 3, "c": 4, "a": [5], "\u0062b": {"x": 1e400}} "#;
        let members = Value::parse(text).unwrap().members().unwrap();
        let found: Vec<_> = members.iter().map(|(key, value)| (key.0.as_str(), value.text())).collect();
        assert_eq!(found, [("a", "[5]"), ("c", "4"), ("bb", r#"{"x": 1e400}"#), ("é", "3")]);
    }

    #[test]
    fn types_have_the_names_of_jsonb() {
        for (text, name) in [
            ("{}", "object"),
            ("[]", "array"),
            ("\"\"", "string"),
            ("true", "boolean"),
            ("false", "boolean"),
            ("null", "null"),
            ("-1", "number"),
            ("1e400", "number"),
        ] {
            assert_eq!(Value::parse(text).unwrap().type_name(), name);
        }
        for text in ["", "{", "nul", "1 2", "{\"a\": 1,}", "NaN", "'a'"] {
            assert!(Value::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn depth_is_no_burden() {
        let text = format!("{{\"a\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let members = Value::parse(&text).unwrap().members().unwrap();
        assert_eq!(member(&members, "a").unwrap().elements().unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn texts_are_json(text in texts(&["a"])) {
            prop_assert!(Value::parse(&text).is_some(), "{}", text);
        }
    }
}
