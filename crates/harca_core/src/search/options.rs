//! The options of a search, from the JSON that a caller gives.

use crate::search::decimal::Decimal;
use crate::search::fusion::{Method, Scale};
use crate::search::json::{Members, Value, member};
use crate::search::refusal::{Kind, Refusal};

/// What is nearer to 0 counts as 0.
const NEARLY_ZERO: f64 = 5e-31;

/// Declares an option that is one of a few, each with the name that it has in JSON.
macro_rules! choice {
    ($(#[$about:meta])* $option:ident { $($(#[$meaning:meta])* $value:ident = $name:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $option {
            $($(#[$meaning])* $value,)+
        }

        impl $option {
            /// The name that it has in JSON.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }

            /// The one that has that name, which is all in lower case.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$value),)+
                    _ => None,
                }
            }
        }

        impl Choice for $option {
            const NAMES: &'static [&'static str] = &[$($name),+];

            fn named(name: &str) -> Option<Self> {
                $option::named(name)
            }
        }
    };
}

/// An option that is one of a few.
trait Choice: Sized {
    /// Their names, in the order in which they are told.
    const NAMES: &'static [&'static str];

    fn named(name: &str) -> Option<Self>;
}

choice! {
    /// Which legs run, and how.
    Strategy {
        /// The search chooses.
        Auto = "auto",
        /// Both legs, each with its own index.
        Parallel = "parallel",
        /// The keyword leg runs, and its rows are scored by the vector leg's measure as well.
        KeywordFirst = "keyword_first",
        /// The same the other way round.
        VectorFirst = "vector_first",
        /// Both legs; only rows that both have found.
        Intersection = "intersection",
        /// The keyword leg alone.
        KeywordOnly = "keyword_only",
        /// The vector leg alone.
        VectorOnly = "vector_only",
    }
}

choice! {
    /// How two legs become one score.
    Fusion {
        /// Vector scores by the table's deviation, keyword scores by what they could be.
        Auto = "auto",
        /// Both by their maximum.
        Max = "max",
        /// Both by the distance between their minimum and maximum.
        MinMax = "minmax",
        /// Both by their deviation.
        ZScore = "zscore",
        /// Both by the logistic function.
        Sigmoid = "sigmoid",
        /// Reciprocal ranks.
        Rrf = "rrf",
    }
}

choice! {
    /// What the keyword leg ranks by.
    Ranking {
        /// BM25.
        Bm25 = "bm25",
        /// PostgreSQL's `ts_rank_cd`.
        TsRankCd = "ts_rank_cd",
    }
}

choice! {
    /// What is done with what stands in quotation marks.
    Phrases {
        /// Rows with it rank higher.
        Prefer = "prefer",
        /// Only rows with it are found.
        Require = "require",
    }
}

impl Fusion {
    /// The method itself, by what is known: the standard deviation of the similarities of any two rows of the table, and
    /// the score that no document exceeds for the query. `Auto` alone uses them, and does without either.
    #[must_use]
    pub fn method(self, similarity_deviation: Option<f64>, keyword_bound: Option<f64>) -> Method {
        let both = |scale| Method::Convex { vector: scale, keyword: scale };
        match self {
            Self::Auto => Method::Convex {
                vector: Scale::Table(similarity_deviation),
                keyword: keyword_bound.map_or(Scale::Maximum, Scale::Bound),
            },
            Self::Max => both(Scale::Maximum),
            Self::MinMax => both(Scale::MinMax),
            Self::ZScore => both(Scale::ZScore),
            Self::Sigmoid => both(Scale::Sigmoid),
            Self::Rrf => Method::ReciprocalRank,
        }
    }
}

/// The place of a row in a fused list.
#[derive(Debug, Clone, PartialEq)]
pub struct After {
    /// Its score; finite.
    pub score: f64,
    /// Its id.
    pub id: String,
}

/// All options of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Which legs run.
    pub strategy: Strategy,
    /// The rows taken from each leg, from 1 to 10,000; see [`Options::candidates`].
    pub candidates: i32,
    /// The weight of the vector leg, from 0 to 1, in the place of what the profile says.
    pub vector_weight: Option<f64>,
    /// How the legs are fused.
    pub fusion: Fusion,
    /// What the keyword leg ranks by.
    pub ranking: Ranking,
    /// BM25's k1, from 0 to 100, in the place of the target's.
    pub k1: Option<f64>,
    /// BM25's b, from 0 to 1, in the place of the target's.
    pub b: Option<f64>,
    /// The rows that the keyword leg ranks at most, from 1 to 10,000,000.
    pub max_matches: i64,
    /// What is done with phrases.
    pub phrases: Phrases,
    /// What raises a score: the JSON text of an object, for [`Boosts::parse`](crate::search::boosts::Boosts::parse).
    pub boosts: Option<String>,
    /// The row that the page follows.
    pub after: Option<After>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            strategy: Strategy::Auto,
            candidates: 100,
            vector_weight: None,
            fusion: Fusion::Auto,
            ranking: Ranking::Bm25,
            k1: None,
            b: None,
            max_matches: 20_000,
            phrases: Phrases::Prefer,
            boosts: None,
            after: None,
        }
    }
}

