//! What the keyword leg reads in a query: its words and how many documents have each, its phrases, and how to rank by them.
#![allow(unsafe_code)]

use std::cell::OnceCell;

use harca_core::search::bm25::{Collection, Parameters, Query, Scorer, TsVector};
use harca_core::search::frequency_marks::{self, THRESHOLDS, UNMARKED};
use harca_core::search::length_classes::{self, Lengths};
use harca_core::search::max_score::{Condition, MaxScore, Term};
use harca_core::search::options::{Options, Ranking};
use harca_core::search::weighting;
use harca_core::text::phrase;
use pgrx::pg_sys::{self, Datum, Oid};
use smallvec::SmallVec;

use super::catalog;
use super::statements::{Connection, Parameter, detoasted};
use super::target::Target;
use crate::bridge::server_text;

/// Documents of a word that are counted at most: what the statistics do not hold is rare, or new.
const MOST_COUNTED: i64 = 1000;

/// So few documents with a word are read as fast as they are told apart.
const FEW_DOCUMENTS: u64 = 50;
/// So many documents with the words of a query take longer to read than to tell apart by their lengths.
const MANY_DOCUMENTS: u64 = 200;

/// A word as a configuration writes it, in the server's encoding; few are longer than what needs no allocation.
pub type Lexeme = SmallVec<[u8; 24]>;

/// A word of a query.
pub struct Word {
    /// The lexeme.
    pub lexeme: Lexeme,
    /// How often the query has it.
    pub(super) frequency: u32,
    /// How many documents have it.
    pub documents: u64,
}

/// A phrase of a query.
pub struct Phrase {
    /// What matches it, a `tsquery`.
    pub query: Datum,
    /// How many documents have it.
    pub(super) documents: u64,
    /// What it adds to the score of a document that has it.
    pub weight: f64,
}

impl Phrase {
    /// What matches it, as PostgreSQL writes it.
    pub fn text(&self) -> String {
        server_text::to_utf8(&tsquery_text(self.query), usize::MAX).into_owned()
    }

    /// What matches it, in the input syntax of `tsquery`, as a part of another one.
    fn operand(&self) -> Vec<u8> {
        [b"(", &tsquery_text(self.query)[..], b")"].concat()
    }
}

/// The words and phrases of a query.
pub struct Terms {
    /// Words in the order of the query.
    pub words: Vec<Word>,
    /// What is known of the table's documents.
    pub(super) collection: Collection,
    /// What stands in quotation marks.
    pub phrases: Vec<Phrase>,
    /// Scores documents by the words, once one has to be; and by what.
    pub(super) scorer: OnceCell<Option<Scorer>>,
    pub(super) parameters: Parameters,
    /// How much the query is one for an exact term, where meaning ranks as well and nobody has set k1; else 0.
    pub(super) exactness: f64,
    /// What no document's score exceeds, phrases included.
    pub bound: f64,
    /// What documents can score by which of the words and phrases they have; phrases come behind the words. Nothing where
    /// the keyword leg runs on a BM25 index, which knows by itself.
    pub max_score: MaxScore,
    /// Whether row-level security hides rows: then no index on the words is used, and every pass goes through the table.
    pub hidden: bool,
    /// Any of the words, a `tsquery`, for `ts_rank_cd`.
    pub wanted: Option<Datum>,
}

/// Which rows the keyword leg looks at.
pub struct Matches {
    /// What they match, a `tsquery`.
    pub query: Datum,
    /// For each word, whether rows are looked at that have no other one.
    pub looked_up: Vec<bool>,
}

impl Matches {
    /// What they match, as PostgreSQL writes it.
    pub fn text(&self) -> String {
        server_text::to_utf8(&tsquery_text(self.query), usize::MAX).into_owned()
    }
}

