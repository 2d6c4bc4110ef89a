//! How near any rows of a table are to a query: what the best rows stand out from.

/// How near two embeddings are; the higher, the nearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Similarity {
    /// The cosine of the angle between them.
    Cosine,
    /// The Euclidean distance, negated.
    L2,
    /// The inner product.
    InnerProduct,
}

/// The embeddings of some rows of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Background {
    rows: Vec<f32>,
    dimensions: usize,
}

impl Background {
    /// Of rows one behind the other, each of that many dimensions; none for fewer than two whole rows.
    #[must_use]
    pub fn new(rows: Vec<f32>, dimensions: usize) -> Option<Self> {
        (dimensions > 0 && rows.len().is_multiple_of(dimensions) && rows.len() >= 2 * dimensions)
            .then_some(Self { rows, dimensions })
    }

    /// Mean and standard deviation of how near the rows are to an embedding; none for one of other dimensions, and where that
    /// is no number, as for vectors of zeros by the cosine.
    #[must_use]
    pub fn of(&self, embedding: &[f32], similarity: Similarity) -> Option<(f64, f64)> {
        if embedding.len() != self.dimensions {
            return None;
        }
        let near = self.rows.chunks_exact(self.dimensions).map(|row| near(row, embedding, similarity));
        let near: Vec<f64> = near.filter(|near| near.is_finite()).collect();
        let count = near.len() as f64;
        let mean = near.iter().sum::<f64>() / count;
        let variance = near.iter().map(|near| (near - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (near.len() >= 2 && variance.is_finite()).then(|| (mean, variance.sqrt()))
    }
}

fn near(row: &[f32], other: &[f32], similarity: Similarity) -> f64 {
    match similarity {
        Similarity::Cosine => f64::from(inner(row, other)) / f64::from(inner(row, row) * inner(other, other)).sqrt(),
        Similarity::InnerProduct => f64::from(inner(row, other)),
        Similarity::L2 => {
            let squares: f32 = row.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum();
            0.0 - f64::from(squares).sqrt()
        }
    }
}

/// By eight sums side by side, which processors add at once.
fn inner(one: &[f32], other: &[f32]) -> f32 {
    let (chunks, rest) = one.as_chunks::<8>();
    let (other_chunks, other_rest) = other.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for (a, b) in chunks.iter().zip(other_chunks) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest.iter().zip(other_rest).map(|(a, b)| a * b).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Option<(f64, f64)>, mean: f64, deviation: f64) {
        let found = found.unwrap();
        assert!((found.0 - mean).abs() < 1e-6 && (found.1 - deviation).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn each_similarity_by_hand() {
        let background = Background::new(vec![1.0, 0.0, 0.0, 2.0, 3.0, 4.0], 2).unwrap();
        close(background.of(&[1.0, 0.0], Similarity::Cosine), 1.6 / 3.0, 0.503_322_295);
        close(background.of(&[1.0, 0.0], Similarity::InnerProduct), 4.0 / 3.0, 1.527_525_231);
        let far = [0.0, 5.0f64.sqrt(), 20.0f64.sqrt()];
        let mean = far.iter().sum::<f64>() / 3.0;
        let deviation = (far.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        close(background.of(&[1.0, 0.0], Similarity::L2), -mean, deviation);
    }

    #[test]
    fn what_has_no_background() {
        assert_eq!(Background::new(vec![1.0, 2.0], 2), None);
        assert_eq!(Background::new(vec![1.0, 2.0, 3.0], 2), None);
        assert_eq!(Background::new(vec![], 0), None);
        let background = Background::new(vec![1.0, 0.0, 0.0, 0.0], 2).unwrap();
        assert_eq!(background.of(&[1.0], Similarity::Cosine), None);
        assert_eq!(background.of(&[1.0, 0.0], Similarity::Cosine), None, "a vector of zeros has no cosine");
        assert_eq!(background.of(&[f32::NAN, 0.0], Similarity::L2), None);
    }

    #[test]
    fn many_dimensions_are_added_up_as_few() {
        let one: Vec<f32> = (0..19).map(|n| n as f32 / 4.0).collect();
        let other: Vec<f32> = (0..19).map(|n| (n % 5) as f32).collect();
        let expected: f32 = one.iter().zip(&other).map(|(a, b)| a * b).sum();
        assert_eq!(inner(&one, &other), expected);
    }
}
