"""ONNX to the ORT format: the same graph, already optimised, in the layout that ONNX Runtime keeps in memory.

Loading such a file skips parsing and optimising, which pays for graphs of many nodes. The file depends on the runtime
more than an ONNX file does: version 6 of the format, which ONNX Runtime 1.24.4 writes, is read by 1.23 to 1.28.
"""

import tempfile
from pathlib import Path

import flatbuffers
import onnxruntime
from flatbuffers.number_types import SOffsetTFlags
from onnxruntime.tools import ort_format_model  # noqa: F401  (puts ort_flatbuffers_py where the next line finds it)
from ort_flatbuffers_py.fbs import (
    ArgTypeAndIndex,
    InferenceSession,
    KernelTypeStrArgsEntry,
    KernelTypeStrResolver,
    OpIdKernelTypeStrArgsEntry,
)

from harca_train.errors import TrainingError

IDENTIFIER = b"ORTM"


def convert(onnx_bytes):
    """The ORT form of the ONNX model `onnx_bytes`: with one version of onnxruntime, equal bytes for equal bytes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # One level below the last: what that adds is made for the processor at hand, and a model travels.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.add_session_config_entry("session.save_model_format", "ORT")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ort"
        options.optimized_model_filepath = str(path)
        try:
            onnxruntime.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise TrainingError(f"the graph cannot be turned into the ORT format: {reason}") from error
        return in_order(path.read_bytes())


def is_ort(model):
    """Whether the bytes `model` are in the ORT format."""
    return model[4:8] == IDENTIFIER


def in_order(written):
    """The ORT file `written` with the entries of its table of kernel types laid out in the order of their names.

    The runtime lays them out as a hash map gives them, in another order each time: without this, every conversion has
    another SHA-256. A FlatBuffer grows from its end to its start, and the table and the root are built last. So the
    rest stays as it is, and only these two are built again in front of it.
    """
    root = InferenceSession.InferenceSession.GetRootAs(written, 0)
    model, resolver = root.Model()._tab, root.KernelTypeStrResolver()
    start = min(model.Pos, model.Pos - model.Get(SOffsetTFlags, model.Pos))
    version = root._tab.Indirect(root._tab.Pos + root._tab.Offset(4))
    if not (0 < resolver._tab.Pos < start <= version):
        raise TrainingError("this version of onnxruntime lays out the ORT format in an unknown way: pin it to 1.24.4")
    builder = flatbuffers.Builder(0)
    builder.Bytes = bytearray(written[start:])
    builder.head = 0
    # Tensors stay aligned when the file still ends on the border of eight bytes that it was built for.
    builder.minalign = 8
    kernel_types = _kernel_types(builder, resolver)
    InferenceSession.Start(builder)
    InferenceSession.AddOrtVersion(builder, len(written) - version)
    InferenceSession.AddModel(builder, len(written) - model.Pos)
    InferenceSession.AddKernelTypeStrResolver(builder, kernel_types)
    builder.Finish(InferenceSession.End(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _kernel_types(builder, resolver):
    """Builds the resolver's table of kernel types, operator → type name → places of arguments; gives its offset."""
    operators = {}
    for i in range(resolver.OpKernelTypeStrArgsLength()):
        operator = resolver.OpKernelTypeStrArgs(i)
        operators[operator.OpId()] = names = {}
        for j in range(operator.KernelTypeStrArgsLength()):
            entry = operator.KernelTypeStrArgs(j)
            places = [entry.Args(k) for k in range(entry.ArgsLength())]
            names[entry.KernelTypeStr()] = [(place.ArgType(), place.Index()) for place in places]
    entries = []
    for operator, names in sorted(operators.items()):
        types = []
        for name, places in sorted(names.items()):
            arguments = []
            for kind, index in places:
                ArgTypeAndIndex.Start(builder)
                ArgTypeAndIndex.AddArgType(builder, kind)
                ArgTypeAndIndex.AddIndex(builder, index)
                arguments.append(ArgTypeAndIndex.End(builder))
            name, arguments = builder.CreateString(name), _vector(builder, arguments)
            KernelTypeStrArgsEntry.Start(builder)
            KernelTypeStrArgsEntry.AddKernelTypeStr(builder, name)
            KernelTypeStrArgsEntry.AddArgs(builder, arguments)
            types.append(KernelTypeStrArgsEntry.End(builder))
        operator, types = builder.CreateString(operator), _vector(builder, types)
        OpIdKernelTypeStrArgsEntry.Start(builder)
        OpIdKernelTypeStrArgsEntry.AddOpId(builder, operator)
        OpIdKernelTypeStrArgsEntry.AddKernelTypeStrArgs(builder, types)
        entries.append(OpIdKernelTypeStrArgsEntry.End(builder))
    entries = _vector(builder, entries)
    KernelTypeStrResolver.Start(builder)
    KernelTypeStrResolver.AddOpKernelTypeStrArgs(builder, entries)
    return KernelTypeStrResolver.End(builder)


def _vector(builder, offsets):
    """Builds a vector of tables from their offsets; gives its offset."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()
