//! A search from its arguments to its rows.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use harca_core::search::boosts::Boosts;
use harca_core::search::calibration::Calibration;
use harca_core::search::filter;
use harca_core::search::fusion::{Fused, Method};
use harca_core::search::options::{Options, Ranking, Strategy};
use harca_core::search::page_bound::Pages;
use harca_core::search::paging::Page;
use harca_core::search::weighting::{self, Kind};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Datum;

use super::arguments::{boosted_column, check_embedding, filter_column, json_text, or_refuse, seconds};
use super::best_rows::{Candidate, Ranked};
use super::bm25_index::leg::IndexLeg;
use super::catalog;
use super::embedded_query::{self, EmbeddedQuery};
use super::kept_targets;
use super::legs::{Borrowed, Id, Leg, Scope};
use super::passages::{Reading, Span};
use super::statements::Connection;
use super::target::{Calibrated, Target, refuse};
use super::terms::{Matches, Terms};
use crate::backend::{self, Answer};
use crate::bridge::server_text::{self, ServerText};

/// What a search is asked for.
pub struct Request {
    /// The name of the target.
    pub target: String,
    /// The query.
    pub query: ServerText,
    /// Its embedding, a `vector`.
    pub embedding: Option<Datum>,
    /// Which rows, a `jsonb`.
    pub filter: Option<Datum>,
    /// How.
    pub options: Options,
    /// Which rows of the fused list.
    pub page: Page,
    /// Rows to take from each leg.
    pub candidates: usize,
    /// Whether somebody wants its rows, so that it tells what is searched for in the table.
    pub in_earnest: bool,
}

/// Characters of a query that words are read from. Classification reads fewer: what a query is about, its beginning tells, but
/// the word that finds the document may be its last.
const MOST_CHARS: usize = 16_384;
/// A word that a handful of documents have.
const LEAST_RARITY: f64 = 0.8;
/// A weight with which meaning has next to no say.
const MOST_WEIGHT: f32 = 0.2;
const NOT_EMBEDDED: &str = "the query could not be embedded";
const TOO_FEW: &str = "documents with the words of the query are too few to fill its pages";

/// What a search has found, and all that it rests on.
pub struct Outcome {
    /// What the query was taken for.
    pub answer: Answer,
    /// Its words; none where nothing is left of it.
    pub terms: Option<Rc<Terms>>,
    /// The keyword leg, where it runs on a BM25 index.
    pub index: Option<Rc<IndexLeg>>,
    /// Why a BM25 index that the table has is not taken.
    pub index_unfit: Option<String>,
    /// So many of the characters of the query were read for words, where it has more.
    pub read_chars: Option<usize>,
    /// How rare the rarest word is.
    pub rarity: f64,
    /// The weight of the vector leg.
    pub vector_weight: f32,
    /// What the searches of the table have told before.
    pub calibration: Option<Calibration>,
    /// Whether this one is learned from.
    pub(super) learns: bool,
    /// The strategy that was taken.
    pub strategy: Strategy,
    /// Why, where it was not asked for.
    pub reason: Option<&'static str>,
    /// The rows that the keyword leg has looked at in its last pass.
    pub matches: Option<Matches>,
    /// How many these were.
    pub read: u64,
    /// Its passes.
    pub passes: u32,
    /// What rows score at most that it has not looked at, by BM25.
    pub floor: f64,
    /// Whether it has stopped although other rows may be better, as those to look at were too many.
    pub incomplete: bool,
    /// The legs that ran.
    pub ran: Vec<Leg>,
    /// Whether the vector leg had to go without a vector index.
    pub exact: bool,
    /// Rows that a pass of the keyword leg reads at most.
    pub most_ranked: i64,
    /// What the keyword leg has, best first.
    pub keyword: Vec<(Id, f64)>,
    /// What the vector leg has.
    pub vector: Vec<(Id, f64)>,
    /// The same with what was read of the rows.
    pub(super) vector_rows: Vec<Candidate>,
    /// The scores of these by words, best first, once they are known.
    pub(super) words_of_vector_rows: Option<Vec<(Id, f64)>>,
    /// Similarities of rows that the keyword leg has found and the vector leg has not, perhaps in a former pass.
    pub(super) similarities_of_keyword_rows: Vec<(Id, f64)>,
    /// The passages of rows that are nearest to the query, where the target has passages.
    pub passages: HashMap<Id, Span>,
    /// What raises scores.
    pub boosts: HashMap<Id, f64>,
    /// What its steps took.
    pub times: Times,
}

