//! A model in a folder as model hubs lay it out, turned into what the registry takes: a manifest, a graph in one file, and
//! a tokenizer.
//!
//! What is read (Hugging Face transformers and sentence-transformers, their saved formats):
//!
//! | file | for |
//! |---|---|
//! | `config.json` | the architecture, which tells the task; labels; the longest text; the token that pads |
//! | `tokenizer.json` | the tokenizer, as it is |
//! | `tokenizer_config.json`, `sentence_bert_config.json` | the longest text, where it is less |
//! | `onnx/model.onnx` or `model.onnx` | the graph, and the names of its inputs and outputs; data in files beside it is put into it |
//! | `modules.json`, `1_Pooling/config.json` | how an embedding is pooled, and whether it is normalized |
//! | `config_sentence_transformers.json` | prefixes |
//! | `manifest.json`, where it is one of this project's (`"format": 2`), if only in part | whatever stands in it, instead of what the others say |
//!
//! Whatever a manifest says can be said otherwise by the caller; a classification needs golden queries from either.

mod onnx_parts;

use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::manifest::sha256;
use super::transformer::{self, TransformerManifest};
use crate::error::{Error, Result};

/// Largest of the small files, in bytes; `tokenizer.json` of a large vocabulary has 20 MB.
const MAX_JSON_BYTES: u64 = 128 << 20;

/// Where the graph is looked for, in this order.
const GRAPHS: [&str; 2] = ["onnx/model.onnx", "model.onnx"];

/// A model as the registry takes it.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The manifest, JSON.
    pub manifest: String,
    /// The graph.
    pub graph: Bytes,
    /// The tokenizer.
    pub tokenizer: Bytes,
}

/// Reads the model in `folder`. Keys of `changes`, a JSON object, stand in the manifest in place of what was found; its key
/// `graph_file` names another graph than the first that is there. Files of more than `most` bytes in all are refused.
///
/// # Errors
/// [`Error::ModelFile`] when a file is missing or cannot be read, [`Error::Manifest`] when what is found makes no manifest,
/// [`Error::Refused`] when the files are too large or the graph names files outside of the folder.
pub fn read(folder: &Path, changes: &str, most: u64) -> Result<Imported> {
    let mut changes: Map<String, Value> =
        serde_json::from_str(changes).map_err(|e| Error::Manifest(format!("changes are no JSON object: {e}")))?;
    let graph_file = match changes.remove("graph_file") {
        None => GRAPHS.into_iter().find(|name| folder.join(name).is_file()).unwrap_or(GRAPHS[0]).to_owned(),
        Some(Value::String(name)) => name,
        Some(other) => return Err(Error::Manifest(format!("graph_file is {other}, expected a name"))),
    };
    let place = inside(folder, &graph_file)?;
    let tokenizer = read_file(&folder.join("tokenizer.json"), MAX_JSON_BYTES.min(most))?;
    let parts = onnx_parts::OnnxParts::read(read_file(&place, most)?, |location, offset, length| {
        read_part(&inside(place.parent().unwrap_or(folder), location)?, offset, length, most)
    })?;
    let about = About::read(folder)?;
    let mut manifest = about.manifest(folder, &parts)?;
    let written = optional::<Value>(&folder.join("manifest.json"))?;
    if let (Some(object), Some(Value::Object(written))) = (manifest.as_object_mut(), written)
        && written.get("format") == Some(&transformer::FORMAT.into())
    {
        object.extend(written);
    }
    manifest["graph"] = json!({"file": "model.onnx", "sha256": sha256(&parts.file)});
    manifest["tokenizer"] = json!({"file": "tokenizer.json", "sha256": sha256(&tokenizer)});
    if let Some(object) = manifest.as_object_mut() {
        object.extend(changes);
        object.retain(|_, value| !value.is_null());
    }
    let manifest = manifest.to_string();
    TransformerManifest::parse(&manifest)?;
    Ok(Imported { manifest, graph: parts.file.into(), tokenizer: tokenizer.into() })
}

/// What `config.json` says, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    architectures: Vec<String>,
    model_type: String,
    max_position_embeddings: Option<u64>,
    pad_token_id: Option<u64>,
    id2label: Map<String, Value>,
}