impl Terms {
    /// Those of a query; none when the configurations leave nothing of it. Where meaning ranks as well, `keyword` is how probably
    /// the query is one of keywords.
    pub fn of(
        connection: &Connection,
        target: &Target,
        query: &str,
        options: &Options,
        keyword: Option<f64>,
    ) -> Option<Self> {
        let configs = [target.query_config, target.config].into_iter();
        let found = configs.map(|config| words(config, query)).find(|words| !words.is_empty())?;
        let hidden = catalog::hides_rows(target.relation);
        let mut counts: Vec<Option<u64>> = vec![None; found.len()];
        if !hidden {
            common_terms(connection, target, &found, &mut counts);
        }
        let unknown: Vec<usize> = (0..counts.len()).filter(|n| counts[*n].is_none()).collect();
        let queries: Vec<Datum> = unknown.iter().map(|n| tsquery(&quoted_lexeme(&found[*n].0))).collect();
        let mut total = target.statistics().documents.unwrap_or(0);
        if !queries.is_empty() {
            let (documents, seen) = count_documents(connection, target, hidden, &queries);
            unknown.iter().zip(documents).for_each(|(n, documents)| counts[*n] = Some(documents));
            total = seen.unwrap_or(total);
        }
        if total == 0 {
            // No statistics yet, or of an empty table.
            total = rows_by_activity(connection, target);
        }
        let counts: Vec<u64> = counts.into_iter().map(Option::unwrap_or_default).collect();
        let total = total.max(counts.iter().copied().max().unwrap_or(0));

        let collection = Collection { documents: total, average_length: target.statistics().average_length };
        let words: Vec<Word> = found
            .into_iter()
            .zip(counts)
            .map(|((lexeme, frequency), documents)| Word { lexeme, frequency, documents })
            .collect();
        // The bounds of both are checked where they are set.
        let parameters = Parameters::new(options.k1.unwrap_or(target.k1), options.b.unwrap_or(target.b))?;
        let keyword = keyword.filter(|_| options.k1.is_none()).unwrap_or(0.0);
        let exactness = weighting::exactness(rarity(&words), keyword);
        let scorer = scorer(&words, collection, parameters.beside_meaning(exactness))?;
        // What stands in quotation marks is one more thing to look for, and counts as the rare thing that it is.
        let queries: Vec<Datum> =
            phrase::quoted(query).filter_map(|phrase| phrase_query(target.config, phrase)).collect();
        let mut phrases = Vec::new();
        if !queries.is_empty() {
            let (documents, _) = count_documents(connection, target, hidden, &queries);
            phrases = queries
                .into_iter()
                .zip(documents)
                .map(|(query, documents)| Phrase { query, documents, weight: collection.weight(documents) })
                .collect();
        }
        let max_score = max_score(target, &words, &phrases, &scorer, collection);
        let wanted = (options.ranking == Ranking::TsRankCd).then(|| any_of(&words));
        Some(Self {
            bound: scorer.bound() + phrases.iter().map(|phrase| phrase.weight).sum::<f64>(),
            words,
            collection,
            phrases,
            scorer: Some(scorer).into(),
            parameters,
            exactness,
            max_score,
            hidden,
            wanted,
        })
    }

    /// How many documents the table has, as far as is known.
    pub fn documents(&self) -> u64 {
        self.collection.documents
    }

    /// Scores documents by the words; none where these cannot be told apart. A search on a BM25 index may do without.
    pub fn scorer(&self) -> Option<&Scorer> {
        self.scorer.get_or_init(|| self.scorer_with(self.parameters)).as_ref()
    }

    /// Scores by the words with other parameters of the target.
    pub fn scorer_with(&self, parameters: Parameters) -> Option<Scorer> {
        scorer(&self.words, self.collection, parameters.beside_meaning(self.exactness))
    }

    /// The parameters of BM25 by which the query ranks.
    pub fn parameters(&self) -> Parameters {
        self.parameters.beside_meaning(self.exactness)
    }

    /// How rare the rarest word is, from 0 to 1.
    pub fn rarity(&self) -> f64 {
        rarity(&self.words)
    }

    /// The rows that can score above a floor.
    pub fn above(&self, floor: f64) -> Matches {
        let mut query = Vec::new();
        self.write(&self.max_score.condition(floor), &mut query);
        let looked_up = (0..self.words.len()).map(|n| self.max_score.alone(n, floor)).collect();
        Matches { query: tsquery(&query), looked_up }
    }

    /// The rows with all of the phrases.
    pub fn with_phrases(&self) -> Matches {
        Matches { query: all_phrases(&self.phrases), looked_up: vec![false; self.words.len()] }
    }

    /// Writes a condition in the input syntax of `tsquery`.
    fn write(&self, condition: &Condition, query: &mut Vec<u8>) {
        let (parts, operator) = match condition {
            Condition::Never => return,
            Condition::Has(term, level) => return query.extend(self.operand(*term, *level)),
            Condition::NoLonger(class) => return query.extend(any_mark(&length_classes::no_longer_than(*class))),
            Condition::All(parts) => (parts, &b" & "[..]),
            Condition::Any(parts) => (parts, &b" | "[..]),
        };
        query.push(b'(');
        for (n, part) in parts.iter().enumerate() {
            if n > 0 {
                query.extend(operator);
            }
            self.write(part, query);
        }
        query.push(b')');
    }

    /// A word or, behind these, a phrase in the input syntax of `tsquery`; of a word, what finds a level of it.
    fn operand(&self, term: usize, level: usize) -> Vec<u8> {
        let Some(word) = self.words.get(term) else {
            return self.phrases.get(term - self.words.len()).map(Phrase::operand).unwrap_or_default();
        };
        let mark = level.checked_sub(1).and_then(|mark| frequency_marks::mark(&word.lexeme, THRESHOLDS[mark]));
        match mark {
            Some(mark) => any_mark(&[mark]),
            None => quoted_lexeme(&word.lexeme),
        }
    }
}

