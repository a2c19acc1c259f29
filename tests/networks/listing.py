"""Lists a network as `crates/formats/tests/listing` does, read by the packages `onnx` and `tflite`, which are not ours."""

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper


def text(value):
    return json.dumps(value, ensure_ascii=False)


def names(values):
    return json.dumps(list(values), ensure_ascii=False, separators=(",", ":"))


TYPES = {value: name.lower() for name, value in onnx.TensorProto.DataType.items()}


def type_name(value):
    kind = value.WhichOneof("value")
    if kind in ("tensor_type", "sparse_tensor_type"):
        inner = getattr(value, kind)
        shape = "[*]"
        if inner.HasField("shape"):
            dims = []
            for dim in inner.shape.dim:
                which = dim.WhichOneof("value")
                known = which == "dim_value" and dim.dim_value >= 0
                dims.append(str(dim.dim_value) if known else (which == "dim_param" and dim.dim_param) or "?")
            shape = f"[{', '.join(dims)}]"
        return ("sparse " if kind == "sparse_tensor_type" else "") + TYPES[inner.elem_type] + shape
    if kind == "sequence_type":
        return f"sequence({type_name(value.sequence_type.elem_type)})"
    if kind == "optional_type":
        return f"optional({type_name(value.optional_type.elem_type)})"
    if kind == "map_type":
        return f"map({TYPES[value.map_type.key_type]}, {type_name(value.map_type.value_type)})"
    return "unknown"


def tensor_bytes(tensor):
    """Little-endian elements without gaps, those of four bits packed, the lower first."""
    kind = TYPES[tensor.data_type]
    if kind == "undefined":
        return b""
    if kind == "string":
        return b"".join(struct.pack("<Q", len(value)) + value for value in tensor.string_data)
    array = numpy_helper.to_array(tensor)
    if kind in ("int4", "uint4", "float4e2m1"):
        values = array.reshape(-1).view(np.uint8) & 15
        values = np.append(values, np.zeros(len(values) % 2, np.uint8))
        return (values[0::2] | values[1::2] << 4).tobytes()
    return np.ascontiguousarray(array).tobytes()


