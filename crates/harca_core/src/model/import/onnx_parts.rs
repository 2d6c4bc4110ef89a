//! An ONNX file on the level of its protobuf fields: the names of inputs and outputs, and data that lies in other files, put
//! into the one.
//!
//! Fields that nobody here knows are handed on byte by byte, so that a file without data elsewhere comes out as it went in.
//! Numbers of fields are those of `onnx.proto`.

use bytes::{Buf, Bytes};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

use crate::error::{Error, Result, one_line};

/// How deep graphs may lie in each other.
const MAX_DEPTH: usize = 16;

/// Fields of `ModelProto`, `GraphProto`, `NodeProto`, `AttributeProto`, `TensorProto`, `StringStringEntryProto`.
mod field {
    pub const MODEL_GRAPH: u32 = 7;
    pub const GRAPH_NODE: u32 = 1;
    pub const GRAPH_INITIALIZER: u32 = 5;
    pub const GRAPH_INPUT: u32 = 11;
    pub const GRAPH_OUTPUT: u32 = 12;
    pub const NODE_ATTRIBUTE: u32 = 5;
    pub const ATTRIBUTE_TENSOR: u32 = 5;
    pub const ATTRIBUTE_GRAPH: u32 = 6;
    pub const ATTRIBUTE_TENSORS: u32 = 10;
    pub const ATTRIBUTE_GRAPHS: u32 = 11;
    pub const VALUE_NAME: u32 = 1;
    pub const TENSOR_NAME: u32 = 8;
    pub const TENSOR_RAW_DATA: u32 = 9;
    pub const TENSOR_EXTERNAL_DATA: u32 = 13;
    pub const TENSOR_DATA_LOCATION: u32 = 14;
    pub const ENTRY_KEY: u32 = 1;
    pub const ENTRY_VALUE: u32 = 2;
}

/// A graph and what is known of it.
#[derive(Debug)]
pub struct OnnxParts {
    /// The file, with nothing elsewhere.
    pub file: Vec<u8>,
    /// Names of the inputs, in their order, constants aside.
    pub inputs: Vec<String>,
    /// Names of the outputs, in their order.
    pub outputs: Vec<String>,
}

impl OnnxParts {
    /// Reads a file; `elsewhere` gives bytes of another one by its name: from a place on, as many as said or all.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is no ONNX file, and what `elsewhere` gives.
    pub fn read(file: Vec<u8>, elsewhere: impl FnMut(&str, u64, Option<u64>) -> Result<Vec<u8>>) -> Result<Self> {
        let mut packer = Packer { elsewhere, packed: false };
        let bytes = Bytes::from(file);
        let (mut graph, mut whole) = (None, Vec::new());
        for found in fields(bytes.clone()) {
            let found = found?;
            if found.number == field::MODEL_GRAPH {
                let packed = packer.graph(found.content()?, 0)?;
                put(&mut whole, found.number, &packed);
                graph = Some(packed);
            } else {
                whole.extend_from_slice(&found.whole);
            }
        }
        let graph = graph.ok_or_else(|| refused("it is no ONNX file with a graph".into()))?;
        let (mut inputs, mut outputs, mut constants) = (Vec::new(), Vec::new(), Vec::new());
        for found in fields(graph.into()) {
            let found = found?;
            match found.number {
                field::GRAPH_INPUT => inputs.push(text(found.content()?, field::VALUE_NAME)?),
                field::GRAPH_OUTPUT => outputs.push(text(found.content()?, field::VALUE_NAME)?),
                field::GRAPH_INITIALIZER => constants.push(text(found.content()?, field::TENSOR_NAME)?),
                _ => {}
            }
        }
        inputs.retain(|name| !constants.contains(name));
        let file = if packer.packed { whole } else { bytes.into() };
        Ok(Self { file, inputs, outputs })
    }
}

struct Packer<E> {
    elsewhere: E,
    packed: bool,
}

impl<E: FnMut(&str, u64, Option<u64>) -> Result<Vec<u8>>> Packer<E> {
    fn graph(&mut self, graph: Bytes, depth: usize) -> Result<Vec<u8>> {
        if depth > MAX_DEPTH {
            return Err(refused(format!("graphs lie more than {MAX_DEPTH} deep in each other")));
        }
        rewrite(graph, |number, content| match number {
            field::GRAPH_INITIALIZER => self.tensor(content).map(Some),
            field::GRAPH_NODE => self.node(content, depth).map(Some),
            _ => Ok(None),
        })
    }

