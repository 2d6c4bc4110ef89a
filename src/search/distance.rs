//! The distances that a vector index can be built for.

use harca_core::search::background::Similarity;

/// How near two embeddings are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    /// One minus the cosine of the angle between them.
    Cosine,
    /// The Euclidean distance.
    L2,
    /// The negative inner product.
    InnerProduct,
}

impl Distance {
    /// By its name in `harca.search_target`, which knows no other.
    pub fn named(name: &str) -> Self {
        match name {
            "cosine" => Self::Cosine,
            "l2" => Self::L2,
            _ => Self::InnerProduct,
        }
    }

    /// pgvector's operator.
    pub fn operator(self) -> &'static str {
        match self {
            Self::Cosine => "<=>",
            Self::L2 => "<->",
            Self::InnerProduct => "<#>",
        }
    }

    /// The same without a table.
    pub fn similarity(self) -> Similarity {
        match self {
            Self::Cosine => Similarity::Cosine,
            Self::L2 => Similarity::L2,
            Self::InnerProduct => Similarity::InnerProduct,
        }
    }

    /// The score of a row at a distance: the nearer, the higher.
    pub fn score(self, distance: f64) -> f64 {
        match self {
            Self::Cosine => 1.0 - distance,
            Self::L2 | Self::InnerProduct => 0.0 - distance,
        }
    }
}
