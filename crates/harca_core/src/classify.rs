//! From text to calibrated scores: encode, run, softmax.

use std::path::Path;

use crate::classification::{Classification, Scores};
use crate::encode::{Encoded, Encoder};
use crate::error::{Error, Result, one_line};
use crate::language;
use crate::manifest::{Calibration, Manifest, TOKEN_IDS};
use crate::rules;
use crate::session::{Runtime, Session};

/// A model ready to answer: its manifest, its encoder and its session.
pub struct Classifier {
    manifest: Manifest,
    encoder: Encoder,
    session: Session,
    row: Encoded,
    features: Lines,
    tokens: Lines,
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
            row: Encoded::default(),
            features: Lines::default(),
            tokens: Lines::default(),
            logits: Vec::new(),
        };
        // An embedding table that is smaller than the encoder's ids fails at some query, not at the first: the highest
        // ids show it now.
        let top = |buckets: u32| i32::try_from(buckets).unwrap_or(i32::MAX);
        let spec = &classifier.manifest.encoder;
        let tokens: Vec<i32> = spec.tokens.iter().flat_map(|tokens| [top(tokens.buckets); TOKEN_IDS]).collect();
        classifier.session.run(&[top(spec.buckets)], &tokens, 1, &mut classifier.logits)?;
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
        self.session.run(&self.row.features, &self.row.tokens, 1, &mut self.logits)?;
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
        self.tokens.clear();
        for text in texts.iter().filter(|t| rules::is_searchable(t)) {
            self.encoder.encode(text, &mut self.row);
            self.features.push(&self.row.features);
            self.tokens.push(&self.row.tokens);
        }
        let rows = self.features.ends.len();
        if rows > 0 {
            self.session.run(&self.features.padded(), &self.tokens.padded(), rows, &mut self.logits)?;
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

/// Lines of different length, end to end.
#[derive(Default)]
struct Lines {
    ids: Vec<i32>,
    ends: Vec<usize>,
    longest: usize,
}

impl Lines {
    fn clear(&mut self) {
        self.ids.clear();
        self.ends.clear();
        self.longest = 0;
    }

    fn push(&mut self, line: &[i32]) {
        self.ids.extend_from_slice(line);
        self.ends.push(self.ids.len());
        self.longest = self.longest.max(line.len());
    }

    /// All lines at the length of the longest, with zeros behind.
    fn padded(&self) -> Vec<i32> {
        let mut padded = Vec::with_capacity(self.longest * self.ends.len());
        let mut start = 0;
        for (row, &end) in self.ends.iter().enumerate() {
            padded.extend_from_slice(&self.ids[start..end]);
            padded.resize(self.longest * (row + 1), 0);
            start = end;
        }
        padded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_keeps_every_line() {
        let mut lines = Lines::default();
        assert_eq!(lines.padded(), [0i32; 0]);
        lines.push(&[1]);
        lines.push(&[2, 3, 4]);
        assert_eq!(lines.padded(), [1, 0, 0, 2, 3, 4]);
        lines.clear();
        lines.push(&[]);
        assert_eq!(lines.padded(), [0i32; 0]);
    }
}
