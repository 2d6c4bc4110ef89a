//! The manifest of a transformer: a graph and a `tokenizer.json`, as model hubs have them.
//!
//! It is the second [`FORMAT`] of a manifest, and as short as the model allows: whatever has a default may be left out. The
//! first, [`Manifest`](super::manifest::Manifest), is that of models with this crate's own encoder. [`AnyManifest`] is
//! either of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::graph_check;
use super::manifest::{self, Calibration, GoldenQuery, MAX_LABELS, Manifest, UNKNOWN};
use crate::error::{Error, Result, one_line};

/// The manifest revision of transformers.
pub const FORMAT: u32 = 2;

/// Most labels of a classification; where they are more than [`MAX_LABELS`], several stand for one type.
pub const MAX_CLASSES: usize = 1024;

/// Most tokens that a model may read of a text.
pub const MAX_TOKENS: u32 = 32 << 10;

/// Characters of a text that are tokenized for each token that the model reads. Few tokens have more characters, and none of a
/// text in Chinese or Japanese.
const CHARS_PER_TOKEN: usize = 32;

/// Longest prefix, in bytes.
const MAX_PREFIX_BYTES: usize = 512;

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// A text to the probabilities of labels.
    Classification,
    /// A text to a vector.
    Embedding,
    /// A pair of texts to a number: how well the second answers the first.
    Score,
}

impl Task {
    /// As users read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::Embedding => "embedding",
            Self::Score => "score",
        }
    }
}

/// How the states of a text's tokens become one vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Their mean, padding aside.
    Mean,
    /// The first one.
    First,
    /// The last one that is no padding.
    Last,
    /// There is nothing to pool: the graph gives one line for each text.
    #[default]
    None,
}

/// A tensor that the graph reads, by what stands in it; the value is its name in the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Ids of the tokens.
    pub ids: String,
    /// 1 for tokens, 0 for padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
    /// Which of two texts a token belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<String>,
    /// Places of the tokens, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<String>,
}

/// What is put before a text, for models that were trained with that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prefixes {
    /// Before what is searched for.
    #[serde(default)]
    pub query: String,
    /// Before what is found.
    #[serde(default)]
    pub document: String,
}

/// A file of the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// Its name, beside the manifest.
    pub file: String,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// What a transformer expects and what its answers mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerManifest {
    /// Revision of this layout, [`FORMAT`].
    pub format: u32,
    /// The model's name, as the `model` column shows it.
    pub name: String,
    /// The model's own version.
    pub version: String,
    /// What it is for.
    pub task: Task,
    /// The graph, ONNX, with nothing outside of it.
    pub graph: FileSpec,
    /// `tokenizer.json` (Hugging Face tokenizers).
    pub tokenizer: FileSpec,
    /// What the graph reads: int64 tensors `[batch, tokens]`.
    pub inputs: Inputs,
    /// What of the graph's outputs is read: float32 `[batch, labels]`, `[batch, dimensions]`, or, with a pooling,
    /// `[batch, tokens, dimensions]`.
    pub output: String,
    /// Tokens that it reads at most, those that the tokenizer adds among them; longer texts are cut.
    pub max_tokens: u32,
    /// Id of the token that pads.
    #[serde(default)]
    pub padding_id: u32,
    /// How tokens become one vector.
    #[serde(default)]
    pub pooling: Pooling,
    /// Whether vectors are divided by their length.
    #[serde(default)]
    pub normalize: bool,
    /// What is put before texts.
    #[serde(default)]
    pub prefixes: Prefixes,
    /// What the numbers of a classification stand for, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The query type of each label, for models that classify queries; without it labels are types.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query_types: BTreeMap<String, String>,
    /// How logits become probabilities; without it they are taken as they are, at temperature 1.
    #[serde(default = "as_they_are")]
    pub calibration: Calibration,
    /// Execution providers to run it, `cuda` or `cpu`, the best first; the first that works is used. Empty: that of the
    /// engine's settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// Queries that a classification must get right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golden: Vec<GoldenQuery>,
    /// Figures of the training run, for people; not interpreted.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub metrics: serde_json::Value,
    /// How the model was made, for people; not interpreted.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub training: serde_json::Value,
}

