//! Why a search cannot do what it is asked to: an error, word for word as PostgreSQL is to report it.

/// The kind of a refusal, which is its SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 22023: an argument is not understood, or is none of the values that it may have.
    InvalidParameterValue,
    /// 42703: a column that is named does not exist.
    UndefinedColumn,
    /// 42804: a column that is named is of a type that is no use.
    DatatypeMismatch,
    /// 22003: a number is more than the type that it becomes can hold.
    NumericValueOutOfRange,
}

/// An error of whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Which SQLSTATE it has.
    pub kind: Kind,
    /// What is wrong.
    pub message: String,
    /// The fact behind it, as a sentence.
    pub detail: Option<String>,
    /// What to do, as a sentence.
    pub hint: Option<String>,
}

impl Refusal {
    /// A refusal that says no more than what is wrong.
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None, hint: None }
    }

    /// The same for an argument that is not understood.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidParameterValue, message)
    }

    /// The same for a column that the table, by its name for people, does not have; `given` says where it was named.
    pub(super) fn no_column(column: &str, table: &str, given: &str) -> Self {
        Self::new(Kind::UndefinedColumn, format!("column \"{column}\" of table {table} does not exist"))
            .detail(format!("It was given as a key of {given}."))
    }

    pub(super) fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}
