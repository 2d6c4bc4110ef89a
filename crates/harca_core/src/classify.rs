//! From text to calibrated scores: encode, run, softmax.

use std::path::Path;

use crate::encode::Encoder;
use crate::error::{Error, Result, one_line};
use crate::language::{self, Language};
use crate::manifest::{Calibration, MAX_LABELS, Manifest, UNKNOWN};
use crate::rules;
use crate::session::{Runtime, Session};

/// Probabilities in label order; at most [`MAX_LABELS`] of them, non-negative, with the sum 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    values: [f32; MAX_LABELS],
    len: u8,
}

impl Scores {
    /// Takes probabilities as they are; anything past [`MAX_LABELS`] is dropped.
    #[must_use]
    pub fn new(probabilities: &[f32]) -> Self {
        let len = probabilities.len().min(MAX_LABELS);
        let mut values = [0.0; MAX_LABELS];
        values[..len].copy_from_slice(&probabilities[..len]);
        Self { values, len: len as u8 }
    }

    /// All probability on one of `len` labels.
    #[must_use]
    pub fn certain(label: usize, len: usize) -> Self {
        let mut scores = Self::new(&[0.0; MAX_LABELS][..len.min(MAX_LABELS)]);
        if label < scores.as_slice().len() {
            scores.values[label] = 1.0;
        }
        scores
    }

    /// The same probability for each of `len` labels.
    #[must_use]
    pub fn uniform(len: usize) -> Self {
        let len = len.clamp(1, MAX_LABELS);
        Self::new(&[1.0 / len as f32; MAX_LABELS][..len])
    }

    /// Softmax of `logits / temperature`, stable for logits of any size.
    #[must_use]
    pub fn softmax(logits: &[f32], temperature: f32) -> Self {
        let mut scores = Self::new(logits);
        let values = &mut scores.values[..usize::from(scores.len)];
        let top = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for value in values.iter_mut() {
            *value = ((*value - top) / temperature).exp();
            sum += *value;
        }
        values.iter_mut().for_each(|v| *v /= sum);
        scores
    }

    /// The probabilities, one per label.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.values[..usize::from(self.len)]
    }

    /// Position and probability of the most probable label; the first of equals.
    #[must_use]
    pub fn top(&self) -> (usize, f32) {
        self.as_slice()
            .iter()
            .copied()
            .enumerate()
            .fold((0, f32::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best })
    }
}

/// The answer for one query, in a fixed-size form that a cache can keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Classification {
    /// Position of the type among the labels; `None` is `unknown` for a model that has no such label.
    pub label: Option<u8>,
    /// How sure the answer is, from 0 to 1.
    pub confidence: f32,
    /// The probability of each label.
    pub scores: Scores,
    /// The language the text seems to be in.
    pub language: Language,
}

impl Classification {
    /// The name of the type among `labels`.
    #[must_use]
    pub fn query_type<'a>(&self, labels: &'a [String]) -> &'a str {
        self.label.and_then(|i| labels.get(usize::from(i))).map_or(UNKNOWN, String::as_str)
    }

    /// The most probable label of `scores`.
    #[must_use]
    pub fn from_scores(scores: Scores, language: Language) -> Self {
        let (label, confidence) = scores.top();
        Self { label: Some(label as u8), confidence, scores, language }
    }

    /// The answer for a text that holds nothing to search for.
    #[must_use]
    pub fn unsearchable(labels: &[String], language: Language) -> Self {
        let label = labels.iter().position(|l| l == UNKNOWN);
        let scores = label.map_or_else(|| Scores::uniform(labels.len()), |i| Scores::certain(i, labels.len()));
        Self { label: label.map(|i| i as u8), confidence: 1.0, scores, language }
    }
}

/// A model ready to answer: its manifest, its encoder and its session.
pub struct Classifier {
    manifest: Manifest,
    encoder: Encoder,
    session: Session,
    features: Vec<i32>,
    row: Vec<i32>,
    ends: Vec<usize>,
    logits: Vec<f32>,
}

impl Classifier {
    /// The model whose manifest and graph are at hand, such as one compiled into a program.
    ///
    /// The SHA-256 is not checked: [`Manifest::verify`] does that for bytes of doubtful origin.
    ///
    /// # Errors
    /// [`Error::Manifest`], else as [`Session::build`].
    pub fn from_bytes(runtime: &Runtime, manifest: &str, model: &[u8]) -> Result<Self> {
        Self::build(runtime, Manifest::parse(manifest)?, model)
    }

    /// The model in `folder`: `manifest.json` and the file that it names.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when a file is missing or not the one the manifest describes, else as [`Session::build`].
    pub fn open(runtime: &Runtime, folder: &Path) -> Result<Self> {
        let manifest_path = folder.join("manifest.json");
        let read = |path: &Path, most: u64| {
            let fail = |reason: String| Error::ModelFile { path: path.into(), reason };
            let metadata = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?;
            // A named pipe would wait for its other end, a device might never end.
            if !metadata.is_file() {
                return Err(fail("it is not a regular file".into()));
            }
            if metadata.len() > most {
                return Err(fail(format!("it has {} bytes, at most {most} are allowed", metadata.len())));
            }
            std::fs::read(path).map_err(|e| fail(e.to_string()))
        };
        let json = String::from_utf8(read(&manifest_path, MAX_MANIFEST_BYTES)?)
            .map_err(|_| Error::ModelFile { path: manifest_path, reason: "it is not UTF-8".into() })?;
        let manifest = Manifest::parse(&json)?;
        let model_path = folder.join(&manifest.file);
        let model = read(&model_path, MAX_MODEL_BYTES)?;
        manifest.verify(&model).map_err(|e| Error::ModelFile { path: model_path, reason: e.to_string() })?;
        Self::build(runtime, manifest, &model)
    }

