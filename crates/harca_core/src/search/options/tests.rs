use proptest::prelude::*;

use super::{Strategy, *};
use crate::search::json::tests::texts;

const WORDS: &[&str] = &[
    "strategy",
    "candidates",
    "vector_weight",
    "fusion",
    "ranking",
    "keyword_index",
    "k1",
    "b",
    "max_matches",
    "phrases",
    "boosts",
    "after",
    "auto",
    "max",
    "keyword_first",
    "bm25",
    "prefer",
];

fn parse(json: &str) -> Options {
    Options::parse(Some(json)).unwrap()
}

fn message(json: &str) -> String {
    let refusal = Options::parse(Some(json)).unwrap_err();
    assert_eq!((refusal.kind, refusal.detail, refusal.hint), (Kind::InvalidParameterValue, None, None), "{json}");
    refusal.message
}

#[test]
fn nothing_given_is_the_defaults() {
    assert_eq!(Options::parse(None).unwrap(), Options::default());
    assert_eq!(parse("{}"), Options::default());
    let nulls = r#"{"vector_weight": null, "k1": null, "b": null, "boosts": null, "after": null}"#;
    assert_eq!(parse(nulls), Options::default());
    assert_eq!(
        Options::default().to_json(),
        "{\"b\": null, \"k1\": null, \"after\": null, \"boosts\": null, \"fusion\": \"auto\", \"phrases\": \"prefer\", \
         \"ranking\": \"bm25\", \"strategy\": \"auto\", \"candidates\": 100, \"max_matches\": 20000, \
         \"keyword_index\": \"auto\", \"vector_weight\": null}"
    );
}

#[test]
fn everything_given_is_taken() {
    let json = "{\"b\": 0.25, \"k1\": 1.2, \"after\": [0.5, \"a\\\"\\n\\\\港\"], \"boosts\": {\"stars\": {\"max\": 5, \
                \"weight\": 0.10}}, \"fusion\": \"rrf\", \"phrases\": \"require\", \"ranking\": \"ts_rank_cd\", \
                \"strategy\": \"vector_first\", \"candidates\": 7, \"max_matches\": 10000000, \
                \"keyword_index\": \"gin\", \"vector_weight\": 1}";
    let options = parse(json);
    let expected = Options {
        strategy: Strategy::VectorFirst,
        candidates: 7,
        vector_weight: Some(1.0),
        fusion: Fusion::Rrf,
        ranking: Ranking::TsRankCd,
        keyword_index: KeywordIndex::Gin,
        k1: Some(1.2),
        b: Some(0.25),
        max_matches: 10_000_000,
        phrases: Phrases::Require,
        boosts: Some("{\"stars\": {\"max\": 5, \"weight\": 0.10}}".into()),
        after: Some(After { score: 0.5, id: "a\"\n\\港".into() }),
    };
    assert_eq!(options, expected);
    assert_eq!(options.to_json(), json);
}

#[test]
fn a_number_may_be_written_in_any_way() {
    assert_eq!(parse("{\"candidates\": 10.0}").candidates, 10);
    assert_eq!(parse("{\"candidates\": 1e4}").candidates, 10_000);
    assert_eq!(parse("{\"max_matches\": 1e2}").max_matches, 100);
    assert_eq!(parse(&format!("{{\"max_matches\": 20.{}}}", "0".repeat(200))).max_matches, 20);
    for zero in ["0", "-0", "0.0", "1e-60", "1e-400", "4e-31"] {
        for option in ["vector_weight", "k1", "b"] {
            let options = parse(&format!("{{\"{option}\": {zero}}}"));
            let found = [options.vector_weight, options.k1, options.b].into_iter().flatten().next().unwrap();
            assert_eq!(found.to_bits(), 0, "{option} {zero}");
        }
    }
    assert_eq!(parse("{\"b\": 1e-30}").to_json().split(',').next(), Some("{\"b\": 0.000000000000000000000000000001"));
    assert_eq!(parse("{\"k1\": 100.00}").k1, Some(100.0));
    // jsonb has each key once; of others the last counts.
    assert_eq!(parse("{\"candidates\": -1, \"candidates\": 5}").candidates, 5);
}

#[test]
fn what_is_no_object_is_refused() {
    for json in ["7", "null", "[1]", "\"a\"", "true", "[{}]", "", "{"] {
        assert_eq!(message(json), "options must be a JSON object", "{json}");
    }
}

