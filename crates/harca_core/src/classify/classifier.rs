//! From text to calibrated scores: encode, run, softmax.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;

use crate::classify::batch::{Batch, RunReport};
use crate::classify::classification::{Classification, Scores};
use crate::classify::encode::{Encoded, Encoder};
use crate::classify::feature_cache::FeatureCache;
use crate::classify::rules;
use crate::error::{Error, Result, one_line};
use crate::model::files::ModelFiles;
use crate::model::manifest::{Calibration, Manifest, TOKEN_IDS};
use crate::model::network::Network;
use crate::model::session::{Runtime, Session};
use crate::text::language::{self, Language};

/// A model ready to answer: its manifest, its encoder, and what runs its graph.
pub struct Classifier {
    manifest: Manifest,
    identity: String,
    encoder: Encoder,
    graph: Graph,
    features: Option<Rc<RefCell<FeatureCache>>>,
    row: Encoded,
    logits: Vec<f32>,
    batch: Batch,
}

/// The graph of a model, ready to run.
enum Graph {
    Network(Box<Network>),
    Session(Session),
}

impl Graph {
    fn run(&mut self, features: &[i32], tokens: &[i32], rows: usize, logits: &mut Vec<f32>) -> Result<()> {
        match self {
            Self::Network(network) => network.run(features, tokens, rows, logits),
            Self::Session(session) => session.run(features, tokens, rows, logits),
        }
    }
}

impl Classifier {
    /// The model of `files` if it is a [`Network`]; `None` where it takes ONNX Runtime.
    ///
    /// # Errors
    /// [`Error::Manifest`] for an encoder that is not known, [`Error::ModelShape`] when the graph does not fit the encoder
    /// or does not know the answers that its manifest promises.
    pub fn by_network(files: &ModelFiles) -> Result<Option<Self>> {
        let manifest = files.manifest();
        let names = (manifest.input.name.as_str(), manifest.output.name.as_str());
        if manifest.encoder.tokens.is_none() || names != ("features", "logits") {
            return Ok(None);
        }
        let network = Network::read(files.graph().clone()).filter(|network| network.labels() == manifest.labels.len());
        network.map(|network| Self::build(files, Graph::Network(Box::new(network)))).transpose()
    }

    /// The model of `files`, run by ONNX Runtime.
    ///
    /// # Errors
    /// [`Error::Manifest`] for an encoder that is not known, [`Error::ModelShape`] when the graph does not know the
    /// answers that its manifest promises, else as [`Session::build`].
    pub fn by_runtime(files: &ModelFiles, runtime: &Runtime) -> Result<Self> {
        let session = Session::build(runtime, files.manifest(), files.graph())?;
        Self::build(files, Graph::Session(session))
    }

    /// [`Self::by_runtime`] for a manifest and a graph at hand; the digest is not checked.
    ///
    /// # Errors
    /// [`Error::Manifest`], else as [`Self::by_runtime`].
    pub fn from_bytes(runtime: &Runtime, manifest: &str, model: &[u8]) -> Result<Self> {
        Self::by_runtime(&ModelFiles::trusted(manifest, Bytes::copy_from_slice(model))?, runtime)
    }

    /// [`Self::by_runtime`] for the model in `folder`.
    ///
    /// # Errors
    /// As [`ModelFiles::read`] and [`Self::by_runtime`].
    pub fn open(runtime: &Runtime, folder: &Path) -> Result<Self> {
        Self::by_runtime(&ModelFiles::read(folder)?, runtime)
    }

    /// Whether ONNX Runtime runs the model.
    #[must_use]
    pub fn takes_runtime(&self) -> bool {
        matches!(self.graph, Graph::Session(_))
    }