fn as_they_are() -> Calibration {
    Calibration::Temperature { temperature: 1.0 }
}

impl TransformerManifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`Error::Manifest`] when the text is not JSON of this layout or contradicts itself.
    pub fn parse(json: &str) -> Result<Self> {
        let manifest: Self = serde_json::from_str(json).map_err(|e| Error::Manifest(one_line(&e)))?;
        manifest.check().map_err(|reason| Error::Manifest(one_line(&reason)))?;
        Ok(manifest)
    }

    /// A model that somebody wants to register: its files are those of the manifest, and its graph is one that may be loaded.
    ///
    /// # Errors
    /// [`Error::Manifest`] when manifest and files do not fit each other, or a classification has no golden queries, by which
    /// it is known to work; [`Error::Refused`] when the files are larger than `most` bytes or the graph is refused by
    /// [`graph_check::check`].
    pub fn of_applicant(json: &str, graph: &Bytes, tokenizer: &[u8], most: u64) -> Result<Self> {
        let manifest = Self::parse(json)?;
        let bytes = graph.len() as u64 + tokenizer.len() as u64;
        if bytes > most {
            return Err(Error::Refused(format!("its files have {bytes} bytes, at most {most} are allowed")));
        }
        for (spec, file) in [(&manifest.graph, &graph[..]), (&manifest.tokenizer, tokenizer)] {
            manifest::verify(&spec.file, &spec.sha256, file)?;
        }
        graph_check::check(graph.clone())?;
        if manifest.task == Task::Classification && manifest.golden.is_empty() {
            return Err(Error::Manifest("there are no golden queries to try the model with".into()));
        }
        Ok(manifest)
    }

    /// Characters of a text that are tokenized: of what comes behind them, nothing would be left.
    #[must_use]
    pub fn max_chars(&self) -> usize {
        CHARS_PER_TOKEN * self.max_tokens as usize
    }

    /// The query types that it knows, in the order of their first label.
    #[must_use]
    pub fn types(&self) -> Vec<&str> {
        let mut types = Vec::new();
        for label in &self.labels {
            let found = self.type_of(label);
            if !types.contains(&found) {
                types.push(found);
            }
        }
        types
    }

    /// The query type that a label stands for.
    #[must_use]
    pub fn type_of<'a>(&'a self, label: &'a str) -> &'a str {
        self.query_types.get(label).map_or(label, String::as_str)
    }

    fn check(&self) -> std::result::Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("format {} is not {FORMAT}", self.format));
        }
        manifest::check_names(&self.name, &self.version)?;
        for (key, spec) in [("graph", &self.graph), ("tokenizer", &self.tokenizer)] {
            manifest::check_file(&spec.file, &spec.sha256).map_err(|reason| format!("{key}: {reason}"))?;
        }
        let Inputs { ids, mask, types, positions } = &self.inputs;
        let inputs: Vec<&String> =
            [Some(ids), mask.as_ref(), types.as_ref(), positions.as_ref()].into_iter().flatten().collect();
        for (i, name) in inputs.iter().enumerate() {
            if name.is_empty() || name.len() > 255 || inputs[..i].contains(name) {
                return Err(format!("input \"{name}\" is empty, too long or named twice"));
            }
        }
        if self.output.is_empty() || self.output.len() > 255 {
            return Err("output must have 1 to 255 bytes".into());
        }
        if !(4..=MAX_TOKENS).contains(&self.max_tokens) {
            return Err(format!("max_tokens {} is not between 4 and {MAX_TOKENS}", self.max_tokens));
        }
        if i32::try_from(self.padding_id).is_err() {
            return Err(format!("padding_id {} is too large", self.padding_id));
        }
        if self.prefixes.query.len().max(self.prefixes.document.len()) > MAX_PREFIX_BYTES {
            return Err(format!("a prefix has more than {MAX_PREFIX_BYTES} bytes"));
        }
        let Calibration::Temperature { temperature } = self.calibration;
        if !(temperature.is_finite() && (0.01..=100.0).contains(&temperature)) {
            return Err(format!("temperature {temperature} is not between 0.01 and 100"));
        }
        if let Some(other) = self.providers.iter().find(|name| !["cpu", "cuda"].contains(&name.as_str())) {
            return Err(format!("provider \"{other}\" is not cpu or cuda"));
        }
        match self.task {
            Task::Classification => self.check_labels(),
            Task::Embedding | Task::Score => {
                let none = self.labels.is_empty() && self.query_types.is_empty() && self.golden.is_empty();
                none.then_some(()).ok_or_else(|| "labels, query_types and golden belong to a classification".into())
            }
        }?;
        let pools = matches!(self.pooling, Pooling::None);
        if self.task != Task::Embedding && (!pools || self.normalize) {
            return Err("pooling and normalize belong to an embedding".into());
        }
        Ok(())
    }

    fn check_labels(&self) -> std::result::Result<(), String> {
        if !(2..=MAX_CLASSES).contains(&self.labels.len()) {
            return Err(format!("{} labels, expected 2 to {MAX_CLASSES}", self.labels.len()));
        }
        for (i, label) in self.labels.iter().enumerate() {
            manifest::check_label(i, label)?;
            if self.labels[..i].contains(label) {
                return Err(format!("label \"{label}\" appears twice"));
            }
        }
        for (i, (label, query_type)) in self.query_types.iter().enumerate() {
            manifest::check_label(i, query_type)?;
            if !self.labels.contains(label) {
                return Err(format!("query_types names the label \"{label}\" that the model lacks"));
            }
        }
        let types = self.types();
        if !(2..=MAX_LABELS).contains(&types.len()) {
            return Err(format!("{} query types, expected 2 to {MAX_LABELS}", types.len()));
        }
        for golden in &self.golden {
            if golden.label != UNKNOWN && !types.contains(&golden.label.as_str()) {
                return Err(format!("golden query has the type \"{}\" that the model lacks", golden.label));
            }
        }
        Ok(())
    }
}

