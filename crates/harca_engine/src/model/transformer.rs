//! A model with a tokenizer.

use harca_core::error::{Error, Result};
use harca_core::model::manifest::Calibration;
use harca_core::model::transformer::{Pooling, Task, TransformerManifest};
use harca_core::protocol::message::{TextKind, Texts};
use tokenizers::tokenizer::{EncodeInput, Tokenizer};
use tokenizers::utils::truncation::{TruncationDirection, TruncationParams, TruncationStrategy};

use super::files::ModelFiles;
use super::graph::{Graph, Input, Options};
use super::{Model, Reading, Values, inference, one_line, pooling};

/// A tokenizer, a graph, and what goes between them.
pub struct Transformer {
    manifest: TransformerManifest,
    tokenizer: Tokenizer,
    graph: Graph,
}

impl Transformer {
    /// Loads it, and runs it once: a graph may compute something of another shape than it declares.
    ///
    /// # Errors
    /// [`Error::Manifest`] for a tokenizer that cannot be read, else as [`Graph::load`] and [`Model::run`].
    pub fn load(manifest: &TransformerManifest, files: &ModelFiles, options: &Options) -> Result<Self> {
        let unreadable = |e: tokenizers::Error| Error::Manifest(format!("tokenizer: {}", one_line(&e.to_string())));
        let mut tokenizer = Tokenizer::from_bytes(files.tokenizer()?).map_err(unreadable)?;
        // Padding is that of the batch, and the length that of the manifest, whatever the file says.
        tokenizer.with_padding(None);
        let truncation = TruncationParams {
            direction: TruncationDirection::Right,
            max_length: manifest.max_tokens as usize,
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
        };
        tokenizer.with_truncation(Some(truncation)).map_err(unreadable)?;
        let inputs = &manifest.inputs;
        let names: Vec<&str> =
            [Some(&inputs.ids), inputs.mask.as_ref(), inputs.types.as_ref(), inputs.positions.as_ref()]
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect();
        let mut options = options.clone();
        if !manifest.providers.is_empty() {
            options.providers.clone_from(&manifest.providers);
        }
        let graph = Graph::load(&files.graph_path(), &names, &manifest.output, &options)?;
        let model = Self { manifest: manifest.clone(), tokenizer, graph };
        model.check()?;
        Ok(model)
    }

    /// Two texts of different lengths, so that padding is seen to work, and what the manifest promises of them.
    fn check(&self) -> Result<()> {
        let texts = ["a", "two texts of different lengths"];
        let texts = match self.manifest.task {
            Task::Score => Texts::Pairs(texts.map(|text| (text.to_owned(), text.to_owned())).into()),
            _ => Texts::Single(TextKind::Query, texts.map(str::to_owned).into()),
        };
        let readings = self.read(&texts)?;
        self.run(&readings.iter().collect::<Vec<_>>())?;
        let golden: Vec<String> = self.manifest.golden.iter().map(|golden| golden.query.clone()).collect();
        if golden.is_empty() {
            return Ok(());
        }
        let readings = self.read(&Texts::Single(TextKind::Query, golden))?;
        for (golden, reading) in self.manifest.golden.iter().zip(&readings) {
            let values = self.run(&[reading])?;
            let found = self.type_of(&values.numbers);
            if found != golden.label {
                return Err(Error::ModelShape(one_line(&format!(
                    "it takes \"{}\" for {found}, expected {}",
                    golden.query, golden.label
                ))));
            }
        }
        Ok(())
    }

    /// The query type with the highest probability, those of its labels together.
    fn type_of(&self, probabilities: &[f32]) -> &str {
        let of_type = |query_type: &str| -> f32 {
            let labels = self.manifest.labels.iter().zip(probabilities);
            labels.filter(|(label, _)| self.manifest.type_of(label) == query_type).map(|(_, value)| value).sum()
        };
        let types = self.manifest.types();
        types.into_iter().max_by(|a, b| of_type(a).total_cmp(&of_type(b))).unwrap_or_default()
    }

    fn prefix(&self, kind: TextKind) -> &str {
        match kind {
            TextKind::Query => &self.manifest.prefixes.query,
            TextKind::Document => &self.manifest.prefixes.document,
        }
    }