#[test]
fn options_that_there_are_not_are_told_with_those_that_there_are() {
    for (json, unknown) in [
        ("{\"k\": 1}", "k"),
        ("{\"candidates\": 0, \"zz\": 1, \"y\": 2, \"x\": 3}", "x"),
        ("{\"Strategy\": \"auto\"}", "Strategy"),
        ("{\"\": 1}", ""),
        ("{\"a\\\"b\": 1}", "a\"b"),
    ] {
        let hint = "The options are strategy, candidates, vector_weight, fusion, ranking, keyword_index, k1, b, \
                    max_matches, phrases, boosts and after.";
        let expected = Refusal::invalid(format!("search option \"{unknown}\" is not known")).hint(hint);
        assert_eq!(Options::parse(Some(json)), Err(expected));
    }
}

#[test]
fn each_number_has_its_range() {
    let long = "9".repeat(200);
    for (option, most) in [("candidates", 10_000), ("max_matches", 10_000_000)] {
        let above = (most + 1).to_string();
        let values = [
            "0", "0.5", "-1", "10.5", "1e-400", "1e400", "-1e400", "null", "\"5\"", "true", "[5]", "{}", &above, &long,
        ];
        for value in values {
            let expected = format!("search option \"{option}\" must be a whole number from 1 to {most}");
            assert_eq!(message(&format!("{{\"{option}\": {value}}}")), expected, "{value}");
        }
    }
    for (option, most) in [("vector_weight", 1), ("k1", 100), ("b", 1)] {
        let above = format!("{most}.{}1", "0".repeat(100));
        for value in ["-1e-400", "-0.1", "1e400", "\"much\"", "false", "[0]", "{}", &above, &long] {
            let expected = format!("search option \"{option}\" must be a number from 0 to {most}, or null");
            assert_eq!(message(&format!("{{\"{option}\": {value}}}")), expected, "{value}");
        }
    }
}

#[test]
fn each_choice_has_its_names() {
    for (option, names) in [
        ("fusion", "\"auto\", \"max\", \"minmax\", \"zscore\", \"sigmoid\", \"rrf\""),
        ("phrases", "\"prefer\", \"require\""),
        ("ranking", "\"bm25\", \"ts_rank_cd\""),
        ("keyword_index", "\"auto\", \"gin\", \"bm25\""),
        (
            "strategy",
            "\"auto\", \"parallel\", \"keyword_first\", \"vector_first\", \"intersection\", \"keyword_only\", \
             \"vector_only\"",
        ),
    ] {
        for value in ["null", "\"best\"", "\"\"", "\"AUTO\"", "1", "[]", "[\"auto\"]", "{}"] {
            let found = message(&format!("{{\"{option}\": {value}}}"));
            assert_eq!(found, format!("search option \"{option}\" must be one of {names}"), "{value}");
        }
        for name in names.split(", ") {
            assert!(parse(&format!("{{\"{option}\": {name}}}")).to_json().contains(&format!("\"{option}\": {name}")));
        }
    }
    // Escapes are those of JSON.
    assert_eq!(parse("{\"fusion\": \"m\\u0061x\"}").fusion, Fusion::Max);
}

#[test]
fn boosts_are_an_object_and_the_place_a_pair() {
    for value in ["1", "\"a\"", "[]", "true"] {
        let found = message(&format!("{{\"boosts\": {value}}}"));
        assert_eq!(found, "search option \"boosts\" must be a JSON object, or null");
    }
    for value in
        ["0.5", "[\"0.5\", \"7\"]", "[0.5, 7]", "[0.5]", "[0.5, \"7\", 1]", "[]", "{}", "\"a\"", "[null, \"7\"]"]
    {
        let found = message(&format!("{{\"after\": {value}}}"));
        assert_eq!(found, "search option \"after\" must be an array of the score and the id of a row, or null");
    }
    for score in ["1e400", "-1e400"] {
        let message = format!("\"{score}\" is out of range for type double precision");
        let expected = Refusal::new(Kind::NumericValueOutOfRange, message);
        assert_eq!(Options::parse(Some(&format!("{{\"after\": [{score}, \"7\"]}}"))), Err(expected));
    }
    assert_eq!(parse("{\"after\": [1e-400, \"7\"]}").after, Some(After { score: 0.0, id: "7".into() }));
    assert_eq!(parse("{\"after\": [5e-324, \"7\"]}").after, Some(After { score: 5e-324, id: "7".into() }));
}

