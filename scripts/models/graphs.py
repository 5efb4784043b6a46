"""Builds ONNX graphs and the golden samples of what they answer."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Builds an ONNX graph. The same calls give the same bytes."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def __call__(self, op, *inputs, name="", **attributes):
        """Adds a node; numbers and arrays among its inputs become constants (a float is a float32, an int an int64)."""
        name = name or f"{op}.{len(self.nodes)}"
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        self.nodes.append(helper.make_node(op, names, [name], name=name, **attributes))
        return name

    def constant(self, value):
        value = np.asarray(value)
        value = value.astype(np.float32 if value.dtype.kind == "f" else np.int64)
        name = f"constant.{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def slice(self, x, start, end, axis=1):
        return self("Slice", x, [start], [end], [axis])

    def fan(self, centre, below, above):
        """As fan above: centre [N, H, 1], gaps [N, H, 3] with those below from the median outwards."""
        far = [self("CumSum", gaps, 2) for gaps in (below, above)]
        low = self("Gather", self("Sub", centre, far[0]), [2, 1, 0], axis=2)
        return self("Relu", self("Concat", low, centre, self("Add", centre, far[1]), axis=2))

    def model(self, title, inputs, outputs):
        """inputs and outputs: name to (type, shape)."""
        types = {"float": TensorProto.FLOAT, "int64": TensorProto.INT64, "string": TensorProto.STRING}

        def declare(values):
            return [helper.make_tensor_value_info(name, types[kind], shape) for name, (kind, shape) in values.items()]
        result = helper.make_model(
            helper.make_graph(self.nodes, title, declare(inputs), declare(outputs), self.constants),
            opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=8, producer_name="scry")
        onnx.checker.check_model(result, full_check=True)
        return result.SerializeToString(deterministic=True)


def golden(row, output, values):
    """A line of goldens.jsonl as an object."""
    return {"features": row, "outputs": {output: {"values": [float(f"{value:.9g}") for value in np.ravel(values)]}}}
