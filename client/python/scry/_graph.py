"""A fitted scikit-learn model as an ONNX graph that computes what the model computes.

skl2onnx converts. What is done beside it, each for a difference that was seen:

- numbers are float64 where the operators allow it: a value that is rounded to float32 falls on the other side of a split;
- the thresholds of scikit-learn's trees are written as float64, exactly as the trees compare them;
- SimpleImputer is a Where, which takes float64 and strings, and OrdinalEncoder a LabelEncoder; a missing string is "";
- a missing number goes the way that scikit-learn's trees send it;
- inputs that no operator reads are dropped, and so is the label.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import _supported_operators, convert_sklearn, update_registered_converter
from skl2onnx.algebra.onnx_ops import OnnxCast, OnnxConcat, OnnxEqual, OnnxGather, OnnxIsNaN, OnnxLabelEncoder, OnnxWhere
from skl2onnx.common import _registration
from skl2onnx.common.data_types import (BooleanTensorType, DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType,
                                        guess_numpy_type)
from sklearn import ensemble, tree
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

OPSETS = {"": 19, "ai.onnx.ml": 3}
IR_VERSION = 9  # of opset 19
LOWEST = 1e-7  # and 1 - LOWEST bound a probability before its logarithm is taken


def candidates(model: Any, kinds: dict[str, str]) -> Iterator[tuple[str, Callable[[], tuple[onnx.ModelProto, dict[str, str]]]]]:
    """Ways to convert the model, the most exact first, each with its name. They give the graph and its inputs by feature."""
    for number, numbers in (("float64", DoubleTensorType), ("float32", FloatTensorType)):
        for whole in (numbers, Int64TensorType) if "INT" in kinds.values() else (numbers,):
            for flags in (BooleanTensorType, Int64TensorType) if "BOOL" in kinds.values() else (BooleanTensorType,):
                types = {"FLOAT": numbers, "INT": whole, "BOOL": flags, "STRING": StringTensorType}
                name = f"numbers as {number}" + ", whole ones as int64" * (whole is Int64TensorType)
                name += ", truth values as int64" * (flags is Int64TensorType)
                yield name, partial(_convert, model, kinds, types)


def _convert(model: Any, kinds: dict[str, str], types: dict[str, Any]) -> tuple[onnx.ModelProto, dict[str, str]]:
    _register_boosters()
    model = _without_names(model)
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    if not isinstance(model, Pipeline) or not hasattr(model.steps[0][1], "transformers_"):
        model = _with_columns(model, kinds)
    functions, shapes = _exact_converters()
    converted = convert_sklearn(
        model, name="model", target_opset=OPSETS, initial_types=[(name, types[kind]([None, 1])) for name, kind in kinds.items()],
        options={id(last): {"zipmap": False}} if is_classifier(last) else None,
        custom_conversion_functions=functions, custom_shape_calculators=shapes)
    graph = converted.graph
    inputs = dict(zip(kinds, (value.name for value in graph.input)))
    del converted.opset_import[:]
    converted.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in OPSETS.items())
    converted.ir_version = IR_VERSION
    converted.doc_string, graph.doc_string = "", ""
    return converted, inputs


def _with_columns(model: Any, kinds: dict[str, str]) -> Pipeline:
    """The model behind something that joins named columns: skl2onnx would give a bare estimator one of them."""
    names = list(kinds)
    columns = ColumnTransformer([("columns", "passthrough", names)])
    columns.fit(pd.DataFrame({name: [0.0, 1.0] for name in names}))
    steps = model.steps if isinstance(model, Pipeline) else [("model", model)]
    return Pipeline([("columns", columns), *steps])


def _without_names(model: Any) -> Any:
    """XGBoost's trees by number of feature, since its converter knows no others."""
    if isinstance(model, Pipeline):
        last = _without_names(model.steps[-1][1])
        return model if last is model.steps[-1][1] else Pipeline([*model.steps[:-1], (model.steps[-1][0], last)])
    if not hasattr(model, "get_booster"):
        return model
    model = copy.copy(model)
    model._Booster = model.get_booster().copy()
    model._Booster.feature_names = None
    return model


def _register_boosters() -> None:
    """Teaches skl2onnx LightGBM's and XGBoost's estimators, where they and onnxmltools are installed."""
    from skl2onnx.common.shape_calculator import (calculate_linear_classifier_output_shapes,
                                                  calculate_linear_regressor_output_shapes)

    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    try:
        import lightgbm
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    except (ImportError, OSError):  # LightGBM without the libgomp that it needs
        pass
    else:
        update_registered_converter(lightgbm.LGBMClassifier, "LightGbmLGBMClassifier", calculate_linear_classifier_output_shapes,
                                    convert_lightgbm, options=options)
        update_registered_converter(lightgbm.LGBMRegressor, "LightGbmLGBMRegressor", calculate_linear_regressor_output_shapes,
                                    convert_lightgbm, options={"split": None})
    try:
        import xgboost
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    except ImportError:
        pass
    else:
        update_registered_converter(xgboost.XGBClassifier, "XGBoostXGBClassifier", calculate_linear_classifier_output_shapes,
                                    _changed(convert_xgboost, _narrow), options=options)
        update_registered_converter(xgboost.XGBRegressor, "XGBoostXGBRegressor", calculate_linear_regressor_output_shapes,
                                    _changed(convert_xgboost, _narrow))