/// What the steps of a search take.
#[derive(Default)]
pub struct Times {
    /// Classifying the query.
    pub classification: Duration,
    /// Reading its words, and counting the documents that have them.
    pub terms: Duration,
    /// The keyword leg.
    pub keyword_leg: Duration,
    /// The vector leg.
    pub vector_leg: Duration,
}

/// A search under way: the target, and what its arguments have become.
pub struct Search<'c> {
    /// Through which it runs.
    pub connection: &'c Connection,
    /// The table.
    pub target: Target,
    /// What is asked for.
    pub request: Request,
    /// How the query came to its embedding, where it had none.
    pub embedded: Option<EmbeddedQuery>,
    /// Which rows are searched, as SQL that begins with AND: those of the filter, that have an identifier.
    pub condition: String,
    /// The last row of the page before, its identifier in the server's encoding.
    after: Option<(f64, Id)>,
    boosts: Boosts,
}

impl<'c> Search<'c> {
    /// Reads the target and checks the arguments; an error for those that do not fit it.
    pub fn new(connection: &'c Connection, mut request: Request) -> Self {
        let target = kept_targets::find(&request.target);
        let strategy = request.options.strategy;
        let mut embedded = None;
        if let Some(embedding) = request.embedding {
            check_embedding(&target, embedding);
        } else if target.embedding_model.is_none()
            && matches!(strategy, Strategy::VectorFirst | Strategy::VectorOnly | Strategy::Intersection)
        {
            refuse(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("search strategy \"{}\" needs an embedding of the query", strategy.name()),
                None,
                Some("Pass the embedding as the third argument, register the target with an embedding_model, or use the strategy auto.".into()),
            );
        } else if strategy != Strategy::KeywordOnly {
            embedded = embedded_query::embed(&target, request.query);
            request.embedding = embedded.as_ref().and_then(|embedded| embedded.found.as_ref().ok().copied());
        }
        let json = request.filter.map(json_text);
        let mut condition = or_refuse(filter::condition(json.as_deref(), 2, "t", &target.table, |name| {
            filter_column(target.relation, name)
        }));
        condition += &target.identified;
        let boosts = or_refuse(Boosts::parse(
            request.options.boosts.as_deref(),
            &target.table,
            |name| boosted_column(target.relation, name),
            seconds,
        ));
        let after = request.options.after.as_ref().map(|after| {
            let id = catalog::server_string(&after.id).unwrap_or_default();
            (after.score, id.into_bytes().into())
        });
        Self { connection, target, request, embedded, condition, after, boosts }
    }

