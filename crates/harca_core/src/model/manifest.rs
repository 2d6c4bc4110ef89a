//! The manifest of a model: what the file beside it expects and what its answers mean.
//!
//! A manifest is a JSON object next to an ONNX file. It is data from outside, so [`Manifest::parse`] checks all of it
//! before anything is allocated by its numbers.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, one_line};

/// The manifest revision that this build reads.
pub const FORMAT: u32 = 1;

/// Most labels a model may have: scores are kept in records of one fixed size.
pub const MAX_LABELS: usize = 8;

/// The label of a query that holds nothing to search for; a model may have it among its labels or not.
pub const UNKNOWN: &str = "unknown";

/// Name of a graph's second input, the tokens of a text; see [`TokenSpec`].
pub const TOKENS_INPUT: &str = "tokens";

/// Ids that make one token: of its word, of its ending and of its shape.
pub const TOKEN_IDS: usize = 3;

/// How text becomes feature ids; part of the manifest, so that a model and its encoder cannot be separated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSpec {
    /// Name and revision of the feature scheme; [`crate::classify::encode::ENCODER_ID`] is the one this build knows.
    pub id: String,
    /// Number of hash buckets; feature ids are `1..=buckets`, id 0 is padding.
    pub buckets: u32,
    /// Most features one text may give; the rest is dropped in reading order.
    pub max_features: u32,
    /// Most characters of a text that are read at all.
    pub max_chars: u32,
    /// The tokens of a text, for models that read them beside the features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenSpec>,
}

/// How text becomes a sequence of tokens. The graph then has a second input of the name [`TOKENS_INPUT`], int32
/// `[batch, tokens, 3]`: [`TOKEN_IDS`] ids a token, lines padded with 0 on the right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// Number of hash buckets; token ids are `1..=buckets`. Id 0 is padding, and the ending of a token that has none.
    pub buckets: u32,
    /// Most tokens one text may give; of a longer text the middle is left out.
    pub max_tokens: u32,
}

/// A named tensor of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    /// The name in the ONNX graph.
    pub name: String,
    /// The element type: `int32` for features, `float32` for logits.
    #[serde(rename = "type")]
    pub element: String,
}

/// How logits become probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase", deny_unknown_fields)]
pub enum Calibration {
    /// Divide the logits by one number before the softmax (Guo et al., "On Calibration of Modern Neural Networks",
    /// 2017).
    Temperature {
        /// Above 1 softens the scores, below 1 sharpens them; fitted on held-out sources.
        temperature: f32,
    },
}

/// A query whose type the model must get right, run as a smoke test after loading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenQuery {
    /// The text to classify.
    pub query: String,
    /// The expected label.
    #[serde(rename = "type")]
    pub label: String,
}