impl Options {
    /// The options that a JSON object gives, the others being the defaults; `None` gives the defaults. The text is as
    /// jsonb prints it: any other is read as well, and what is no JSON is no object.
    ///
    /// # Errors
    /// For what is no object, for an option that there is not, and for a value of a type or range that its option does not
    /// take: of several the one that is first in the order of unknown names, whole numbers, numbers, choices, boosts and
    /// the place of the page.
    pub fn parse(json: Option<&str>) -> Result<Self, Refusal> {
        let defaults = Self::default();
        let Some(json) = json else { return Ok(defaults) };
        let given = Value::parse(json).and_then(Value::members);
        let given = given.ok_or_else(|| Refusal::invalid("options must be a JSON object"))?;
        let known = [
            "strategy",
            "candidates",
            "vector_weight",
            "fusion",
            "ranking",
            "k1",
            "b",
            "max_matches",
            "phrases",
            "boosts",
            "after",
        ];
        if let Some(unknown) = given.keys().find(|key| !known.contains(&key.0.as_str())) {
            return Err(Refusal::invalid(format!("search option \"{}\" is not known", unknown.0)).hint(
                "The options are strategy, candidates, vector_weight, fusion, ranking, k1, b, max_matches, phrases, boosts \
                 and after.",
            ));
        }
        // In the order in which errors are told.
        let candidates = whole(&given, "candidates", 10_000)?.unwrap_or(defaults.candidates);
        let max_matches = whole(&given, "max_matches", 10_000_000)?.map_or(defaults.max_matches, i64::from);
        let vector_weight = number(&given, "vector_weight", 1)?;
        let k1 = number(&given, "k1", 100)?;
        let b = number(&given, "b", 1)?;
        let fusion = choice(&given, "fusion")?.unwrap_or(defaults.fusion);
        let phrases = choice(&given, "phrases")?.unwrap_or(defaults.phrases);
        let ranking = choice(&given, "ranking")?.unwrap_or(defaults.ranking);
        let strategy = choice(&given, "strategy")?.unwrap_or(defaults.strategy);
        let boosts = present(&given, "boosts");
        if boosts.is_some_and(|boosts| boosts.type_name() != "object") {
            return Err(Refusal::invalid("search option \"boosts\" must be a JSON object, or null"));
        }
        let boosts = boosts.map(|boosts| boosts.text().to_owned());
        let after = present(&given, "after").map(place).transpose()?;
        Ok(Self { strategy, candidates, vector_weight, fusion, ranking, k1, b, max_matches, phrases, boosts, after })
    }

    /// All options as a JSON object, as jsonb would print it; [`Options::parse`] makes the same of it again.
    #[must_use]
    pub fn to_json(&self) -> String {
        let number = |number: Option<f64>| number.map_or("null".to_owned(), |number| number.to_string());
        let after = self.after.as_ref().map_or("null".to_owned(), |after| {
            format!("[{}, {}]", after.score, serde_json::Value::from(after.id.as_str()))
        });
        format!(
            "{{\"b\": {}, \"k1\": {}, \"after\": {after}, \"boosts\": {}, \"fusion\": \"{}\", \"phrases\": \"{}\", \
             \"ranking\": \"{}\", \"strategy\": \"{}\", \"candidates\": {}, \"max_matches\": {}, \"vector_weight\": {}}}",
            number(self.b),
            number(self.k1),
            self.boosts.as_deref().unwrap_or("null"),
            self.fusion.name(),
            self.phrases.name(),
            self.ranking.name(),
            self.strategy.name(),
            self.candidates,
            self.max_matches,
            number(self.vector_weight),
        )
    }

    /// The rows that a search takes from each leg: the option, or the limit where that is more.
    ///
    /// Not by the offset: another number of candidates is another normalisation, and pages would overlap.
    #[must_use]
    pub fn candidates(&self, limit: Option<i32>) -> i32 {
        limit.map_or(self.candidates, |limit| limit.max(self.candidates))
    }
}

/// The value of an option that is given, and is not null.
fn present<'a>(given: &Members<'a>, option: &str) -> Option<Value<'a>> {
    member(given, option).filter(|value| !value.is_null())
}