/// The bounds of documents by what the index tells of them.
fn max_score(target: &Target, words: &[Word], phrases: &[Phrase], scorer: &Scorer, collection: Collection) -> MaxScore {
    let marked = target.marked();
    // A word that is too long for its marks is not told apart by frequency, and a rare one need not be.
    let has_marks = |word: &Word| frequency_marks::mark(&word.lexeme, THRESHOLDS[0]).is_some();
    let by_frequency: Vec<bool> =
        words.iter().map(|word| marked && word.documents > FEW_DOCUMENTS && has_marks(word)).collect();
    let terms = |shortest: u64| -> Vec<Term> {
        let term = |(word, by_frequency): (&Word, &bool)| {
            let most = |frequency| scorer.most(&word.lexeme, frequency, shortest);
            match by_frequency {
                true => Term::by_frequency(most, word.documents),
                false => Term::new(most(None), word.documents),
            }
        };
        let phrases = phrases.iter().map(|phrase| Term::new(phrase.weight, phrase.documents));
        words.iter().zip(&by_frequency).map(term).chain(phrases).collect()
    };
    let any = terms(1);
    let documents: u64 = words.iter().map(|word| word.documents).sum();
    match collection.average_length {
        Some(average) if marked && documents > MANY_DOCUMENTS => {
            let most = MaxScore::most_classes(any.iter().map(|term| term.levels.len()));
            let classes = Lengths::around(average, most).into_iter().map(|lengths| (lengths, terms(lengths.shortest)));
            MaxScore::by_length(classes, collection.documents)
        }
        _ => MaxScore::new(any, collection.documents),
    }
}

fn rarity(words: &[Word]) -> f64 {
    weighting::rarity(words.iter().map(|word| word.documents))
}

fn scorer(words: &[Word], collection: Collection, parameters: Parameters) -> Option<Scorer> {
    let terms = words.iter().map(|word| (word.lexeme.as_slice(), word.frequency, word.documents));
    Scorer::decode(&Query::new(collection, parameters, terms).encode())
}

/// The lexemes that a configuration makes of a text, in their order, and how often each comes.
pub(super) fn words(config: Oid, text: &str) -> Vec<(Lexeme, u32)> {
    let document = to_tsvector(config, text);
    // SAFETY: a `tsvector` that was made a moment ago.
    let bytes = unsafe { detoasted(document) };
    let document = TsVector::new(bytes);
    let words = document.map(|document| document.words()).unwrap_or_default();
    words.into_iter().map(|(lexeme, frequency)| (lexeme.into(), frequency)).collect()
}

fn to_tsvector(config: Oid, text: &str) -> Datum {
    // SAFETY: a function of the server's with these arguments.
    unsafe {
        pg_sys::OidFunctionCall2Coll(
            pg_sys::F_TO_TSVECTOR_REGCONFIG_TEXT.into(),
            pg_sys::DEFAULT_COLLATION_OID,
            config.into(),
            server_text::from_utf8(text),
        )
    }
}

/// A word that is no phrase.
const OTHER: &str = "zqzq";

/// The query for a phrase; none where it has no word, of which the server's function would give notice, or only stop words,
/// which count where there is nothing else and so in no document.
pub(super) fn phrase_query(config: Oid, phrase: &str) -> Option<Datum> {
    let beside_others = words(config, &format!("{phrase} {OTHER}"));
    if beside_others.iter().all(|(lexeme, _)| lexeme.as_slice() == OTHER.as_bytes()) {
        return None;
    }
    // SAFETY: as above.
    Some(unsafe {
        pg_sys::OidFunctionCall2Coll(
            pg_sys::F_PHRASETO_TSQUERY_REGCONFIG_TEXT.into(),
            pg_sys::DEFAULT_COLLATION_OID,
            config.into(),
            server_text::from_utf8(phrase),
        )
    })
}

/// A lexeme in the input syntax of `tsquery`, in which a backslash escapes.
fn quoted_lexeme(lexeme: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in lexeme {
        if matches!(byte, b'\\' | b'\'') {
            quoted.push(*byte);
        }
        quoted.push(*byte);
    }
    quoted.push(b'\'');
    quoted
}

/// What finds the documents with any of some marks and those that have none, in the input syntax of `tsquery`.
fn any_mark(marks: &[Vec<u8>]) -> Vec<u8> {
    let marks = marks.iter().map(Vec::as_slice).chain([UNMARKED]).map(quoted_lexeme).collect::<Vec<_>>();
    [b"(", &marks.join(&b" | "[..])[..], b")"].concat()
}

