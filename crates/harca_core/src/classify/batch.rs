//! Many texts in few runs of a session, each of texts of like length; [`Classifier::begin_batch`] is its door.
//!
//! By ONNX Runtime, a run of a small graph costs a fixed sum, 19 µs for the 52 nodes of the shipped model, and then so
//! much for each text and each of its padded ids. Texts are therefore ordered by length before they are cut into runs,
//! so that little is padding, and a run is as large as the caches bear, which the batches find out as they go.
//!
//! [`Classifier::begin_batch`]: crate::classify::classifier::Classifier::begin_batch

mod pace;

use std::time::Duration;

use crate::classify::classification::{Classification, Scores};
use crate::classify::encode::Encoded;
use pace::Pace;

/// Most texts of one batch: enough that those of one length fill a run, and few enough to be kept encoded.
pub const MAX_TEXTS: usize = 1024;

/// A batch that holds this many ids (1 MB) takes no more texts; 1,024 queries of mixed lengths have half as many.
const MAX_IDS: usize = 1 << 18;

/// What one run of the session did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunReport {
    /// Texts it classified.
    pub rows: usize,
    /// Time it took, without the encoding of the texts.
    pub elapsed: Duration,
}

/// The texts of a batch, encoded, and what is known of them so far.
///
/// Its buffers are kept for the next batch. They are bounded by [`MAX_TEXTS`], [`MAX_IDS`] and the size of a run, or by
/// one text where that is larger.
#[derive(Default)]
pub(crate) struct Batch {
    /// One answer per text: at first the one for a text with nothing to search for, which knows its language.
    answers: Vec<Classification>,
    /// The texts that a run has to answer, in the order of the runs.
    lines: Vec<Line>,
    /// The features and then the tokens of each line.
    ids: Vec<i32>,
    /// The lines before this one are answered.
    next: usize,
    /// The lines of the present run, padded.
    features: Vec<i32>,
    tokens: Vec<i32>,
    rows: usize,
    most_rows: usize,
    /// Padded ids that a run may hold.
    size: usize,
    elapsed: Duration,
    pace: Pace,
}

struct Line {
    text: usize,
    start: usize,
    features: usize,
    tokens: usize,
}

/// Padded lines on their way into a session, as [`Session::run`](crate::model::session::Session::run) takes them.
pub(crate) struct Run<'a> {
    pub(crate) features: &'a [i32],
    pub(crate) tokens: &'a [i32],
    pub(crate) rows: usize,
}

impl Batch {
    /// Forgets the last batch; of the next one a run has at most `most_rows` texts, 0 for as many as are best.
    pub(crate) fn clear(&mut self, most_rows: usize) {
        self.abandon();
        self.most_rows = most_rows;
        self.size = self.pace.size();
        self.elapsed = Duration::ZERO;
    }

    /// Gives the batch up: no run and no answer is left of it.
    pub(crate) fn abandon(&mut self) {
        self.answers.clear();
        self.lines.clear();
        self.ids.clear();
        self.next = 0;
        self.rows = 0;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.answers.len() >= MAX_TEXTS || self.ids.len() >= MAX_IDS
    }

