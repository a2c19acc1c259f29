"""Makes the small networks that every run of the tests reads, with the packages `onnx`, `tflite` and `flatbuffers`.

    python tests/networks/make_sample.py

Cases of the conformance suite as they are, two networks with a bit of everything, and of each what `listing.py` says.
"""

import shutil
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
import tflite
from onnx import TensorProto, helper

from listing import list_network

SAMPLE = Path(__file__).with_name("sample")
SUITE = Path(onnx.__file__).parent / "backend/test/data"
CASES = [
    "node/test_ai_onnx_ml_label_encoder_tensor_mapping",
    "node/test_cast_FLOAT_to_BFLOAT16",
    "node/test_cast_FLOAT_to_FLOAT8E4M3FNUZ",
    "node/test_cast_e8m0_FLOAT_to_FLOAT8E8M0",
    "node/test_dequantizelinear_int4",
    "node/test_identity_opt",
    "node/test_if_opt",
    "node/test_loop16_seq_none",
    "node/test_lstm_with_peepholes",
    "node/test_optional_has_element_empty_optional_input",
    "node/test_qlinearconv",
    "node/test_range_float_type_positive_delta_expanded",
    "node/test_scan_sum",
    "node/test_sequence_insert_at_front",
    "node/test_equal_string_broadcast",
    "simple/test_sequence_model6",
    "simple/test_strnorm_model_monday_casesensintive_lower",
]


def everything_onnx(folder):
    """Every way to write a tensor, every kind of attribute, and a function."""

    def typed(name, kind, dims, field, values):
        tensor = TensorProto(name=name, data_type=kind, dims=dims)
        getattr(tensor, field).extend(values)
        return tensor

    initializers = [
        typed("floats", TensorProto.FLOAT, [2, 2], "float_data", [1.5, -2, 3, 1e-9]),
        typed("doubles", TensorProto.DOUBLE, [2], "double_data", [0.1, -0.2]),
        typed("complexes", TensorProto.COMPLEX64, [2], "float_data", [1, 2, 3, 4]),
        typed("bools", TensorProto.BOOL, [3], "int32_data", [1, 0, 1]),
        typed("bytes", TensorProto.INT8, [3], "int32_data", [-128, 0, 127]),
        typed("halves", TensorProto.FLOAT16, [2], "int32_data", [0x3C00, 0xC000]),
        typed("bfloats", TensorProto.BFLOAT16, [2], "int32_data", [0x3F80, 0xC000]),
        typed("nibbles", TensorProto.INT4, [3], "int32_data", [0x71, 0x0F]),
        typed("longs", TensorProto.INT64, [3], "int64_data", [-1, 2**62, 0]),
        typed("words", TensorProto.UINT32, [2], "uint64_data", [2**32 - 1, 7]),
        typed("unsigned", TensorProto.UINT64, [2], "uint64_data", [2**64 - 1, 7]),
        typed("texts", TensorProto.STRING, [2], "string_data", [b"one", "zwölf".encode()]),
        typed("nothing", TensorProto.FLOAT, [0, 4], "float_data", []),
        helper.make_tensor("number", TensorProto.INT32, [], [7]),
        onnx.numpy_helper.from_array(np.arange(6, dtype=np.uint16).reshape(2, 3), "raw"),
    ]
    # A list of numbers may be written one field each; its reader must not mind what stands between.
    pieces = TensorProto(name="pieces", data_type=TensorProto.INT64, dims=[4])
    pieces.MergeFromString(bytes([0x38, 5, 0x62, 1, ord("d"), 0x3A, 2, 6, 0, 0x38, 0x96, 0x01]))
    initializers.append(pieces)
    beside = onnx.numpy_helper.from_array(np.arange(5, dtype=np.float32), "beside")
    (folder / "weights").mkdir()
    (folder / "weights/beside.bin").write_bytes(bytes(8) + beside.raw_data)
    onnx.external_data_helper.set_external_data(beside, "weights/beside.bin", offset=8, length=20)
    beside.ClearField("raw_data")
    initializers.append(beside)
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("sparse", TensorProto.FLOAT, [2], [1, 2]),
        helper.make_tensor("", TensorProto.INT64, [2], [3, 5]),
        [2, 3],
    )
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, ["batch", None, 3])
    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "inner", [], [])
    everything = helper.make_node(
        "Everything",
        ["x", "", "floats"],
        ["y", ""],
        name="all",
        domain="local.ops",
        f=0.1,
        fs=[0.5, 1e30],
        g=inner,
        gs=[inner, inner],
        i=-3,
        is_=[1, -1, 2**40],
        s="text",
        ss=["a", ""],
        sp=sparse,
        sps=[sparse],
        t=initializers[0],
        ts=initializers[1:3],
        tp=tensor,
        tps=[tensor, helper.make_sequence_type_proto(tensor)],
    )
    call = helper.make_node("Twice", ["y"], ["z"], domain="local.ops", alpha=0.5)
    scaled = helper.make_node("Elu", ["a"], ["b"])
    scaled.attribute.append(onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT, ref_attr_name="alpha"))
    twice = helper.make_function(
        "local.ops",
        "Twice",
        ["a"],
        ["c"],
        [scaled, helper.make_node("Add", ["b", "b"], ["c"])],
        [helper.make_opsetid("", 20)],
        ["alpha"],
        [helper.make_attribute("beta", 2)],
    )
    types = [
        ("x", tensor),
        ("m", helper.make_map_type_proto(TensorProto.INT64, tensor)),
        ("o", helper.make_optional_type_proto(helper.make_sequence_type_proto(tensor))),
        ("k", helper.make_sparse_tensor_type_proto(TensorProto.FLOAT, [2, 3])),
        ("u", helper.make_tensor_type_proto(TensorProto.STRING, None)),
    ]
    graph = helper.make_graph(
        [everything, call],
        "everything",
        [helper.make_value_info(name, kind) for name, kind in types],
        [helper.make_value_info("z", tensor)],
        initializers,
        "a text",
        [helper.make_value_info("y", tensor), onnx.ValueInfoProto(name="nothing is known of")],
        sparse_initializer=[sparse],
    )
    annotation = graph.quantization_annotation.add(tensor_name="x")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="number")
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("local.ops", 1)]
    model = helper.make_model(graph, functions=[twice], opset_imports=imports, ir_version=9, producer_name="sample")
    model.model_version, model.domain = -1, "sample.local"
    helper.set_model_props(model, {"author": "nobody", "class names": "{0: 'ä'}"})
    (folder / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))