def _changed(convert: Any, change: Callable[[Any, Any, Any, onnx.NodeProto], None]) -> Any:
    """The converter, and a change of the trees that it makes of float64 features."""

    def changing(scope: Any, operator: Any, container: Any) -> None:
        before = len(container.nodes)
        convert(scope, operator, container)
        if not isinstance(operator.inputs[0].type, DoubleTensorType):
            return
        for node in container.nodes[before:]:
            if node.op_type in ("TreeEnsembleClassifier", "TreeEnsembleRegressor"):
                change(scope, operator, container, node)

    return changing


def _narrow(scope: Any, operator: Any, container: Any, node: onnx.NodeProto) -> None:
    """Rounds the features to float32, for trees that do so and compare them with a float32."""
    rounded = scope.get_unique_variable_name("rounded")
    container.add_node("Cast", node.input[0], rounded, name=scope.get_unique_operator_name("Cast"), to=TensorProto.FLOAT, op_version=OPSETS[""])
    node.input[0] = rounded


def _exact_converters() -> tuple[dict[Any, Any], dict[Any, Any]]:
    functions: dict[Any, Any] = {SimpleImputer: _convert_imputer}
    shapes: dict[Any, Any] = {SimpleImputer: _shape_of_imputer}
    alias = _supported_operators.sklearn_operator_name_map[OrdinalEncoder]
    functions[OrdinalEncoder] = partial(_convert_ordinal, _registration.get_converter(alias))
    shapes[OrdinalEncoder] = _registration.get_shape_calculator(alias)
    for module, names in ((ensemble, ("RandomForest", "ExtraTrees", "GradientBoosting", "HistGradientBoosting")),
                          (tree, ("DecisionTree", "ExtraTree"))):
        for name in names:
            for kind in ("Classifier", "Regressor"):
                estimator = getattr(module, name + kind)
                alias = _supported_operators.sklearn_operator_name_map[estimator]
                functions[estimator] = _changed(_registration.get_converter(alias), _exact)
                shapes[estimator] = _registration.get_shape_calculator(alias)
    return functions, shapes


def _convert_imputer(scope: Any, operator: Any, container: Any) -> None:
    imputer, given, opset = operator.raw_operator, operator.inputs[0], container.target_opset
    if imputer.add_indicator or len(imputer.statistics_) != given.type.shape[1]:
        raise NotImplementedError("SimpleImputer with add_indicator, or of a column without any value")
    if isinstance(given.type, StringTensorType):
        values = np.array([str(v) for v in imputer.statistics_], dtype=object)
        missing = OnnxEqual(given, np.array([""], dtype=object), op_version=opset)
    else:
        if not pd.isna(imputer.missing_values):
            raise NotImplementedError("SimpleImputer for numbers with missing_values other than NaN")
        values = imputer.statistics_.astype(guess_numpy_type(given.type))
        missing = OnnxIsNaN(given, op_version=opset)
    OnnxWhere(missing, values[None, :], given, op_version=opset, output_names=operator.outputs[:1]).add_to(scope, container)


def _shape_of_imputer(operator: Any) -> None:
    given = operator.inputs[0].type
    operator.outputs[0].type = type(given)([None, given.shape[1]])


def _convert_ordinal(convert: Any, scope: Any, operator: Any, container: Any) -> None:
    encoder, opset = operator.raw_operator, container.target_opset
    if not all(isinstance(given.type, StringTensorType) for given in operator.inputs) or getattr(encoder, "_infrequent_enabled", False):
        convert(scope, operator, container)
        return
    columns = []
    for given in operator.inputs:
        width = given.type.shape[1]
        columns += [given] if width == 1 else [OnnxGather(given, np.array([i], np.int64), axis=1, op_version=opset) for i in range(width)]
    unknown = encoder.unknown_value if encoder.handle_unknown == "use_encoded_value" else -1.0
    codes = []
    for column, categories in zip(columns, encoder.categories_):
        words = {"" if pd.isna(word) else str(word): float(code) for code, word in enumerate(categories)}
        if "" in words:
            words[""] = float(encoder.encoded_missing_value)
        codes.append(OnnxLabelEncoder(column, keys_strings=list(words), values_floats=list(words.values()), default_float=float(unknown),
                                      op_version=2))
    joined = OnnxConcat(*codes, axis=1, op_version=opset) if len(codes) > 1 else codes[0]
    to = TensorProto.DOUBLE if isinstance(operator.outputs[0].type, DoubleTensorType) else \
        TensorProto.INT64 if isinstance(operator.outputs[0].type, Int64TensorType) else TensorProto.FLOAT
    OnnxCast(joined, to=to, op_version=opset, output_names=operator.outputs[:1]).add_to(scope, container)


