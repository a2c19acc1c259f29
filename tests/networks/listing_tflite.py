"""Lists a TFLite file as `crates/formats/tests/listing/tflite.rs` does, read by the package `tflite`."""

import hashlib
import importlib
import json
import re
import struct
from pathlib import Path

import numpy as np
import tflite


def text(value):
    return json.dumps((value or b"").decode(), ensure_ascii=False)


def names(enum):
    return {value: name for name, value in vars(enum).items() if not name.startswith("_")}


def camel(name):
    """RELU_N1_TO_1 as ReluN1To1, SHUFFLED4x16INT8 as Shuffled4x16Int8."""
    parts = re.findall(r"[A-Z0-9]+?x16|[A-Z]+[0-9]*|[0-9]+", name) if "x16" in name else name.split("_")
    return "".join(part[0] + part[1:].lower() for part in parts)


OPERATORS = names(tflite.BuiltinOperator)
OPTIONS = names(tflite.BuiltinOptions)
TYPES = names(tflite.TensorType)
TYPE_FIELDS = ("in_data_type", "out_data_type", "output_type", "out_type", "idx_out_type", "quantized_bias_type")
ENUMS = {
    "fused_activation_function": names(tflite.ActivationFunctionType),
    "padding": names(tflite.Padding),
    "weights_format": names(tflite.FullyConnectedOptionsWeightsFormat),
    "kernel_type": names(tflite.LSTMKernelType),
    "mode": names(tflite.MirrorPadMode),
    **{field: TYPES for field in (*TYPE_FIELDS, "key_dtype", "value_dtype")},
}
UNREAD = ("ConcatEmbeddings", "LSHProjection", "SkipGram", "EmbeddingLookupSparse")


class File:
    def __init__(self, path):
        self.bytes = Path(path).read_bytes()
        self.model = tflite.Model.GetRootAs(self.bytes, 0)
        self.lines = []

    def put(self, depth, line):
        self.lines.append(" " * depth + line)

    def buffer(self, number):
        buffer = self.model.Buffers(number)
        if buffer.DataLength():
            return buffer.DataAsNumpy().tobytes()
        if buffer.Offset() > 1 and buffer.Size():
            return self.bytes[buffer.Offset() :][: buffer.Size()]
        return b""

    def list(self):
        model = self.model
        self.put(0, f"tflite {model.Version()} {text(model.Description())}")
        for i in range(model.MetadataLength()):
            entry = model.Metadata(i)
            self.put(0, f"metadata {text(entry.Name())} {digest(self.buffer(entry.Buffer()))}")
        for i in range(model.SignatureDefsLength()):
            signature = model.SignatureDefs(i)
            self.put(0, f"signature {text(signature.SignatureKey())} {signature.SubgraphIndex()}")
            for j in range(signature.InputsLength()):
                self.put(1, f"in {text(signature.Inputs(j).Name())} {signature.Inputs(j).TensorIndex()}")
            for j in range(signature.OutputsLength()):
                self.put(1, f"out {text(signature.Outputs(j).Name())} {signature.Outputs(j).TensorIndex()}")
        for i in range(model.SubgraphsLength()):
            graph = model.Subgraphs(i)
            inputs, outputs = numbers(graph, "Inputs"), numbers(graph, "Outputs")
            self.put(0, f"subgraph {text(graph.Name())} {inputs} {outputs}")
            for j in range(graph.TensorsLength()):
                self.tensor(graph.Tensors(j))
            for j in range(graph.OperatorsLength()):
                self.operator(graph.Operators(j))

    def tensor(self, tensor):
        data = self.buffer(tensor.Buffer())
        flags = f"{flag(tensor.HasRank())} {flag(tensor.IsVariable())} {tensor.Buffer()}"
        shapes = f"{numbers(tensor, 'Shape')} {numbers(tensor, 'ShapeSignature')}"
        kind = TYPES[tensor.Type()].lower()
        self.put(1, f"tensor {text(tensor.Name())} {kind} {shapes} {flags} {digest(data) if data else 'none'}")
        found = tensor.Quantization()
        if found:
            parts = [counted(numbers(found, part)) for part in ("Min", "Max", "Scale", "ZeroPoint")]
            custom = flag(found.DetailsType())
            self.put(2, f"quantization {found.QuantizedDimension()} {custom} {' '.join(parts)}")
        found = tensor.Sparsity()
        if found:
            self.put(2, f"sparsity {numbers(found, 'TraversalOrder')} {numbers(found, 'BlockMap')}")
            for i in range(found.DimMetadataLength()):
                dim = found.DimMetadata(i)
                if dim.Format() == 0:
                    self.put(3, f"dense {dim.DenseSize()}")
                else:
                    segments = indices(dim.ArraySegmentsType(), dim.ArraySegments())
                    self.put(3, f"csr {segments} {indices(dim.ArrayIndicesType(), dim.ArrayIndices())}")

    def operator(self, operator):
        entry = self.model.OperatorCodes(operator.OpcodeIndex())
        code = max(entry.BuiltinCode(), entry.DeprecatedBuiltinCode())
        code = f"custom {text(entry.CustomCode())}" if OPERATORS[code] == "CUSTOM" else OPERATORS[code]
        lists = " ".join(str(numbers(operator, part)) for part in ("Inputs", "Outputs", "Intermediates"))
        mutated = [bool(value) for value in numbers(operator, "MutatingVariableInputs")]
        mutated = str(mutated).lower()
        self.put(1, f"operator {code} {entry.Version()} {lists} {mutated}")
        self.put(2, options(operator))
        custom = bytes(numbers(operator, "CustomOptions"))
        if not custom and operator.LargeCustomOptionsOffset() > 1:
            custom = self.bytes[operator.LargeCustomOptionsOffset() :][: operator.LargeCustomOptionsSize()]
        if custom:
            self.put(2, f"custom options {digest(custom)}")