    fn build(files: &ModelFiles, graph: Graph) -> Result<Self> {
        let encoder = Encoder::new(&files.manifest().encoder)?;
        let mut classifier = Self {
            manifest: files.manifest().clone(),
            identity: files.identity().to_owned(),
            encoder,
            graph,
            features: None,
            row: Encoded::default(),
            logits: Vec::new(),
            batch: Batch::default(),
        };
        // An embedding table that is smaller than the encoder's ids fails at some query, not at the first: the highest
        // ids show it now.
        let top = |buckets: u32| i32::try_from(buckets).unwrap_or(i32::MAX);
        let spec = &classifier.manifest.encoder;
        let tokens: Vec<i32> = spec.tokens.iter().flat_map(|tokens| [top(tokens.buckets); TOKEN_IDS]).collect();
        classifier.graph.run(&[top(spec.buckets)], &tokens, 1, &mut classifier.logits)?;
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

    /// Takes what it can of the texts to come from `features`, which other models may share.
    pub fn share_features(&mut self, features: Rc<RefCell<FeatureCache>>) {
        self.features = Some(features);
    }

    fn encode(&mut self, text: &str) {
        match &self.features {
            Some(features) => features.borrow_mut().encode(&self.encoder, text, &mut self.row),
            None => self.encoder.encode(text, &mut self.row),
        }
    }

    /// What the model says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The SHA-256 of the manifest, which holds that of the graph: whatever an answer depends on beside the text.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
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
        self.encode(text);
        self.graph.run(&self.row.features, &self.row.tokens, 1, &mut self.logits)?;
        Ok(Classification::from_scores(calibrate(&self.manifest, &self.logits, 0), language))
    }

    /// Classifies texts, as many as there are; `answers` is replaced by one answer per text, in order.
    ///
    /// Whoever has to do something between the runs takes [`Self::begin_batch`] and [`Self::next_run`] instead.
    ///
    /// # Errors
    /// As [`Session::run`]; then `answers` is empty.
    pub fn classify_batch(&mut self, texts: &[&str], answers: &mut Vec<Classification>) -> Result<()> {
        answers.clear();
        let mut rest = texts;
        while !rest.is_empty() {
            rest = &rest[self.begin_batch(rest, 0)..];
            while self.next_run().inspect_err(|_| answers.clear())?.is_some() {}
            answers.extend_from_slice(self.batch_answers());
        }
        Ok(())
    }

    /// Encodes texts for a batch of runs, as many as it may hold and at least one of them, and says how many. Those
    /// behind are for the next batch: at most [`MAX_TEXTS`](crate::classify::batch::MAX_TEXTS) are taken, fewer when they are
    /// very long.
    ///
    /// A run has at most `batch_size` texts; with 0 it has as many as are best for their lengths, by what former
    /// batches have cost. What was left of a former batch is forgotten. Texts that are equal are run more than once.
    ///
    /// [`Self::next_run`] then does the work, and [`Self::batch_answers`] has the answers. Scores may differ from those
    /// of [`Self::classify`] in the last digits: a float sum depends on the order of its terms.
    pub fn begin_batch(&mut self, texts: &[&str], batch_size: usize) -> usize {
        let unsearchable = Classification::unsearchable(&self.manifest.labels, Language::Undetermined);
        self.batch.clear(batch_size);
        let mut taken = 0;
        for text in texts {
            if self.batch.is_full() {
                break;
            }
            let searchable = rules::is_searchable(text);
            if searchable {
                self.encode(text);
            }
            let answer = Classification { language: language::detect(text), ..unsearchable };
            self.batch.push(answer, searchable.then_some(&self.row));
            taken += 1;
        }
        self.batch.order();
        taken
    }

    /// Does one run of the batch; `None` when none is left.
    ///
    /// # Errors
    /// As [`Session::run`]; then the batch is given up.
    pub fn next_run(&mut self) -> Result<Option<RunReport>> {
        let Some(run) = self.batch.cut() else { return Ok(None) };
        let start = Instant::now();
        if let Err(error) = self.graph.run(run.features, run.tokens, run.rows, &mut self.logits) {
            self.batch.abandon();
            return Err(error);
        }
        let elapsed = start.elapsed();
        let scores = |row| calibrate(&self.manifest, &self.logits, row);
        Ok(Some(self.batch.answer(elapsed, scores)))
    }

    /// Bytes of the buffers that are kept from one text or batch to the next, without what the session itself takes.
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        self.row.bytes() + size_of::<f32>() * self.logits.capacity() + self.batch.bytes()
    }

    /// The answers of the batch in the order of its texts, once no run is left; nothing before, or after an error.
    #[must_use]
    pub fn batch_answers(&self) -> &[Classification] {
        self.batch.answers()
    }
}

/// The scores of one row of logits.
fn calibrate(manifest: &Manifest, logits: &[f32], row: usize) -> Scores {
    let labels = manifest.labels.len();
    let Calibration::Temperature { temperature } = manifest.calibration;
    Scores::softmax(&logits[row * labels..][..labels], temperature)
}