/// What a model file expects and what its answers mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Revision of this layout, [`FORMAT`].
    pub format: u32,
    /// The model's name, as the `model` column shows it.
    pub name: String,
    /// The model's own version.
    pub version: String,
    /// What the scores stand for, in the order of the logits.
    pub labels: Vec<String>,
    /// How text becomes features.
    pub encoder: EncoderSpec,
    /// Feature ids, `[batch, features]`, padded with 0 on the right.
    pub input: TensorSpec,
    /// Logits, `[batch, labels]`.
    pub output: TensorSpec,
    /// How logits become probabilities.
    pub calibration: Calibration,
    /// File name of the graph, beside the manifest.
    pub file: String,
    /// SHA-256 of that file, in hexadecimal.
    pub sha256: String,
    /// Queries the model must get right.
    #[serde(default)]
    pub golden: Vec<GoldenQuery>,
    /// Figures of the training run, for people; not interpreted.
    #[serde(default)]
    pub metrics: serde_json::Value,
    /// How the model was made, for people; not interpreted.
    #[serde(default)]
    pub training: serde_json::Value,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`Error::Manifest`] when the text is not JSON of this layout or contradicts itself.
    pub fn parse(json: &str) -> Result<Self> {
        let manifest: Self = serde_json::from_str(json).map_err(|e| Error::Manifest(one_line(&e)))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The position of `label` among the labels.
    #[must_use]
    pub fn label_index(&self, label: &str) -> Option<usize> {
        self.labels.iter().position(|l| l == label)
    }

    /// Confirms that `model` is the file this manifest was written for.
    ///
    /// # Errors
    /// [`Error::Manifest`] when the SHA-256 differs.
    pub fn verify(&self, model: &[u8]) -> Result<()> {
        verify(&self.file, &self.sha256, model)
    }

    fn check(&self) -> Result<()> {
        let fail = |reason: String| Err(Error::Manifest(one_line(&reason)));
        if self.format != FORMAT {
            return fail(format!("format {} is not {FORMAT}", self.format));
        }
        check_names(&self.name, &self.version).or_else(fail)?;
        if !(2..=MAX_LABELS).contains(&self.labels.len()) {
            return fail(format!("{} labels, expected 2 to {MAX_LABELS}", self.labels.len()));
        }
        for (i, label) in self.labels.iter().enumerate() {
            check_label(i, label).or_else(fail)?;
            if self.labels[..i].contains(label) {
                return fail(format!("label \"{label}\" appears twice"));
            }
        }
        for (role, tensor, element) in [("input", &self.input, "int32"), ("output", &self.output, "float32")] {
            if tensor.element != element {
                return fail(format!("{role} type is \"{}\", expected \"{element}\"", tensor.element));
            }
        }
        if self.encoder.tokens.is_some() && self.input.name == TOKENS_INPUT {
            return fail(format!("input is named \"{TOKENS_INPUT}\", which is the name of the second one"));
        }
        let Calibration::Temperature { temperature } = self.calibration;
        if !(temperature.is_finite() && (0.01..=100.0).contains(&temperature)) {
            return fail(format!("temperature {temperature} is not between 0.01 and 100"));
        }
        check_file(&self.file, &self.sha256).or_else(fail)?;
        for golden in &self.golden {
            if golden.label != UNKNOWN && self.label_index(&golden.label).is_none() {
                return fail(format!("golden query has the label \"{}\" that the model lacks", golden.label));
            }
        }
        Ok(())
    }
}

/// Confirms that `bytes` are the file of this name and SHA-256.
pub(super) fn verify(file: &str, expected: &str, bytes: &[u8]) -> Result<()> {
    let found = sha256(bytes);
    if found.eq_ignore_ascii_case(expected) {
        Ok(())
    } else {
        Err(Error::Manifest(format!("sha256 of {file} is {found}, expected {expected}")))
    }
}

/// Names and labels become SQL text, which holds no zero byte, and keys of tables.
fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= 63 && !text.contains(char::is_control)
}

/// What is wrong with name or version of a model.
pub(super) fn check_names(name: &str, version: &str) -> std::result::Result<(), String> {
    match [("name", name), ("version", version)].into_iter().find(|(_, value)| !is_name(value)) {
        Some((key, _)) => Err(format!("{key} must have 1 to 63 bytes and no control characters")),
        None => Ok(()),
    }
}

/// What is wrong with the label of this number.
pub(super) fn check_label(number: usize, label: &str) -> std::result::Result<(), String> {
    if is_name(label) {
        Ok(())
    } else {
        Err(format!("label {number} must have 1 to 63 bytes and no control characters"))
    }
}

/// What is wrong with a file that a manifest names.
pub(super) fn check_file(file: &str, sha256: &str) -> std::result::Result<(), String> {
    // The file is opened beside the manifest: a separator in its name would reach elsewhere.
    if file.is_empty() || file.contains(['/', '\\']) || file.starts_with('.') {
        return Err(format!("file \"{file}\" is not a plain file name"));
    }
    if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("sha256 is not 64 hexadecimal digits".into());
    }
    Ok(())
}

/// What tells one model from another: the SHA-256 of its manifest, which holds that of the graph, in hexadecimal. Models
/// of one graph that differ in their labels or calibration give different answers.
#[must_use]
pub fn identity(manifest: &str) -> String {
    sha256(manifest.as_bytes())
}

