//! Runs the networks that `harca_train` makes, without ONNX Runtime.
//!
//! Such a network is small and of one kind (`models/training/harca_train/graph.py` lays it out): a bag of features, which
//! adds up rows of a table and applies two dense layers, beside a sequence of tokens, which applies convolutions to sums of
//! rows and pools them for two dense layers; the sum of both is the answer. A runtime for every kind of graph takes longer
//! to get ready for it, and to run it, than the arithmetic itself.
//!
//! [`Network::read`] takes a file for such a network only if its nodes are exactly those that this module computes; every
//! other graph is left to ONNX Runtime. Sums are taken in one order, whatever the processor and however many texts there
//! are at once, so that equal texts have equal answers to the last bit.

mod layers;
mod onnx;

use std::collections::BTreeSet;

use bytes::Bytes;
use multiversion::multiversion;

use crate::error::Result;
use crate::model::manifest::TOKEN_IDS;
use layers::{Convolution, Dense, Table};
use onnx::{Constants, line};

/// A network ready to run.
pub struct Network {
    layers: Layers,
    buffers: Buffers,
}

struct Layers {
    bag_table: Table,
    bag_first: Dense,
    bag_second: Dense,
    token_table: Table,
    residuals: Vec<Convolution>,
    last: Convolution,
    token_first: Dense,
    token_second: Dense,
}

/// What lies between the layers of one text.
#[derive(Default)]
struct Buffers {
    starts: Vec<usize>,
    sums: Vec<f32>,
    present: Vec<bool>,
    lines: Vec<f32>,
    found: Vec<f32>,
    hidden: Vec<f32>,
    logits: Vec<f32>,
}

impl Network {
    /// The network in the ONNX file `file`; `None` where it holds something else.
    ///
    /// Tables stay where they lie in `file`: those of a static file take no memory.
    #[must_use]
    pub fn read(file: Bytes) -> Option<Self> {
        let (lines, constants) = onnx::read(file)?;
        let residuals = (1..).take_while(|n| constants.has(&format!("layer_{n}_weight"))).count();
        if lines != expected(&constants, residuals) || !indices_are_right(&constants) {
            return None;
        }
        let bag_table = Table::read(&constants, "table")?;
        let bag_first = Dense::read(&constants, "first", bag_table.width())?;
        let bag_second = Dense::read(&constants, "second", bag_first.outputs())?;
        let token_table = Table::read(&constants, "token_table")?;
        let width = token_table.width();
        let residuals: Option<Vec<_>> = (1..=residuals)
            .map(|n| {
                Convolution::read(&constants, &format!("layer_{n}"), width).filter(|layer| layer.outputs() == width)
            })
            .collect();
        let last = Convolution::read(&constants, "last", width)?;
        let token_first = Dense::read(&constants, "sequence_first", 2 * last.outputs())?;
        let token_second = Dense::read(&constants, "sequence_second", token_first.outputs())?;
        (bag_second.outputs() == token_second.outputs()).then_some(())?;
        Some(Self {
            layers: Layers {
                bag_table,
                bag_first,
                bag_second,
                token_table,
                residuals: residuals?,
                last,
                token_first,
                token_second,
            },
            buffers: Buffers::default(),
        })
    }

    /// Number of logits of a text.
    #[must_use]
    pub fn labels(&self) -> usize {
        self.layers.bag_second.outputs()
    }

    /// Replaces `logits` by those of `rows` texts, [`Self::labels`] each.
    ///
    /// `features` holds `rows` lines of equal length, padded with 0, and so does `tokens`, in groups of [`TOKEN_IDS`].
    ///
    /// # Errors
    /// [`Error::ModelShape`](crate::error::Error::ModelShape) for an id that a table does not have.
    pub fn run(&mut self, features: &[i32], tokens: &[i32], rows: usize, logits: &mut Vec<f32>) -> Result<()> {
        logits.clear();
        for row in 0..rows {
            let line = |ids: &'_ [i32]| row * (ids.len() / rows)..(row + 1) * (ids.len() / rows);
            forward(&self.layers, &mut self.buffers, &features[line(features)], &tokens[line(tokens)])?;
            logits.extend_from_slice(&self.buffers.logits);
        }
        Ok(())
    }
}

/// Computes the logits of one text. Wider registers hold more sums at once; each sum is the same in all versions, as
/// Rust never joins a product and a sum into one rounding. What is called from here is inlined: code of its own would be
/// compiled for narrow registers.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "x86_64+avx"))]
fn forward(layers: &Layers, buffers: &mut Buffers, features: &[i32], tokens: &[i32]) -> Result<()> {
    let Buffers { starts, sums, present, lines, found, hidden, logits } = buffers;

    sums.resize(layers.bag_table.width(), 0.0);
    layers.bag_table.sum(features.iter().copied().filter(|id| *id != 0), starts, sums)?;
    let scale = 1.0 / (starts.len().max(1) as f32).sqrt();
    sums.iter_mut().for_each(|sum| *sum *= scale);
    layers.bag_first.apply(sums, hidden);
    hidden.iter_mut().for_each(|value| *value = value.max(0.0));
    layers.bag_second.apply(hidden, logits);

    let (groups, _) = tokens.as_chunks::<TOKEN_IDS>();
    let padding = groups.iter().rev().take_while(|group| **group == [0; TOKEN_IDS]).count();
    let groups = &groups[..groups.len() - padding];
    let width = layers.token_table.width();
    present.clear();
    present.extend(groups.iter().map(|group| group[0] != 0));
    // With a line of zeros before the first token and after the last one.
    lines.clear();
    lines.resize((groups.len() + 2) * width, 0.0);
    for (group, line) in groups.iter().zip(lines[width..].chunks_exact_mut(width)) {
        layers.token_table.sum(*group, starts, line)?;
    }
    for layer in &layers.residuals {
        layer.apply(lines, present, found);
        lines[width..].iter_mut().zip(found.iter()).for_each(|(value, more)| *value += more);
    }
    layers.last.apply(lines, present, found);
    let channels = layers.last.outputs();
    sums.clear();
    sums.resize(2 * channels, 0.0);
    let (most, mean) = sums.split_at_mut(channels);
    for line in found.chunks_exact(channels) {
        for ((most, mean), value) in most.iter_mut().zip(mean.iter_mut()).zip(line) {
            *most = most.max(*value);
            *mean += value;
        }
    }
    let count = present.iter().filter(|present| **present).count().max(1) as f32;
    mean.iter_mut().for_each(|value| *value /= count);
    layers.token_first.apply(sums, hidden);
    hidden.iter_mut().for_each(|value| *value = value.max(0.0));
    layers.token_second.apply(hidden, found);
    logits.iter_mut().zip(found.iter()).for_each(|(logit, more)| *logit += more);
    Ok(())
}

