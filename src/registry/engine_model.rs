//! A model that the engine runs, as a backend knows it: its manifest, and where its files are.

use bytes::Bytes;
use harca_core::classify::classification::{Classification, Scores};
use harca_core::classify::rules;
use harca_core::error::{Error, Result};
use harca_core::model::transformer::{AnyManifest, Task};
use harca_core::protocol::digest::Digest;
use harca_core::protocol::message::{File, Output, TextKind, Texts};
use harca_core::protocol::priority::Priority;
use harca_core::text::language;

use super::tables;
use crate::engine::client::{self, Outcome};
use crate::settings;

/// Where the files of a model are.
pub enum Origin {
    /// In a row of `harca.model`, under this name.
    Table(String),
    /// In memory: the graph and the tokenizer.
    Memory(Bytes, Bytes),
}

/// A model that the engine runs.
pub struct EngineModel {
    manifest: AnyManifest,
    json: String,
    identity: String,
    digest: Digest,
    origin: Origin,
    /// What its scores stand for: query types of a transformer, else labels.
    types: Vec<String>,
    /// The place among them of each of its labels.
    places: Vec<usize>,
}

impl EngineModel {
    /// The model of a manifest.
    ///
    /// # Errors
    /// [`Error::Manifest`].
    pub fn new(json: &str, origin: Origin) -> Result<Self> {
        let manifest = AnyManifest::parse(json)?;
        let identity = harca_core::model::manifest::identity(json);
        let fail = || Error::Manifest("it has no digest".into());
        let digest = Digest::of_hex(&identity).ok_or_else(fail)?;
        let (types, places) = match &manifest {
            AnyManifest::Encoded(manifest) => (manifest.labels.clone(), (0..manifest.labels.len()).collect()),
            AnyManifest::Transformer(manifest) => {
                let types: Vec<String> = manifest.types().into_iter().map(str::to_owned).collect();
                let place = |label: &String| types.iter().position(|known| known == manifest.type_of(label));
                let places = manifest.labels.iter().filter_map(place).collect();
                (types, places)
            }
        };
        Ok(Self { manifest, json: json.into(), identity, digest, origin, types, places })
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &AnyManifest {
        &self.manifest
    }

    /// What tells it from every other one.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What its scores stand for.
    pub fn types(&self) -> &[String] {
        &self.types
    }

    /// What it is for.
    pub fn task(&self) -> Task {
        match &self.manifest {
            AnyManifest::Encoded(_) => Task::Classification,
            AnyManifest::Transformer(manifest) => manifest.task,
        }
    }

    /// Characters of a text that can matter to it.
    pub fn max_chars(&self) -> usize {
        match &self.manifest {
            AnyManifest::Encoded(manifest) => manifest.encoder.max_chars as usize,
            AnyManifest::Transformer(manifest) => manifest.max_chars(),
        }
    }

    /// Tokens of a text that it reads.
    pub fn max_tokens(&self) -> usize {
        match &self.manifest {
            AnyManifest::Encoded(manifest) => manifest.encoder.max_chars as usize,
            AnyManifest::Transformer(manifest) => manifest.max_tokens as usize,
        }
    }

    /// What comes out of texts, at most [`MAX_TEXTS`](harca_core::protocol::message::MAX_TEXTS) of them.
    pub fn run(&self, priority: Priority, texts: Texts) -> Outcome<Output> {
        client::run(self, priority, texts, settings::engine_timeout())
    }

    /// Classifies texts, as many as one request may have; one answer each, in order.
    pub fn classify(&self, texts: &[&str]) -> Outcome<Vec<Classification>> {
        let unsearchable = |text: &&str| Classification::unsearchable(&self.types, language::detect(text));
        let mut answers: Vec<Classification> = texts.iter().map(unsearchable).collect();
        let asked: Vec<usize> = (0..texts.len()).filter(|&n| rules::is_searchable(texts[n])).collect();
        if asked.is_empty() {
            return Outcome::Done(Ok(answers));
        }
        let priority = if asked.len() > 1 { Priority::Bulk } else { Priority::Interactive };
        let wanted = asked.iter().map(|&n| texts[n].to_owned()).collect();
        match self.run(priority, Texts::Single(TextKind::Query, wanted)) {
            Outcome::Interrupted => Outcome::Interrupted,
            Outcome::Done(Err(error)) => Outcome::Done(Err(error)),
            Outcome::Done(Ok(output)) => {
                let width = output.width as usize;
                if width != self.places.len() || output.values.len() != width * asked.len() {
                    let found = output.values.len();
                    let reason = format!("{found} numbers for {} texts and {width} labels", asked.len());
                    return Outcome::Done(Err(Error::ModelShape(reason)));
                }
                for (&n, probabilities) in asked.iter().zip(output.values.chunks(width.max(1))) {
                    answers[n] = Classification::from_scores(self.scores(probabilities), answers[n].language);
                }
                Outcome::Done(Ok(answers))
            }
        }
    }

    /// The probabilities of its types: each the sum of those of its labels.
    fn scores(&self, probabilities: &[f32]) -> Scores {
        let mut types = vec![0.0; self.types.len()];
        for (&place, probability) in self.places.iter().zip(probabilities) {
            types[place] += probability;
        }
        Scores::new(&types)
    }
}

impl client::Files for EngineModel {
    fn digest(&self) -> Digest {
        self.digest
    }

    fn announce(&self) -> Option<(String, u64, u64)> {
        let (graph, tokenizer) = match &self.origin {
            Origin::Memory(graph, tokenizer) => (graph.len() as u64, tokenizer.len() as u64),
            Origin::Table(model) => tables::sizes(model)?,
        };
        Some((self.json.clone(), graph, tokenizer))
    }

    fn part(&self, file: File, from: u64, bytes: usize) -> Option<Vec<u8>> {
        match &self.origin {
            Origin::Table(model) => tables::part(model, file == File::Tokenizer, from, bytes),
            Origin::Memory(graph, tokenizer) => {
                let file = if file == File::Graph { graph } else { tokenizer };
                let from = usize::try_from(from).ok()?.min(file.len());
                Some(file[from..(from + bytes).min(file.len())].to_vec())
            }
        }
    }
}