    fn build(runtime: &Runtime, manifest: Manifest, model: &[u8]) -> Result<Self> {
        let encoder = Encoder::new(&manifest.encoder)?;
        let session = Session::build(runtime, &manifest, model)?;
        let mut classifier = Self {
            manifest,
            encoder,
            session,
            features: Vec::new(),
            row: Vec::new(),
            ends: Vec::new(),
            logits: Vec::new(),
        };
        // An embedding table that is smaller than the encoder's ids fails at some query, not at the first: the highest
        // id shows it now.
        let top = i32::try_from(classifier.manifest.encoder.buckets).unwrap_or(i32::MAX);
        classifier.session.run(&[top], 1, &mut classifier.logits)?;
        classifier.check_golden_queries()?;
        Ok(classifier)
    }

    /// A graph that loads and runs may still be the wrong one, or one for another encoder: it must know the answers
    /// that its manifest promises.
    fn check_golden_queries(&mut self) -> Result<()> {
        for golden in self.manifest.golden.clone() {
            let answer = self.classify(&golden.query)?;
            let found = answer.query_type(&self.manifest.labels);
            if found != golden.label {
                return Err(Error::ModelShape(one_line(&format!(
                    "it takes \"{}\" for {found}, expected {}",
                    golden.query, golden.label
                ))));
            }
        }
        Ok(())
    }

    /// What the model says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Classifies one text.
    ///
    /// # Errors
    /// As [`Session::run`]; a text that holds nothing to search for never fails.
    pub fn classify(&mut self, text: &str) -> Result<Classification> {
        let language = language::detect(text);
        if !rules::is_searchable(text) {
            return Ok(Classification::unsearchable(&self.manifest.labels, language));
        }
        self.encoder.encode(text, &mut self.row);
        self.session.run(&self.row, 1, &mut self.logits)?;
        Ok(Classification::from_scores(self.calibrate(0), language))
    }

    /// Classifies texts in one run of the session; `answers` is replaced by one answer per text, in order.
    ///
    /// The work buffers grow with the batch and are kept: choose batches of tens or hundreds, not millions.
    ///
    /// # Errors
    /// As [`Session::run`]; then `answers` is empty.
    pub fn classify_batch(&mut self, texts: &[&str], answers: &mut Vec<Classification>) -> Result<()> {
        answers.clear();
        self.features.clear();
        self.ends.clear();
        let mut width = 0;
        let mut flat = std::mem::take(&mut self.features);
        for text in texts.iter().filter(|t| rules::is_searchable(t)) {
            self.encoder.encode(text, &mut self.row);
            width = width.max(self.row.len());
            flat.extend_from_slice(&self.row);
            self.ends.push(flat.len());
        }
        let rows = self.ends.len();
        let padded = pad(&flat, &self.ends, width);
        self.features = flat;
        if rows > 0 {
            self.session.run(&padded, rows, &mut self.logits)?;
        }
        let mut row = 0;
        for text in texts {
            let language = language::detect(text);
            answers.push(if rules::is_searchable(text) {
                row += 1;
                Classification::from_scores(self.calibrate(row - 1), language)
            } else {
                Classification::unsearchable(&self.manifest.labels, language)
            });
        }
        Ok(())
    }

    fn calibrate(&self, row: usize) -> Scores {
        let labels = self.manifest.labels.len();
        let Calibration::Temperature { temperature } = self.manifest.calibration;
        Scores::softmax(&self.logits[row * labels..(row + 1) * labels], temperature)
    }
}

/// Largest manifest that is read, in bytes.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// Largest model file that is read, in bytes: every backend holds a copy.
const MAX_MODEL_BYTES: u64 = 256 << 20;

/// Lines of different length, end to end in `flat`, as lines of `width` with zeros behind.
fn pad(flat: &[i32], ends: &[usize], width: usize) -> Vec<i32> {
    let mut padded = Vec::with_capacity(width * ends.len());
    let mut start = 0;
    for (row, &end) in ends.iter().enumerate() {
        padded.extend_from_slice(&flat[start..end]);
        padded.resize(width * (row + 1), 0);
        start = end;
    }
    padded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn padding_keeps_every_line() {
        assert_eq!(pad(&[1, 2, 3, 4], &[1, 4], 3), [1, 0, 0, 2, 3, 4]);
        assert_eq!(pad(&[], &[], 0), [0i32; 0]);
    }

    #[test]
    fn unknown_has_a_place_with_and_without_a_label() {
        let three = ["a", "b", "c"].map(String::from);
        let answer = Classification::unsearchable(&three, Language::Undetermined);
        assert_eq!((answer.query_type(&three), answer.label), ("unknown", None));
        let with = ["a", "unknown"].map(String::from);
        let answer = Classification::unsearchable(&with, Language::Undetermined);
        assert_eq!((answer.query_type(&with), answer.scores.as_slice()), ("unknown", &[0.0, 1.0][..]));
    }

    proptest! {
        #[test]
        fn softmax_is_a_distribution(
            logits in prop::collection::vec(-1e30f32..1e30, 1..=MAX_LABELS),
            temperature in 0.01f32..100.0,
        ) {
            let scores = Scores::softmax(&logits, temperature);
            let sum: f32 = scores.as_slice().iter().sum();
            prop_assert!((sum - 1.0).abs() < 1e-5);
            prop_assert!(scores.as_slice().iter().all(|p| (0.0..=1.0).contains(p)));
            let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            prop_assert_eq!(logits[scores.top().0], top);
        }
    }
}
