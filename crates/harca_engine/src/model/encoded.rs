//! A model that reads the features and tokens of the core's encoder, as the shipped one does.

use std::sync::{Mutex, PoisonError};

use harca_core::classify::encode::{Encoded, Encoder};
use harca_core::error::{Error, Result};
use harca_core::model::manifest::{Calibration, Manifest, TOKEN_IDS, TOKENS_INPUT};
use harca_core::model::network::Network;
use harca_core::protocol::message::Texts;

use super::files::ModelFiles;
use super::graph::{Graph, Input, Options};
use super::{Model, Reading, Values, pooling};

enum Runner {
    Network(Box<Mutex<Network>>),
    Graph(Graph),
}

/// An encoder, and what runs the graph.
pub struct EncodedModel {
    manifest: Manifest,
    /// It keeps buffers from one text to the next.
    encoder: Mutex<Encoder>,
    runner: Runner,
}

impl EncodedModel {
    /// Loads it.
    ///
    /// # Errors
    /// [`Error::Manifest`] for an encoder that is not known, else as [`Graph::load`].
    pub fn load(manifest: &Manifest, files: &ModelFiles, options: &Options) -> Result<Self> {
        let encoder = Encoder::new(&manifest.encoder)?;
        let names = (manifest.input.name.as_str(), manifest.output.name.as_str());
        let is_network = manifest.encoder.tokens.is_some() && names == ("features", "logits");
        let network = if is_network { Network::read(files.graph()?) } else { None };
        let network = network.filter(|network| network.labels() == manifest.labels.len());
        let runner = match network {
            Some(network) => Runner::Network(Box::new(Mutex::new(network))),
            None => {
                let tokens = manifest.encoder.tokens.is_some().then_some(TOKENS_INPUT);
                let inputs: Vec<&str> = [Some(names.0), tokens].into_iter().flatten().collect();
                Runner::Graph(Graph::load(&files.graph_path(), &inputs, names.1, options)?)
            }
        };
        Ok(Self { manifest: manifest.clone(), encoder: Mutex::new(encoder), runner })
    }
}

impl Model for EncodedModel {
    fn read(&self, texts: &Texts) -> Result<Vec<Reading>> {
        let Texts::Single(_, texts) = texts else {
            return Err(Error::Inference("this model reads single texts".into()));
        };
        let mut encoded = Encoded::default();
        let encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |text: &String| {
            encoder.encode(text, &mut encoded);
            let length = encoded.features.len() + encoded.tokens.len() / TOKEN_IDS;
            Reading {
                ids: encoded.features.clone(),
                types: encoded.tokens.clone(),
                length: u32::try_from(length).unwrap_or(u32::MAX),
                truncated: text.chars().nth(self.manifest.encoder.max_chars as usize).is_some(),
            }
        };
        Ok(texts.iter().map(one).collect())
    }

    fn run(&self, batch: &[&Reading]) -> Result<Values> {
        let rows = batch.len();
        let padded = |of: fn(&Reading) -> &Vec<i32>, least: usize| -> (usize, Vec<i32>) {
            let longest = batch.iter().map(|reading| of(reading).len()).max().unwrap_or(0).max(least);
            let line = |reading: &&Reading| {
                let ids = of(reading).clone();
                ids.into_iter().chain(std::iter::repeat(0)).take(longest).collect::<Vec<_>>()
            };
            (longest, batch.iter().flat_map(line).collect())
        };
        let (width, features) = padded(|reading| &reading.ids, 1);
        let with_tokens = self.manifest.encoder.tokens.is_some();
        let (token_width, tokens) = padded(|reading| &reading.types, if with_tokens { TOKEN_IDS } else { 0 });
        let mut numbers = Vec::new();
        match &self.runner {
            Runner::Network(network) => {
                let mut network = network.lock().unwrap_or_else(PoisonError::into_inner);
                network.run(&features, &tokens, rows, &mut numbers)?;
            }
            Runner::Graph(graph) => {
                let mut inputs = vec![Input::Int(&self.manifest.input.name, vec![rows, width], features)];
                if with_tokens {
                    let shape = vec![rows, token_width / TOKEN_IDS, TOKEN_IDS];
                    inputs.push(Input::Int(TOKENS_INPUT, shape, tokens));
                }
                numbers = graph.run(inputs)?.numbers;
            }
        }
        let labels = self.manifest.labels.len();
        if numbers.len() != rows * labels {
            return Err(Error::ModelShape(format!("{} numbers for {rows} texts and {labels} labels", numbers.len())));
        }
        let Calibration::Temperature { temperature } = self.manifest.calibration;
        pooling::softmax(&mut numbers, labels, temperature);
        Ok(Values { width: labels, numbers })
    }

    fn provider(&self) -> (&str, &str) {
        match &self.runner {
            Runner::Network(_) => ("network", ""),
            Runner::Graph(graph) => graph.provider(),
        }
    }

    fn is_shared(&self) -> bool {
        matches!(&self.runner, Runner::Graph(graph) if graph.is_shared())
    }
}