/// What the files of a folder say of the model.
struct About {
    config: Config,
    pooling: Map<String, Value>,
    /// Kinds of the steps from a text to its vector, `Transformer`, `Pooling` and `Normalize` mostly.
    modules: Vec<String>,
    longest: Option<u64>,
    prompts: Map<String, Value>,
}

impl About {
    fn read(folder: &Path) -> Result<Self> {
        let config = parse(&folder.join("config.json"), &read_file(&folder.join("config.json"), MAX_JSON_BYTES)?)?;
        let pooling = optional(&folder.join("1_Pooling/config.json"))?.unwrap_or_default();
        let modules = optional::<Vec<Map<String, Value>>>(&folder.join("modules.json"))?.unwrap_or_default();
        let kind = |module: &Map<String, Value>| {
            let path = module.get("type").and_then(Value::as_str).unwrap_or_default();
            path.rsplit('.').next().unwrap_or_default().to_owned()
        };
        let modules = modules.iter().map(kind).collect();
        let tokenizer = optional::<Map<String, Value>>(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
        let sentence = optional::<Map<String, Value>>(&folder.join("sentence_bert_config.json"))?.unwrap_or_default();
        // A number beyond all texts stands for none there.
        let longest = [tokenizer.get("model_max_length"), sentence.get("max_seq_length")];
        let longest = longest.into_iter().flatten().filter_map(Value::as_u64).min();
        let prompts = optional::<Map<String, Value>>(&folder.join("config_sentence_transformers.json"))?;
        let prompts = prompts.and_then(|mut whole| whole.remove("prompts")).and_then(|prompts| match prompts {
            Value::Object(prompts) => Some(prompts),
            _ => None,
        });
        Ok(Self { config, pooling, modules, longest, prompts: prompts.unwrap_or_default() })
    }

    fn manifest(&self, folder: &Path, parts: &onnx_parts::OnnxParts) -> Result<Value> {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let classifies = self.config.architectures.iter().any(|one| one.ends_with("ForSequenceClassification"));
        let labels = self.labels()?;
        let task = match (classifies, labels.len()) {
            (true, 0 | 1) => "score",
            (true, _) => "classification",
            (false, _) => "embedding",
        };
        let mut manifest = json!({
            "format": transformer::FORMAT, "name": name, "version": "1", "task": task,
            "inputs": inputs(&parts.inputs)?, "max_tokens": self.max_tokens(),
            "padding_id": self.config.pad_token_id.unwrap_or(0),
        });
        let has = |name: &&&str| parts.outputs.iter().any(|output| output == **name);
        let output = match task {
            "embedding" => ["sentence_embedding", "last_hidden_state", "token_embeddings"].iter().find(has),
            _ => ["logits"].iter().find(has),
        };
        let first = parts.outputs.first().map(String::as_str);
        let output = output.copied().or(first).ok_or_else(|| Error::Manifest("the graph has no output".into()))?;
        manifest["output"] = output.into();
        match task {
            "classification" => manifest["labels"] = labels.into(),
            "embedding" => {
                if output == "sentence_embedding" {
                    manifest["pooling"] = "none".into();
                } else {
                    self.check_modules()?;
                    manifest["pooling"] = self.pooling().into();
                }
                manifest["normalize"] = self.modules.iter().any(|kind| kind == "Normalize").into();
                let prompt = |names: [&str; 2]| names.into_iter().find_map(|name| self.prompts.get(name)).cloned();
                let (query, document) = (prompt(["query", "search_query"]), prompt(["document", "passage"]));
                if query.is_some() || document.is_some() {
                    manifest["prefixes"] = json!({
                        "query": query.unwrap_or_else(|| "".into()), "document": document.unwrap_or_else(|| "".into()),
                    });
                }
            }
            _ => {}
        }
        Ok(manifest)
    }

    /// The labels in the order of their numbers.
    fn labels(&self) -> Result<Vec<String>> {
        let wrong = || Error::Manifest("id2label of config.json does not number its labels from 0".into());
        let mut labels = Vec::new();
        for (id, label) in &self.config.id2label {
            let id: usize = id.parse().map_err(|_| wrong())?;
            labels.push((id, label.as_str().ok_or_else(wrong)?.to_owned()));
        }
        labels.sort();
        if labels.iter().enumerate().any(|(place, (id, _))| place != *id) {
            return Err(wrong());
        }
        Ok(labels.into_iter().map(|(_, label)| label).collect())
    }

    /// A layer behind the pooling, which some models have, is not in a graph that ends before it.
    fn check_modules(&self) -> Result<()> {
        match self.modules.iter().find(|kind| !["Transformer", "Pooling", "Normalize"].contains(&kind.as_str())) {
            Some(kind) => Err(Error::Manifest(format!(
                "modules.json has a module {kind}, which only a graph with the output \"sentence_embedding\" can contain"
            ))),
            None => Ok(()),
        }
    }

    /// The pooling by its name in a manifest; one that manifests do not know, or several, by the names here.
    fn pooling(&self) -> String {
        let chosen = self.pooling.iter().filter(|(_, value)| **value == Value::Bool(true));
        let chosen: Vec<&str> = chosen.filter_map(|(key, _)| key.strip_prefix("pooling_mode_")).collect();
        match chosen.as_slice() {
            [] | ["mean_tokens"] => "mean".to_owned(),
            ["cls_token"] => "first".to_owned(),
            ["lasttoken"] => "last".to_owned(),
            others => others.join(" and "),
        }
    }

    /// Tokens of the longest text. RoBERTa and its kin count places from behind the number of the token that pads.
    fn max_tokens(&self) -> u64 {
        let shifted = ["roberta", "camembert", "mpnet"].iter().any(|kind| self.config.model_type.contains(kind));
        let offset = if shifted { self.config.pad_token_id.unwrap_or(1) + 1 } else { 0 };
        let places = self.config.max_position_embeddings.map_or(512, |places| places.saturating_sub(offset));
        let most = u64::from(transformer::MAX_TOKENS);
        places.min(self.longest.unwrap_or(most)).clamp(4, most)
    }
}

/// The graph's inputs by what stands in them.
fn inputs(names: &[String]) -> Result<Value> {
    let known =
        [("ids", "input_ids"), ("mask", "attention_mask"), ("types", "token_type_ids"), ("positions", "position_ids")];
    let mut inputs = Map::new();
    for name in names {
        let Some((role, _)) = known.iter().find(|(_, known)| known == name) else {
            return Err(Error::Manifest(format!(
                "the graph has an input \"{name}\", of which nobody knows what it takes"
            )));
        };
        inputs.insert((*role).into(), name.clone().into());
    }
    if !inputs.contains_key("ids") {
        return Err(Error::Manifest("the graph has no input \"input_ids\"".into()));
    }
    Ok(inputs.into())
}

/// A file inside of a folder, by its relative name.
fn inside(folder: &Path, name: &str) -> Result<PathBuf> {
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if name.is_empty() || !plain {
        return Err(Error::Refused(format!("it names the file \"{name}\", which is not inside of its folder")));
    }
    Ok(folder.join(name))
}

fn read_file(path: &Path, most: u64) -> Result<Vec<u8>> {
    let fail = |reason: String| Error::ModelFile { path: path.into(), reason };
    let metadata = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?;
    // A named pipe would wait for its other end.
    if !metadata.is_file() {
        return Err(fail("it is not a regular file".into()));
    }
    if metadata.len() > most {
        return Err(Error::Refused(format!("it has {} bytes, at most {most} are allowed", metadata.len())));
    }
    std::fs::read(path).map_err(|e| fail(e.to_string()))
}

/// Bytes of a file from `offset` on, as many as `length` says or to its end.
fn read_part(path: &Path, offset: u64, length: Option<u64>, most: u64) -> Result<Vec<u8>> {
    use std::io::{Read, Seek, SeekFrom};
    let fail = |reason: String| Error::ModelFile { path: path.into(), reason };
    let mut file = std::fs::File::open(path).map_err(|e| fail(e.to_string()))?;
    let metadata = file.metadata().map_err(|e| fail(e.to_string()))?;
    if !metadata.is_file() {
        return Err(fail("it is not a regular file".into()));
    }
    let there = metadata.len().saturating_sub(offset);
    let wanted = length.unwrap_or(there);
    if wanted > there {
        return Err(fail(format!("it ends before byte {}", offset.saturating_add(wanted))));
    }
    if wanted > most {
        return Err(Error::Refused(format!("a tensor has {wanted} bytes, at most {most} are allowed")));
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset)).map_err(|e| fail(e.to_string()))?;
    file.take(wanted).read_to_end(&mut bytes).map_err(|e| fail(e.to_string()))?;
    Ok(bytes)
}