def _exact(scope: Any, operator: Any, container: Any, node: onnx.NodeProto) -> None:
    """Gives trees thresholds in float64."""
    _widen(node, *_splits(operator.raw_operator))


def _splits(model: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """What float64 values are compared with, node by node, 0 at leaves, in skl2onnx's order; and whether a missing one goes
    left, None where skl2onnx says so itself."""
    if hasattr(model, "_predictors"):  # histogram gradient boosting compares float64 with float64
        nodes = np.concatenate([predictor.nodes for trees in model._predictors for predictor in trees])
        return np.where(nodes["is_leaf"], 0.0, nodes["num_threshold"]), None
    trees = [model.tree_] if hasattr(model, "tree_") else [t.tree_ for t in np.asarray(model.estimators_).ravel()]
    exact = np.concatenate([t.threshold for t in trees])
    leaf = np.concatenate([t.children_left for t in trees]) == -1
    # The other trees compare a feature rounded to float32: the largest float64 that is rounded to no more than the threshold.
    below = exact.astype(np.float32)
    below = np.where(below > exact, np.nextafter(below, np.float32(-np.inf)), below)
    middle = (below.astype(np.float64) + np.nextafter(below, np.float32(np.inf)).astype(np.float64)) / 2
    middle = np.where(middle.astype(np.float32) > below, np.nextafter(middle, -np.inf), middle)
    left = np.concatenate([t.missing_go_to_left for t in trees]).astype(bool)
    return np.where(leaf, 0.0, middle), left & ~leaf


def _widen(node: onnx.NodeProto, thresholds: np.ndarray, missing_left: np.ndarray | None) -> None:
    kept = []
    for attribute in node.attribute:
        if attribute.name == "nodes_missing_value_tracks_true" and missing_left is not None:
            attribute = helper.make_attribute(attribute.name, missing_left.astype(int).tolist())
        if attribute.name == "nodes_hitrates":
            continue
        if attribute.name == "nodes_values":
            if not np.allclose(np.array(attribute.floats), thresholds, rtol=1e-5, atol=1e-30):
                raise NotImplementedError("skl2onnx gives the nodes of trees in another order than it did")
            attribute = helper.make_attribute("nodes_values_as_tensor", numpy_helper.from_array(thresholds))
        elif attribute.name in ("class_weights", "target_weights", "base_values"):
            values = np.array(attribute.floats, np.float64)
            attribute = helper.make_attribute(f"{attribute.name}_as_tensor", numpy_helper.from_array(values))
        kept.append(attribute)
    del node.attribute[:]
    node.attribute.extend(kept)


def finish(model: onnx.ModelProto, result: str, positive: int | None) -> None:
    """Leaves the graph with the outputs that heads read: probability and log_odds [N, 1] of the class in column positive of
    the output result; without one scores [N, classes], or value [N, 1] where it has one column."""
    graph = model.graph
    declared = {value.name: value for value in graph.output}[result]
    kind = declared.type.tensor_type.elem_type
    outputs = []

    def node(op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        graph.node.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(name: str, value: float) -> str:
        graph.initializer.append(helper.make_tensor(name, kind, [], [value]))
        return name

    def offer(name: str, columns: int) -> None:
        outputs.append(helper.make_tensor_value_info(name, kind, [None, columns]))

    if positive is not None:
        graph.initializer.append(helper.make_tensor("scry.column", TensorProto.INT64, [1], [positive]))
        node("Gather", [result, "scry.column"], "probability", axis=1)
        clipped = node("Clip", ["probability", constant("scry.lowest", LOWEST), constant("scry.highest", 1 - LOWEST)], "scry.clipped")
        rest = node("Sub", [constant("scry.one", 1), clipped], "scry.rest")
        node("Log", [node("Div", [clipped, rest], "scry.odds")], "log_odds")
        offer("probability", 1)
        offer("log_odds", 1)
    elif len(declared.type.tensor_type.shape.dim) == 2 and declared.type.tensor_type.shape.dim[1].dim_value > 1:
        offer(node("Identity", [result], "scores"), declared.type.tensor_type.shape.dim[1].dim_value)
    else:
        graph.initializer.append(helper.make_tensor("scry.shape", TensorProto.INT64, [2], [-1, 1]))
        offer(node("Reshape", [result, "scry.shape"], "value"), 1)
    del graph.output[:]
    graph.output.extend(outputs)
    _prune(graph)


def _prune(graph: onnx.GraphProto) -> None:
    """Drops nodes, constants and inputs that no output needs."""
    needed = {value.name for value in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(name for name in node.input if name)
            nodes.append(node)
    for field, kept in ((graph.node, nodes[::-1]), (graph.initializer, [i for i in graph.initializer if i.name in needed]),
                        (graph.input, [i for i in graph.input if i.name in needed])):
        kept = list(kept)
        del field[:]
        field.extend(kept)
