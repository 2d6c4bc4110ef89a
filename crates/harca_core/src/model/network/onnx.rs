//! As much of an ONNX file as a network needs: the lines of its graph, to be compared, and its constants.
//!
//! Field numbers are those of `onnx.proto` (IR version 8). What is not named here is skipped.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct ModelFile {
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    constants: Vec<Tensor>,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(string, repeated, tag = "1")]
    inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    outputs: Vec<String>,
    #[prost(string, tag = "4")]
    operator: String,
    #[prost(message, repeated, tag = "5")]
    attributes: Vec<Attribute>,
    #[prost(string, tag = "7")]
    domain: String,
}

/// An attribute that is a number or a list of numbers; what else it may be leaves both empty.
#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, optional, tag = "3")]
    number: Option<i64>,
    #[prost(int64, repeated, tag = "8")]
    numbers: Vec<i64>,
}

/// A constant. Its elements are in `raw`, little-endian, or, where an exporter liked that better, in a list of their own.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    dimensions: Vec<i64>,
    #[prost(int32, tag = "2")]
    element: i32,
    #[prost(float, repeated, tag = "4")]
    floats: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    integers: Vec<i32>,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "bytes", tag = "9")]
    raw: Bytes,
    #[prost(int32, tag = "14")]
    location: i32,
}

const FLOAT: i32 = 1;
const UINT8: i32 = 2;
const INT16: i32 = 5;
const INT64: i32 = 7;

/// The constants of a graph by their names.
pub(super) struct Constants(HashMap<String, Tensor>);

/// A line for each node of the graph in `file`, as [`line`] writes them, and its constants; `None` where the file is none,
/// or keeps something outside itself.
pub(super) fn read(file: Bytes) -> Option<(BTreeSet<String>, Constants)> {
    let graph = ModelFile::decode(file).ok()?.graph?;
    let mut lines = BTreeSet::new();
    for node in graph.nodes {
        let mut attributes: Vec<String> = node
            .attributes
            .iter()
            .map(|one| match one.number {
                Some(number) => format!("{}={number}", one.name),
                None => format!("{}={:?}", one.name, one.numbers),
            })
            .collect();
        attributes.sort();
        let operator = format!("{}{}", node.domain, node.operator);
        lines.insert(line(&operator, &node.inputs, &node.outputs.join(","), &attributes.join(" ")));
    }
    let constants: HashMap<_, _> = graph.constants.into_iter().map(|one| (one.name.clone(), one)).collect();
    constants.values().all(|one| one.location == 0).then_some((lines, Constants(constants)))
}

/// A node in one line: what it computes, from what, with which attributes (by name, one space apart).
pub(super) fn line(operator: &str, inputs: &[impl AsRef<str>], output: &str, attributes: &str) -> String {
    let inputs: Vec<&str> = inputs.iter().map(AsRef::as_ref).collect();
    format!("{output} = {operator}({}) {attributes}", inputs.join(", "))
}

impl Constants {
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A tensor of float32 with `N` dimensions.
    pub(super) fn floats<const N: usize>(&self, name: &str) -> Option<([usize; N], Vec<f32>)> {
        let (shape, count, tensor) = self.tensor(name, FLOAT)?;
        let values: Vec<f32> = if tensor.raw.is_empty() {
            tensor.floats.clone()
        } else {
            let (numbers, rest) = tensor.raw.as_chunks();
            rest.is_empty().then(|| numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())?
        };
        (values.len() == count).then_some((shape, values))
    }

    /// A tensor of uint8 with `N` dimensions, where it lies in the file.
    pub(super) fn bytes<const N: usize>(&self, name: &str) -> Option<([usize; N], Bytes)> {
        let (shape, count, tensor) = self.tensor(name, UINT8)?;
        (tensor.raw.len() == count).then(|| (shape, tensor.raw.clone()))
    }

    /// A list of int16, where it lies in the file, two little-endian bytes each.
    pub(super) fn shorts(&self, name: &str) -> Option<Bytes> {
        let ([count], _, tensor) = self.tensor::<1>(name, INT16)?;
        (tensor.raw.len() == 2 * count).then(|| tensor.raw.clone())
    }

    /// A single uint8.
    pub(super) fn byte(&self, name: &str) -> Option<i32> {
        let (_, _, tensor) = self.tensor::<0>(name, UINT8)?;
        match (&tensor.raw[..], &tensor.integers[..]) {
            ([one], _) => Some(i32::from(*one)),
            ([], [one]) => u8::try_from(*one).ok().map(i32::from),
            _ => None,
        }
    }

    /// Whether the int64 constant is what it should be.
    pub(super) fn holds(&self, name: &str, expected: &[i64]) -> bool {
        self.0.get(name).is_some_and(|tensor| {
            let (numbers, _) = tensor.raw.as_chunks();
            tensor.element == INT64
                && numbers.iter().map(|bytes| i64::from_le_bytes(*bytes)).eq(expected.iter().copied())
        })
    }

    fn tensor<const N: usize>(&self, name: &str, element: i32) -> Option<([usize; N], usize, &Tensor)> {
        let tensor = self.0.get(name).filter(|tensor| tensor.element == element)?;
        let sizes: Option<Vec<usize>> = tensor.dimensions.iter().map(|&size| usize::try_from(size).ok()).collect();
        let shape: [usize; N] = sizes?.try_into().ok()?;
        let count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size))?;
        Some((shape, count, tensor))
    }
}
