"""An ONNX graph under construction."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
# ONNX Runtime has read this file layout since 1.13; a newer one would only shut older readers out.
IR_VERSION = 8
# Operators that ONNX Runtime adds to those of ONNX.
CONTRIBUTED = "com.microsoft"


class Nodes:
    """Nodes and constants on their way to a graph; every method but `model` gives the name of what it adds."""

    def __init__(self):
        self._nodes, self._constants = [], {}

    def constant(self, name, value):
        """A tensor that does not change: an array, or a TensorProto for types that NumPy lacks."""
        if not isinstance(value, TensorProto):
            value = numpy_helper.from_array(np.asarray(value, order="C"), name)
        self._constants[name] = value
        return name

    def node(self, operator, inputs, output, name=None, **attributes):
        """What `operator` makes of `inputs`."""
        self._nodes.append(helper.make_node(operator, inputs, [output], name=name or output, **attributes))
        return output

    def split(self, value, outputs, axis):
        """Equal parts of `value` along `axis`; their names are `outputs`."""
        self._nodes.append(helper.make_node("Split", [value], outputs, name=outputs[0], axis=axis))
        return outputs

    def dense(self, weights, bias, value, name):
        """A linear layer of `weights` [out, in] and `bias` [out]."""
        product = self.node("MatMul", [value, self.constant(f"{name}_weight", weights.T)], f"{name}_product", name=name)
        return self.node("Add", [product, self.constant(f"{name}_bias", bias)], f"{name}_sum")

    def model(self, name, inputs, outputs):
        """The finished ONNX model; inputs and outputs are triples of name, element type and shape."""
        contributed = any(node.domain == CONTRIBUTED for node in self._nodes)
        found = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(*one) for one in inputs],
            [helper.make_tensor_value_info(*one) for one in outputs],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", OPSET)] + [helper.make_opsetid(CONTRIBUTED, 1)] * contributed
        exported = helper.make_model(found, opset_imports=opsets, ir_version=IR_VERSION, producer_name="pg_harca")
        # The checker knows no shapes of operators that ONNX has not.
        onnx.checker.check_model(exported, full_check=not contributed)
        return exported


def serialized(model):
    """Bytes of an ONNX model, the same for the same model."""
    return model.SerializeToString(deterministic=True)
