//! From the states of a text's tokens to one vector, as sentence-transformers has it (Reimers and Gurevych, "Sentence-BERT",
//! 2019).

use harca_core::model::transformer::Pooling;

/// Pools `states`, `lengths.len()` × `longest` × `width` numbers, of which those of text i behind its `lengths[i]` tokens are
/// padding; gives `width` numbers for each text. A text without a token gives zeros.
#[must_use]
pub fn pool(pooling: Pooling, states: &[f32], lengths: &[usize], longest: usize, width: usize) -> Vec<f32> {
    let mut pooled = vec![0.0; lengths.len() * width];
    for ((text, &length), vector) in states.chunks(longest * width).zip(lengths).zip(pooled.chunks_mut(width)) {
        let token = |place: usize| &text[place * width..][..width];
        match pooling {
            _ if length == 0 => {}
            Pooling::First | Pooling::None => vector.copy_from_slice(token(0)),
            Pooling::Last => vector.copy_from_slice(token(length - 1)),
            Pooling::Mean => {
                // In float64, so that the mean does not depend on how the sum is rounded on the way.
                let mut sums = vec![0.0_f64; width];
                for place in 0..length {
                    sums.iter_mut().zip(token(place)).for_each(|(sum, value)| *sum += f64::from(*value));
                }
                vector.iter_mut().zip(sums).for_each(|(value, sum)| *value = (sum / length as f64) as f32);
            }
        }
    }
    pooled
}

/// Divides each vector of `width` numbers by its length; zeros stay zeros.
pub fn normalize(vectors: &mut [f32], width: usize) {
    for vector in vectors.chunks_mut(width.max(1)) {
        let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
        }
    }
}

/// Turns each line of `width` logits into probabilities, at a temperature.
pub fn softmax(logits: &mut [f32], width: usize, temperature: f32) {
    for line in logits.chunks_mut(width.max(1)) {
        let highest = line.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let scaled = |value: f32| f64::from((value - highest) / temperature).exp();
        let sum: f64 = line.iter().map(|&value| scaled(value)).sum();
        line.iter_mut().for_each(|value| *value = (scaled(*value) / sum) as f32);
    }
}

/// Turns each number into one between 0 and 1.
pub fn sigmoid(numbers: &mut [f32], temperature: f32) {
    numbers.iter_mut().for_each(|number| *number = (1.0 / (1.0 + f64::from(-*number / temperature).exp())) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two texts of 2 and 1 tokens, 3 steps, width 2.
    const STATES: [f32; 12] = [1.0, 2.0, 3.0, 6.0, 9.0, 9.0, 5.0, 7.0, 9.0, 9.0, 9.0, 9.0];

    #[test]
    fn padding_is_left_out() {
        let by = |pooling| pool(pooling, &STATES, &[2, 1], 3, 2);
        assert_eq!(by(Pooling::Mean), [2.0, 4.0, 5.0, 7.0]);
        assert_eq!(by(Pooling::First), [1.0, 2.0, 5.0, 7.0]);
        assert_eq!(by(Pooling::Last), [3.0, 6.0, 5.0, 7.0]);
        assert_eq!(pool(Pooling::Mean, &STATES, &[0, 1], 3, 2), [0.0, 0.0, 5.0, 7.0]);
    }

    #[test]
    fn vectors_get_the_length_one() {
        let mut vectors = [3.0, 4.0, 0.0, 0.0];
        normalize(&mut vectors, 2);
        assert_eq!(vectors, [0.6, 0.8, 0.0, 0.0]);
    }

    #[test]
    fn probabilities_add_up() {
        let mut logits = [1.0, 1.0, 1000.0, 0.0];
        softmax(&mut logits, 2, 1.0);
        assert_eq!(logits, [0.5, 0.5, 1.0, 0.0]);
        let mut scores = [0.0, 1000.0, -1000.0];
        sigmoid(&mut scores, 2.0);
        assert_eq!(scores, [0.5, 1.0, 0.0]);
    }
}
