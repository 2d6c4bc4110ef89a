//! Real files pass, hostile ones are refused, damaged ones never panic.

use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;

use super::onnx_file::{Attribute, Function, Graph, Model, Node, Opset, SparseTensor, Tensor};
use super::*;

const QUERY_TYPE: &[u8] = include_bytes!("../../../../../models/query_type/model.onnx");
const FOUR_LABELS: &[u8] = include_bytes!("../../../../../tests/data/four_labels/model.onnx");
const COUNT_ONNX: &[u8] = include_bytes!("../../../tests/data/count.onnx");
const COUNT_ORT: &[u8] = include_bytes!("../../../tests/data/count.ort");
const DAMAGED: &str = "the file in the ORT format is damaged";
const ELSEWHERE: &str = "tensor \"W\" keeps its data in another file";
const TOO_DEEP: &str = "subgraphs lie more than 8 deep in each other";
const ROUND: &str = "local functions call themselves, or each other more than 100 deep";
const CUSTOM: &str = "operator X of domain my belongs to a custom operator library";

fn node(domain: &str, operator: &str) -> Node {
    Node { operator: operator.to_owned(), domain: domain.to_owned(), attributes: Vec::new() }
}

fn opset(domain: &str, version: i64) -> Opset {
    Opset { domain: domain.to_owned(), version }
}

fn graph(nodes: Vec<Node>) -> Graph {
    Graph { nodes, ..Graph::default() }
}

fn model(nodes: Vec<Node>) -> Model {
    Model { graph: Some(graph(nodes)), opsets: vec![opset("", 13)], ..Model::default() }
}

fn function(name: &str, nodes: Vec<Node>) -> Function {
    Function { name: name.to_owned(), domain: "my".to_owned(), nodes, ..Function::default() }
}

/// `nodes` with `levels` of `If` around them.
fn nested(levels: usize, nodes: Vec<Node>) -> Vec<Node> {
    (0..levels).fold(nodes, |nodes, _| {
        let graph = Some(Box::new(graph(nodes)));
        vec![Node { attributes: vec![Attribute { graph, ..Attribute::default() }], ..node("", "If") }]
    })
}

fn with(attribute: Attribute) -> Model {
    model(vec![Node { attributes: vec![attribute], ..node("", "Constant") }])
}

fn verdict(model: &Model) -> Result<GraphFacts> {
    check(model.encode_to_vec().into())
}