/// A whole number from 1, however it is written.
fn whole(given: &Members<'_>, option: &str, most: i32) -> Result<Option<i32>, Refusal> {
    let Some(value) = member(given, option) else { return Ok(None) };
    let number = value.number().filter(|number| number.is_whole() && within(number, 1, most));
    // Exact: the bounds are far below what a double tells apart.
    number
        .map(|number| Some(number.double() as i32))
        .ok_or_else(|| Refusal::invalid(format!("search option \"{option}\" must be a whole number from 1 to {most}")))
}

/// A number from 0, or null.
fn number(given: &Members<'_>, option: &str, most: i32) -> Result<Option<f64>, Refusal> {
    let Some(value) = present(given, option) else { return Ok(None) };
    let number = value.number().filter(|number| within(number, 0, most)).map(|number| number.double());
    number.map(|number| Some(if number < NEARLY_ZERO { 0.0 } else { number })).ok_or_else(|| {
        Refusal::invalid(format!("search option \"{option}\" must be a number from 0 to {most}, or null"))
    })
}

fn within(number: &Decimal<'_>, least: i32, most: i32) -> bool {
    number.within(&Decimal::new(&least.to_string()), &Decimal::new(&most.to_string()))
}

/// One of the values that have names.
fn choice<T: Choice>(given: &Members<'_>, option: &str) -> Result<Option<T>, Refusal> {
    let Some(value) = member(given, option) else { return Ok(None) };
    value.string().and_then(|name| T::named(&name)).map(Some).ok_or_else(|| {
        let names: Vec<String> = T::NAMES.iter().map(|name| format!("\"{name}\"")).collect();
        Refusal::invalid(format!("search option \"{option}\" must be one of {}", names.join(", ")))
    })
}

/// The score and the id of a row.
fn place(value: Value<'_>) -> Result<After, Refusal> {
    let parts = value.elements().unwrap_or_default();
    let parts = if let [score, id] = parts[..] { score.number().zip(id.string()) } else { None };
    let (score, id) = parts.ok_or_else(|| {
        Refusal::invalid("search option \"after\" must be an array of the score and the id of a row, or null")
    })?;
    if score.double().is_infinite() {
        let message = format!("\"{}\" is out of range for type double precision", score.text());
        return Err(Refusal::new(Kind::NumericValueOutOfRange, message));
    }
    Ok(After { score: score.double(), id })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Strategy, *};
    use crate::search::json::tests::texts;

    const WORDS: &[&str] = &[
        "strategy",
        "candidates",
        "vector_weight",
        "fusion",
        "ranking",
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
             \"vector_weight\": null}"
        );
    }

    #[test]
    fn everything_given_is_taken() {
        let json = "{\"b\": 0.25, \"k1\": 1.2, \"after\": [0.5, \"a\\\"\\n\\\\港\"], \"boosts\": {\"stars\": {\"max\": 5, \
                    \"weight\": 0.10}}, \"fusion\": \"rrf\", \"phrases\": \"require\", \"ranking\": \"ts_rank_cd\", \
                    \"strategy\": \"vector_first\", \"candidates\": 7, \"max_matches\": 10000000, \"vector_weight\": 1}";
        let options = parse(json);
        let expected = Options {
            strategy: Strategy::VectorFirst,
            candidates: 7,
            vector_weight: Some(1.0),
            fusion: Fusion::Rrf,
            ranking: Ranking::TsRankCd,
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
        assert_eq!(
            parse("{\"b\": 1e-30}").to_json().split(',').next(),
            Some("{\"b\": 0.000000000000000000000000000001")
        );
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
            let hint = "The options are strategy, candidates, vector_weight, fusion, ranking, k1, b, max_matches, phrases, \
                        boosts and after.";
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
                "0", "0.5", "-1", "10.5", "1e-400", "1e400", "-1e400", "null", "\"5\"", "true", "[5]", "{}", &above,
                &long,
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
                assert!(
                    parse(&format!("{{\"{option}\": {name}}}")).to_json().contains(&format!("\"{option}\": {name}"))
                );
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
        assert_eq!(
            [None, Some(-1), Some(50), Some(10_000)].map(|limit| options.candidates(limit)),
            [50, 50, 50, 10_000]
        );
    }

    #[test]
    fn fusion_by_what_is_known() {
        let auto = Fusion::Auto.method(Some(0.1), Some(16.0));
        assert_eq!(auto, Method::Convex { vector: Scale::Table(Some(0.1)), keyword: Scale::Bound(16.0) });
        let unknown = Fusion::Auto.method(None, None);
        assert_eq!(unknown, Method::Convex { vector: Scale::Table(None), keyword: Scale::Maximum });
        let max = Fusion::Max.method(Some(0.1), Some(16.0));
        assert_eq!(max, Method::Convex { vector: Scale::Maximum, keyword: Scale::Maximum });
        assert_eq!(Fusion::Rrf.method(None, None), Method::ReciprocalRank);
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
}
