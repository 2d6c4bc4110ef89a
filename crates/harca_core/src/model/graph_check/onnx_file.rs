//! ONNX files. Field numbers are those of `onnx.proto`; what is not named here, the weights above all, is skipped.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message;

use super::*;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Model {
    #[prost(message, optional, tag = "7")]
    pub(super) graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub(super) opsets: Vec<Opset>,
    #[prost(bytes = "bytes", repeated, tag = "20")]
    pub(super) training: Vec<Bytes>,
    #[prost(message, repeated, tag = "25")]
    pub(super) functions: Vec<Function>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Opset {
    #[prost(string, tag = "1")]
    pub(super) domain: String,
    #[prost(int64, tag = "2")]
    pub(super) version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Function {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, repeated, tag = "7")]
    pub(super) nodes: Vec<Node>,
    #[prost(message, repeated, tag = "9")]
    pub(super) opsets: Vec<Opset>,
    #[prost(string, tag = "10")]
    pub(super) domain: String,
    /// Arguments that have a default.
    #[prost(message, repeated, tag = "11")]
    pub(super) arguments: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(super) nodes: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    pub(super) initializers: Vec<Tensor>,
    #[prost(message, repeated, tag = "15")]
    pub(super) sparse_initializers: Vec<SparseTensor>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    #[prost(string, tag = "4")]
    pub(super) operator: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) attributes: Vec<Attribute>,
    #[prost(string, tag = "7")]
    pub(super) domain: String,
}

/// Boxed, as most attributes are numbers: an empty one is two bytes in a file and should not be hundreds here.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Attribute {
    #[prost(message, optional, boxed, tag = "5")]
    pub(super) tensor: Option<Box<Tensor>>,
    #[prost(message, optional, boxed, tag = "6")]
    pub(super) graph: Option<Box<Graph>>,
    #[prost(message, repeated, tag = "10")]
    pub(super) tensors: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub(super) graphs: Vec<Graph>,
    #[prost(message, optional, boxed, tag = "22")]
    pub(super) sparse_tensor: Option<Box<SparseTensor>>,
    #[prost(message, repeated, tag = "23")]
    pub(super) sparse_tensors: Vec<SparseTensor>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SparseTensor {
    #[prost(message, optional, tag = "1")]
    pub(super) values: Option<Tensor>,
    #[prost(message, optional, tag = "2")]
    pub(super) indices: Option<Tensor>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Tensor {
    #[prost(string, tag = "8")]
    pub(super) name: String,
    #[prost(bytes = "bytes", repeated, tag = "13")]
    pub(super) external: Vec<Bytes>,
    #[prost(int32, tag = "14")]
    pub(super) location: i32,
}

/// What a graph or a local function consists of.
#[derive(Default)]
struct Body {
    operators: usize,
    /// How deep its subgraphs lie in each other.
    subgraphs: usize,
    /// The functions that it calls, and how many subgraphs lie around each call.
    calls: Vec<(usize, usize)>,
}

/// What a body comes to when all calls in it are inlined.
#[derive(Clone, Copy)]
struct Extent {
    operators: usize,
    calls: usize,
    subgraphs: usize,
}

pub(super) fn check(file: Bytes) -> Result<GraphFacts> {
    const NEITHER: &str = "the file is neither an ONNX model nor one in the ORT format";
    // prost stops at 100 messages in each other, so that the recursion below ends early too.
    let model = Model::decode(file).map_err(|error| {
        // Without the way to the place, which is a hundred fields long where messages lie too deep in each other.
        let error = error.to_string();
        let cause: Vec<_> = error.split(": ").filter(|part| !part.contains('.')).collect();
        refused(format!("{NEITHER} ({})", one_line(&cause.join(": "))))
    })?;
    let graph = model.graph.as_ref().ok_or_else(|| refused(NEITHER.to_owned()))?;
    let mut opset = None;
    for one in &model.opsets {
        note_opset(&mut opset, one.domain.as_bytes(), one.version)?;
    }
    let opset = named_opset(opset)?;
    if !model.training.is_empty() {
        return Err(refused("the file holds training information".to_owned()));
    }

    let mut reader = Reader { functions: HashMap::new() };
    for function in &model.functions {
        let next = reader.functions.len();
        reader.functions.entry(id(&function.domain, &function.name)).or_insert(next);
    }
    // Overloads of a function share a body here: older runtimes know them by their name only.
    let mut bodies: Vec<Body> = reader.functions.iter().map(|_| Body::default()).collect();
    for function in &model.functions {
        if let Some(body) = reader.function(&function.domain, &function.name).and_then(|at| bodies.get_mut(at)) {
            reader.define(function, body)?;
        }
    }
    let mut main = Body::default();
    reader.graph(graph, 0, &mut main)?;

    let mut known = vec![None; bodies.len()];
    for body in bodies.iter().chain([&main]) {
        extent(body, &bodies, 0, &mut known)?;
    }
    let operators = bodies.iter().map(|body| body.operators).sum::<usize>() + main.operators;
    Ok(GraphFacts { format: Format::Onnx, opset, operators })
}

fn id<'a>(domain: &'a str, name: &'a str) -> (&'a [u8], &'a str) {
    (plain(domain.as_bytes()), name)
}

