//! The pieces of a network, and how each is computed.

use bytes::Bytes;

use super::onnx::Constants;
use crate::error::{Error, Result};

/// Outputs that are summed up side by side, in registers.
const LANES: usize = 16;

/// Numbers for as many outputs.
type Lanes = [f32; LANES];

/// How many [`Lanes`] are summed up together. A sum has to wait for the one before it; with several under way at the same
/// time the processor does not.
const TOGETHER: usize = 4;

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
        let sound = inside && ids > 0 && width > 0 && table.sum([0], &mut Vec::new(), &mut padding).is_ok();
        (sound && padding.iter().all(|value| *value == 0.0)).then_some(table)
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Replaces `sums`, of the table's width, by the sum of the rows of `ids`; `starts` is a buffer.
    ///
    /// # Errors
    /// [`Error::ModelShape`] for an id that the table does not have.
    #[inline(always)]
    pub(super) fn sum(
        &self,
        ids: impl IntoIterator<Item = i32>,
        starts: &mut Vec<usize>,
        sums: &mut [f32],
    ) -> Result<()> {
        starts.clear();
        for id in ids {
            let known = usize::try_from(id).ok().filter(|&id| id < self.ids);
            let Some(id) = known else {
                return Err(Error::ModelShape(format!("id {id} is not one of the {} of its table", self.ids)));
            };
            starts.push(self.place(id) * self.width);
        }
        match &self.rows {
            // Whole numbers: as long as they are below 2²⁴ a float holds their sum exactly.
            Rows::Bytes { values, zero, scale } => {
                let zero = i32::try_from(starts.len()).unwrap_or(i32::MAX).wrapping_mul(*zero);
                let finish = |sum: i32| sum.wrapping_sub(zero) as f32 * scale;
                sum_rows(values, starts, sums, |sum: i32, value: u8| sum.wrapping_add(i32::from(value)), finish);
            }
            Rows::Floats(values) => sum_rows(values, starts, sums, |sum: f32, value: f32| sum + value, |sum| sum),
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
pub(super) struct Dense(Weights);

impl Dense {
    /// The layer `name` with `inputs` inputs.
    pub(super) fn read(constants: &Constants, name: &str, inputs: usize) -> Option<Self> {
        let ([rows, outputs], stored) = constants.floats(&format!("{name}_weight"))?;
        let ([biases], bias) = constants.floats(&format!("{name}_bias"))?;
        (rows == inputs && biases == outputs && outputs > 0)
            .then(|| Self(Weights::new(inputs, &bias, |input, output| stored[input * outputs + output])))
    }

    pub(super) fn outputs(&self) -> usize {
        self.0.outputs
    }

    /// Replaces `output` by what the layer makes of `input`.
    #[inline(always)]
    pub(super) fn apply(&self, input: &[f32], output: &mut Vec<f32>) {
        let Self(weights) = self;
        output.clear();
        output.resize(weights.outputs, 0.0);
        let last = weights.bias.len() - 1;
        for (tile, output) in output.chunks_mut(TOGETHER * LANES).enumerate() {
            // Behind the last block it comes again, for nobody.
            let blocks: [usize; TOGETHER] = std::array::from_fn(|n| last.min(tile * TOGETHER + n));
            let sums = of_blocks(input, blocks.map(|n| weights.block(n)), blocks.map(|n| weights.bias[n]));
            for (output, sums) in output.chunks_mut(LANES).zip(&sums) {
                output.copy_from_slice(&sums[..output.len()]);
            }
        }
    }
}

/// A convolution over three neighbours, with padding by zeros, what is negative taken for zero.
pub(super) struct Convolution {
    /// The inputs are those of the position before, of the position itself, and of the one after.
    weights: Weights,
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
        let weight = |place: usize, output: usize| {
            let (neighbour, input) = (place / inputs, place % inputs);
            stored[(output * inputs + input) * NEIGHBOURS + neighbour]
        };
        Some(Self { weights: Weights::new(NEIGHBOURS * inputs, &bias, weight), inputs })
    }

    pub(super) fn outputs(&self) -> usize {
        self.weights.outputs
    }

    /// Replaces `output` by what the layer makes of `input`, a line of `inputs` numbers per position with a line of zeros
    /// before the first and after the last one; positions that are not `present` become zeros.
    #[inline(always)]
    pub(super) fn apply(&self, input: &[f32], present: &[bool], output: &mut Vec<f32>) {
        let outputs = self.outputs();
        output.clear();
        output.resize(present.len() * outputs, 0.0);
        for (tile, output) in output.chunks_mut(TOGETHER * outputs).enumerate() {
            // Behind the last position it comes again, for nobody.
            let places: [usize; TOGETHER] = std::array::from_fn(|n| (present.len() - 1).min(tile * TOGETHER + n));
            // Neighbours lie side by side, as their weights do.
            let around = places.map(|place| &input[place * self.inputs..][..NEIGHBOURS * self.inputs]);
            for block in 0..self.weights.bias.len() {
                let sums = of_inputs(around, self.weights.block(block), [self.weights.bias[block]; TOGETHER]);
                for ((line, sums), place) in output.chunks_exact_mut(outputs).zip(&sums).zip(places) {
                    if present[place] {
                        for (value, sum) in line[block * LANES..].iter_mut().zip(sums) {
                            *value = sum.max(0.0);
                        }
                    }
                }
            }
        }
    }
}

/// What a linear layer multiplies by and adds, in blocks of [`LANES`] outputs; the last one is filled up with zeros.
struct Weights {
    outputs: usize,
    inputs: usize,
    bias: Vec<Lanes>,
    /// By block, then by input.
    factors: Vec<Lanes>,
}

impl Weights {
    /// `weight` gives the weight of an input for an output.
    fn new(inputs: usize, bias: &[f32], weight: impl Fn(usize, usize) -> f32) -> Self {
        let outputs = bias.len();
        let lanes = |first: usize, value: &dyn Fn(usize) -> f32| {
            std::array::from_fn(|lane| if first + lane < outputs { value(first + lane) } else { 0.0 })
        };
        let firsts = (0..outputs).step_by(LANES);
        Self {
            outputs,
            inputs,
            bias: firsts.clone().map(|first| lanes(first, &|output| bias[output])).collect(),
            factors: firsts
                .flat_map(|first| (0..inputs).map(move |input| (first, input)))
                .map(|(first, input)| lanes(first, &|output| weight(input, output)))
                .collect(),
        }
    }

    /// The weights of the outputs of block `n`, by input.
    #[inline(always)]
    fn block(&self, n: usize) -> &[Lanes] {
        &self.factors[n * self.inputs..][..self.inputs]
    }
}

/// Replaces `sums` by the sums of the rows of `values` that begin at `starts`.
#[inline(always)]
fn sum_rows<V: Copy, S: Copy + Default>(
    values: &[V],
    starts: &[usize],
    sums: &mut [f32],
    add: impl Fn(S, V) -> S,
    finish: impl Fn(S) -> f32,
) {
    let mut column = 0;
    let (blocks, rest) = sums.as_chunks_mut::<LANES>();
    for block in blocks {
        let mut held = [S::default(); LANES];
        for start in starts {
            let row: &[V] = &values[start + column..][..LANES];
            held.iter_mut().zip(row).for_each(|(sum, value)| *sum = add(*sum, *value));
        }
        block.iter_mut().zip(held).for_each(|(sum, held)| *sum = finish(held));
        column += LANES;
    }
    for sum in rest {
        *sum = finish(starts.iter().fold(S::default(), |sum, start| add(sum, values[start + column])));
        column += 1;
    }
}

/// `sums[n] + Σ inputs[n][i] * weights[i]`, in the order of `i`.
#[inline(always)]
fn of_inputs(inputs: [&[f32]; TOGETHER], weights: &[Lanes], mut sums: [Lanes; TOGETHER]) -> [Lanes; TOGETHER] {
    // Written out, because only then all sums are held in registers.
    let [a, b, c, d] = inputs;
    for ((((a, b), c), d), row) in a.iter().zip(b).zip(c).zip(d).zip(weights) {
        add_product(&mut sums[0], *a, row);
        add_product(&mut sums[1], *b, row);
        add_product(&mut sums[2], *c, row);
        add_product(&mut sums[3], *d, row);
    }
    sums
}

/// `sums[n] + Σ input[i] * weights[n][i]`, in the order of `i`.
#[inline(always)]
fn of_blocks(input: &[f32], weights: [&[Lanes]; TOGETHER], mut sums: [Lanes; TOGETHER]) -> [Lanes; TOGETHER] {
    let [a, b, c, d] = weights;
    for ((((value, a), b), c), d) in input.iter().zip(a).zip(b).zip(c).zip(d) {
        add_product(&mut sums[0], *value, a);
        add_product(&mut sums[1], *value, b);
        add_product(&mut sums[2], *value, c);
        add_product(&mut sums[3], *value, d);
    }
    sums
}

#[inline(always)]
fn add_product(sums: &mut Lanes, value: f32, weights: &Lanes) {
    for (sum, weight) in sums.iter_mut().zip(weights) {
        *sum += value * weight;
    }
}
