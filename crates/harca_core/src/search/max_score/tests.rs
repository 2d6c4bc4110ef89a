use proptest::prelude::*;

use super::*;
use crate::search::bm25::{Collection, Parameters, Query, Scorer, TsVector, encoded};
use crate::search::frequency_marks::THRESHOLDS;
use crate::search::length_classes::{self, Lengths};

fn terms(documents: &[u64], total: u64) -> MaxScore {
    let collection = Collection { documents: total, average_length: None };
    MaxScore::new(documents.iter().map(|n| Term::new(collection.weight(*n), *n)).collect(), total)
}

fn has(term: usize) -> Condition {
    Condition::Has(term, 0)
}

fn both(a: usize, b: usize) -> Condition {
    Condition::All(vec![has(a), has(b)])
}

#[test]
fn a_floor_leaves_out_what_cannot_pass_it() {
    // They bring 3, 2 and 1.
    let max_score = MaxScore::new([2.0, 3.0, 1.0].map(|most| Term::new(most, 10)).into(), 1_000);
    for (floor, expected) in [
        (6.0, Condition::Never),
        (5.5, Condition::All(vec![has(1), has(0), has(2)])),
        (4.5, both(1, 0)),
        (3.5, Condition::All(vec![has(1), Condition::Any(vec![has(0), has(2)])])),
        (2.5, Condition::Any(vec![has(1), both(0, 2)])),
        (1.5, Condition::Any(vec![has(1), has(0)])),
        (0.0, Condition::Any(vec![has(1), has(0), has(2)])),
        (-1.0, Condition::Any(vec![has(1), has(0), has(2)])),
    ] {
        assert_eq!(max_score.condition(floor), expected, "{floor}");
    }
    assert!(max_score.alone(1, 2.5) && !max_score.alone(0, 2.5) && !max_score.alone(3, 0.0));
    assert_eq!(max_score.most(), 6.0);
}

#[test]
fn a_level_finds_what_the_one_before_cannot_bring() {
    let levels = vec![Level { most: 2.0, documents: 100.0 }, Level { most: 3.0, documents: 10.0 }];
    let max_score = MaxScore::new(vec![Term { levels }, Term::new(1.0, 50)], 1_000);
    assert_eq!(max_score.condition(2.5), Condition::Any(vec![both(0, 1), Condition::Has(0, 1)]));
    assert_eq!(max_score.condition(1.5), has(0));
    assert!((max_score.expected(2.5) - 10.0 - 90.0 * 0.05).abs() < 1e-9);
}

/// A word that brings 2 to short documents, 1 to others, and twice as much to those that have it often.
fn by_length(documents: u64, short: f64) -> MaxScore {
    let class = |last, share, most| {
        let levels = vec![Level { most, documents: documents as f64 }, Level { most: 2.0 * most, documents: 10.0 }];
        (Lengths { shortest: 1, last, share }, vec![Term { levels }])
    };
    MaxScore::by_length([class(Some(9), short, 2.0), class(None, 1.0 - short, 1.0)], 100_000)
}

#[test]
fn short_documents_are_told_from_others_where_that_leaves_fewer_to_read() {
    let max_score = by_length(10_000, 0.01);
    let short = Condition::All(vec![Condition::NoLonger(9), has(0)]);
    assert_eq!(max_score.condition(1.5), Condition::Any(vec![Condition::Has(0, 1), short]));
    // A list of the short ones would be longer than what it saves.
    assert_eq!(max_score.condition(2.5), Condition::Has(0, 1));
    assert_eq!((max_score.condition(4.0), max_score.most()), (Condition::Never, 4.0));
    assert_eq!(max_score.condition(0.5), has(0));
    assert_eq!(by_length(100, 0.5).condition(1.5), has(0));
    assert_eq!((MaxScore::most_classes([4, 4, 1, 1]), MaxScore::most_classes([4; 8])), (20, 1));
}

#[test]
fn expected_documents_are_those_of_words_that_meet_by_chance() {
    let max_score = terms(&[100, 10], 1_000);
    assert!((max_score.expected(0.0) - 109.0).abs() < 1e-9);
    assert!((max_score.expected(terms(&[10], 1_000).most()) - 1.0).abs() < 1e-9);
    assert_eq!(max_score.expected(max_score.most()), 0.0);
    assert_eq!(max_score.affordable(1_000.0), 0.0);
    assert!(max_score.expected(max_score.affordable(50.0)) <= 50.0);
    // At least the best combination is looked at.
    assert!((max_score.expected(max_score.affordable(0.0)) - 1.0).abs() < 1e-9);
    // Rare words are in what is left of too many.
    let higher = max_score.higher(0.0).unwrap();
    assert_eq!((max_score.condition(higher), max_score.higher(max_score.affordable(0.0))), (has(1), None));
    assert_eq!(terms(&[], 10).condition(0.0), Condition::Never);
    assert_eq!(terms(&[5], 0).affordable(0.0), 0.0);
}