/// Goes through the nodes of a file whose local functions it knows.
struct Reader<'a> {
    functions: HashMap<(&'a [u8], &'a str), usize>,
}

impl Reader<'_> {
    fn function(&self, domain: &str, name: &str) -> Option<usize> {
        self.functions.get(&id(domain, name)).copied()
    }

    fn define(&self, function: &Function, body: &mut Body) -> Result<()> {
        for one in &function.opsets {
            note_opset(&mut None, one.domain.as_bytes(), one.version)?;
        }
        check_arguments(&function.name, &function.arguments)?;
        self.attributes(&function.arguments, 0, body)?;
        self.nodes(&function.nodes, 0, body)
    }

    fn graph(&self, graph: &Graph, depth: usize, body: &mut Body) -> Result<()> {
        check_subgraphs(depth)?;
        body.subgraphs = body.subgraphs.max(depth);
        graph.initializers.iter().try_for_each(check_tensor)?;
        graph.sparse_initializers.iter().try_for_each(check_sparse_tensor)?;
        self.nodes(&graph.nodes, depth, body)
    }

    fn nodes(&self, nodes: &[Node], depth: usize, body: &mut Body) -> Result<()> {
        for node in nodes {
            body.operators += 1;
            let callee = self.function(&node.domain, &node.operator);
            check_operator(Format::Onnx, node.domain.as_bytes(), node.operator.as_bytes(), callee.is_some())?;
            if let Some(callee) = callee {
                check_arguments(&node.operator, &node.attributes)?;
                body.calls.push((callee, depth));
            }
            self.attributes(&node.attributes, depth, body)?;
        }
        Ok(())
    }

    fn attributes(&self, attributes: &[Attribute], depth: usize, body: &mut Body) -> Result<()> {
        for attribute in attributes {
            attribute.tensor.iter().try_for_each(|one| check_tensor(one))?;
            attribute.tensors.iter().try_for_each(check_tensor)?;
            attribute.sparse_tensor.iter().try_for_each(|one| check_sparse_tensor(one))?;
            attribute.sparse_tensors.iter().try_for_each(check_sparse_tensor)?;
            for graph in attribute.graph.as_deref().into_iter().chain(&attribute.graphs) {
                self.graph(graph, depth + 1, body)?;
            }
        }
        Ok(())
    }
}

fn check_tensor(tensor: &Tensor) -> Result<()> {
    // A place that `onnx.proto` does not know hides an EXTERNAL before it from prost, but not from the runtime.
    if tensor.location != 0 || !tensor.external.is_empty() {
        return Err(kept_elsewhere(tensor.name.as_bytes()));
    }
    Ok(())
}

fn check_sparse_tensor(tensor: &SparseTensor) -> Result<()> {
    tensor.values.iter().chain(&tensor.indices).try_for_each(check_tensor)
}

/// Refuses graphs as arguments of a local function: how often and how deep it uses them cannot be seen here.
fn check_arguments(function: &str, arguments: &[Attribute]) -> Result<()> {
    if arguments.iter().any(|one| one.graph.is_some() || !one.graphs.is_empty()) {
        let function = shown(function.as_bytes());
        return Err(refused(format!("local function {function} takes a graph as an argument")));
    }
    Ok(())
}

/// Measures `body`, around which `calls` calls lie. What `known` has is not measured again, or a few functions
/// would already take forever.
fn extent(body: &Body, bodies: &[Body], calls: usize, known: &mut [Option<Extent>]) -> Result<Extent> {
    let mut called = Extent { operators: 0, calls: 0, subgraphs: body.subgraphs };
    for &(callee, depth) in &body.calls {
        // A function that calls itself gets here as well.
        if calls == MAX_CALLS {
            return Err(too_deep());
        }
        let one = match known[callee] {
            Some(one) => one,
            None => {
                let one = extent(&bodies[callee], bodies, calls + 1, known)?;
                known[callee] = Some(one);
                one
            }
        };
        called.operators = called.operators.saturating_add(one.operators);
        called.calls = called.calls.max(one.calls + 1);
        called.subgraphs = called.subgraphs.max(one.subgraphs + depth);
    }
    if called.calls > MAX_CALLS {
        return Err(too_deep());
    }
    if called.operators > MAX_INLINED {
        return Err(refused(format!("local functions come to more than {MAX_INLINED} operators when inlined")));
    }
    check_subgraphs(called.subgraphs)?;
    Ok(Extent { operators: called.operators + body.operators, ..called })
}

fn too_deep() -> Error {
    refused(format!("local functions call themselves, or each other more than {MAX_CALLS} deep"))
}