fn parse<T: for<'de> Deserialize<'de>>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| Error::ModelFile { path: path.into(), reason: e.to_string() })
}

fn optional<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    if !path.is_file() {
        return Ok(None);
    }
    parse(path, &read_file(path, MAX_JSON_BYTES)?).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::transformer::{Pooling, Task};

    const MOST: u64 = 1 << 30;

    fn tiny() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/tiny_bert")
    }

    /// A copy of the tiny model's folder with other files in it.
    fn folder(files: &[(&str, &str)]) -> PathBuf {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("harca-import-{}-{number}", std::process::id()));
        for name in ["config.json", "tokenizer.json", "onnx/model.onnx"] {
            std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            std::fs::copy(tiny().join(name), folder.join(name)).unwrap();
        }
        for (name, content) in files {
            std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.join(name), content).unwrap();
        }
        folder
    }

    #[test]
    fn a_classifier_is_read_as_it_lies() {
        let golden = r#"{"name": "tiny", "golden": [{"query": "q", "type": "keyword"}]}"#;
        let imported = read(&tiny(), golden, MOST).unwrap();
        let manifest = TransformerManifest::parse(&imported.manifest).unwrap();
        assert_eq!(
            (manifest.task, manifest.max_tokens, manifest.output.as_str()),
            (Task::Classification, 128, "logits")
        );
        assert_eq!(manifest.labels, ["keyword", "semantic", "hybrid", "unknown"]);
        assert_eq!(manifest.inputs.types.as_deref(), Some("token_type_ids"));
        // What had no data elsewhere stays byte for byte what it was.
        assert_eq!(imported.graph, std::fs::read(tiny().join("onnx/model.onnx")).unwrap());
        TransformerManifest::of_applicant(&imported.manifest, &imported.graph, &imported.tokenizer, MOST).unwrap();
    }

    #[test]
    fn an_embedding_is_pooled_as_its_files_say() {
        let config = r#"{"architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta", "max_position_embeddings": 514,
            "pad_token_id": 1}"#;
        let folder = folder(&[
            ("config.json", config),
            ("1_Pooling/config.json", r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#),
            ("modules.json", r#"[{"type": "sentence_transformers.models.Normalize"}]"#),
            ("config_sentence_transformers.json", r#"{"prompts": {"query": "query: ", "passage": "passage: "}}"#),
        ]);
        let manifest = TransformerManifest::parse(&read(&folder, "{}", MOST).unwrap().manifest).unwrap();
        assert_eq!((manifest.task, manifest.pooling, manifest.normalize), (Task::Embedding, Pooling::First, true));
        assert_eq!((manifest.max_tokens, manifest.padding_id), (512, 1));
        assert_eq!((manifest.prefixes.query.as_str(), manifest.prefixes.document.as_str()), ("query: ", "passage: "));
        assert_eq!(manifest.output, "last_hidden_state");
        let other = read(&folder, r#"{"pooling": "mean", "max_tokens": 64, "version": "2"}"#, MOST).unwrap();
        let other = TransformerManifest::parse(&other.manifest).unwrap();
        assert_eq!((other.pooling, other.max_tokens, other.version.as_str()), (Pooling::Mean, 64, "2"));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn steps_to_a_vector_that_cannot_be_taken_are_told() {
        let config = r#"{"architectures": ["BertModel"], "model_type": "bert", "max_position_embeddings": 512}"#;
        let modules =
            r#"[{"type": "sentence_transformers.models.Transformer"}, {"type": "sentence_transformers.models.Dense"}]"#;
        let both = r#"{"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true, "include_prompt": true}"#;
        for (name, content, part) in
            [("modules.json", modules, "module Dense"), ("1_Pooling/config.json", both, "max_tokens and mean_tokens")]
        {
            let folder = folder(&[("config.json", config), (name, content)]);
            let error = read(&folder, "{}", MOST).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
            std::fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn the_least_of_the_longest_texts_counts() {
        let config = r#"{"architectures": ["BertModel"], "model_type": "bert", "max_position_embeddings": 512}"#;
        for (tokenizer, sentence, expected) in [
            (r#"{"model_max_length": 512}"#, r#"{"max_seq_length": 256, "do_lower_case": false}"#, 256),
            (r#"{"model_max_length": 128}"#, r#"{"max_seq_length": 256}"#, 128),
            // What stands for no bound at all.
            (r#"{"model_max_length": 1000000000000000019884624838656}"#, r#"{"max_seq_length": null}"#, 512),
        ] {
            let folder = folder(&[
                ("config.json", config),
                ("tokenizer_config.json", tokenizer),
                ("sentence_bert_config.json", sentence),
            ]);
            let manifest = TransformerManifest::parse(&read(&folder, "{}", MOST).unwrap().manifest).unwrap();
            assert_eq!(manifest.max_tokens, expected);
            std::fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn a_manifest_in_the_folder_counts_more_than_the_other_files_and_less_than_the_caller() {
        let config = r#"{"architectures": ["BertModel"], "model_type": "bert", "max_position_embeddings": 512}"#;
        let written =
            r#"{"format": 2, "name": "small", "version": "3", "graph": {"file": "other.onnx", "sha256": "0"}}"#;
        let folder = folder(&[("config.json", config), ("manifest.json", written)]);
        let imported = read(&folder, "{}", MOST).unwrap();
        let manifest = TransformerManifest::parse(&imported.manifest).unwrap();
        assert_eq!((manifest.name.as_str(), manifest.version.as_str(), manifest.task), ("small", "3", Task::Embedding));
        assert_eq!(manifest.graph.sha256, sha256(&imported.graph));
        let other = TransformerManifest::parse(&read(&folder, r#"{"version": "4"}"#, MOST).unwrap().manifest).unwrap();
        assert_eq!((other.name.as_str(), other.version.as_str()), ("small", "4"));
        // Files of other tools may have that name, too.
        for foreign in [r#"{"name": "web page"}"#, r#"["a"]"#] {
            std::fs::write(folder.join("manifest.json"), foreign).unwrap();
            let manifest = TransformerManifest::parse(&read(&folder, "{}", MOST).unwrap().manifest).unwrap();
            assert!(manifest.name.starts_with("harca-import-"));
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_cross_encoder_scores() {
        let config = r#"{"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}"#;
        let folder = folder(&[("config.json", config), ("tokenizer_config.json", r#"{"model_max_length": 256}"#)]);
        let manifest = TransformerManifest::parse(&read(&folder, "{}", MOST).unwrap().manifest).unwrap();
        assert_eq!((manifest.task, manifest.max_tokens), (Task::Score, 256));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_missing_or_elsewhere_is_told() {
        for (files, changes, part) in [
            (&[("config.json", "{")][..], "{}", "config.json"),
            (&[("config.json", r#"{"id2label": {"1": "a"}}"#)], "{}", "from 0"),
            (&[], r#"{"graph_file": "../model.onnx"}"#, "not inside of its folder"),
            (&[], r#"{"graph_file": "/model.onnx"}"#, "not inside of its folder"),
            (&[], r#"{"graph_file": "other.onnx"}"#, "other.onnx"),
            (&[], r#"{"name": ""}"#, "name"),
            (&[], "[]", "no JSON object"),
            (&[("onnx/model.onnx", "no graph")], "{}", "ONNX"),
        ] {
            let folder = folder(files);
            let error = read(&folder, changes, MOST).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
            std::fs::remove_dir_all(folder).unwrap();
        }
        assert!(read(&tiny(), "{}", 1000).unwrap_err().to_string().contains("at most"));
    }
}