    fn node(&mut self, node: Bytes, depth: usize) -> Result<Vec<u8>> {
        rewrite(node, |number, content| match number {
            field::NODE_ATTRIBUTE => self.attribute(content, depth).map(Some),
            _ => Ok(None),
        })
    }

    fn attribute(&mut self, attribute: Bytes, depth: usize) -> Result<Vec<u8>> {
        rewrite(attribute, |number, content| match number {
            field::ATTRIBUTE_TENSOR | field::ATTRIBUTE_TENSORS => self.tensor(content).map(Some),
            field::ATTRIBUTE_GRAPH | field::ATTRIBUTE_GRAPHS => self.graph(content, depth + 1).map(Some),
            _ => Ok(None),
        })
    }

    fn tensor(&mut self, tensor: Bytes) -> Result<Vec<u8>> {
        let (mut kept, mut external, mut location) = (Vec::new(), Vec::new(), 0);
        for found in fields(tensor.clone()) {
            let found = found?;
            match found.number {
                field::TENSOR_EXTERNAL_DATA => external.push(entry(found.content()?)?),
                field::TENSOR_DATA_LOCATION => location = found.varint()?,
                _ => kept.extend_from_slice(&found.whole),
            }
        }
        if location != 1 {
            return Ok(tensor.into());
        }
        let value = |key: &str| external.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
        let number = |key: &str| -> Result<Option<u64>> {
            value(key)
                .map(|text| text.parse().map_err(|_| refused(format!("{key} of a tensor is \"{text}\""))))
                .transpose()
        };
        let file =
            value("location").ok_or_else(|| refused("a tensor keeps its data in a file without a name".into()))?;
        let data = (self.elsewhere)(file, number("offset")?.unwrap_or(0), number("length")?)?;
        put(&mut kept, field::TENSOR_RAW_DATA, &data);
        self.packed = true;
        Ok(kept)
    }
}

/// A field of a message.
struct Field {
    number: u32,
    wire_type: WireType,
    /// Its bytes, key included.
    whole: Bytes,
    /// Its bytes without the key, and without the length where there is one.
    inner: Bytes,
}

impl Field {
    fn content(&self) -> Result<Bytes> {
        match self.wire_type {
            WireType::LengthDelimited => Ok(self.inner.clone()),
            _ => Err(refused(format!("field {} of a message is no ONNX", self.number))),
        }
    }

    fn varint(&self) -> Result<u64> {
        decode_varint(&mut self.inner.clone()).map_err(|e| refused(one_line(&e)))
    }
}

/// The fields of a message, in their order.
fn fields(mut message: Bytes) -> impl Iterator<Item = Result<Field>> {
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed || !message.has_remaining() {
            return None;
        }
        let next = next_field(&mut message);
        failed = next.is_err();
        Some(next)
    })
}

fn next_field(message: &mut Bytes) -> Result<Field> {
    let broken = |reason: &dyn std::fmt::Display| refused(format!("it is no ONNX file: {}", one_line(&reason)));
    let (whole, before) = (message.clone(), message.len());
    let (number, wire_type) = decode_key(message).map_err(|e| broken(&e))?;
    let length = match wire_type {
        WireType::Varint => {
            let mut rest = message.clone();
            decode_varint(&mut rest).map_err(|e| broken(&e))?;
            message.len() - rest.len()
        }
        WireType::LengthDelimited => {
            let length = decode_varint(message).map_err(|e| broken(&e))?;
            usize::try_from(length).map_err(|e| broken(&e))?
        }
        WireType::ThirtyTwoBit => 4,
        WireType::SixtyFourBit => 8,
        WireType::StartGroup | WireType::EndGroup => return Err(broken(&"it has groups")),
    };
    if length > message.len() {
        return Err(broken(&"it is truncated"));
    }
    let inner = message.split_to(length);
    Ok(Field { number, wire_type, whole: whole.slice(..before - message.len()), inner })
}