/// A manifest of either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyManifest {
    /// Of a model that reads the features of this crate's encoder.
    Encoded(Box<Manifest>),
    /// Of a transformer.
    Transformer(Box<TransformerManifest>),
}

impl AnyManifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`Error::Manifest`].
    pub fn parse(json: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let format: Format = serde_json::from_str(json).map_err(|e| Error::Manifest(one_line(&e)))?;
        match format.format {
            FORMAT => TransformerManifest::parse(json).map(|manifest| Self::Transformer(Box::new(manifest))),
            _ => Manifest::parse(json).map(|manifest| Self::Encoded(Box::new(manifest))),
        }
    }

    /// Name and version.
    #[must_use]
    pub fn name(&self) -> (&str, &str) {
        match self {
            Self::Encoded(manifest) => (&manifest.name, &manifest.version),
            Self::Transformer(manifest) => (&manifest.name, &manifest.version),
        }
    }

    /// SHA-256 of the graph, and of the tokenizer where there is one, in hexadecimal.
    #[must_use]
    pub fn digests(&self) -> (&str, Option<&str>) {
        match self {
            Self::Encoded(manifest) => (&manifest.sha256, None),
            Self::Transformer(manifest) => (&manifest.graph.sha256, Some(&manifest.tokenizer.sha256)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> serde_json::Value {
        let sha256 = "0".repeat(64);
        serde_json::json!({
            "format": 2, "name": "m", "version": "1", "task": "classification",
            "graph": {"file": "model.onnx", "sha256": sha256},
            "tokenizer": {"file": "tokenizer.json", "sha256": sha256},
            "inputs": {"ids": "input_ids", "mask": "attention_mask"}, "output": "logits", "max_tokens": 128,
            "labels": ["LABEL_0", "LABEL_1", "LABEL_2"],
            "query_types": {"LABEL_0": "keyword", "LABEL_1": "semantic", "LABEL_2": "keyword"},
            "golden": [{"query": "q", "type": "semantic"}]
        })
    }

    #[test]
    fn a_short_manifest_is_enough() {
        let AnyManifest::Transformer(manifest) = AnyManifest::parse(&sample().to_string()).unwrap() else { panic!() };
        assert_eq!(manifest.types(), ["keyword", "semantic"]);
        assert_eq!(manifest.type_of("LABEL_2"), "keyword");
        assert_eq!(manifest.calibration, Calibration::Temperature { temperature: 1.0 });
        assert_eq!((manifest.pooling, manifest.padding_id), (Pooling::None, 0));
        assert_eq!(TransformerManifest::parse(&serde_json::to_string(&manifest).unwrap()).unwrap(), *manifest);
    }

    #[test]
    fn each_contradiction_is_named() {
        let null = serde_json::Value::Null;
        for (pointer, value, expected) in [
            ("/format", serde_json::json!(3), "unknown field"),
            ("/name", serde_json::json!(" "), "name must have"),
            ("/task", serde_json::json!("translation"), "translation"),
            ("/graph/file", serde_json::json!("a/b"), "graph: file"),
            ("/tokenizer/sha256", serde_json::json!("0"), "tokenizer: sha256"),
            ("/inputs/mask", serde_json::json!("input_ids"), "named twice"),
            ("/inputs/ids", serde_json::json!(""), "is empty"),
            ("/output", serde_json::json!(""), "output"),
            ("/max_tokens", serde_json::json!(3), "max_tokens 3"),
            ("/max_tokens", serde_json::json!(-1), "-1"),
            ("/labels", serde_json::json!(["LABEL_0"]), "1 labels"),
            ("/labels/1", serde_json::json!("LABEL_0"), "twice"),
            ("/query_types/LABEL_9", serde_json::json!("keyword"), "lacks"),
            ("/query_types/LABEL_1", serde_json::json!("keyword"), "1 query types"),
            ("/golden/0/type", serde_json::json!("hybrid"), "golden"),
            ("/pooling", serde_json::json!("mean"), "belong to an embedding"),
            ("/normalize", serde_json::json!(true), "belong to an embedding"),
            ("/task", serde_json::json!("embedding"), "belong to a classification"),
            ("/providers", serde_json::json!(["tpu"]), "tpu"),
            ("/prefixes", serde_json::json!({"query": "x".repeat(513)}), "prefix"),
            ("/calibration", serde_json::json!({"method": "temperature", "temperature": 1e9}), "temperature"),
        ] {
            let mut json = sample();
            for optional in ["pooling", "normalize", "providers", "prefixes", "calibration"] {
                json[optional] = null.clone();
            }
            json["query_types"]["LABEL_9"] = null.clone();
            *json.pointer_mut(pointer).unwrap() = value;
            json["query_types"].as_object_mut().unwrap().retain(|_, value| !value.is_null());
            json.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            let error = AnyManifest::parse(&json.to_string()).unwrap_err().to_string();
            assert!(error.contains(expected), "{pointer}: {error}");
        }
    }

    #[test]
    fn labels_without_types_are_types() {
        let mut json = sample();
        json.as_object_mut().unwrap().remove("query_types");
        json["golden"] = serde_json::json!([{"query": "q", "type": "LABEL_1"}, {"query": "?", "type": "unknown"}]);
        let manifest = TransformerManifest::parse(&json.to_string()).unwrap();
        assert_eq!(manifest.types(), ["LABEL_0", "LABEL_1", "LABEL_2"]);
    }

    #[test]
    fn an_embedding_pools() {
        let mut json = sample();
        for key in ["labels", "query_types", "golden"] {
            json.as_object_mut().unwrap().remove(key);
        }
        json["task"] = "embedding".into();
        json["pooling"] = "mean".into();
        json["normalize"] = true.into();
        json["prefixes"] = serde_json::json!({"query": "query: ", "document": "passage: "});
        let manifest = TransformerManifest::parse(&json.to_string()).unwrap();
        assert_eq!((manifest.task, manifest.pooling), (Task::Embedding, Pooling::Mean));
    }
}