#[test]
fn passes_end_when_what_is_needed_is_above_the_floor() {
    let max_score = terms(&[5_000, 10_000], 1_000_000);
    let first = max_score.first(10, 20_000);
    assert_eq!(max_score.condition(first), both(0, 1));
    assert_eq!(max_score.next(first, 56, Some(first * 1.01), 20_000), Next::Done);
    assert_eq!(max_score.next(0.0, 56, None, 20_000), Next::Done);
    // All that can score above what is needed, if these are not many times as many as before.
    assert_eq!(max_score.next(first, 1_000, Some(first * 0.9), 20_000), Next::Pass(first * 0.9 * (1.0 - ROUNDING)));
    let Next::Pass(lower) = max_score.next(first, 3, Some(0.1), 20_000) else { panic!("a pass") };
    assert!(max_score.condition(lower) == has(0));
    // Too many are looked at only where a page would stay empty.
    assert_eq!(max_score.next(lower, 5_000, Some(0.1), 7_000), Next::TooMany);
    assert_eq!(max_score.next(lower, 5_000, None, 7_000), Next::Pass(0.0));
}

#[test]
fn a_long_query_has_a_short_condition() {
    let max_score = terms(&(1..=40).map(|n| n * 1_000).collect::<Vec<_>>(), 1_000_000);
    let by_frequency = |n: u64| Term::by_frequency(|frequency| frequency.map_or(3.0, f64::from) * n as f64, n);
    for max_score in [max_score, MaxScore::new((50..90).map(by_frequency).collect(), 1_000)] {
        for share in 0..100 {
            let condition = max_score.condition(max_score.most() * f64::from(share) / 100.0);
            assert!(format!("{condition:?}").matches("Has").count() <= 96);
        }
    }
}

/// The best documents by brute force.
fn best(documents: &[(f64, usize)], wanted: usize) -> Vec<(f64, usize)> {
    let mut ranked: Vec<_> = documents.iter().copied().filter(|(score, _)| *score > 0.0).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    ranked.truncate(wanted);
    ranked
}

/// A search of a small table for some of the words a to g.
#[derive(Debug)]
struct Case {
    /// For each document, how often it has each of the words.
    documents: Vec<[u16; 7]>,
    /// Words, and how often the query has each.
    query: Vec<(usize, u32)>,
    parameters: Parameters,
    average_length: Option<f64>,
    /// How many documents have each word, by statistics of whatever time.
    counts: [u64; 7],
    /// What documents earn that have both of two words, as if they were a phrase.
    phrase: Option<(f64, usize, usize)>,
    /// Whether the index knows frequencies.
    marked: bool,
    /// The average length and the number of classes by which the index tells lengths apart.
    classes: (f64, usize),
    wanted: usize,
}

/// Numbers in a fixed order that look drawn: SplitMix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % limit
    }

    fn share(&mut self) -> f64 {
        self.below(1_001) as f64 / 1_000.0
    }

    fn case(&mut self) -> Case {
        let documents: Vec<[u16; 7]> = (0..=self.below(20))
            .map(|_| std::array::from_fn(|_| [0, 0, 0, 1, 1, 2, 1 + self.below(40) as u16][self.below(7) as usize]))
            .collect();
        let fresh = self.below(2) == 0;
        let counts = std::array::from_fn(|word| match fresh {
            true => documents.iter().filter(|document| document[word] > 0).count() as u64,
            false => self.below(40),
        });
        let words: Vec<usize> = (0..7).filter(|_| self.below(2) == 0).collect();
        Case {
            query: words.into_iter().map(|word| (word, 1 + self.below(2) as u32)).collect(),
            parameters: Parameters::new(3.0 * self.share(), self.share()).unwrap(),
            average_length: (self.below(4) > 0).then(|| 1.0 + 60.0 * self.share()),
            counts,
            phrase: (self.below(3) == 0)
                .then(|| (0.1 + 4.0 * self.share(), self.below(7) as usize, self.below(7) as usize)),
            marked: self.below(2) == 0,
            classes: (1.0 + 100.0 * self.share(), [1, 5, 14][self.below(3) as usize]),
            wanted: 1 + self.below(8) as usize,
            documents,
        }
    }
}