    /// Bytes that the buffers take.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Classification>() * self.answers.capacity()
            + size_of::<Line>() * self.lines.capacity()
            + size_of::<i32>() * (self.ids.capacity() + self.features.capacity() + self.tokens.capacity())
    }

    /// Adds a text: the answer it has without the model, and what a model is to see of it, if anything.
    pub(crate) fn push(&mut self, answer: Classification, encoded: Option<&Encoded>) {
        if let Some(Encoded { features, tokens }) = encoded {
            self.lines.push(Line {
                text: self.answers.len(),
                start: self.ids.len(),
                features: features.len(),
                tokens: tokens.len(),
            });
            self.ids.extend_from_slice(features);
            self.ids.extend_from_slice(tokens);
        }
        self.answers.push(answer);
    }

    /// Puts texts of like length side by side, once all are there.
    ///
    /// Tokens come first: what reads a sequence costs more for each of them than a bag for its features, 0.34 µs
    /// against 0.012 µs with the shipped model. Cut as they come, runs in this order then cost 2 % more than the
    /// cheapest partition of them, which takes dynamic programming to find.
    pub(crate) fn order(&mut self) {
        self.lines.sort_unstable_by_key(|line| (line.tokens, line.features, line.text));
    }

    /// The next run, or `None` when every text has its answer. [`Self::answer`] has to follow.
    pub(crate) fn cut(&mut self) -> Option<Run<'_>> {
        let (mut rows, mut widest_features, mut widest_tokens) = (0, 0, 0);
        for line in &self.lines[self.next..] {
            let (features, tokens) = (line.features.max(widest_features), line.tokens.max(widest_tokens));
            if rows > 0 && (rows == self.most_rows || (rows + 1) * (features + tokens) > self.size) {
                break;
            }
            (widest_features, widest_tokens) = (features, tokens);
            rows += 1;
        }
        self.rows = rows;
        self.features.clear();
        self.tokens.clear();
        for (row, line) in self.lines[self.next..][..rows].iter().enumerate() {
            let (features, tokens) = self.ids[line.start..][..line.features + line.tokens].split_at(line.features);
            self.features.extend_from_slice(features);
            self.features.resize((row + 1) * widest_features, 0);
            self.tokens.extend_from_slice(tokens);
            self.tokens.resize((row + 1) * widest_tokens, 0);
        }
        (rows > 0).then_some(Run { features: &self.features, tokens: &self.tokens, rows })
    }

    /// Takes what the run of the last [`Self::cut`] has found, in `elapsed`; `scores` knows those of each of its rows.
    pub(crate) fn answer(&mut self, elapsed: Duration, scores: impl Fn(usize) -> Scores) -> RunReport {
        let rows = self.rows;
        for (row, line) in self.lines[self.next..][..rows].iter().enumerate() {
            let answer = &mut self.answers[line.text];
            *answer = Classification::from_scores(scores(row), answer.language);
        }
        self.next += rows;
        self.rows = 0;
        self.elapsed += elapsed;
        // A limit on the rows hides what the size of a run is worth.
        if self.next == self.lines.len() && self.most_rows == 0 {
            self.pace.record(self.lines.len(), self.ids.len(), self.elapsed);
        }
        RunReport { rows, elapsed }
    }

    /// One answer per text in the order of the texts, once all are known; else nothing.
    pub(crate) fn answers(&self) -> &[Classification] {
        if self.next == self.lines.len() { &self.answers } else { &[] }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::manifest::TOKEN_IDS;
    use crate::text::language::Language;

    fn nothing() -> Classification {
        Classification::unsearchable(&[], Language::Undetermined)
    }

    /// A text as numbers of features and tokens; `None` for one with nothing to search for.
    type Text = Option<(usize, usize)>;

    /// Ids that tell whose text they are.
    fn encode(text: usize, (features, tokens): (usize, usize)) -> Encoded {
        let id = text as i32 + 1;
        Encoded { features: vec![id; features], tokens: vec![-id; tokens * TOKEN_IDS] }
    }

    fn fill(batch: &mut Batch, texts: &[Text], most_rows: usize) {
        batch.clear(most_rows);
        for (i, text) in texts.iter().enumerate() {
            batch.push(nothing(), text.map(|lengths| encode(i, lengths)).as_ref());
        }
        batch.order();
    }

    fn texts(with_tokens: bool) -> impl Strategy<Value = Vec<Text>> {
        let tokens = if with_tokens { 1..65usize } else { 0..1 };
        prop::collection::vec(prop::option::weighted(0.9, (1..513usize, tokens)), 0..200)
    }

    proptest! {
        #[test]
        fn every_text_is_run_once_and_gets_its_own_answer(
            (texts, most_rows) in any::<bool>().prop_flat_map(texts).prop_flat_map(|texts| (Just(texts), 0..70usize)),
        ) {
            let mut batch = Batch::default();
            // A second time, over what the first has left.
            for _ in 0..2 {
                fill(&mut batch, &texts, most_rows);
                let (mut seen, mut longest) = (vec![0; texts.len()], 0);
                while let Some(run) = batch.cut() {
                    let rows = run.rows;
                    prop_assert!(rows == 1 || most_rows == 0 || rows <= most_rows);
                    prop_assert!(rows == 1 || run.features.len() + run.tokens.len() <= 8192);
                    let width = run.features.len() / rows;
                    prop_assert_eq!((run.features.len(), run.tokens.len() % (rows * TOKEN_IDS)), (width * rows, 0));
                    let mut names = Vec::new();
                    for (row, features) in run.features.chunks(width).enumerate() {
                        let text = features[0] as usize - 1;
                        let expected = encode(text, texts[text].unwrap());
                        let tokens = &run.tokens[run.tokens.len() / rows * row..][..run.tokens.len() / rows];
                        for (padded, line) in [(features, &expected.features), (tokens, &expected.tokens)] {
                            prop_assert_eq!(&padded[..line.len()], &line[..]);
                            prop_assert!(padded[line.len()..].iter().all(|id| *id == 0));
                        }
                        seen[text] += 1;
                        prop_assert!(expected.tokens.len() >= longest);
                        longest = expected.tokens.len();
                        names.push(text as f32);
                    }
                    prop_assert!(batch.answers().is_empty());
                    let report = batch.answer(Duration::from_micros(9), |row| Scores::new(&[names[row]]));
                    prop_assert_eq!(report, RunReport { rows, elapsed: Duration::from_micros(9) });
                }
                for (i, (text, answer)) in texts.iter().zip(batch.answers()).enumerate() {
                    prop_assert_eq!(seen[i], i32::from(text.is_some()));
                    prop_assert_eq!(*answer, text.map_or(nothing(), |_| {
                        Classification::from_scores(Scores::new(&[i as f32]), Language::Undetermined)
                    }));
                }
                prop_assert_eq!(batch.answers().len(), texts.len());
            }
        }
    }

    #[test]
    fn a_run_is_filled_as_far_as_it_may() {
        let mut batch = Batch::default();
        for (most_rows, expected) in [(0, 81), (50, 50), (81, 81), (1000, 81)] {
            fill(&mut batch, &[Some((92, 3)); 400], most_rows);
            assert_eq!(batch.cut().map(|run| run.rows), Some(expected));
        }
        fill(&mut batch, &[Some((9000, 64)); 2], 0);
        assert_eq!(batch.cut().map(|run| run.rows), Some(1));
    }

    #[test]
    fn a_batch_given_up_leaves_nothing() {
        let mut batch = Batch::default();
        fill(&mut batch, &[Some((5, 1)); 3], 1);
        assert_eq!(batch.cut().map(|run| run.rows), Some(1));
        batch.abandon();
        assert!(batch.cut().is_none() && batch.answers().is_empty());
    }

    #[test]
    fn texts_and_ids_are_bounded() {
        let mut batch = Batch::default();
        let mut taken = |lengths| {
            batch.clear(0);
            while !batch.is_full() {
                batch.push(nothing(), Some(&encode(0, lengths)));
            }
            (batch.answers.len(), batch.ids.len())
        };
        assert_eq!(taken((100, 10)).0, MAX_TEXTS);
        let (texts, ids) = taken((512, 64));
        assert!(texts < MAX_TEXTS && ids < MAX_IDS + 704, "{texts} texts, {ids} ids");
        // A buffer that grows doubles.
        let bytes = batch.bytes();
        assert!((size_of::<i32>() * MAX_IDS..4 << 20).contains(&bytes), "{bytes} bytes");
    }
}
