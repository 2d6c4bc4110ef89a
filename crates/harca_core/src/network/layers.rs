//! The pieces of a network, and how each is computed.

use bytes::Bytes;

use super::onnx::Constants;
use crate::error::{Error, Result};

/// Outputs that are summed up side by side, in registers.
const LANES: usize = 16;

/// Rows by id. Ids that share the zero row have no place of their own.
pub(super) struct Table {
    /// Where the row of each id is, as int16; without it row `id` is the row of `id`.
    places: Option<Bytes>,
    ids: usize,
    rows: Rows,
    width: usize,
}

enum Rows {
    /// A number `v` stands for `scale * (v - zero)`.
    Bytes {
        values: Bytes,
        zero: i32,
        scale: f32,
    },
    Floats(Vec<f32>),
}

impl Table {
    /// The table `name`; `None` unless its id 0, which is padding, has a row of zeros.
    pub(super) fn read(constants: &Constants, name: &str) -> Option<Self> {
        let quantized = format!("{name}_quantized");
        let ([count, width], rows) = if constants.has(&quantized) {
            let (shape, values) = constants.bytes(&quantized)?;
            let (_, scale) = constants.floats::<0>(&format!("{name}_scale"))?;
            let zero = constants.byte(&format!("{name}_zero_point"))?;
            (shape, Rows::Bytes { values, zero, scale: scale[0] })
        } else {
            let (shape, values) = constants.floats(name)?;
            (shape, Rows::Floats(values))
        };
        let places = format!("{name}_places");
        let places = if constants.has(&places) { Some(constants.shorts(&places)?) } else { None };
        let ids = places.as_ref().map_or(count, |places| places.len() / 2);
        let table = Self { places, ids, rows, width };
        let inside = (0..ids).all(|id| table.place(id) < count);
        let mut padding = vec![0.0; width];
        (inside && ids > 0 && width > 0 && table.add(0, &mut padding).is_ok() && padding.iter().all(|v| *v == 0.0))
            .then_some(table)
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// What sums of [`Self::add`] are to be multiplied by.
    pub(super) fn scale(&self) -> f32 {
        match self.rows {
            Rows::Bytes { scale, .. } => scale,
            Rows::Floats(_) => 1.0,
        }
    }

    /// Adds the row of `id` to `sums`.
    ///
    /// # Errors
    /// [`Error::ModelShape`] for an id that the table does not have.
    #[inline(always)]
    pub(super) fn add(&self, id: i32, sums: &mut [f32]) -> Result<()> {
        let known = usize::try_from(id).ok().filter(|&id| id < self.ids);
        let id =
            known.ok_or_else(|| Error::ModelShape(format!("id {id} is not one of the {} of its table", self.ids)))?;
        let start = self.place(id) * self.width;
        match &self.rows {
            // Whole numbers below 2²⁴ are exact in a float, so that their sums do not depend on the order.
            Rows::Bytes { values, zero, .. } => {
                for (sum, value) in sums.iter_mut().zip(&values[start..][..self.width]) {
                    *sum += (i32::from(*value) - zero) as f32;
                }
            }
            Rows::Floats(values) => {
                for (sum, value) in sums.iter_mut().zip(&values[start..][..self.width]) {
                    *sum += value;
                }
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn place(&self, id: usize) -> usize {
        match &self.places {
            // A negative place would be far outside.
            Some(places) => usize::from(u16::from_le_bytes([places[2 * id], places[2 * id + 1]])),
            None => id,
        }
    }
}

/// A linear layer.
pub(super) struct Dense {
    /// By input, then by output.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Dense {
    /// The layer `name` with `inputs` inputs.
    pub(super) fn read(constants: &Constants, name: &str, inputs: usize) -> Option<Self> {
        let ([rows, outputs], weights) = constants.floats(&format!("{name}_weight"))?;
        let ([biases], bias) = constants.floats(&format!("{name}_bias"))?;
        (rows == inputs && biases == outputs && outputs > 0).then_some(Self { weights, bias })
    }

    pub(super) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Replaces `output` by what the layer makes of `input`.
    #[inline(always)]
    pub(super) fn apply(&self, input: &[f32], output: &mut Vec<f32>) {
        output.clear();
        output.extend_from_slice(&self.bias);
        add_products(input, &self.weights, output);
    }
}

/// A convolution over three neighbours, with padding by zeros, what is negative taken for zero.
pub(super) struct Convolution {
    /// By neighbour (the one before, itself, the one after), then by input, then by output.
    weights: Vec<f32>,
    bias: Vec<f32>,
    inputs: usize,
}

const NEIGHBOURS: usize = 3;

impl Convolution {
    /// The layer `name` with `inputs` inputs.
    pub(super) fn read(constants: &Constants, name: &str, inputs: usize) -> Option<Self> {
        let ([outputs, columns, height, neighbours], stored) = constants.floats(&format!("{name}_weight"))?;
        let ([biases], bias) = constants.floats(&format!("{name}_bias"))?;
        if (columns, height, neighbours, biases) != (inputs, 1, NEIGHBOURS, outputs) || outputs == 0 {
            return None;
        }
        let mut weights = vec![0.0; stored.len()];
        for output in 0..outputs {
            for input in 0..inputs {
                for neighbour in 0..NEIGHBOURS {
                    weights[(neighbour * inputs + input) * outputs + output] =
                        stored[(output * inputs + input) * NEIGHBOURS + neighbour];
                }
            }
        }
        Some(Self { weights, bias, inputs })
    }

    pub(super) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Replaces `output` by what the layer makes of `input`, a line of `inputs` numbers per position; positions that are
    /// not `present` become zeros.
    #[inline(always)]
    pub(super) fn apply(&self, input: &[f32], present: &[bool], output: &mut Vec<f32>) {
        let (inputs, outputs) = (self.inputs, self.bias.len());
        output.clear();
        output.resize(present.len() * outputs, 0.0);
        for (position, line) in output.chunks_exact_mut(outputs).enumerate() {
            if !present[position] {
                continue;
            }
            line.copy_from_slice(&self.bias);
            // Neighbours lie side by side, and so do their weights.
            let first = position.saturating_sub(1);
            let last = (position + 1).min(present.len() - 1);
            let skipped = (first + 1 - position) * inputs;
            add_products(&input[first * inputs..(last + 1) * inputs], &self.weights[skipped * outputs..], line);
            line.iter_mut().for_each(|value| *value = value.max(0.0));
        }
    }
}

/// Adds `input[i] * weights[i][o]` to each `output[o]`, in the order of `i`.
#[inline(always)]
fn add_products(input: &[f32], weights: &[f32], output: &mut [f32]) {
    let outputs = output.len();
    let (blocks, rest) = output.as_chunks_mut::<LANES>();
    let done = blocks.len() * LANES;
    for (block, sums) in blocks.iter_mut().enumerate() {
        let mut held = *sums;
        for (value, row) in input.iter().zip(weights.chunks_exact(outputs)) {
            let row: &[f32] = &row[block * LANES..][..LANES];
            for (sum, weight) in held.iter_mut().zip(row) {
                *sum += value * weight;
            }
        }
        *sums = held;
    }
    for (value, row) in input.iter().zip(weights.chunks_exact(outputs)) {
        for (sum, weight) in rest.iter_mut().zip(&row[done..]) {
            *sum += value * weight;
        }
    }
}