/// The message with some of its fields replaced.
fn rewrite(message: Bytes, mut change: impl FnMut(u32, Bytes) -> Result<Option<Vec<u8>>>) -> Result<Vec<u8>> {
    let mut changed = Vec::with_capacity(message.len());
    for found in fields(message) {
        let found = found?;
        let replaced = match found.wire_type {
            WireType::LengthDelimited => change(found.number, found.inner.clone())?,
            _ => None,
        };
        match replaced {
            Some(content) => put(&mut changed, found.number, &content),
            None => changed.extend_from_slice(&found.whole),
        }
    }
    Ok(changed)
}

fn put(message: &mut Vec<u8>, number: u32, content: &[u8]) {
    encode_key(number, WireType::LengthDelimited, message);
    encode_varint(content.len() as u64, message);
    message.extend_from_slice(content);
}

fn text(message: Bytes, number: u32) -> Result<String> {
    for found in fields(message) {
        let found = found?;
        if found.number == number {
            return Ok(String::from_utf8_lossy(&found.content()?).into_owned());
        }
    }
    Ok(String::new())
}

fn entry(message: Bytes) -> Result<(String, String)> {
    Ok((text(message.clone(), field::ENTRY_KEY)?, text(message, field::ENTRY_VALUE)?))
}

fn refused(reason: String) -> Error {
    Error::Refused(reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(fields: &[(u32, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        fields.iter().for_each(|(number, content)| put(&mut bytes, *number, content));
        bytes
    }

    fn external(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut tensor = message(&[(field::TENSOR_NAME, b"weight")]);
        for (key, value) in entries {
            let entry = message(&[(field::ENTRY_KEY, key.as_bytes()), (field::ENTRY_VALUE, value.as_bytes())]);
            put(&mut tensor, field::TENSOR_EXTERNAL_DATA, &entry);
        }
        encode_key(field::TENSOR_DATA_LOCATION, WireType::Varint, &mut tensor);
        encode_varint(1, &mut tensor);
        tensor
    }

    fn model(tensor: &[u8]) -> Vec<u8> {
        let value = |name: &[u8]| message(&[(field::VALUE_NAME, name)]);
        let attribute = message(&[(field::ATTRIBUTE_TENSOR, tensor)]);
        let graph = message(&[
            (field::GRAPH_NODE, &message(&[(field::NODE_ATTRIBUTE, &attribute)])),
            (field::GRAPH_INITIALIZER, tensor),
            (field::GRAPH_INPUT, &value(b"input_ids")),
            (field::GRAPH_INPUT, &value(b"weight")),
            (field::GRAPH_OUTPUT, &value(b"logits")),
        ]);
        message(&[(2, b"somebody"), (field::MODEL_GRAPH, &graph)])
    }

    #[test]
    fn data_of_other_files_is_put_in() {
        let tensor = external(&[("location", "weights.bin"), ("offset", "4"), ("length", "3")]);
        let mut asked = Vec::new();
        let parts = OnnxParts::read(model(&tensor), |name, offset, length| {
            asked.push((name.to_owned(), offset, length));
            Ok(b"abc".to_vec())
        })
        .unwrap();
        assert_eq!(asked, vec![("weights.bin".to_owned(), 4, Some(3)); 2]);
        assert_eq!(parts.file, model(&message(&[(field::TENSOR_NAME, b"weight"), (field::TENSOR_RAW_DATA, b"abc")])));
        assert_eq!((parts.inputs, parts.outputs), (vec!["input_ids".to_owned()], vec!["logits".to_owned()]));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let none = |_: &str, _: u64, _: Option<u64>| Ok(Vec::new());
        let read = |file: Vec<u8>| OnnxParts::read(file, none).unwrap_err().to_string();
        assert!(read(Vec::new()).contains("no ONNX file"));
        assert!(read(model(&external(&[]))).contains("without a name"));
        assert!(read(model(&external(&[("location", "x"), ("offset", "-1")]))).contains("offset"));
        let whole = model(b"");
        assert!(read(whole[..whole.len() - 3].to_vec()).contains("truncated"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = OnnxParts::read(bytes.clone(), |_, _, _| Ok(vec![0; 8]));
            let _ = OnnxParts::read(model(&bytes), |_, _, _| Ok(vec![0; 8]));
        }
    }
}