    /// What both legs read.
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            target: &self.target,
            condition: &self.condition,
            filter: self.request.filter,
            boosts: &self.boosts,
            candidates: self.request.candidates,
            ranking: self.request.options.ranking,
            embedding: self.request.embedding,
        }
    }

    /// Runs the legs by the strategy.
    pub fn run(&self) -> Outcome {
        let _reading = Reading::begin(self.target.passages());
        let Request { query, embedding, options, candidates, .. } = &self.request;
        let mut times = Times::default();
        let began = Instant::now();
        let answer = backend::classify(*query);
        times.classification = began.elapsed();
        let read = server_text::to_utf8(query.prefix(MOST_CHARS), MOST_CHARS);
        let began = Instant::now();
        let index = IndexLeg::of(&self.target, options, &read);
        let terms = match &index {
            Ok(index) => Some(index.terms(self.connection, &self.target, &read)),
            Err(_) => {
                let by_meaning = embedding.is_some() && options.strategy != Strategy::KeywordOnly;
                Terms::of(
                    self.connection,
                    &self.target,
                    &read,
                    options,
                    by_meaning.then(|| answer.probability("keyword")),
                )
            }
        };
        let (index, index_unfit) = index.map_or_else(|why| (None, why), |index| (Some(index), None));
        times.terms = began.elapsed();
        let rarity = terms.as_ref().map_or(0.0, Terms::rarity);
        let calibration = self.calibration();
        let (strategy, reason) = match &self.embedded {
            Some(EmbeddedQuery { found: Err(_), .. }) => (Strategy::KeywordOnly, Some(NOT_EMBEDDED)),
            _ => (options.strategy, None),
        };
        let vector_weight = match strategy {
            Strategy::KeywordOnly => 0.0,
            Strategy::VectorOnly => 1.0,
            _ => options.vector_weight.unwrap_or_else(|| self.expected_weight(&answer, rarity, calibration.as_ref()))
                as f32,
        };
        let mut outcome = Outcome {
            answer,
            rarity,
            vector_weight,
            calibration,
            learns: false,
            strategy,
            reason,
            matches: None,
            read: 0,
            passes: 0,
            floor: 0.0,
            incomplete: false,
            ran: Vec::new(),
            exact: false,
            most_ranked: options.max_matches,
            keyword: Vec::new(),
            vector: Vec::new(),
            vector_rows: Vec::new(),
            words_of_vector_rows: None,
            similarities_of_keyword_rows: Vec::new(),
            passages: HashMap::new(),
            boosts: HashMap::new(),
            terms: terms.map(Rc::new),
            index: index.map(Rc::new),
            index_unfit,
            read_chars: (read.chars().count() >= MOST_CHARS).then_some(MOST_CHARS),
            times,
        };
        if strategy == Strategy::Auto {
            outcome.choose(embedding.is_some(), *candidates);
        }
        outcome.learns = self.learns(&outcome);
        // Where both legs run, what the vector leg has found tells which rows the keyword leg need not look at.
        let vector_goes_first = outcome.strategy == Strategy::Parallel;
        if vector_goes_first {
            self.timed_vector_leg(&mut outcome);
        }
        let began = Instant::now();
        self.keyword_leg(&mut outcome);
        if outcome.reason.is_some() && outcome.strategy == Strategy::KeywordFirst && outcome.keyword.len() < *candidates
        {
            outcome.strategy = Strategy::Parallel;
            outcome.reason = Some(TOO_FEW);
        }
        outcome.times.keyword_leg = began.elapsed();
        if !vector_goes_first {
            self.timed_vector_leg(&mut outcome);
        }
        outcome.score_vector_rows(self);
        if outcome.learns {
            self.learn(&outcome);
        }
        outcome
    }

    fn timed_vector_leg(&self, outcome: &mut Outcome) {
        let began = Instant::now();
        self.vector_leg(outcome);
        outcome.times.vector_leg = began.elapsed();
    }

    /// The weight of the vector leg: the mean of the profile's weights by the probabilities of their types.
    ///
    /// By the probabilities and not by the type, which `pg_harca.min_confidence` may make unknown: doubt has moved them
    /// already. A type without a row has the target's own weight, and that of "keyword" goes over to that of "exact term"
    /// as the word is rare. What searches have told moves all but that of exact terms, as far as it moves the target's own.
    fn expected_weight(&self, answer: &Answer, rarity: f64, calibration: Option<&Calibration>) -> f64 {
        let own = f64::from(self.target.vector_weight);
        let told = calibration.filter(|_| self.target.calibrated == Calibrated::Wholly);
        let shift = told.map_or(0.0, |calibration| calibration.weight - own);
        let exact_term = self.target.weight_of("exact term");
        let labels = answer.names().labels.iter();
        let kinds: Vec<Kind> = labels
            .zip(answer.classification().scores.as_slice())
            .map(|(label, probability)| {
                let profile = self.target.weight_of(label);
                let weight = (profile.unwrap_or(own) + shift).clamp(0.0, 1.0);
                let exact_weight = match profile.and(exact_term) {
                    Some(exact) if label == "keyword" => exact,
                    _ => weight,
                };
                Kind { probability: f64::from(*probability), weight, exact_weight }
            })
            .collect();
        weighting::vector_weight(&kinds, rarity)
    }

    /// Whether meaning scores the rows of the keyword leg, too.
    pub(super) fn compares_words_by_meaning(&self, outcome: &Outcome) -> bool {
        // With `intersection`, the vector leg has all rows that count.
        self.request.embedding.is_some() && outcome.strategy != Strategy::Intersection
    }

    /// Whether the keyword leg reads the embeddings of its rows for that. Passages are looked up for the best of them.
    pub fn reads_embeddings(&self, outcome: &Outcome) -> bool {
        self.compares_words_by_meaning(outcome) && self.target.passages().is_none()
    }
}