/// A `tsquery` from its input syntax.
fn tsquery(text: &[u8]) -> Datum {
    let text = std::ffi::CString::new(text).unwrap_or_default();
    // SAFETY: the input function of the type, with a string.
    unsafe {
        pg_sys::OidInputFunctionCall(pg_sys::F_TSQUERYIN.into(), text.as_ptr().cast_mut(), pg_sys::InvalidOid, -1)
    }
}

/// A `tsquery` in its input syntax.
fn tsquery_text(query: Datum) -> Vec<u8> {
    // SAFETY: the output function of the type gives a string.
    unsafe { std::ffi::CStr::from_ptr(pg_sys::OidOutputFunctionCall(pg_sys::F_TSQUERYOUT.into(), query)) }
        .to_bytes()
        .into()
}

/// Any of some words, a `tsquery`.
pub(super) fn any_of(words: &[Word]) -> Datum {
    let words: Vec<Vec<u8>> = words.iter().map(|word| quoted_lexeme(&word.lexeme)).collect();
    tsquery(&words.join(&b" | "[..]))
}

/// All of some phrases, a `tsquery`.
pub(super) fn all_phrases(phrases: &[Phrase]) -> Datum {
    let phrases: Vec<Vec<u8>> = phrases.iter().map(Phrase::operand).collect();
    tsquery(&phrases.join(&b" & "[..]))
}

/// A text in the server's encoding.
pub(super) fn server_bytes(text: &str) -> Vec<u8> {
    // SAFETY: a `text` that was made a moment ago.
    unsafe { detoasted(server_text::from_utf8(text)) }.to_vec()
}

/// Fills in what the statistics know of the words.
fn common_terms(connection: &Connection, target: &Target, words: &[(Lexeme, u32)], counts: &mut [Option<u64>]) {
    // Word by word, through the index: a join would read all common words.
    const SQL: &str = "SELECT w.place, c.documents FROM pg_catalog.unnest($2) WITH ORDINALITY AS w (lexeme, place) \
        CROSS JOIN LATERAL (SELECT c.documents FROM harca.common_term AS c \
        WHERE c.target OPERATOR(pg_catalog.=) $1 AND c.lexeme OPERATOR(pg_catalog.=) w.lexeme LIMIT 1) AS c";
    let lexemes = words.iter().map(|(lexeme, _)| server_text::from_bytes(lexeme));
    let parameters = [Parameter::text(&target.name), Parameter::array(pg_sys::TEXTARRAYOID, pg_sys::TEXTOID, lexemes)];
    connection.each(SQL, &parameters, |row| {
        let place = row.big_int(0).and_then(|place| usize::try_from(place - 1).ok());
        if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
            *count = row.big_int(1).and_then(|n| u64::try_from(n).ok());
        }
    });
}

/// How many rows that the current user sees match each of the queries, up to [`MOST_COUNTED`]. Where row-level security
/// hides rows, all matches are counted, and also how many documents there are for the user.
pub(super) fn count_documents(
    connection: &Connection,
    target: &Target,
    hidden: bool,
    queries: &[Datum],
) -> (Vec<u64>, Option<u64>) {
    let Target { table, document, .. } = target;
    let indexed = target.indexed();
    let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let parameter = Parameter::array(pg_sys::TSQUERYARRAYOID, pg_sys::TSQUERYOID, queries.iter().copied());
    if hidden {
        // Behind a policy no index on the tsvector is used: one scan for all words.
        let filters: String = (1..=queries.len())
            .map(|n| format!("pg_catalog.count(*) FILTER (WHERE t.{document} OPERATOR(pg_catalog.@@) ($1)[{n}]), "))
            .collect();
        let sql = format!("SELECT {filters}pg_catalog.count(t.{document}) FROM {table} AS t");
        let mut counts = Vec::new();
        connection.each(&sql, &[parameter], |row| {
            counts = (0..=queries.len()).map(|n| count(row.big_int(n))).collect();
        });
        let total = counts.pop();
        return (counts, total);
    }
    let sql = format!(
        "SELECT (SELECT pg_catalog.count(*) FROM (SELECT FROM {table} AS t WHERE {indexed} OPERATOR(pg_catalog.@@) w.word \
         LIMIT {MOST_COUNTED}) AS found) FROM pg_catalog.unnest($1) WITH ORDINALITY AS w (word, place) ORDER BY w.place"
    );
    let mut counts = Vec::new();
    connection.each(&sql, &[parameter], |row| counts.push(count(row.big_int(0))));
    (counts, None)
}

/// The rows of the table by PostgreSQL's statistics, or by its planner where these know nothing.
fn rows_by_activity(connection: &Connection, target: &Target) -> u64 {
    const SQL: &str = "SELECT GREATEST(a.live, a.planned) FROM harca.table_activity($1) AS a";
    let mut rows = None;
    connection.each(SQL, &[Parameter(pg_sys::REGCLASSOID, Some(target.relation.into()))], |row| rows = row.big_int(0));
    rows.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0)
}