/// Searches as the keyword leg does, and by brute force.
fn search(case: &Case) -> [Vec<(f64, usize)>; 2] {
    const WORDS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
    let Case { documents, query, wanted, .. } = case;
    let total = documents.len() as u64;
    let collection = Collection { documents: total, average_length: case.average_length };
    let words = query.iter().map(|(word, often)| (WORDS[*word].as_bytes(), *often, case.counts[*word]));
    let scorer = Scorer::decode(&Query::new(collection, case.parameters, words).encode()).unwrap();
    let has_phrase = |n: usize| case.phrase.is_some_and(|(_, a, b)| documents[n][a] > 0 && documents[n][b] > 0);
    let phrase_weight = case.phrase.map_or(0.0, |(weight, ..)| weight);
    let score = |n: usize| {
        let words = WORDS.iter().zip(documents[n]).filter(|(_, often)| *often > 0);
        let bytes = encoded(&words.map(|(word, often)| (*word, Some(often))).collect::<Vec<_>>());
        scorer.score(&TsVector::new(&bytes).unwrap()) + if has_phrase(n) { phrase_weight } else { 0.0 }
    };
    let scores: Vec<(f64, usize)> = (0..documents.len()).map(|n| (score(n), n)).collect();
    let term = |word: usize, shortest: u64| match case.marked {
        true => {
            let most = |frequency| scorer.most(WORDS[word].as_bytes(), frequency, shortest);
            Term::by_frequency(most, case.counts[word])
        }
        false => Term::new(scorer.most(WORDS[word].as_bytes(), None, shortest), case.counts[word]),
    };
    let terms = |shortest: u64| -> Vec<Term> {
        let phrase = case.phrase.map(|(weight, ..)| Term::new(weight, 1));
        query.iter().map(|(word, _)| term(*word, shortest)).chain(phrase).collect()
    };
    let (average, most) = case.classes;
    let most = most.min(MaxScore::most_classes(terms(1).iter().map(|term| term.levels.len())));
    let classes = Lengths::around(average, most).into_iter().map(|lengths| (lengths, terms(lengths.shortest)));
    let max_score = MaxScore::by_length(classes, total);

    let mut floor = max_score.first(1, 3);
    loop {
        let condition = max_score.condition(floor);
        let least = |level: usize| level.checked_sub(1).map_or(1, |mark| THRESHOLDS[mark] as u16);
        let has = |term: usize, level: usize, n: usize| {
            query.get(term).map_or(has_phrase(n), |(word, _)| documents[n][*word] >= least(level))
        };
        let class = |n: usize| length_classes::class(documents[n].into_iter().map(u64::from).sum());
        let met = |n: usize| condition.met(&|term, level| has(term, level, n), &|last| class(n) <= last);
        let looked_at: Vec<_> = scores.iter().copied().filter(|(_, n)| met(*n)).collect();
        let found = best(&looked_at, *wanted);
        let needed = (found.len() == *wanted).then(|| found[wanted - 1].0);
        match max_score.next(floor, looked_at.len() as u64, needed, u64::MAX) {
            Next::Pass(lower) if lower < floor => floor = lower,
            Next::Done => return [found, best(&scores, *wanted)],
            odd => panic!("{odd:?} after {floor}"),
        }
    }
}

#[test]
fn the_best_documents_of_a_hundred_thousand_searches_are_those_of_brute_force() {
    let mut draw = Draw(17);
    for n in 0..100_000 {
        let case = draw.case();
        let [found, expected] = search(&case);
        assert_eq!(found, expected, "search {n}: {case:?}");
    }
}

proptest! {
    #[test]
    fn a_condition_finds_all_that_can_pass_the_floor(
        levels in prop::collection::vec(prop::collection::vec((0.0f64..9.0, 0.0f64..1_000.0), 1..4), 0..14),
        share in 0.0f64..1.0,
        document in prop::collection::vec(0usize..4, 14),
    ) {
        let levels: Vec<Vec<Level>> = levels.into_iter().map(|mut levels| {
            levels.sort_by(|a, b| a.0.total_cmp(&b.0));
            levels.into_iter().map(|(most, documents)| Level { most, documents }).collect()
        }).collect();
        let max_score = MaxScore::new(levels.iter().map(|levels| Term { levels: levels.clone() }).collect(), 1_000);
        let floor = share * max_score.most();
        // The highest level that finds the document, counted from 1.
        let most: f64 = levels.iter().zip(&document).map(|(levels, level)| {
            level.min(&levels.len()).checked_sub(1).map_or(0.0, |level| levels[level].most)
        }).sum();
        let met = max_score.condition(floor).met(&|term, level| document[term].min(levels[term].len()) > level, &|_| false);
        prop_assert!(met || most <= floor * (1.0 + ROUNDING) + 1e-12, "{most} {floor}");
        let floor = max_score.affordable(100.0);
        prop_assert!(max_score.expected(floor) <= 100.0 + 1e-6 || max_score.lower(f64::INFINITY) > floor);
    }
}