/// The nodes of a network with this many residual layers, as `graph.py` names them.
fn expected(constants: &Constants, residuals: usize) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let mut node = |operator: &str, inputs: &[&str], output: &str, attributes: &str| {
        lines.insert(line(operator, inputs, output, attributes));
    };
    for (table, ids) in [("table", "features"), ("token_table", "tokens")] {
        let of = |part: &str| format!("{table}_{part}");
        let mut rows = ids.to_owned();
        if constants.has(&of("places")) {
            node("Gather", &[&of("places"), ids], &of("place"), "axis=0");
            rows = of("rows");
            node("Cast", &[&of("place")], &rows, "to=6");
        }
        if constants.has(&of("quantized")) {
            node("Gather", &[&of("quantized"), &rows], &of("found_quantized"), "axis=0");
            let inputs = [&*of("found_quantized"), &of("scale"), &of("zero_point")];
            node("DequantizeLinear", &inputs, &of("found"), "");
        } else {
            node("Gather", &[table, &rows], &of("found"), "axis=0");
        }
    }
    let mut dense = |name: &str, input: &str| {
        let of = |part: &str| format!("{name}_{part}");
        node("MatMul", &[input, &of("weight")], &of("product"), "");
        node("Add", &[&of("product"), &of("bias")], &of("sum"), "");
    };
    dense("first", "bag");
    dense("second", "bag_hidden");
    dense("sequence_first", "token_pooled");
    dense("sequence_second", "sequence_hidden");

    node("Sign", &["features"], "feature_sign", "");
    node("Cast", &["feature_sign"], "feature_present", "to=1");
    node("ReduceSum", &["table_found", "axis_1"], "bag_sum", "keepdims=0");
    node("ReduceSum", &["feature_present", "axis_1"], "feature_count", "keepdims=1");
    node("Max", &["feature_count", "one"], "features_or_one", "");
    node("Sqrt", &["features_or_one"], "bag_divisor", "");
    node("Div", &["bag_sum", "bag_divisor"], "bag", "");
    node("Relu", &["first_sum"], "bag_hidden", "");

    node("Gather", &["tokens", "first_of_three"], "token_words", "axis=2");
    node("Sign", &["token_words"], "token_sign", "");
    node("Cast", &["token_sign"], "token_present", "to=1");
    node("Unsqueeze", &["token_present", "axes_1_2"], "token_mask", "");
    node("ReduceSum", &["token_table_found", "axis_2"], "token_vectors", "keepdims=0");
    node("Transpose", &["token_vectors"], "token_columns", "perm=[0, 2, 1]");
    node("Unsqueeze", &["token_columns", "axis_2"], "token_picture", "");
    let mut hidden = "token_picture".to_owned();
    let names = (1..=residuals).map(|n| format!("layer_{n}")).chain(["last".to_owned()]);
    for (number, name) in (1..).zip(names) {
        let of = |part: &str| format!("{name}_{part}");
        let inputs = [&*hidden, &of("weight"), &of("bias")];
        node("Conv", &inputs, &of("found"), "kernel_shape=[1, 3] pads=[0, 1, 0, 1]");
        node("Relu", &[&of("found")], &of("positive"), "");
        node("Mul", &[&of("positive"), "token_mask"], &of("masked"), "");
        if number <= residuals {
            let next = format!("hidden_{number}");
            node("Add", &[&hidden, &of("masked")], &next, "");
            hidden = next;
        }
    }
    node("ReduceMax", &["last_masked"], "token_most", "axes=[2, 3] keepdims=0");
    node("ReduceSum", &["last_masked", "axes_2_3"], "token_sum", "keepdims=0");
    node("ReduceSum", &["token_present", "axis_1"], "token_count", "keepdims=1");
    node("Max", &["token_count", "one"], "tokens_or_one", "");
    node("Div", &["token_sum", "tokens_or_one"], "token_mean", "");
    node("Concat", &["token_most", "token_mean"], "token_pooled", "axis=1");
    node("Relu", &["sequence_first_sum"], "sequence_hidden", "");
    node("Add", &["second_sum", "sequence_second_sum"], "logits", "");
    lines
}

/// Whether the constants that say where to look hold what their names say.
fn indices_are_right(constants: &Constants) -> bool {
    let one = constants.floats("one").is_some_and(|([_], values): ([usize; 1], _)| values == [1.0]);
    let index = |(name, value): (&str, &[i64])| constants.holds(name, value);
    let indices: [(&str, &[i64]); 5] =
        [("axis_1", &[1]), ("axis_2", &[2]), ("axes_1_2", &[1, 2]), ("axes_2_3", &[2, 3]), ("first_of_three", &[0])];
    one && indices.into_iter().all(index)
}