fn reason(verdict: Result<GraphFacts>) -> String {
    match verdict {
        Err(Error::Refused(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

fn refusal(model: &Model) -> String {
    reason(verdict(model))
}

#[test]
fn the_models_of_this_repository_pass() {
    for (file, format) in [
        (QUERY_TYPE, Format::Onnx),
        (FOUR_LABELS, Format::Onnx),
        (COUNT_ONNX, Format::Onnx),
        (include_bytes!("../../../tests/data/two_inputs.onnx"), Format::Onnx),
        (COUNT_ORT, Format::Ort),
    ] {
        let facts = check(Bytes::from_static(file)).unwrap();
        assert_eq!(facts.format, format);
        assert!(OPSETS.contains(&facts.opset) && facts.operators > 0, "{facts:?}");
    }
    let count = |file| check(Bytes::from_static(file)).unwrap();
    assert_eq!(count(COUNT_ONNX), GraphFacts { format: Format::Onnx, opset: 17, operators: 6 });
    // Two of them are fused in this one.
    assert_eq!(count(COUNT_ORT), GraphFacts { format: Format::Ort, opset: 17, operators: 5 });
}

#[test]
fn other_files_are_refused() {
    let neither = "the file is neither an ONNX model nor one in the ORT format";
    for file in [&b""[..], b"PK\x03\x04", b"{\"format\": 1}", b"\x08\x08"] {
        assert!(reason(check(Bytes::from_static(file))).starts_with(neither), "{file:?}");
    }
    assert_eq!(refusal(&Model { graph: None, ..model(Vec::new()) }), neither);
    for file in [&b"\0\0\0\0ORTM"[..], b"\x08\0\0\0ORTM\0\0\0\0", b"\xff\xff\xff\xffORTM----"] {
        assert_eq!(reason(check(Bytes::from_static(file))), DAMAGED);
    }
}

#[test]
fn opsets_are_those_that_the_oldest_runtime_guarantees() {
    let of = |opsets| Model { opsets, ..model(Vec::new()) };
    for (name, version) in [("", 7), ("", 23), ("ai.onnx", 17)] {
        assert_eq!(verdict(&of(vec![opset("ai.onnx.ml", 99), opset(name, version)])).unwrap().opset, version);
    }
    for version in [i64::MIN, 0, 6, 24, (1 << 32) + 13] {
        let reason = refusal(&of(vec![opset("", 13), opset("ai.onnx", version)]));
        assert_eq!(reason, format!("opset {version} is not one of 7 to 23"));
    }
    for opsets in [vec![], vec![opset("ai.onnx.ml", 3)]] {
        assert_eq!(refusal(&of(opsets)), "the file names no opset of the default domain");
    }
    let inner = Function { opsets: vec![opset("", 6)], ..function("F", Vec::new()) };
    let model = Model { functions: vec![inner], ..model(Vec::new()) };
    assert_eq!(refusal(&model), "opset 6 is not one of 7 to 23");
}

#[test]
fn operators_must_be_in_the_runtime_or_in_the_file() {
    let nodes =
        vec![node("", "Relu"), node("ai.onnx", "Gemm"), node("ai.onnx.ml", "Normalizer"), node("com.microsoft", "A")];
    assert_eq!(verdict(&model(nodes)).unwrap().operators, 4);
    let custom = vec![node("my", "X")];
    assert_eq!(refusal(&model(custom.clone())), CUSTOM);
    assert_eq!(refusal(&model(nested(2, custom.clone()))), CUSTOM);
    assert_eq!(refusal(&Model { functions: vec![function("F", custom.clone())], ..model(Vec::new()) }), CUSTOM);
    // A function of the domain is not enough, it must be this one.
    assert_eq!(refusal(&Model { functions: vec![function("F", Vec::new())], ..model(custom.clone()) }), CUSTOM);
    let defined = Model { functions: vec![function("X", vec![node("", "Relu"); 2])], ..model(nested(1, custom)) };
    assert_eq!(verdict(&defined).unwrap().operators, 4);
    // An import that no node uses says nothing.
    let unused = Model { opsets: vec![opset("my", 1), opset("", 13)], ..model(vec![node("", "Relu")]) };
    assert!(verdict(&unused).is_ok());
    for domain in INTERNAL {
        let domain = std::str::from_utf8(domain).unwrap();
        assert!(refusal(&model(vec![node(domain, "Conv")])).ends_with("custom operator library"));
    }
    let reason = refusal(&model(vec![node("a\nb", &"X ".repeat(1000))]));
    assert!(reason.contains(" of domain a b ") && reason.len() < 600, "{reason}");
}

#[test]
fn operators_that_may_not_end_are_refused() {
    for operator in ["Loop", "Scan", "SequenceMap"] {
        let expected = format!("operator {operator} may run without end");
        for domain in ["", "ai.onnx"] {
            let nodes = vec![node("", "Relu"), node(domain, operator)];
            assert_eq!(refusal(&model(nodes.clone())), expected);
            assert_eq!(refusal(&model(nested(3, nodes.clone()))), expected);
            assert_eq!(refusal(&Model { functions: vec![function("F", nodes)], ..model(Vec::new()) }), expected);
        }
        let own = Model { functions: vec![function(operator, Vec::new())], ..model(vec![node("my", operator)]) };
        assert!(verdict(&own).is_ok());
    }
}

#[test]
fn data_outside_of_the_file_is_refused_wherever_it_is() {
    let within = Tensor { name: "V".to_owned(), ..Tensor::default() };
    let external = |location, entries: &[&'static [u8]]| Tensor {
        name: "W".to_owned(),
        external: entries.iter().map(|entry| Bytes::from_static(entry)).collect(),
        location,
    };
    for tensor in [external(1, &[]), external(0, &[b""]), external(1, &[b"\x0a\x08location\x12\x01w"])] {
        let in_graph = |change: &dyn Fn(&mut Graph)| {
            let mut graph = graph(Vec::new());
            graph.initializers.push(within.clone());
            change(&mut graph);
            let inner = Attribute { graphs: vec![graph.clone()], ..Attribute::default() };
            let outer = Model { graph: Some(graph), ..model(Vec::new()) };
            assert_eq!(refusal(&outer), ELSEWHERE);
            assert_eq!(refusal(&with(inner)), ELSEWHERE);
        };
        let values = SparseTensor { values: Some(tensor.clone()), indices: Some(within.clone()) };
        let indices = SparseTensor { values: Some(within.clone()), indices: Some(tensor.clone()) };
        in_graph(&|graph| graph.initializers.push(tensor.clone()));
        in_graph(&|graph| graph.sparse_initializers.push(values.clone()));
        in_graph(&|graph| graph.sparse_initializers.push(indices.clone()));
        for attribute in [
            Attribute { tensor: Some(Box::new(tensor.clone())), ..Attribute::default() },
            Attribute { tensors: vec![within.clone(), tensor.clone()], ..Attribute::default() },
            Attribute { sparse_tensor: Some(Box::new(indices.clone())), ..Attribute::default() },
            Attribute { sparse_tensors: vec![values.clone()], ..Attribute::default() },
        ] {
            let inner = Function { arguments: vec![attribute.clone()], ..function("F", Vec::new()) };
            assert_eq!(refusal(&Model { functions: vec![inner], ..model(Vec::new()) }), ELSEWHERE);
            let call = with(attribute.clone()).graph.unwrap().nodes;
            assert_eq!(refusal(&Model { functions: vec![function("F", call)], ..model(Vec::new()) }), ELSEWHERE);
            assert_eq!(refusal(&with(attribute)), ELSEWHERE);
        }
    }
    let unnamed = Tensor { location: 1, ..Tensor::default() };
    let reason = refusal(&with(Attribute { tensors: vec![unnamed], ..Attribute::default() }));
    assert_eq!(reason, "a tensor without a name keeps its data in another file");
}

/// A message as it stands in another.
fn field(tag: u8, message: &[u8]) -> Vec<u8> {
    let mut field = vec![tag << 3 | 2];
    prost::encoding::encode_varint(message.len() as u64, &mut field);
    field.extend(message);
    field
}

#[test]
fn a_place_that_hides_another_is_refused() {
    // C++ keeps the EXTERNAL and puts the unknown value aside.
    let tensor = [&field(8, b"W")[..], &[14 << 3, 1, 14 << 3, 5]].concat();
    let file = [field(7, &field(5, &tensor)), field(8, &[2 << 3, 13])].concat();
    assert_eq!(reason(check(file.into())), ELSEWHERE);
}

#[test]
fn parts_of_a_graph_are_put_together() {
    let other = Model { graph: Some(graph(vec![node("my", "X")])), ..Model::default() };
    let parts = [model(vec![node("", "Relu")]).encode_to_vec(), other.encode_to_vec()];
    assert_eq!(reason(check(parts.concat().into())), CUSTOM);
}

#[test]
fn training_information_is_refused() {
    let trained = Model { training: vec![Bytes::new()], ..model(Vec::new()) };
    assert_eq!(refusal(&trained), "the file holds training information");
}

#[test]
fn functions_that_call_themselves_are_refused() {
    let call = |k: usize| node("my", &format!("F{k}"));
    let named = |k: usize, nodes| function(&format!("F{k}"), nodes);
    // Long ways and short ones, in use or not.
    for length in [1, 2, 99, 100, 101, 20_000] {
        let functions: Vec<_> = (0..length).map(|k| named(k, nested(k % 2, vec![call((k + 1) % length)]))).collect();
        assert_eq!(refusal(&Model { functions, ..model(Vec::new()) }), ROUND, "{length}");
    }
    // Two of one name are one for some runtimes.
    let twice = vec![named(0, vec![call(1)]), named(1, Vec::new()), named(1, vec![call(0)])];
    assert_eq!(refusal(&Model { functions: twice, ..model(Vec::new()) }), ROUND);
    // The order in which a chain stands in the file does not matter.
    let chain = |length: usize| (0..length).map(|k| named(k, vec![call(k + 1)])).chain([named(length, Vec::new())]);
    for length in [98, 99, 100, 101, 20_000] {
        let there: Vec<_> = chain(length).collect();
        let back: Vec<_> = there.iter().rev().cloned().collect();
        for functions in [there, back] {
            let model = Model { functions, ..model(vec![call(0)]) };
            match verdict(&model) {
                Ok(facts) => assert!(length < MAX_CALLS && facts.operators == length + 1),
                refused => assert!(length >= MAX_CALLS && reason(refused) == ROUND),
            }
        }
    }
}

#[test]
fn functions_that_blow_up_are_refused() {
    let call = |k: usize| node("my", &format!("F{k}"));
    let doubling = |levels: usize| {
        let functions = (0..levels).map(|k| function(&format!("F{k}"), vec![call(k + 1); 2]));
        let last = function(&format!("F{levels}"), vec![node("", "Relu")]);
        Model { functions: functions.chain([last]).collect(), ..model(vec![call(0)]) }
    };
    assert_eq!(verdict(&doubling(10)).unwrap().operators, 22);
    for levels in [17, 90] {
        let reason = refusal(&doubling(levels));
        assert_eq!(reason, "local functions come to more than 100000 operators when inlined", "{levels}");
    }
    // What a graph has without functions is limited by the size of the file alone.
    assert!(verdict(&model(vec![node("", "Relu"); MAX_INLINED + 1])).is_ok());
}

#[test]
fn local_functions_take_no_graphs() {
    let attributes = vec![Attribute { graph: Some(Box::default()), ..Attribute::default() }];
    let call = Node { attributes: attributes.clone(), ..node("my", "F") };
    let called = Model { functions: vec![function("F", Vec::new())], ..model(vec![call]) };
    let default = Function { arguments: attributes, ..function("F", Vec::new()) };
    for model in [called, Model { functions: vec![default], ..model(Vec::new()) }] {
        assert_eq!(refusal(&model), "local function F takes a graph as an argument");
    }
}

#[test]
fn subgraphs_do_not_nest_deeply() {
    assert_eq!(verdict(&model(nested(8, vec![node("", "Relu")]))).unwrap().operators, 9);
    assert_eq!(refusal(&model(nested(9, Vec::new()))), TOO_DEEP);
    // Calls add up.
    let calling = |outer, inner| {
        let functions = vec![function("F", nested(inner, vec![node("", "Relu")]))];
        Model { functions, ..model(nested(outer, vec![node("my", "F")])) }
    };
    assert!(verdict(&calling(5, 3)).is_ok());
    assert_eq!(refusal(&calling(5, 4)), TOO_DEEP);
}

#[test]
fn messages_do_not_nest_without_end() {
    // Encoded by hand: prost would need as much stack as it takes care not to use.
    let mut graph = Vec::new();
    for _ in 0..2_000 {
        graph = field(1, &field(5, &field(6, &graph)));
    }
    let reason = reason(check([field(7, &graph), field(8, &[2 << 3, 13])].concat().into()));
    assert!(reason.ends_with("(failed to decode Protobuf message: recursion limit reached)"), "{reason}");
}

/// A file in the ORT format, written from the outside in.
struct Writer(Vec<u8>);

impl Writer {
    /// The file up to its graph, which is to have these slots.
    fn new(slots: &[usize]) -> (Self, Vec<usize>) {
        let mut writer = Self([&[0; 4], ORT_IDENTIFIER].concat());
        let session = writer.table(0, &[1]);
        let model = writer.table(session[0], &[1, 7]);
        let opsets = writer.list(model[0], 1);
        let opset = writer.table(opsets[0], &[1]);
        writer.put(opset[0], &13u64.to_le_bytes());
        let graph = writer.table(model[1], slots);
        (writer, graph)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Makes the distance at `from` lead to `to`.
    fn point(&mut self, from: usize, to: usize) {
        self.put(from, &u32::try_from(to - from).unwrap().to_le_bytes());
    }

    /// A table, to which the distance at `from` leads, and where the content of its slots is, eight bytes each.
    fn table(&mut self, from: usize, slots: &[usize]) -> Vec<usize> {
        let count = slots.iter().max().map_or(0, |last| last + 1);
        let mut distances = vec![0u16; count];
        for (index, &slot) in slots.iter().enumerate() {
            distances[slot] = u16::try_from(4 + 8 * index).unwrap();
        }
        let size = u16::try_from(4 + 2 * count).unwrap();
        let header = [size, u16::try_from(4 + 8 * slots.len()).unwrap()];
        self.0.extend(header.into_iter().chain(distances).flat_map(u16::to_le_bytes));
        let at = self.0.len();
        self.point(from, at);
        self.0.extend(i32::from(size).to_le_bytes());
        self.0.resize(at + 4 + 8 * slots.len(), 0);
        (0..slots.len()).map(|index| at + 4 + 8 * index).collect()
    }

    /// A vector, to which the distance at `from` leads, and where its elements are.
    fn list(&mut self, from: usize, count: usize) -> Vec<usize> {
        let at = self.0.len();
        self.point(from, at);
        self.0.extend(u32::try_from(count).unwrap().to_le_bytes());
        self.0.resize(at + 4 + 4 * count, 0);
        (0..count).map(|index| at + 4 + 4 * index).collect()
    }

    fn string(&mut self, from: usize, text: &str) {
        let at = self.0.len();
        self.point(from, at);
        self.0.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        self.0.extend(text.bytes());
    }

    /// A tensor with the name W that keeps its data at `offset` of another file.
    fn tensor(&mut self, from: usize, offset: i64) {
        let tensor = self.table(from, &[0, 6]);
        self.string(tensor[0], "W");
        self.put(tensor[1], &offset.to_le_bytes());
    }

    fn verdict(self) -> Result<GraphFacts> {
        check(self.0.into())
    }
}

#[test]
fn operators_of_the_ort_format_are_checked() {
    let with = |domain: &str, operator: &str| {
        let (mut writer, graph) = Writer::new(&[2]);
        let nodes = writer.list(graph[0], 2);
        for from in nodes {
            let node = writer.table(from, &[2, 5]);
            writer.string(node[0], domain);
            writer.string(node[1], operator);
        }
        writer.verdict()
    };
    let domains = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"];
    for domain in domains {
        let facts = GraphFacts { format: Format::Ort, opset: 13, operators: 2 };
        assert_eq!(with(domain, "Conv"), Ok(facts));
    }
    assert_eq!(reason(with("my", "X")), CUSTOM);
    assert_eq!(reason(with("", "SequenceMap")), "operator SequenceMap may run without end");

    let renamed = |from: &str, to: &str| {
        let mut file = COUNT_ORT.to_vec();
        for at in 0..file.len() {
            if file[at..].starts_with(from.as_bytes()) {
                file[at..at + to.len()].copy_from_slice(to.as_bytes());
            }
        }
        reason(check(file.into()))
    };
    for operator in ["Loop", "Scan"] {
        assert_eq!(renamed("Cast", operator), format!("operator {operator} may run without end"));
    }
    let reason = renamed("com.microsoft", "org.microsoft");
    assert_eq!(reason, "operator FusedGemm of domain org.microsoft belongs to a custom operator library");
}

#[test]
fn tensors_of_the_ort_format_are_checked() {
    for (offset, within) in [(-1, true), (0, false), (i64::MAX, false)] {
        let check = |writer: Writer| match writer.verdict() {
            Ok(_) => assert!(within),
            refused => assert!(!within && reason(refused) == ELSEWHERE),
        };
        let (mut writer, graph) = Writer::new(&[0]);
        let tensors = writer.list(graph[0], 1);
        writer.tensor(tensors[0], offset);
        check(writer);
        for slot in [0, 1] {
            let (mut writer, graph) = Writer::new(&[7]);
            let sparse = writer.list(graph[0], 1);
            let sparse = writer.table(sparse[0], &[slot]);
            writer.tensor(sparse[0], offset);
            check(writer);
        }
        for slot in [6, 11] {
            let (mut writer, graph) = Writer::new(&[2]);
            let nodes = writer.list(graph[0], 1);
            let node = writer.table(nodes[0], &[10]);
            let attributes = writer.list(node[0], 1);
            let attribute = writer.table(attributes[0], &[slot]);
            let from = if slot == 6 { attribute[0] } else { writer.list(attribute[0], 1)[0] };
            writer.tensor(from, offset);
            check(writer);
        }
    }
}

#[test]
fn opsets_of_the_ort_format_are_checked() {
    let (mut writer, _) = Writer::new(&[]);
    let at = writer.0.windows(8).position(|bytes| bytes == 13u64.to_le_bytes()).unwrap();
    writer.put(at, &[24]);
    assert_eq!(reason(writer.verdict()), "opset 24 is not one of 7 to 23");
}

/// A file with `levels` graphs in each other, each but the last referred to by `width` attributes.
fn nested_ort(levels: usize, width: usize, slot: usize) -> Writer {
    let (mut writer, mut graph) = Writer::new(&[2]);
    for _ in 0..levels {
        let nodes = writer.list(graph[0], 1);
        let node = writer.table(nodes[0], &[2, 5, 10]);
        writer.string(node[0], "");
        writer.string(node[1], "If");
        let attributes = writer.list(node[2], width);
        let attribute = writer.table(attributes[0], &[slot]);
        let at = attribute[0] - 4;
        attributes.iter().for_each(|&from| writer.point(from, at));
        let from = if slot == 7 { attribute[0] } else { writer.list(attribute[0], 1)[0] };
        graph = writer.table(from, &[2]);
    }
    writer.list(graph[0], 0);
    writer
}

#[test]
fn graphs_of_the_ort_format_do_not_nest_deeply() {
    for slot in [7, 12] {
        assert_eq!(nested_ort(8, 1, slot).verdict().unwrap().operators, 8);
        assert_eq!(reason(nested_ort(9, 1, slot).verdict()), TOO_DEEP);
        assert_eq!(reason(nested_ort(10_000, 1, slot).verdict()), TOO_DEEP);
        // 100⁸ ways through a file of a few thousand bytes.
        assert_eq!(reason(nested_ort(8, 100, slot).verdict()), DAMAGED);
    }
}

#[test]
fn tables_that_lead_nowhere_are_refused() {
    let (mut writer, graph) = Writer::new(&[2]);
    let nodes = writer.list(graph[0], 1);
    let file = writer.0.clone();
    for distance in [0, 1, 4, 1000, u32::MAX] {
        writer.0.clone_from(&file);
        writer.put(nodes[0], &distance.to_le_bytes());
        assert_eq!(reason(check(writer.0.clone().into())), DAMAGED, "{distance}");
    }
    for count in [2, u32::MAX] {
        writer.0.clone_from(&file);
        writer.table(nodes[0], &[]);
        writer.put(nodes[0] - 4, &count.to_le_bytes());
        assert_eq!(reason(check(writer.0.clone().into())), DAMAGED, "{count}");
    }
}

fn files() -> impl Strategy<Value = &'static [u8]> {
    prop::sample::select(vec![QUERY_TYPE, FOUR_LABELS, COUNT_ONNX, COUNT_ORT])
}

/// Whatever the verdict, it is one line.
fn sound(verdict: &Result<GraphFacts>) -> bool {
    match verdict {
        Ok(_) => true,
        Err(Error::Refused(reason)) => !reason.is_empty() && !reason.contains('\n'),
        Err(_) => false,
    }
}

proptest! {
    #[test]
    fn a_cut_file_is_no_panic(file in files(), end in any::<Index>()) {
        let verdict = check(Bytes::from_static(file).slice(..end.index(file.len())));
        prop_assert!(sound(&verdict), "{verdict:?}");
    }

    #[test]
    fn a_damaged_file_is_no_panic(
        file in files(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..20),
        // Most of a model is weights; what describes it is at the ends.
        span in prop::sample::select(vec![64usize, 512, usize::MAX]),
        from_end in any::<bool>(),
    ) {
        let mut file = file.to_vec();
        let span = span.min(file.len());
        let start = if from_end { file.len() - span } else { 0 };
        for (at, byte) in changes {
            file[start + at.index(span)] = byte;
        }
        let verdict = check(file.into());
        prop_assert!(sound(&verdict), "{verdict:?}");
    }

    #[test]
    fn noise_is_no_panic(mut file in prop::collection::vec(any::<u8>(), 0..300), ort in any::<bool>()) {
        if let (true, Some(identifier)) = (ort, file.get_mut(4..8)) {
            identifier.copy_from_slice(ORT_IDENTIFIER);
        }
        let verdict = check(file.into());
        prop_assert!(sound(&verdict), "{verdict:?}");
    }

    #[test]
    fn every_node_counts(levels in 0..=MAX_SUBGRAPHS, nodes in 0usize..50, inner in 0usize..50) {
        let functions = vec![function("F", vec![node("", "Relu"); inner])];
        let model = Model { functions, ..model(nested(levels, vec![node("", "Add"); nodes])) };
        prop_assert_eq!(verdict(&model).unwrap().operators, levels + nodes + inner);
    }
}