    /// The beginning of a text that is enough for all tokens that are read, and whether something is left out.
    fn cut<'t>(&self, text: &'t str) -> (&'t str, bool) {
        match text.char_indices().nth(self.manifest.max_chars()) {
            Some((end, _)) => (&text[..end], true),
            None => (text, false),
        }
    }

    fn tokens(&self, input: EncodeInput<'_>, cut: bool) -> Result<Reading> {
        let encoding = self.tokenizer.encode_fast(input, true).map_err(inference)?;
        let id = |&id: &u32| i32::try_from(id).map_err(inference);
        let ids: Vec<i32> = encoding.get_ids().iter().map(id).collect::<Result<_>>()?;
        let types: Vec<i32> = encoding.get_type_ids().iter().map(id).collect::<Result<_>>()?;
        let truncated = cut || !encoding.get_overflowing().is_empty();
        let length = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let types = if types.iter().all(|&one| one == 0) { Vec::new() } else { types };
        Ok(Reading { ids, types, length, truncated })
    }
}

impl Model for Transformer {
    fn read(&self, texts: &Texts) -> Result<Vec<Reading>> {
        match (texts, self.manifest.task) {
            (Texts::Single(kind, texts), Task::Classification | Task::Embedding) => {
                let prefix = self.prefix(*kind);
                let one = |text: &String| {
                    let (text, cut) = self.cut(text);
                    self.tokens(format!("{prefix}{text}").into(), cut)
                };
                texts.iter().map(one).collect()
            }
            (Texts::Pairs(pairs), Task::Score | Task::Classification) => {
                let one = |(first, second): &(String, String)| {
                    let ((first, cut), (second, cut_too)) = (self.cut(first), self.cut(second));
                    self.tokens((first, second).into(), cut || cut_too)
                };
                pairs.iter().map(one).collect()
            }
            (Texts::Single(..), Task::Score) => Err(Error::Inference("this model scores pairs of texts".into())),
            (Texts::Pairs(_), Task::Embedding) => Err(Error::Inference("this model reads single texts".into())),
        }
    }

    fn run(&self, batch: &[&Reading]) -> Result<Values> {
        let (rows, manifest) = (batch.len(), &self.manifest);
        let lengths: Vec<usize> = batch.iter().map(|reading| reading.ids.len()).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
        let line = |of: &dyn Fn(&Reading, usize) -> i64| -> Vec<i64> {
            batch.iter().flat_map(|reading| (0..longest).map(move |place| of(reading, place))).collect()
        };
        let padding = i64::from(manifest.padding_id);
        let ids = line(&|reading, place| reading.ids.get(place).map_or(padding, |&id| i64::from(id)));
        let shape = || vec![rows, longest];
        let mut inputs = vec![Input::Long(&manifest.inputs.ids, shape(), ids)];
        if let Some(name) = &manifest.inputs.mask {
            inputs.push(Input::Long(name, shape(), line(&|reading, place| i64::from(place < reading.ids.len()))));
        }
        if let Some(name) = &manifest.inputs.types {
            let types = line(&|reading, place| reading.types.get(place).map_or(0, |&one| i64::from(one)));
            inputs.push(Input::Long(name, shape(), types));
        }
        if let Some(name) = &manifest.inputs.positions {
            inputs.push(Input::Long(name, shape(), line(&|_, place| place as i64)));
        }
        let answer = self.graph.run(inputs)?;
        let (sizes, expected) = match (manifest.pooling, answer.shape.as_slice()) {
            (Pooling::None, &[found, width]) => ((found, longest, width), "[texts, numbers]"),
            (Pooling::None, _) => ((0, 0, 0), "[texts, numbers]"),
            (_, &[found, steps, width]) => ((found, steps, width), "[texts, tokens, dimensions]"),
            _ => ((0, 0, 0), "[texts, tokens, dimensions]"),
        };
        let (found, steps, width) = sizes;
        let labels = match manifest.task {
            Task::Classification => width == manifest.labels.len(),
            Task::Score => width == 1,
            Task::Embedding => true,
        };
        if found != rows || steps != longest || width == 0 || !labels {
            let (shape, output) = (answer.shape, &manifest.output);
            return Err(Error::ModelShape(format!(
                "output \"{output}\" of {rows} texts and {longest} tokens has the shape {shape:?}, which is not {expected}"
            )));
        }
        let mut numbers = match manifest.pooling {
            Pooling::None => answer.numbers,
            pooling => pooling::pool(pooling, &answer.numbers, &lengths, longest, width),
        };
        let Calibration::Temperature { temperature } = manifest.calibration;
        match manifest.task {
            Task::Classification => pooling::softmax(&mut numbers, width, temperature),
            Task::Score => pooling::sigmoid(&mut numbers, temperature),
            Task::Embedding if manifest.normalize => pooling::normalize(&mut numbers, width),
            Task::Embedding => {}
        }
        Ok(Values { width, numbers })
    }

    fn provider(&self) -> (&str, &str) {
        self.graph.provider()
    }

    fn is_shared(&self) -> bool {
        self.graph.is_shared()
    }
}