impl Outcome {
    /// The strategy for `auto`.
    fn choose(&mut self, has_embedding: bool, candidates: usize) {
        (self.strategy, self.reason) = match &self.terms {
            _ if !has_embedding => (Strategy::KeywordOnly, Some("no embedding of the query was given")),
            None => (Strategy::VectorOnly, Some("no word of the query can be looked up")),
            Some(terms) if self.rarity >= LEAST_RARITY && self.vector_weight <= MOST_WEIGHT => {
                self.most_ranked = self.most_ranked.min(10 * candidates as i64);
                if terms.words.iter().map(|word| word.documents).sum::<u64>() < candidates as u64 {
                    (Strategy::Parallel, Some(TOO_FEW))
                } else {
                    (Strategy::KeywordFirst, Some("a word of the query is in a handful of documents"))
                }
            }
            Some(_) => (Strategy::Parallel, Some("both legs have a say")),
        };
    }

    /// How the legs are fused.
    pub fn method(&self, search: &Search<'_>) -> Method {
        let options = &search.request.options;
        let bound = match options.ranking {
            Ranking::Bm25 => self.terms.as_ref().map(|terms| terms.bound),
            Ranking::TsRankCd => None,
        };
        // Similarities have no scale where there are none.
        let deviation = if self.vector.is_empty() { None } else { search.target.statistics().similarity_deviation };
        options.fusion.method(deviation, bound, self.calibration.as_ref())
    }

    /// Takes what a pass of the keyword leg has found.
    pub(super) fn take_keyword(&mut self, search: &Search<'_>, ranked: &Ranked) {
        self.keyword = ranked.scores();
        self.boosts.extend(ranked.boosts());
        if search.compares_words_by_meaning(self) {
            let known: HashSet<&Id> =
                self.vector.iter().chain(&self.similarities_of_keyword_rows).map(|(id, _)| id).collect();
            let others = ranked.candidates.iter().filter(|row| !known.contains(&row.id));
            let scope = search.scope();
            let found = match search.target.passages() {
                None => scope.similarities_of(search.connection, others),
                Some(passages) => {
                    let ids: Vec<Id> = others.map(|row| row.id.clone()).collect();
                    scope.best_passages(search.connection, passages, &ids, &mut self.passages)
                }
            };
            self.similarities_of_keyword_rows.extend(found);
        }
    }

    /// The rows of the page, in order.
    pub fn page<'o>(&'o self, search: &'o Search<'_>) -> Vec<Fused<&'o [u8]>> {
        let factors = self.factors();
        let pages = self.pages(search, &factors);
        pages.of(self.borrowed().legs(), self.strategy == Strategy::Intersection)
    }

    /// What the legs have found.
    pub(super) fn borrowed(&self) -> Borrowed<'_> {
        let words_of_vector = self.words_of_vector_rows.as_deref().unwrap_or_default();
        Borrowed::of(&self.vector, &self.keyword, words_of_vector, &self.similarities_of_keyword_rows)
    }

    /// What boosts multiply the scores of rows by.
    pub(super) fn factors(&self) -> HashMap<&[u8], f64> {
        self.boosts.iter().map(|(id, boost)| (id.as_slice(), 1.0 + boost)).collect()
    }

    /// How the page is made.
    pub(super) fn pages<'f, 'o>(
        &'o self,
        search: &'o Search<'_>,
        factors: &'f HashMap<&'o [u8], f64>,
    ) -> Pages<'f, &'o [u8]> {
        Pages {
            vector_weight: f64::from(self.vector_weight),
            method: self.method(search),
            factors,
            most_factor: 1.0 + search.boosts.most(),
            page: search.request.page,
            after: search.after.as_ref().map(|(score, id)| (*score, id.as_slice())),
        }
    }
}