/// In hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> serde_json::Value {
        serde_json::json!({
            "format": 1, "name": "m", "version": "1", "labels": ["a", "b"],
            "encoder": {"id": "e", "buckets": 16, "max_features": 8, "max_chars": 64},
            "input": {"name": "features", "type": "int32"},
            "output": {"name": "logits", "type": "float32"},
            "calibration": {"method": "temperature", "temperature": 1.5},
            "file": "model.onnx", "sha256": "0".repeat(64)
        })
    }

    #[test]
    fn a_complete_manifest_is_read() {
        let manifest = Manifest::parse(&sample().to_string()).unwrap();
        assert_eq!(manifest.labels, ["a", "b"]);
        assert_eq!(manifest.label_index("b"), Some(1));
        assert_eq!(manifest.label_index("c"), None);
    }

    #[test]
    fn each_contradiction_is_named() {
        let cases = [
            ("/format", serde_json::json!(2), "format 2"),
            ("/name", serde_json::json!(" "), "name"),
            ("/name", serde_json::json!("a\u{0}b"), "name"),
            ("/version", serde_json::json!(""), "version"),
            ("/labels", serde_json::json!(["a"]), "1 labels"),
            ("/labels", serde_json::json!(["a", "b\u{0}"]), "label 1"),
            ("/labels", serde_json::json!(["", "b"]), "label 0"),
            ("/labels", serde_json::json!(["a", "a"]), "twice"),
            ("/labels", serde_json::json!(vec!["x"; 9]), "9 labels"),
            ("/input/type", serde_json::json!("int64"), "input type"),
            ("/output/type", serde_json::json!("float16"), "output type"),
            ("/calibration/temperature", serde_json::json!(0.0), "temperature 0"),
            ("/calibration/method", serde_json::json!("magic"), "magic"),
            ("/file", serde_json::json!("../model.onnx"), "plain file name"),
            ("/sha256", serde_json::json!("abc"), "sha256"),
            ("/encoder/buckets", serde_json::json!(-1), "-1"),
            ("/encoder/tokens", serde_json::json!({"buckets": 256}), "max_tokens"),
            ("/encoder/tokens", serde_json::json!({"buckets": 256, "max_tokens": 8, "words": 1}), "words"),
        ];
        for (pointer, value, expected) in cases {
            let mut json = sample();
            json["encoder"]["tokens"] = serde_json::Value::Null;
            *json.pointer_mut(pointer).unwrap() = value;
            let error = Manifest::parse(&json.to_string()).unwrap_err().to_string();
            assert!(error.contains(expected), "{pointer}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
        let error = Manifest::parse(&format!("{{\"a\\n{}\": 1}}", "b".repeat(5000))).unwrap_err().to_string();
        assert!(!error.contains('\n') && error.len() < 1000, "{error}");
        assert!(Manifest::parse("{").is_err());
        assert!(Manifest::parse("[]").is_err());
    }

    #[test]
    fn tokens_are_optional_and_have_an_input_of_their_own() {
        let plain = Manifest::parse(&sample().to_string()).unwrap();
        assert_eq!(plain.encoder.tokens, None);
        assert!(!serde_json::to_string(&plain).unwrap().contains("tokens"));
        let mut json = sample();
        json["encoder"]["tokens"] = serde_json::json!({"buckets": 256, "max_tokens": 8});
        let manifest = Manifest::parse(&json.to_string()).unwrap();
        assert_eq!(manifest.encoder.tokens, Some(TokenSpec { buckets: 256, max_tokens: 8 }));
        assert_eq!(Manifest::parse(&serde_json::to_string(&manifest).unwrap()).unwrap(), manifest);
        json["input"]["name"] = TOKENS_INPUT.into();
        assert!(Manifest::parse(&json.to_string()).unwrap_err().to_string().contains("second one"));
    }

    #[test]
    fn a_golden_label_must_exist() {
        let mut json = sample();
        json["golden"] = serde_json::json!([{"query": "q", "type": "c"}]);
        assert!(Manifest::parse(&json.to_string()).is_err());
        json["golden"] = serde_json::json!([{"query": "q", "type": "b"}, {"query": "?", "type": "unknown"}]);
        assert!(Manifest::parse(&json.to_string()).is_ok());
    }

    #[test]
    fn a_foreign_file_is_refused() {
        let mut json = sample();
        json["sha256"] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into();
        let manifest = Manifest::parse(&json.to_string()).unwrap();
        assert!(manifest.verify(b"abc").is_ok());
        assert!(manifest.verify(b"abd").is_err());
    }
}
