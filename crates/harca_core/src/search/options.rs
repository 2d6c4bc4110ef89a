//! The options of a search, from the JSON that a caller gives.

use crate::search::calibration::Calibration;
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

choice! {
    /// Which index the keyword leg runs on.
    KeywordIndex {
        /// A BM25 index where there is one that fits, else the index of the `tsvector`.
        Auto = "auto",
        /// That of the `tsvector`.
        Gin = "gin",
        /// A BM25 index.
        Bm25 = "bm25",
    }
}

impl Fusion {
    /// The method itself, by what is known: the standard deviation of the similarities of any two rows of the table, and
    /// the score that no document exceeds for the query; and what the searches of the table have told of scores. `Auto`
    /// alone uses them, and does without any.
    #[must_use]
    pub fn method(
        self,
        similarity_deviation: Option<f64>,
        keyword_bound: Option<f64>,
        calibration: Option<&Calibration>,
    ) -> Method {
        let both = |scale| Method::Convex { vector: scale, keyword: scale };
        match self {
            Self::Auto => Method::Convex {
                vector: calibration
                    .map_or(Scale::Table(similarity_deviation), |calibration| Scale::Prominence(calibration.spread)),
                keyword: match (keyword_bound, calibration) {
                    (Some(bound), Some(calibration)) => Scale::Found { bound, typical: calibration.found },
                    (Some(bound), None) => Scale::Bound(bound),
                    (None, _) => Scale::Maximum,
                },
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
    /// Which index the keyword leg runs on.
    pub keyword_index: KeywordIndex,
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
            keyword_index: KeywordIndex::Auto,
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
            "keyword_index",
            "k1",
            "b",
            "max_matches",
            "phrases",
            "boosts",
            "after",
        ];
        if let Some(unknown) = given.keys().find(|key| !known.contains(&key.0.as_str())) {
            return Err(Refusal::invalid(format!("search option \"{}\" is not known", unknown.0)).hint(
                "The options are strategy, candidates, vector_weight, fusion, ranking, keyword_index, k1, b, max_matches, \
                 phrases, boosts and after.",
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
        let keyword_index = choice(&given, "keyword_index")?.unwrap_or(defaults.keyword_index);
        let strategy = choice(&given, "strategy")?.unwrap_or(defaults.strategy);
        let boosts = present(&given, "boosts");
        if boosts.is_some_and(|boosts| boosts.type_name() != "object") {
            return Err(Refusal::invalid("search option \"boosts\" must be a JSON object, or null"));
        }
        let boosts = boosts.map(|boosts| boosts.text().to_owned());
        let after = present(&given, "after").map(place).transpose()?;
        Ok(Self {
            strategy,
            candidates,
            vector_weight,
            fusion,
            ranking,
            keyword_index,
            k1,
            b,
            max_matches,
            phrases,
            boosts,
            after,
        })
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
             \"ranking\": \"{}\", \"strategy\": \"{}\", \"candidates\": {}, \"max_matches\": {}, \"keyword_index\": \"{}\", \
             \"vector_weight\": {}}}",
            number(self.b),
            number(self.k1),
            self.boosts.as_deref().unwrap_or("null"),
            self.fusion.name(),
            self.phrases.name(),
            self.ranking.name(),
            self.strategy.name(),
            self.candidates,
            self.max_matches,
            self.keyword_index.name(),
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
mod tests;
