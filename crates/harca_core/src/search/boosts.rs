//! Columns that raise the score of a row: numbers by their share of a maximum, times by how recent they are.

use crate::search::decimal::Decimal;
use crate::search::json::{Value, member};
use crate::search::refusal::{Kind as Reason, Refusal};
use crate::search::sql_text::quote_ident;

/// What age counts at most, in half-lives: what it leaves is as good as nothing.
const MOST_HALF_LIVES: f64 = 1000.0;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Numbers: the type is int2, int4, int8, float4, float8 or numeric.
    Number,
    /// Points in time: the type is date, timestamp or timestamptz.
    Time,
    /// Anything else: other types, domains among them, may have casts that are functions of whoever owns them.
    Other,
}

/// What one column adds to the boost of a row.
#[derive(Debug, Clone, PartialEq)]
struct Boost {
    column: String,
    weight: f64,
    measure: Measure,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Measure {
    /// The number that earns the whole weight.
    Max(f64),
    /// The seconds after which half of the weight is left.
    HalfLife(f64),
}

/// The columns that raise the scores of a search.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Boosts(Vec<Boost>);

impl Boosts {
    /// The boosts that a JSON object asks for: a column with `{"weight": 0.2, "max": 5}` or `{"weight": 0.2, "half_life":
    /// "30 days"}`; a weight is from 0 to 100, a max from 10⁻⁹ to 10¹⁵. `None` and an empty object are no boosts. The text
    /// is as jsonb prints it; one that is no JSON object, which the [options](crate::search::options) have refused, is no
    /// boosts either.
    ///
    /// `table` is the table's name for people. `column` finds a column by its name, all of it: a key longer than a name is
    /// no column. `half_life` gives the seconds that an interval's text means, which may be infinite; where a text means no
    /// interval, the error is its own.
    ///
    /// # Errors
    /// For a key that is no column, for a column of another kind, and for a boost that is not written as above, or has a
    /// half-life that is not above 0.
    pub fn parse(
        boosts: Option<&str>,
        table: &str,
        mut column: impl FnMut(&str) -> Option<Kind>,
        mut half_life: impl FnMut(&str) -> f64,
    ) -> Result<Self, Refusal> {
        let fields = boosts.and_then(Value::parse).and_then(Value::members).unwrap_or_default();
        let boosts = fields.into_iter().map(|(field, boost)| {
            let field = field.0;
            let kind =
                column(&field).ok_or_else(|| Refusal::no_column(&field, table, "the search option \"boosts\""))?;
            let example = match kind {
                Kind::Number => "\"max\": 5",
                Kind::Time => "\"half_life\": \"30 days\"",
                Kind::Other => {
                    let message = format!("column \"{field}\" cannot boost a search");
                    return Err(Refusal::new(Reason::DatatypeMismatch, message)
                        .hint("Name a column with numbers, dates or timestamps."));
                }
            };
            let understood = read(boost, kind, &mut half_life);
            let (weight, measure) = understood.ok_or_else(|| {
                Refusal::invalid(format!("boost by column \"{field}\" is not understood"))
                    .hint(format!("Write {{\"weight\": 0.2, {example}}}, with a weight from 0 to 100."))
            })?;
            Ok(Boost { column: field, weight, measure })
        });
        boosts.collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is no boost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many columns raise the score.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What the boost of a row can be at most.
    #[must_use]
    pub fn most(&self) -> f64 {
        self.0.iter().map(|boost| boost.weight).sum()
    }

    /// For each boost the SQL expression, of type float8, of what it is made of: the number itself, or the age in seconds
    /// when the transaction began; null where the column is. In it `alias` is the table, by the name that it has in the
    /// statement; all but the names, quoted, is qualified with pg_catalog.
    #[must_use]
    pub fn values(&self, alias: &str) -> Vec<String> {
        let value = |boost: &Boost| {
            let column = format!("{}.{}", quote_ident(alias), quote_ident(&boost.column));
            match boost.measure {
                Measure::Max(_) => format!("{column}::pg_catalog.float8"),
                Measure::HalfLife(_) => format!(
                    "(pg_catalog.date_part('epoch', pg_catalog.now()) OPERATOR(pg_catalog.-) \
                     pg_catalog.date_part('epoch', {column}::pg_catalog.timestamptz))"
                ),
            }
        };
        self.0.iter().map(value).collect()
    }

    /// The boost of a row, from what the expressions of [`Boosts::values`] gave for it, in their order: the sum of the
    /// weights, each times its number's share of max or its time's recency, which halves in a half-life. A score is
    /// multiplied by 1 and that.
    ///
    /// It is finite, and from 0. What is null, or missing, earns nothing, as does a negative number; what lies in the
    /// future earns the whole weight. NaN is more than any number, as PostgreSQL orders it.
    #[must_use]
    pub fn boost(&self, values: impl IntoIterator<Item = Option<f64>>) -> f64 {
        let earned = |(boost, value): (&Boost, Option<f64>)| {
            let share = value.map_or(0.0, |value| match boost.measure {
                Measure::Max(max) => bounded(value / max, 1.0),
                Measure::HalfLife(half_life) => {
                    // Bounded before as well: what lies infinitely far in the future is no age at all.
                    0.5_f64.powf(bounded(bounded(value, f64::INFINITY) / half_life, MOST_HALF_LIVES))
                }
            });
            boost.weight * share
        };
        self.0.iter().zip(values).map(earned).fold(0.0, |sum, earned| sum + earned)
    }
}

/// `least(most, greatest(0, value))`, as PostgreSQL has them.
fn bounded(value: f64, most: f64) -> f64 {
    if value.is_nan() { most } else { value.clamp(0.0, most) }
}

/// The weight and the measure of a boost on a column of a kind, if they are understood.
fn read(boost: Value<'_>, kind: Kind, half_life: &mut impl FnMut(&str) -> f64) -> Option<(f64, Measure)> {
    let members = boost.members()?;
    let number = |name, least, most| {
        let number = member(&members, name)?.number()?;
        number.within(&Decimal::new(least), &Decimal::new(most)).then(|| number.double())
    };
    let measure = match kind {
        Kind::Number => Measure::Max(number("max", "1e-9", "1e15")?),
        Kind::Time => {
            let seconds = half_life(&member(&members, "half_life")?.string()?);
            Some(seconds).filter(|seconds| *seconds > 0.0).map(Measure::HalfLife)?
        }
        Kind::Other => return None,
    };
    let weight = number("weight", "0", "100")?;
    (members.len() == 2).then_some((weight, measure))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::search::json::tests::texts;
    use crate::search::sql_text::tests::{Token, tokens};

    fn column(name: &str) -> Option<Kind> {
        match name {
            "stars" | "it's \"a\\" => Some(Kind::Number),
            "noted" => Some(Kind::Time),
            "content" => Some(Kind::Other),
            _ => None,
        }
    }

    /// Intervals that are a number of seconds.
    fn seconds(text: &str) -> f64 {
        text.parse().unwrap()
    }

    fn parse(json: &str) -> Result<Boosts, Refusal> {
        Boosts::parse(Some(json), "public.part", column, seconds)
    }

    fn boost(json: &str, values: &[Option<f64>]) -> f64 {
        parse(json).unwrap().boost(values.iter().copied())
    }

    const STARS: &str = "{\"stars\": {\"weight\": 0.5, \"max\": 8}}";
    const NOTED: &str = "{\"noted\": {\"weight\": 2, \"half_life\": \"60\"}}";

    #[test]
    fn no_boosts_earn_nothing() {
        for boosts in [None, Some("{}")] {
            let none = Boosts::parse(boosts, "public.part", column, seconds).unwrap();
            assert!(none.is_empty() && none.values("t").is_empty());
            assert_eq!((none.len(), none.boost([Some(1.0)])), (0, 0.0));
        }
    }

    #[test]
    fn a_number_earns_its_share_of_max() {
        for (value, expected) in [
            (Some(4.0), 0.25),
            (Some(8.0), 0.5),
            (Some(1e300), 0.5),
            (Some(f64::INFINITY), 0.5),
            (Some(f64::NAN), 0.5),
            (Some(0.0), 0.0),
            (Some(-3.0), 0.0),
            (Some(f64::NEG_INFINITY), 0.0),
            (None, 0.0),
        ] {
            assert_eq!(boost(STARS, &[value]), expected, "{value:?}");
        }
        assert_eq!(boost(STARS, &[]), 0.0);
    }

    #[test]
    fn a_time_earns_half_for_every_half_life() {
        let least = 2.0 * 0.5_f64.powi(1000);
        for (age, expected) in [
            (Some(60.0), 1.0),
            (Some(120.0), 0.5),
            (Some(0.0), 2.0),
            (Some(-1e9), 2.0),
            (Some(f64::NEG_INFINITY), 2.0),
            (Some(1e9), least),
            (Some(f64::INFINITY), least),
            (Some(f64::NAN), least),
            (None, 0.0),
        ] {
            assert_eq!(boost(NOTED, &[age]), expected, "{age:?}");
        }
        let endless = NOTED.replace("60", "inf");
        for age in [1e9, 0.0, -1.0, f64::NEG_INFINITY] {
            assert_eq!(boost(&endless, &[Some(age)]), 2.0, "{age:?}");
        }
        assert_eq!(boost(&endless, &[Some(f64::INFINITY)]), least);
    }

    #[test]
    fn columns_add_up_in_the_order_of_jsonb() {
        let both = "{\"stars\": {\"max\": 8, \"weight\": 0.5}, \"it's \\\"a\\\\\": {\"weight\": 100, \"max\": 1e15}, \
                    \"noted\": {\"weight\": 2, \"half_life\": \"60\"}}";
        let boosts = parse(both).unwrap();
        assert_eq!(boosts.len(), 3);
        assert_eq!(
            boosts.values("t"),
            [
                "(pg_catalog.date_part('epoch', pg_catalog.now()) OPERATOR(pg_catalog.-) pg_catalog.date_part('epoch', \
                 \"t\".\"noted\"::pg_catalog.timestamptz))",
                "\"t\".\"stars\"::pg_catalog.float8",
                "\"t\".\"it's \"\"a\\\"::pg_catalog.float8",
            ]
        );
        assert_eq!(boosts.boost([Some(60.0), Some(4.0), Some(5e14)]), 1.0 + 0.25 + 50.0);
        assert_eq!(boosts.boost([None, Some(4.0)]), 0.25);
    }

    #[test]
    fn a_key_that_is_no_column_is_refused() {
        let expected = Refusal::new(Reason::UndefinedColumn, "column \"nowhere\" of table public.part does not exist")
            .detail("It was given as a key of the search option \"boosts\".");
        assert_eq!(parse("{\"nowhere\": {\"weight\": 1, \"max\": 1}}"), Err(expected.clone()));
        assert_eq!(parse("{\"nowhere\": 1, \"nowhere2\": 1}"), Err(expected));
    }

    #[test]
    fn a_column_of_another_type_is_refused() {
        let expected = Refusal::new(Reason::DatatypeMismatch, "column \"content\" cannot boost a search")
            .hint("Name a column with numbers, dates or timestamps.");
        for boost in ["{\"weight\": 1, \"max\": 1}", "3"] {
            assert_eq!(parse(&format!("{{\"content\": {boost}}}")), Err(expected.clone()));
        }
    }

    #[test]
    fn a_boost_that_is_written_otherwise_is_refused() {
        let long = format!("100.{}1", "0".repeat(100));
        let stars = [
            "3",
            "null",
            "[]",
            "{}",
            "{\"weight\": 1}",
            "{\"max\": 1}",
            "{\"weight\": 1, \"max\": null}",
            "{\"weight\": null, \"max\": 1}",
            "{\"weight\": \"1\", \"max\": 1}",
            "{\"weight\": 1, \"max\": \"1\"}",
            "{\"weight\": -1, \"max\": 1}",
            "{\"weight\": 101, \"max\": 1}",
            "{\"weight\": 1, \"max\": 0}",
            "{\"weight\": 1, \"max\": -1}",
            "{\"weight\": 1, \"max\": 9.99e-10}",
            "{\"weight\": 1, \"max\": 1.1e15}",
            "{\"weight\": 1e400, \"max\": 1}",
            "{\"weight\": 1, \"max\": 1e400}",
            "{\"weight\": 1, \"half_life\": \"1\"}",
            "{\"weight\": 1, \"max\": 1, \"half_life\": \"1\"}",
            "{\"weight\": 1, \"max\": 1, \"x\": 1}",
            &format!("{{\"weight\": {long}, \"max\": 1}}"),
        ]
        .map(|boost| ("stars", boost.to_owned(), "\"max\": 5"));
        let noted = [
            "3",
            "{}",
            "{\"half_life\": \"1\"}",
            "{\"weight\": 1}",
            "{\"weight\": 1, \"half_life\": 1}",
            "{\"weight\": 1, \"half_life\": \"-1\"}",
            "{\"weight\": 1, \"half_life\": \"0\"}",
            "{\"weight\": 1, \"half_life\": \"NaN\"}",
            "{\"weight\": -1, \"half_life\": \"1\"}",
            "{\"weight\": 1, \"max\": 1}",
            "{\"weight\": 1, \"half_life\": \"1\", \"max\": 1}",
        ]
        .map(|boost| ("noted", boost.to_owned(), "\"half_life\": \"30 days\""));
        for (column, boost, example) in stars.into_iter().chain(noted) {
            let expected = Refusal::invalid(format!("boost by column \"{column}\" is not understood"))
                .hint(format!("Write {{\"weight\": 0.2, {example}}}, with a weight from 0 to 100."));
            assert_eq!(parse(&format!("{{\"{column}\": {boost}}}")), Err(expected), "{boost}");
        }
    }

    #[test]
    fn bounds_belong_to_their_ranges() {
        for boost in [
            "{\"weight\": 0, \"max\": 1e-9}",
            "{\"weight\": 100.00, \"max\": 1000000000000000}",
            "{\"weight\": 1e-400, \"max\": 5}",
        ] {
            assert!(parse(&format!("{{\"stars\": {boost}}}")).is_ok(), "{boost}");
        }
        assert_eq!(boost("{\"stars\": {\"weight\": 1e-400, \"max\": 5}}", &[Some(5.0)]), 0.0);
    }

    #[test]
    fn intervals_are_read_once_each_and_only_where_one_belongs() {
        let mut read = Vec::new();
        let boosts =
            "{\"noted\": {\"weight\": -1, \"half_life\": \"60\"}, \"stars\": {\"weight\": 1, \"half_life\": \"soon\"}}";
        let found = Boosts::parse(Some(boosts), "public.part", column, |text| {
            read.push(text.to_owned());
            60.0
        });
        assert!(found.is_err());
        assert_eq!(read, ["60"]);
    }

    const WORDS: &[&str] = &["weight", "max", "half_life", "stars", "noted"];

    proptest! {
        #[test]
        fn any_json_is_boosts_or_refused(json in texts(WORDS), half_life: f64) {
            let _ = Boosts::parse(Some(&json), "x", column, |_| half_life);
        }

        #[test]
        fn a_boost_is_a_number_from_0_to_the_weights(
            weights in [0.0f64..100.0, 0.0f64..100.0],
            max in 1e-9f64..1e15,
            half_life in prop_oneof![1e-6f64..1e12, Just(f64::INFINITY)],
            values in [prop::option::of(any::<f64>()), prop::option::of(any::<f64>())],
        ) {
            let json = format!(
                "{{\"stars\": {{\"weight\": {}, \"max\": {max}}}, \"noted\": {{\"weight\": {}, \"half_life\": \"x\"}}}}",
                weights[0], weights[1]
            );
            let boosts = Boosts::parse(Some(&json), "x", column, |_| half_life).unwrap();
            let boost = boosts.boost(values);
            prop_assert!((0.0..=weights[0] + weights[1]).contains(&boost), "{}", boost);
        }

        #[test]
        fn expressions_are_made_of_our_words_and_quoted_names_alone(name in "[\\PC'\"\\\\]{1,8}", time: bool) {
            let (kind, measure) = if time { (Kind::Time, "\"half_life\": \"1\"") } else { (Kind::Number, "\"max\": 1") };
            let json = format!("{{{}: {{\"weight\": 1, {measure}}}}}", serde_json::to_string(&name).unwrap());
            let boosts = Boosts::parse(Some(&json), "x", |_| Some(kind), seconds).unwrap();
            let words = ["pg_catalog", "date_part", "now", "OPERATOR", "timestamptz", "float8"];
            for token in boosts.values("t").iter().flat_map(|sql| tokens(sql)) {
                match token {
                    Token::Word(word) => prop_assert!(words.contains(&word.as_str())),
                    Token::Name(found) => prop_assert!(found == "t" || found == name),
                    Token::Text(text) => prop_assert_eq!(text, "epoch"),
                    Token::Parameter(_) => prop_assert!(false),
                    Token::Mark(mark) => prop_assert!(".(),:-".contains(mark)),
                }
            }
        }
    }
}
