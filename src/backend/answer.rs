//! An answer with the names it needs to be shown.

use std::rc::Rc;

use harca_core::classify::classification::Classification;
use harca_core::classify::rules;
use harca_core::model::manifest::UNKNOWN;

use crate::bridge::server_text::{ServerName, ServerText};
use crate::bridge::value::Value;
use crate::settings;

/// An answer with the names it needs to be shown.
#[derive(Clone)]
pub struct Answer {
    classification: Classification,
    names: Rc<Names>,
}

/// The names of a model, or of the rules, as the server takes them, so that an answer costs no conversion.
pub struct Names {
    /// Name and version.
    pub text: String,
    /// Labels in the order of the scores.
    pub labels: Vec<String>,
    name: ServerName,
    server_labels: Vec<ServerName>,
    unknown: ServerName,
}

impl Names {
    /// The names of a model, its labels in the order of its scores.
    pub fn new(name: &str, labels: &[impl AsRef<str>]) -> Self {
        Self {
            text: name.into(),
            labels: labels.iter().map(|label| label.as_ref().into()).collect(),
            name: ServerName::new(name),
            server_labels: labels.iter().map(|label| ServerName::new(label.as_ref())).collect(),
            unknown: ServerName::new(UNKNOWN),
        }
    }

    /// Those of the rules.
    pub fn of_rules() -> Self {
        Self::new(rules::NAME, &rules::LABELS)
    }

    /// Name and version for the server.
    pub fn name(&self) -> ServerName {
        self.name
    }

    /// The labels for the server.
    pub fn server_labels(&self) -> &[ServerName] {
        &self.server_labels
    }
}

impl Answer {
    /// What a model of these names has said.
    pub fn new(classification: Classification, names: Rc<Names>) -> Self {
        Self { classification, names }
    }

    /// The name of the type, `unknown` when the answer is less sure than the settings ask for.
    ///
    /// Judged when the answer is given: the cache keeps what the model said, so that a change of the setting counts at
    /// once and costs no entry.
    pub fn query_type(&self) -> ServerName {
        let label = self.classification.label_if_sure(settings::min_confidence());
        label.and_then(|i| self.names.server_labels.get(i)).copied().unwrap_or(self.names.unknown)
    }

    /// The same as text.
    pub fn shown_type(&self) -> &str {
        let label = self.classification.label_if_sure(settings::min_confidence());
        label.and_then(|i| self.names.labels.get(i)).map_or(UNKNOWN, String::as_str)
    }

    /// The most probable label, however sure it is.
    pub fn label(&self) -> &str {
        self.classification.query_type(&self.names.labels)
    }

    /// How probable a label is, from 0 to 1; 0 for one that the model does not have.
    pub fn probability(&self, label: &str) -> f64 {
        let known = self.names.labels.iter().zip(self.classification.scores.as_slice());
        known.filter(|(name, _)| *name == label).map(|(_, score)| f64::from(*score)).sum()
    }

    /// The name of the model, with its version, or `rules`.
    pub fn model(&self) -> ServerName {
        self.names.name
    }

    /// The columns of `query_classification` for the query that it answers.
    pub fn columns(&self, query: ServerText) -> [Value<'_>; 6] {
        [
            Value::Datum(query.datum()),
            Value::Datum(self.query_type().datum()),
            Value::Real(self.classification.confidence),
            Value::Reals(self.classification.scores.as_slice()),
            Value::Datum(ServerName::new(self.classification.language.code()).datum()),
            Value::Datum(self.model().datum()),
        ]
    }

    /// The same behind a number; nulls where there is no query.
    pub fn numbered_columns(ordinality: i32, answered: Option<(ServerText, &Self)>) -> [Value<'_>; 7] {
        let [a, b, c, d, e, f] = answered.map_or([Value::Null; 6], |(query, answer)| answer.columns(query));
        [Value::Int(ordinality), a, b, c, d, e, f]
    }

    /// Confidence, scores and language.
    pub fn classification(&self) -> &Classification {
        &self.classification
    }

    /// The names of whoever has answered.
    pub fn names(&self) -> &Names {
        &self.names
    }
}