def flag(value):
    return str(bool(value)).lower()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def numbers(holder, field):
    """The list in a field."""
    length = getattr(holder, field + "Length")()
    values = getattr(holder, field + "AsNumpy")() if length else []
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def counted(values):
    data = b"".join(struct.pack("<d", value) for value in values)
    return f"{len(values)}:{digest(data)[:16]}"


def indices(kind, table):
    holder = {1: tflite.Int32Vector, 2: tflite.Uint16Vector, 3: tflite.Uint8Vector}[kind]()
    holder.Init(table.Bytes, table.Pos)
    return counted(numbers(holder, "Values"))


def fields(kind):
    """Names of a table's fields in the order of their slots: the order in which the generated class has them."""
    skipped = ("Length", "AsNumpy", "IsNone")
    plain = [name for name in vars(kind) if name[0].isupper() and not name.endswith(skipped)]
    return [name for name in plain if not name.startswith("GetRootAs") and name != "Init" and "HasIdentifier" not in name]


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=Factor)", "_", name).lower()


def shown(value, field, options, name):
    if field in ENUMS:
        return camel(ENUMS[field][value])
    if hasattr(options, name + "Length"):
        return "[" + ", ".join(shown_number(one) for one in numbers(options, name)) + "]"
    if isinstance(value, bytes) or value is None:
        return text(value)
    return shown_number(value)


def shown_number(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        # The shortest text that is the same number in 32 bits.
        short = str(np.float32(value))
        return re.sub(r"e([-+])0*(\d)", lambda m: "e" + m[1].replace("+", "") + m[2], short)
    return str(value)


def options(operator):
    """Settings as Rust's debugging form has them."""
    if operator.BuiltinOptions2Type() == tflite.BuiltinOptions2.StableHLOCompositeOptions:
        found = tflite.StableHLOCompositeOptions()
        found.Init(operator.BuiltinOptions2().Bytes, operator.BuiltinOptions2().Pos)
        return f"StablehloComposite {{ decomposition_subgraph_index: {found.DecompositionSubgraphIndex()} }}"
    if operator.BuiltinOptions2Type():
        return f"Other {{ number: {operator.BuiltinOptions2Type()}, is_second: true }}"
    number, table = operator.BuiltinOptionsType(), operator.BuiltinOptions()
    if not number or table is None:
        return "None"
    full = OPTIONS[number]
    short = full.removesuffix("Options")
    if short in UNREAD:
        return f"Other {{ number: {number}, is_second: false }}"
    kind = getattr(importlib.import_module(f"tflite.{full}"), full)
    found = kind()
    found.Init(table.Bytes, table.Pos)
    parts = []
    for name in fields(kind):
        field = snake(name)
        value = None if hasattr(found, name + "Length") else getattr(found, name)()
        parts.append(f"{field}: {shown(value, field, found, name)}")
    if not parts:
        return "None"
    short = re.sub("(SVDF|RNN|LSTM)$", lambda m: m[1].capitalize(), short)
    short = re.sub(r"(?<=[a-z])([23])D$", lambda m: m[1] + "d", short)
    return f"{short} {{ {', '.join(parts)} }}"


def list_tflite(path):
    file = File(path)
    file.list()
    return file.lines