#[test]
fn of_several_errors_one_is_told() {
    let mut json = String::from("{\"unknown\": 1");
    let mut order = vec!["unknown"];
    for option in [
        "candidates",
        "max_matches",
        "vector_weight",
        "k1",
        "b",
        "fusion",
        "phrases",
        "ranking",
        "keyword_index",
        "strategy",
        "boosts",
    ] {
        json += &format!(", \"{option}\": true");
        order.push(option);
    }
    json += ", \"after\": true}";
    for option in order {
        let found = Options::parse(Some(&json)).unwrap_err().message;
        assert!(found.starts_with(&format!("search option \"{option}\"")), "{found}");
        json = json.replacen(
            &format!("\"{option}\": {}", if option == "unknown" { "1" } else { "true" }),
            "\"boosts\": null",
            1,
        );
        json = json.replacen("\"boosts\": null, ", "", 1);
    }
    assert!(message(&json).starts_with("search option \"after\""));
}

#[test]
fn the_limit_may_ask_for_more_candidates() {
    let options = parse("{\"candidates\": 50}");
    assert_eq!([None, Some(-1), Some(50), Some(10_000)].map(|limit| options.candidates(limit)), [50, 50, 50, 10_000]);
}

#[test]
fn fusion_by_what_is_known() {
    let auto = Fusion::Auto.method(Some(0.1), Some(16.0), None);
    assert_eq!(auto, Method::Convex { vector: Scale::Table(Some(0.1)), keyword: Scale::Bound(16.0) });
    let unknown = Fusion::Auto.method(None, None, None);
    assert_eq!(unknown, Method::Convex { vector: Scale::Table(None), keyword: Scale::Maximum });
    let max = Fusion::Max.method(Some(0.1), Some(16.0), None);
    assert_eq!(max, Method::Convex { vector: Scale::Maximum, keyword: Scale::Maximum });
    let calibration = Calibration { weight: 0.7, spread: 0.3, found: 0.6, searches: 20, since: 0 };
    let told = Fusion::Auto.method(Some(0.1), Some(16.0), Some(&calibration));
    let keyword = Scale::Found { bound: 16.0, typical: 0.6 };
    assert_eq!(told, Method::Convex { vector: Scale::Prominence(0.3), keyword });
    assert_eq!(Fusion::Max.method(Some(0.1), Some(16.0), Some(&calibration)), max);
    assert_eq!(Fusion::Rrf.method(None, None, None), Method::ReciprocalRank);
}

proptest! {
    #[test]
    fn any_json_is_options_or_refused(json in texts(WORDS)) {
        if let Ok(options) = Options::parse(Some(&json)) {
            prop_assert_eq!(Options::parse(Some(&options.to_json())), Ok(options));
        }
    }

    #[test]
    fn any_value_is_an_option_or_refused(option in prop::sample::select(WORDS), value in texts(WORDS)) {
        match Options::parse(Some(&format!("{{\"{option}\": {value}}}"))) {
            Ok(options) => {
                prop_assert!((1..=10_000).contains(&options.candidates));
                prop_assert!((1..=10_000_000).contains(&options.max_matches));
                for (number, most) in [(options.vector_weight, 1.0), (options.k1, 100.0), (options.b, 1.0)] {
                    prop_assert!(number.is_none_or(|number| (0.0..=most).contains(&number)));
                }
                prop_assert_eq!(Options::parse(Some(&options.to_json())), Ok(options));
            }
            Err(refusal) => {
                prop_assert!(refusal.message.contains(option) || refusal.kind == Kind::NumericValueOutOfRange);
            }
        }
    }

    #[test]
    fn any_text_is_options_or_refused(text in "\\PC{0,40}") {
        let _ = Options::parse(Some(&text));
    }

    #[test]
    fn a_place_comes_back_as_it_was_given(score: f64, id in "\\PC{0,12}") {
        prop_assume!(score.is_finite());
        let options = Options { after: Some(After { score: score + 0.0, id }), ..Options::default() };
        prop_assert_eq!(Options::parse(Some(&options.to_json())), Ok(options));
    }
}