class Tables:
    """A builder of FlatBuffers with the words of the schema."""

    def __init__(self):
        self.builder = flatbuffers.Builder(1024)

    def table(self, kind, **fields):
        """A table; a field's value is a number, or the place of what was built before."""
        getattr(tflite, f"{kind}Start")(self.builder)
        for name, value in fields.items():
            getattr(tflite, f"{kind}Add{name}")(self.builder, value)
        return getattr(tflite, f"{kind}End")(self.builder)

    def vector(self, values, size, prepend):
        self.builder.StartVector(size, len(values), size)
        for value in reversed(values):
            prepend(value)
        return self.builder.EndVector()

    def tables(self, places):
        return self.vector(places, 4, self.builder.PrependUOffsetTRelative)

    def ints(self, values):
        return self.vector(values, 4, self.builder.PrependInt32)

    def text(self, value):
        return self.builder.CreateString(value)

    def bytes(self, value):
        return self.builder.CreateByteVector(value)


def everything_tflite(folder):
    """Operators with settings of every kind of field, tensors with all that a tensor can have, two graphs."""
    to = Tables()
    new = to.builder
    buffers = [to.table("Buffer")]
    for data in (np.arange(8, dtype=np.int8).tobytes(), np.float32([1, 2]).tobytes(), b"1.14.0", np.float32([3]).tobytes()):
        data = to.bytes(data)
        buffers.append(to.table("Buffer", Data=data))
    scale = to.vector([0.5, 0.25], 4, new.PrependFloat32)
    zero = to.vector([-3, 2**40], 8, new.PrependInt64)
    channels = to.table("QuantizationParameters", Scale=scale, ZeroPoint=zero, QuantizedDimension=3)
    low, high = to.vector([-1.0], 4, new.PrependFloat32), to.vector([1.0], 4, new.PrependFloat32)
    whole = to.table("QuantizationParameters", Min=low, Max=high)
    order, blocks = to.ints([0, 1]), to.ints([])
    segments = to.vector([0, 1, 2], 1, new.PrependUint8)
    segments = to.table("Uint8Vector", Values=segments)
    indices = to.vector([1, 300], 2, new.PrependUint16)
    indices = to.table("Uint16Vector", Values=indices)
    dims = [
        to.table("DimensionMetadata", Format=0, DenseSize=2),
        to.table(
            "DimensionMetadata",
            Format=1,
            ArraySegmentsType=3,
            ArraySegments=segments,
            ArrayIndicesType=2,
            ArrayIndices=indices,
        ),
    ]
    dims = to.tables(dims)
    sparsity = to.table("SparsityParameters", TraversalOrder=order, BlockMap=blocks, DimMetadata=dims)

    def tensor(name, shape, kind, buffer=0, signature=None, **more):
        name, shape = to.text(name), to.ints(shape)
        if signature:
            more["ShapeSignature"] = to.ints(signature)
        return to.table("Tensor", Name=name, Shape=shape, Type=kind, Buffer=buffer, **more)

    kinds = tflite.TensorType
    tensors = [
        tensor("in", [1, 2, 2, 1], kinds.INT8, signature=[-1, 2, 2, 1], Quantization=whole),
        tensor("weights", [1, 2, 2, 2], kinds.INT8, 1, Quantization=channels),
        tensor("sparse", [2, 301], kinds.FLOAT32, 2, Sparsity=sparsity),
        tensor("state", [], kinds.RESOURCE, IsVariable=True, HasRank=True),
        tensor("äußer", [1], kinds.FLOAT32, 4),
    ]
    codes = []
    for code, version, custom in ((3, 3, None), (22, 1, None), (32, 1, "Mine"), (142, 1, None), (129, 1, None)):
        custom = {"CustomCode": to.text(custom)} if custom else {}
        codes.append(
            to.table("OperatorCode", DeprecatedBuiltinCode=min(code, 127), BuiltinCode=code, Version=version, **custom)
        )
    convolution = to.table("Conv2DOptions", Padding=1, StrideW=2, StrideH=1, FusedActivationFunction=3)
    shape = to.ints([1, -1])
    reshape = to.table("ReshapeOptions", NewShape=shape)
    container, shared = to.text("c"), to.text("state")
    handle = to.table("VarHandleOptions", Container=container, SharedName=shared)
    once = to.table("CallOnceOptions", InitSubgraphIndex=1)

    def operator(code, inputs, outputs, **more):
        inputs, outputs = to.ints(inputs), to.ints(outputs)
        return to.table("Operator", OpcodeIndex=code, Inputs=inputs, Outputs=outputs, **more)

    mine, changed, inner = to.bytes(b"\x01\x02\x03"), to.vector([0, 1], 1, new.PrependBool), to.ints([2, -1])
    operators = [
        operator(0, [0, 1, -1], [2], BuiltinOptionsType=1, BuiltinOptions=convolution),
        operator(1, [2], [4], BuiltinOptionsType=17, BuiltinOptions=reshape),
        operator(2, [2, 3], [4], CustomOptions=mine, MutatingVariableInputs=changed, Intermediates=inner),
        operator(3, [], [3], BuiltinOptionsType=111, BuiltinOptions=handle),
        operator(4, [], [], BuiltinOptionsType=103, BuiltinOptions=once),
    ]

    def graph(name, tensors, inputs, outputs, operators):
        name, tensors, operators = to.text(name), to.tables(tensors), to.tables(operators)
        inputs, outputs = to.ints(inputs), to.ints(outputs)
        return to.table("SubGraph", Name=name, Tensors=tensors, Inputs=inputs, Outputs=outputs, Operators=operators)

    graphs = [graph("main", tensors, [0], [4], operators), graph("first", [tensors[4]], [], [0], [])]
    names = []
    for name, number in (("x", 0), ("y", 4)):
        name = to.text(name)
        names.append(to.tables([to.table("TensorMap", Name=name, TensorIndex=number)]))
    key = to.text("serving_default")
    signature = to.table("SignatureDef", Inputs=names[0], Outputs=names[1], SignatureKey=key, SubgraphIndex=0)
    name = to.text("min_runtime_version")
    metadata = to.tables([to.table("Metadata", Name=name, Buffer=3)])
    lists = {
        "OperatorCodes": to.tables(codes),
        "Subgraphs": to.tables(graphs),
        "Buffers": to.tables(buffers),
        "SignatureDefs": to.tables([signature]),
        "Description": to.text("everything"),
    }
    model = to.table("Model", Version=3, Metadata=metadata, **lists)
    new.Finish(model, b"TFL3")
    (folder / "model.tflite").write_bytes(new.Output())


def main():
    shutil.rmtree(SAMPLE, ignore_errors=True)
    for case in CASES:
        folder = SAMPLE / case.split("/")[1]
        shutil.copytree(SUITE / case, folder)
    for name, make in (("everything_onnx", everything_onnx), ("everything_tflite", everything_tflite)):
        (SAMPLE / name).mkdir()
        make(SAMPLE / name)
    for folder in sorted(SAMPLE.iterdir()):
        network = next(folder.glob("model.*"))
        (folder / "listing.txt").write_text("\n".join(list_network(network)) + "\n")
    size = sum(file.stat().st_size for file in SAMPLE.rglob("*") if file.is_file())
    print(f"{len(list(SAMPLE.iterdir()))} networks, {size} bytes")


if __name__ == "__main__":
    main()