class Lister:
    def __init__(self):
        self.lines = []

    def put(self, depth, line):
        self.lines.append(" " * depth + line)

    def model(self, model):
        own = f"{text(model.producer_name)} {text(model.producer_version)} {text(model.domain)}"
        training = str(len(model.training_info) > 0).lower()
        self.put(0, f"onnx {model.ir_version} {own} {model.model_version} {training}")
        self.imports(0, model.opset_import)
        for entry in model.metadata_props:
            self.put(0, f"metadata {text(entry.key)} {text(entry.value)}")
        self.graph(0, model.graph)
        for function in model.functions:
            own = f"{text(function.domain)} {text(function.name)} {text(function.overload)}"
            values = f"{names(function.input)} {names(function.output)} {names(function.attribute)}"
            self.put(0, f"function {own} {values}")
            self.imports(1, function.opset_import)
            for attribute in function.attribute_proto:
                self.attribute(1, attribute)
            self.values(1, "info", function.value_info)
            for node in function.node:
                self.node(1, node)

    def imports(self, depth, imports):
        for entry in imports:
            self.put(depth, f"import {text(entry.domain)} {entry.version}")

    def values(self, depth, kind, values):
        for value in values:
            self.put(depth, f"{kind} {text(value.name)} {text(type_name(value.type))}")

    def graph(self, depth, graph):
        self.put(depth, f"graph {text(graph.name)}")
        depth += 1
        self.values(depth, "in", graph.input)
        self.values(depth, "out", graph.output)
        self.values(depth, "info", graph.value_info)
        for tensor in graph.initializer:
            self.tensor(depth, "initializer", tensor)
        for sparse in graph.sparse_initializer:
            self.sparse(depth, sparse)
        for annotation in graph.quantization_annotation:
            pairs = [f"{text(e.key)} {text(e.value)}" for e in annotation.quant_parameter_tensor_names]
            self.put(depth, f"annotation {text(annotation.tensor_name)} {' '.join(pairs)}")
        for node in graph.node:
            self.node(depth, node)

    def sparse(self, depth, sparse):
        self.put(depth, f"sparse {list(sparse.dims)}")
        self.tensor(depth + 1, "values", sparse.values)
        self.tensor(depth + 1, "indices", sparse.indices)

    def tensor(self, depth, kind, tensor):
        digest = hashlib.sha256(tensor_bytes(tensor)).hexdigest()
        self.put(depth, f"{kind} {text(tensor.name)} {TYPES[tensor.data_type]} {list(tensor.dims)} {digest}")

    def node(self, depth, node):
        own = f"{text(node.domain)} {text(node.op_type)} {text(node.overload)} {text(node.name)}"
        self.put(depth, f"node {own} {names(node.input)} {names(node.output)}")
        for attribute in node.attribute:
            self.attribute(depth + 1, attribute)

    def attribute(self, depth, attribute):
        name, kinds = text(attribute.name), onnx.AttributeProto
        kind = attribute.type
        if attribute.ref_attr_name:
            self.put(depth, f"{name} reference {text(attribute.ref_attr_name)}")
        elif kind == kinds.FLOAT:
            self.put(depth, f"{name} float {bits(attribute.f)}")
        elif kind == kinds.FLOATS:
            self.put(depth, f"{name} floats {' '.join(map(bits, attribute.floats))}")
        elif kind == kinds.INT:
            self.put(depth, f"{name} int {attribute.i}")
        elif kind == kinds.INTS:
            self.put(depth, f"{name} ints {list(attribute.ints)}")
        elif kind == kinds.STRING:
            self.put(depth, f"{name} string {attribute.s.hex()}")
        elif kind == kinds.STRINGS:
            self.put(depth, f"{name} strings {' '.join(value.hex() for value in attribute.strings)}")
        elif kind == kinds.TYPE_PROTO:
            self.put(depth, f"{name} type {text(type_name(attribute.tp))}")
        elif kind == kinds.TYPE_PROTOS:
            self.put(depth, f"{name} types {' '.join(text(type_name(t)) for t in attribute.type_protos)}")
        elif kind in (kinds.TENSOR, kinds.TENSORS):
            many = kind == kinds.TENSORS
            self.put(depth, f"{name} {'tensors' if many else 'tensor'}")
            for tensor in attribute.tensors if many else [attribute.t]:
                self.tensor(depth + 1, "tensor", tensor)
        elif kind in (kinds.GRAPH, kinds.GRAPHS):
            many = kind == kinds.GRAPHS
            self.put(depth, f"{name} {'graphs' if many else 'graph'}")
            for graph in attribute.graphs if many else [attribute.g]:
                self.graph(depth + 1, graph)
        elif kind in (kinds.SPARSE_TENSOR, kinds.SPARSE_TENSORS):
            many = kind == kinds.SPARSE_TENSORS
            self.put(depth, f"{name} {'sparses' if many else 'sparse'}")
            for sparse in attribute.sparse_tensors if many else [attribute.sparse_tensor]:
                self.sparse(depth + 1, sparse)
        else:
            self.put(depth, f"{name} of unknown type {kind}")

    def value(self, depth, value):
        if isinstance(value, onnx.TensorProto):
            self.tensor(depth, "tensor", value)
        elif isinstance(value, onnx.SparseTensorProto):
            self.sparse(depth, value)
        elif isinstance(value, onnx.OptionalProto):
            held = {1: "tensor", 2: "sparse_tensor", 3: "sequence", 4: "map", 5: "optional"}.get(value.elem_type)
            field = held and f"{held}_value"
            if field and value.HasField(field):
                self.put(depth, "some")
                self.value(depth + 1, getattr(value, field))
            else:
                self.put(depth, "none")
        elif isinstance(value, onnx.SequenceProto):
            held = {1: "tensor", 2: "sparse_tensor", 3: "sequence", 4: "map", 5: "optional"}.get(value.elem_type)
            values = getattr(value, f"{held}_values") if held else []
            self.put(depth, f"sequence {len(values)}")
            for one in values:
                self.value(depth + 1, one)
        elif isinstance(value, onnx.MapProto):
            keys = " ".join(key.hex() for key in value.string_keys)
            self.put(depth, f"map {TYPES[value.key_type]} {list(value.keys)} {keys}")
            for one in value.values.tensor_values:
                self.value(depth + 1, one)


def bits(number):
    return struct.pack(">f", number).hex()


HOLDERS = {
    "map_type": onnx.MapProto,
    "optional_type": onnx.OptionalProto,
    "sequence_type": onnx.SequenceProto,
    "sparse_tensor_type": onnx.SparseTensorProto,
}


def list_onnx(path):
    model = onnx.load(path)
    lister = Lister()
    lister.model(model)
    number = 0
    while (folder := Path(path).parent / f"test_data_set_{number}").is_dir():
        for kind, infos in (("input", model.graph.input), ("output", model.graph.output)):
            for i, info in enumerate(infos):
                file = folder / f"{kind}_{i}.pb"
                if file.exists():
                    value = HOLDERS.get(info.type.WhichOneof("value"), onnx.TensorProto)()
                    value.ParseFromString(file.read_bytes())
                    lister.put(0, f"{kind} {i}")
                    lister.value(1, value)
        number += 1
    return lister.lines


def list_network(path):
    if str(path).endswith(".tflite"):
        import listing_tflite

        return listing_tflite.list_tflite(path)
    return list_onnx(path)
