"""Writes tests/networks/litert: small networks in TFLite, inputs, and what LiteRT's reference kernels make of them.

    pip install ai-edge-litert==2.3.0 tflite==2.18.0 flatbuffers==25.12.19 numpy
    python tests/networks/make_litert.py

A case is NAME.tflite, NAME.in and NAME.out: the bytes of all inputs and all outputs of three runs, one after another.
"""

import pathlib
import shutil

import flatbuffers
import numpy as np
import tflite
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from flatbuffers import flexbuffers

FOLDER = pathlib.Path(__file__).parent / "litert"
RUNS = 3
F32, F16, I32, U8, I64, I16, I8, BOOL, RESOURCE, C64 = 0, 1, 2, 3, 4, 7, 9, 6, 13, 8
TYPES = {F32: "f4", F16: "f2", I32: "i4", U8: "u1", I64: "i8", I16: "i2", I8: "i1", BOOL: "?"}
CODES = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
NUMBERS = {name: code for code, name in CODES.items()}
OPTIONS = {k: v for k, v in vars(tflite.BuiltinOptions).items() if isinstance(v, int)}
OPTIONS_2 = {k: v for k, v in vars(tflite.BuiltinOptions2).items() if isinstance(v, int)}


class Net:
    """A network under construction; tensors are numbers."""

    def __init__(self):
        self.builder = flatbuffers.Builder()
        self.buffers, self.tensors, self.codes, self.operators = [b""], [[]], [], [[]]
        self.inputs, self.outputs = [], []
        # Inputs and outputs of the graphs within it.
        self.ports = {}
        self.rng = np.random.default_rng(11)

    def tensor(self, kind, shape, data=None, scale=None, zero=0, axis=0, graph=0, variable=False):
        buffer = 0
        if data is not None:
            self.buffers.append(np.ascontiguousarray(data, TYPES[kind]).tobytes())
            buffer = len(self.buffers) - 1
        self.tensors[graph].append((kind, shape, buffer, scale, zero, axis, variable))
        return len(self.tensors[graph]) - 1

    def input(self, kind, shape, **quantization):
        self.inputs.append(self.tensor(kind, shape, **quantization))
        return self.inputs[-1]

    def constant(self, kind, data, **quantization):
        data = np.asarray(data)
        return self.tensor(kind, list(data.shape), data, **quantization)

    def weights(self, shape, maps, axis, zero=0, kind=I8):
        """Weights with a scale for each of `maps`, or one."""
        low, high = (0, 255) if kind == U8 else (-127, 127)
        data = self.rng.integers(low, high, shape, endpoint=True)
        scale = self.rng.uniform(0.002, 0.01, maps)
        return self.constant(kind, data, scale=scale, zero=zero, axis=axis), scale

    def op(self, name, inputs, made, options=None, graph=0, **fields):
        """An operator; `made` are tensors that it makes. One that is not of TFLite's own has its settings by name in `custom`; it works in
        the tensors `within`."""
        self.operators[graph].append((name, inputs, made, options, fields))
        return made[0] if made else None

    def table(self, kind, **fields):
        getattr(tflite, f"{kind}Start")(self.builder)
        for name, value in fields.items():
            getattr(tflite, f"{kind}Add{name}")(self.builder, value)
        return getattr(tflite, f"{kind}End")(self.builder)

    def vector(self, values, size, prepend):
        self.builder.StartVector(size, len(values), size)
        for value in reversed(values):
            prepend(value)
        return self.builder.EndVector()

    def offsets(self, places):
        return self.vector(places, 4, self.builder.PrependUOffsetTRelative)

    def ints(self, values):
        return self.vector([int(v) for v in values], 4, self.builder.PrependInt32)

    def quantization(self, scale, zero, axis):
        scale = [float(s) for s in np.atleast_1d(scale)]
        scales = self.vector(scale, 4, self.builder.PrependFloat32)
        zeros = self.vector([int(z) for z in np.broadcast_to(zero, len(scale))], 8, self.builder.PrependInt64)
        return self.table("QuantizationParameters", Scale=scales, ZeroPoint=zeros, QuantizedDimension=axis)

    def graph(self, number):
        tensors = []
        for at, (kind, shape, buffer, scale, zero, axis, variable) in enumerate(self.tensors[number]):
            more = {}
            if scale is not None:
                more["Quantization"] = self.quantization(scale, zero, axis)
            name, shape = self.builder.CreateString(f"t{at}"), self.ints(shape)
            more |= dict(Name=name, Shape=shape, Type=kind, Buffer=buffer, HasRank=True, IsVariable=variable)
            tensors.append(self.table("Tensor", **more))
        operators = []
        for name, inputs, made, options, fields in self.operators[number]:
            if name not in self.codes:
                self.codes.append(name)
            more = {}
            if options:
                built = {}
                for key, value in ((key, value) for key, value in fields.items() if key != "within"):
                    kinds = {list: self.ints, str: self.builder.CreateString, bytes: self.builder.CreateByteVector}
                    built[key] = kinds.get(type(value), lambda value: value)(value)
                if options in OPTIONS_2:
                    more = dict(BuiltinOptions2Type=OPTIONS_2[options], BuiltinOptions2=self.table(options, **built))
                else:
                    more = dict(BuiltinOptionsType=OPTIONS[options], BuiltinOptions=self.table(options, **built))
            if "custom" in fields:
                more["CustomOptions"] = self.builder.CreateByteVector(flexbuffers.Dumps(fields["custom"]))
            if "within" in fields:
                more["Intermediates"] = self.ints(fields["within"])
            inputs, made = self.ints(inputs), self.ints(made)
            index = self.codes.index(name)
            operators.append(self.table("Operator", OpcodeIndex=index, Inputs=inputs, Outputs=made, **more))
        lists = dict(Tensors=self.offsets(tensors), Operators=self.offsets(operators))
        inputs, outputs = self.ports.get(number, ([], [])) if number else (self.inputs, self.outputs)
        lists["Inputs"], lists["Outputs"] = self.ints(inputs), self.ints(outputs)
        return self.table("SubGraph", **lists)

    def bytes(self):
        buffers = []
        for data in self.buffers:
            more = {"Data": self.builder.CreateByteVector(data)} if data else {}
            buffers.append(self.table("Buffer", **more))
        graphs = self.offsets([self.graph(number) for number in range(len(self.tensors))])
        codes = []
        for name in self.codes:
            own = {} if name in NUMBERS else {"CustomCode": self.builder.CreateString(name)}
            code = NUMBERS.get(name, NUMBERS["CUSTOM"])
            own |= dict(DeprecatedBuiltinCode=min(code, 127), BuiltinCode=code, Version=VERSIONS.get(name, 1))
            codes.append(self.table("OperatorCode", **own))
        lists = dict(OperatorCodes=self.offsets(codes), Subgraphs=graphs, Buffers=self.offsets(buffers))
        self.builder.Finish(self.table("Model", Version=3, **lists), b"TFL3")
        return bytes(self.builder.Output())


# Versions that take quantised numbers, and the first that there are.
VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "ADD": 2, "SUB": 2, "MUL": 2, "BROADCAST_TO": 2, "SVDF": 3}


def layer(net, name, x, w, made, maps, scale, bias=True, bias_kind=I32, x_scale=0.05, **fields):
    inputs = [x, w]
    if bias:
        data = net.rng.integers(-2000, 2000, maps)
        inputs.append(net.constant(bias_kind, data, scale=np.broadcast_to(scale, len(np.atleast_1d(scale))) * x_scale))
    options = {"CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions"}.get(name, "FullyConnectedOptions")
    net.outputs.append(net.op(name, inputs, [made], options, **fields))


def conv_i8(net):
    x = net.input(I8, [1, 7, 6, 5], scale=0.05, zero=-7)
    w, scale = net.weights([8, 3, 3, 5], 8, 0)
    made = net.tensor(I8, [1, 4, 3, 8], scale=0.09, zero=-20)
    layer(net, "CONV_2D", x, w, made, 8, scale, Padding=0, StrideW=2, StrideH=2, FusedActivationFunction=3)


def conv_dilated_i8(net):
    x = net.input(I8, [2, 7, 6, 3], scale=0.05, zero=11)
    w, scale = net.weights([4, 2, 3, 3], 4, 0)
    made = net.tensor(I8, [2, 5, 2, 4], scale=0.09, zero=3)
    layer(net, "CONV_2D", x, w, made, 4, scale, Padding=1, StrideW=1, StrideH=1, DilationWFactor=2, DilationHFactor=2)


def conv_u8(net):
    x = net.input(U8, [1, 5, 5, 3], scale=0.05, zero=120)
    w, scale = net.weights([4, 3, 3, 3], 1, 0, zero=131, kind=U8)
    made = net.tensor(U8, [1, 5, 5, 4], scale=0.2, zero=100)
    layer(net, "CONV_2D", x, w, made, 4, scale, Padding=0, StrideW=1, StrideH=1, FusedActivationFunction=1)


def conv_i16(net):
    x = net.input(I16, [1, 5, 5, 3], scale=0.001)
    w, scale = net.weights([4, 3, 3, 3], 4, 0)
    made = net.tensor(I16, [1, 5, 5, 4], scale=0.002)
    layer(net, "CONV_2D", x, w, made, 4, scale, bias_kind=I64, x_scale=0.001, Padding=0, StrideW=1, StrideH=1)


def depthwise_i8(net):
    x = net.input(I8, [1, 6, 5, 4], scale=0.05, zero=9)
    w, scale = net.weights([1, 3, 3, 8], 8, 3)
    made = net.tensor(I8, [1, 3, 3, 8], scale=0.07, zero=-3)
    fields = dict(Padding=0, StrideW=2, StrideH=2, DepthMultiplier=2, FusedActivationFunction=1)
    layer(net, "DEPTHWISE_CONV_2D", x, w, made, 8, scale, **fields)


def connected_i8(net):
    x = net.input(I8, [3, 4, 5], scale=0.05, zero=-9)
    w, scale = net.weights([7, 20], 1, 0)
    made = net.tensor(I8, [3, 7], scale=0.08, zero=5)
    layer(net, "FULLY_CONNECTED", x, w, made, 7, scale)


def connected_i16(net):
    x = net.input(I16, [2, 20], scale=0.001)
    w, scale = net.weights([7, 20], 1, 0)
    made = net.tensor(I16, [2, 7], scale=0.002)
    layer(net, "FULLY_CONNECTED", x, w, made, 7, scale, bias_kind=I64, x_scale=0.001)


def pair(name, kind=I8, shapes=((2, 3, 4), (1, 3, 1)), **fields):
    def make(net):
        zeros = (0, 0, 0) if kind == I16 else (-12, 7, -3)
        a = net.input(kind, list(shapes[0]), scale=0.031, zero=zeros[0])
        b = net.input(kind, list(shapes[1]), scale=0.057, zero=zeros[1])
        made = net.tensor(kind, list(shapes[0]), scale=0.08, zero=zeros[2])
        options = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}[name]
        net.outputs.append(net.op(name, [a, b], [made], options, **fields))

    return make


def function(name, kind=I8, scale=0.04, to=None, zero=None, options=None, **fields):
    def make(net):
        x = net.input(kind, [2, 5, 6], scale=scale if kind != F32 else None, zero=-6 if kind == I8 else 0)
        quantization = dict(scale=to or 0.05, zero=4 if zero is None else zero) if kind != F32 else {}
        made = net.tensor(kind, [2, 5, 6], **quantization)
        net.outputs.append(net.op(name, [x], [made], options, **fields))

    return make


def pool(name, **fields):
    def make(net):
        x = net.input(I8, [1, 7, 5, 3], scale=0.05, zero=-6)
        made = net.tensor(I8, [1, 4, 3, 3], scale=0.05, zero=-6)
        fields_all = dict(Padding=0, StrideW=2, StrideH=2, FilterWidth=3, FilterHeight=2) | fields
        net.outputs.append(net.op(name, [x], [made], "Pool2DOptions", **fields_all))

    return make


def mean(net):
    x = net.input(I8, [2, 4, 5, 3], scale=0.05, zero=-6)
    axes = net.constant(I32, [1, 2])
    made = net.tensor(I8, [2, 3], scale=0.03, zero=2)
    net.outputs.append(net.op("MEAN", [x, axes], [made], "ReducerOptions", KeepDims=False))


def softmax(net):
    x = net.input(I8, [3, 9], scale=0.1, zero=-6)
    made = net.tensor(I8, [3, 9], scale=1 / 256, zero=-128)
    net.outputs.append(net.op("SOFTMAX", [x], [made], "SoftmaxOptions", Beta=1.0))


def concatenation(net):
    a = net.input(U8, [1, 3, 2, 4], scale=0.05, zero=120)
    b = net.input(U8, [1, 3, 5, 4], scale=0.1, zero=100)
    made = net.tensor(U8, [1, 3, 7, 4], scale=0.1, zero=100)
    net.outputs.append(net.op("CONCATENATION", [a, b], [made], "ConcatenationOptions", Axis=2))


def there_and_back(net):
    x = net.input(F32, [4, 9])
    narrow = net.op("QUANTIZE", [x], [net.tensor(I8, [4, 9], scale=0.02, zero=-6)])
    other = net.op("QUANTIZE", [narrow], [net.tensor(U8, [4, 9], scale=0.03, zero=120)])
    net.outputs += [narrow, other, net.op("DEQUANTIZE", [other], [net.tensor(F32, [4, 9])])]


def pad_i8(net):
    x = net.input(I8, [1, 3, 4, 2], scale=0.05, zero=-6)
    margins = net.constant(I32, [[0, 0], [1, 2], [0, 1], [0, 0]])
    net.outputs.append(net.op("PAD", [x, margins], [net.tensor(I8, [1, 6, 5, 2], scale=0.05, zero=-6)], "PadOptions"))


def resize(name, kind=F32, **fields):
    def make(net):
        quantization = dict(scale=0.05, zero=-6) if kind == I8 else {}
        x = net.input(kind, [1, 4, 5, 3], **quantization)
        size = net.constant(I32, [7, 12])
        made = net.tensor(kind, [1, 7, 12, 3], **quantization)
        options = {"RESIZE_BILINEAR": "ResizeBilinearOptions"}.get(name, "ResizeNearestNeighborOptions")
        net.outputs.append(net.op(name, [x, size], [made], options, **fields))

    return make


def conv_f32(net):
    """Weights as f16, an activation after a sum, a transpose at the end."""
    x = net.input(F32, [1, 8, 6, 3])
    w = net.constant(F16, net.rng.standard_normal([5, 3, 3, 3]))
    w = net.op("DEQUANTIZE", [w], [net.tensor(F32, [5, 3, 3, 3])])
    b = net.constant(F32, net.rng.standard_normal(5))
    made = net.tensor(F32, [1, 4, 3, 5])
    y = net.op("CONV_2D", [x, w, b], [made], "Conv2DOptions", Padding=0, StrideW=2, StrideH=2)
    slope = net.constant(F32, net.rng.uniform(0, 1, [1, 1, 5]))
    y = net.op("PRELU", [y, slope], [net.tensor(F32, [1, 4, 3, 5])])
    d = net.constant(F32, net.rng.standard_normal([1, 3, 3, 5]))
    made = net.tensor(F32, [1, 4, 3, 5])
    fields = dict(Padding=0, StrideW=1, StrideH=1, DepthMultiplier=1, FusedActivationFunction=3)
    z = net.op("DEPTHWISE_CONV_2D", [y, d, b], [made], "DepthwiseConv2DOptions", **fields)
    y = net.op("ADD", [y, z], [net.tensor(F32, [1, 4, 3, 5])], "AddOptions", FusedActivationFunction=1)
    order = net.constant(I32, [0, 3, 1, 2])
    net.outputs += [y, net.op("TRANSPOSE", [y, order], [net.tensor(F32, [1, 5, 4, 3])], "TransposeOptions")]


def conv_3d(net):
    x = net.input(F32, [1, 5, 6, 7, 3])
    w = net.constant(F32, net.rng.standard_normal([3, 2, 3, 3, 4]))
    b = net.constant(F32, net.rng.standard_normal(4))
    strides = dict(StrideD=2, StrideH=1, StrideW=2, FusedActivationFunction=1)
    net.outputs.append(net.op("CONV_3D", [x, w, b], [net.tensor(F32, [1, 3, 6, 4, 4])], "Conv3DOptions", Padding=0, **strides))
    fields = dict(Padding=1, DilationHFactor=2, **strides)
    net.outputs.append(net.op("CONV_3D", [x, w], [net.tensor(F32, [1, 2, 4, 3, 4])], "Conv3DOptions", **fields))


def conv_transpose(net):
    shape = net.constant(I32, [1, 9, 8, 3])
    w = net.constant(F32, net.rng.standard_normal([3, 3, 3, 4]))
    x = net.input(F32, [1, 5, 4, 4])
    made = net.tensor(F32, [1, 9, 8, 3])
    net.outputs.append(net.op("TRANSPOSE_CONV", [shape, w, x], [made], "TransposeConvOptions", Padding=0, StrideW=2, StrideH=2))


def shapes(net):
    x = net.input(F32, [2, 6, 4, 8])
    two = lambda values: net.constant(I32, values)  # noqa: E731
    y = net.op("DEPTH_TO_SPACE", [x], [net.tensor(F32, [2, 12, 8, 2])], "DepthToSpaceOptions", BlockSize=2)
    net.outputs.append(net.op("SPACE_TO_DEPTH", [y], [net.tensor(F32, [2, 6, 4, 8])], "SpaceToDepthOptions", BlockSize=2))
    made = net.tensor(F32, [8, 4, 2, 8])
    y = net.op("SPACE_TO_BATCH_ND", [x, two([2, 2]), two([[1, 1], [0, 0]])], [made], "SpaceToBatchNDOptions")
    made = net.tensor(F32, [2, 6, 4, 8])
    net.outputs += [y, net.op("BATCH_TO_SPACE_ND", [y, two([2, 2]), two([[1, 1], [0, 0]])], [made], "BatchToSpaceNDOptions")]
    made = net.tensor(F32, [2, 2, 8])
    fields = dict(BeginMask=1, EndMask=8, ShrinkAxisMask=4)
    net.outputs.append(net.op("STRIDED_SLICE", [x, two([0, 5, 1, 0]), two([2, 1, 0, 0]), two([1, -2, 1, 1])], [made], "StridedSliceOptions", **fields))
    made = [net.tensor(F32, [2, 6, 4, n]) for n in (3, 5)]
    net.op("SPLIT_V", [x, two([3, -1]), two(3)], made, "SplitVOptions", NumSplits=2)
    net.outputs += made
    made = net.tensor(F32, [2, 2, 4, 8])
    net.outputs.append(net.op("GATHER", [x, two([5, 0])], [made], "GatherOptions", Axis=1))
    made = net.tensor(F32, [2, 12, 4, 16])
    net.outputs.append(net.op("TILE", [x, two([1, 2, 1, 2])], [made], "TileOptions"))
    parts = [net.tensor(F32, [2, 6, 8]) for _ in range(4)]
    net.op("UNPACK", [x], parts, "UnpackOptions", Num=4, Axis=2)
    net.outputs.append(net.op("PACK", [parts[3], parts[1]], [net.tensor(F32, [2, 6, 8, 2])], "PackOptions", ValuesCount=2, Axis=-1))


def rows(net):
    x = net.input(F32, [2, 5, 6])
    y = net.input(F32, [2, 4, 6])
    one = lambda values: net.constant(I32, values)  # noqa: E731
    made = net.tensor(F32, [2, 5, 4])
    net.outputs.append(net.op("BATCH_MATMUL", [x, y], [made], "BatchMatMulOptions", AdjY=True))
    for name, axes, shape in (("SUM", [0, 2], [5]), ("REDUCE_MAX", [1], [2, 6]), ("REDUCE_PROD", [2], [2, 5]), ("MEAN", [0], [5, 6])):
        net.outputs.append(net.op(name, [x, one(axes)], [net.tensor(F32, shape)], "ReducerOptions", KeepDims=False))
    made = net.tensor(I32, [2, 5])
    net.outputs.append(net.op("ARG_MAX", [x, one(2)], [made], "ArgMaxOptions", OutputType=I32))
    made = net.tensor(F32, [2, 5, 6])
    net.outputs.append(net.op("CUMSUM", [x, one(1)], [made], "CumsumOptions", Exclusive=True, Reverse=True))
    net.outputs.append(net.op("SOFTMAX", [x], [net.tensor(F32, [2, 5, 6])], "SoftmaxOptions", Beta=0.7))
    net.outputs.append(net.op("LOG_SOFTMAX", [x], [net.tensor(F32, [2, 5, 6])], "LogSoftmaxOptions"))
    net.outputs.append(net.op("L2_NORMALIZATION", [x], [net.tensor(F32, [2, 5, 6])], "L2NormOptions"))
    big = net.op("GREATER", [x, net.constant(F32, 0.2)], [net.tensor(BOOL, [2, 5, 6])], "GreaterOptions")
    net.outputs.append(net.op("SELECT_V2", [big, x, net.constant(F32, -1.0)], [net.tensor(F32, [2, 5, 6])], "SelectV2Options"))
    square = net.op("SQUARED_DIFFERENCE", [x, net.constant(F32, 0.3)], [net.tensor(F32, [2, 5, 6])], "SquaredDifferenceOptions")
    net.outputs.append(net.op("RSQRT", [square], [net.tensor(F32, [2, 5, 6])]))


def variable(net):
    """A ring of the last four inputs, as streaming networks have."""
    net.tensors.append([])
    net.operators.append([])
    for graph in (0, 1):
        handle = net.tensor(RESOURCE, [], graph=graph)
        net.op("VAR_HANDLE", [], [handle], "VarHandleOptions", graph=graph, Container="", SharedName="ring")
    start = net.tensor(I8, [1, 3, 2], np.full([1, 3, 2], -6), scale=0.05, zero=-6, graph=1)
    net.op("ASSIGN_VARIABLE", [handle, start], [], "AssignVariableOptions", graph=1)
    net.op("CALL_ONCE", [], [], "CallOnceOptions", InitSubgraphIndex=1)
    net.operators[0].insert(0, net.operators[0].pop())
    quantization = dict(scale=0.05, zero=-6)
    x = net.input(I8, [1, 1, 2], **quantization)
    before = net.op("READ_VARIABLE", [handle], [net.tensor(I8, [1, 3, 2], **quantization)], "ReadVariableOptions")
    made = net.tensor(I8, [1, 4, 2], **quantization)
    ring = net.op("CONCATENATION", [before, x], [made], "ConcatenationOptions", Axis=1)
    ends = [net.constant(I32, values) for values in ([0, 1, 0], [0, 4, 0], [1, 1, 1])]
    made = net.tensor(I8, [1, 3, 2], **quantization)
    last = net.op("STRIDED_SLICE", [ring, *ends], [made], "StridedSliceOptions", BeginMask=5, EndMask=5)
    net.op("ASSIGN_VARIABLE", [handle, last], [], "AssignVariableOptions")
    net.outputs.append(ring)


def detections(kind=F32, classes=4, skip=1, most=6, count=40, **settings):
    """Boxes around anchors that lie anywhere, and a choice among them."""

    def make(net):
        told = dict(scale=0.05, zero=128) if kind == U8 else {}
        boxes = net.input(kind, [1, count, 4], **told)
        scores = net.input(kind, [1, count, classes + skip], **(dict(scale=1 / 256) if kind == U8 else {}))
        anchors = net.rng.uniform(0.1, 0.9, [count, 4])
        far = dict(scale=1 / 255) if kind == U8 else {}
        anchors = net.constant(kind, (anchors * 255).round() if kind == U8 else anchors, **far)
        custom = dict(max_detections=most, max_classes_per_detection=1, num_classes=classes, nms_score_threshold=0.4)
        custom |= dict(nms_iou_threshold=0.3, y_scale=10.0, x_scale=10.0, h_scale=5.0, w_scale=5.0) | settings
        each = most * custom["max_classes_per_detection"]
        net.outputs += [net.tensor(F32, shape) for shape in ([1, each, 4], [1, each], [1, each], [1])]
        net.op("TFLite_Detection_PostProcess", [boxes, scores, anchors], net.outputs[-4:], custom=custom)

    return make


def index(net):
    x = net.input(F32, [3, 4, 5])
    one = lambda values: net.constant(I32, values)  # noqa: E731
    made = [net.tensor(F32, [3, 4, 2]), net.tensor(I32, [3, 4, 2])]
    net.op("TOPK_V2", [x, one(2)], made, "TopKV2Options")
    net.outputs += made
    net.outputs.append(net.op("GATHER_ND", [x, one([[2, 3], [0, 1]])], [net.tensor(F32, [2, 5])], "GatherNdOptions"))
    fields = dict(Axis=1, BatchDims=1)
    net.outputs.append(net.op("GATHER", [x, one([[3, 0], [1, 1], [0, 2]])], [net.tensor(F32, [3, 2, 5])], "GatherOptions", **fields))
    net.outputs.append(net.op("GATHER", [x, one([4, 0])], [net.tensor(F32, [3, 4, 2])], "GatherOptions", Axis=-1))
    places = net.op("ARG_MAX", [x, one(2)], [net.tensor(I32, [3, 4])], "ArgMaxOptions", OutputType=I32)
    hot = [places, one(4), net.constant(F32, 2.0), net.constant(F32, -1.0)]
    net.outputs.append(net.op("ONE_HOT", hot, [net.tensor(F32, [3, 4, 4])], "OneHotOptions", Axis=-1))
    net.outputs.append(net.op("ONE_HOT", hot, [net.tensor(F32, [3, 4, 4])], "OneHotOptions", Axis=1))
    made = net.tensor(F32, [4, 3])
    slices = net.op("REDUCE_MAX", [x, one(2)], [net.tensor(F32, [3, 4])], "ReducerOptions", KeepDims=False)
    rows = net.op("TRANSPOSE", [slices, one([1, 0])], [made], "TransposeOptions")
    net.outputs.append(net.op("SCATTER_ND", [one([[1], [5], [1], [0]]), rows, one([6, 3])], [net.tensor(F32, [6, 3])], "ScatterNdOptions"))
    lens = one([2, 4, 1])
    fields = dict(SeqDim=1, BatchDim=0)
    net.outputs.append(net.op("REVERSE_SEQUENCE", [x, lens], [net.tensor(F32, [3, 4, 5])], "ReverseSequenceOptions", **fields))
    lens = one([2, 4, 1, 3, 0])
    fields = dict(SeqDim=1, BatchDim=2)
    net.outputs.append(net.op("REVERSE_SEQUENCE", [x, lens], [net.tensor(F32, [3, 4, 5])], "ReverseSequenceOptions", **fields))
    table = net.constant(F32, net.rng.standard_normal([6, 2]))
    net.outputs.append(net.op("EMBEDDING_LOOKUP", [one([5, 0, 3]), table], [net.tensor(F32, [3, 2])]))
    counted = net.op("RANGE", [one(3), one(-4), one(-3)], [net.tensor(I32, [3])], "RangeOptions")
    net.outputs.append(net.op("CAST", [counted], [net.tensor(F32, [3])], "CastOptions", InDataType=I32, OutDataType=F32))
    part = net.constant(F32, net.rng.standard_normal([1, 3, 5]))
    start = net.input(I32, [3])
    net.outputs.append(net.op("DYNAMIC_UPDATE_SLICE", [x, part, start], [net.tensor(F32, [3, 4, 5])], "DynamicUpdateSliceOptions"))


def masks(net):
    """Slices with new axes and with all that is left."""
    x = net.input(F32, [3, 4, 5, 2])
    one = lambda values: net.constant(I32, values)  # noqa: E731
    ends = [one(values) for values in ([0, 0, 1], [0, 0, 2], [1, 1, 1])]
    made = net.tensor(F32, [1, 3, 4, 5, 1])
    net.outputs.append(net.op("STRIDED_SLICE", [x, *ends], [made], "StridedSliceOptions", NewAxisMask=1, EllipsisMask=2))
    ends = [one(values) for values in ([1, 0, 0, 4], [0, 0, 0, 1], [1, 1, 1, -2])]
    made = net.tensor(F32, [4, 1, 2, 2])
    fields = dict(ShrinkAxisMask=1, NewAxisMask=4, BeginMask=2, EndMask=2)
    net.outputs.append(net.op("STRIDED_SLICE", [x, *ends], [made], "StridedSliceOptions", **fields))
    margins = one([[0, 0], [2, 1], [0, 5], [0, 0]])
    net.outputs.append(net.op("MIRROR_PAD", [x, margins], [net.tensor(F32, [3, 7, 10, 2])], "MirrorPadOptions", Mode=1))
    margins = one([[0, 0], [2, 1], [0, 4], [0, 0]])
    net.outputs.append(net.op("MIRROR_PAD", [x, margins], [net.tensor(F32, [3, 7, 9, 2])], "MirrorPadOptions", Mode=0))
    extents = net.op("BROADCAST_ARGS", [one([3, 1, 5, 2]), one([4, 1, 1])], [net.tensor(I32, [4])])
    row = net.constant(F32, net.rng.standard_normal([5, 2]))
    net.outputs.append(net.op("BROADCAST_TO", [row, extents], [net.tensor(F32, [3, 4, 5, 2])], "BroadcastToOptions"))


def norms(net):
    x = net.input(F32, [1, 3, 4, 9])
    fields = dict(Radius=2, Bias=1.5, Alpha=0.2, Beta=0.75)
    made = net.tensor(F32, [1, 3, 4, 9])
    net.outputs.append(net.op("LOCAL_RESPONSE_NORMALIZATION", [x], [made], "LocalResponseNormalizationOptions", **fields))
    fields = dict(Min=-1.3, Max=2.1, NumBits=4, NarrowRange=False)
    net.outputs.append(net.op("FAKE_QUANT", [x], [net.tensor(F32, [1, 3, 4, 9])], "FakeQuantOptions", **fields))
    y = net.input(I32, [5])
    net.outputs.append(net.op("BITWISE_XOR", [y, net.constant(I32, [1, 2, -3, 99, 0])], [net.tensor(I32, [5])], "BitwiseXorOptions"))


def fourier(net):
    """As a spectrum of a sound comes out of a converter: an axis more there, and less behind."""
    x = net.input(F32, [2, 40])
    one = lambda values: net.constant(I32, values)  # noqa: E731
    rows = net.op("EXPAND_DIMS", [x, one(-2)], [net.tensor(F32, [2, 1, 40])], "ExpandDimsOptions")
    parts = net.op("RFFT2D", [rows, one([1, 64])], [net.tensor(C64, [2, 1, 33])], "Rfft2dOptions")
    parts = net.op("RESHAPE", [parts, one([2, 33])], [net.tensor(C64, [2, 33])], "ReshapeOptions", NewShape=[2, 33])
    net.outputs.append(net.op("COMPLEX_ABS", [parts], [net.tensor(F32, [2, 33])]))
    y = net.input(F32, [3, 8, 10])
    both = net.op("RFFT2D", [y, one([8, 8])], [net.tensor(C64, [3, 8, 5])], "Rfft2dOptions")
    net.outputs.append(net.op("REAL", [both], [net.tensor(F32, [3, 8, 5])]))
    net.outputs.append(net.op("IMAG", [both], [net.tensor(F32, [3, 8, 5])]))


def suppressed(net):
    """Those that overlap much, twice: with room for more than there are boxes, and for less than stay."""
    boxes, scores = net.input(F32, [30, 4]), net.input(F32, [30])
    numbers = lambda *values: [net.constant(F32, value) for value in values]  # noqa: E731
    made = [net.tensor(I32, [40]), net.tensor(I32, [])]
    net.op("NON_MAX_SUPPRESSION_V4", [boxes, scores, net.constant(I32, 40), *numbers(0.2, 0.1)], made, "NonMaxSuppressionV4Options")
    net.outputs += made
    made = [net.tensor(I32, [5]), net.tensor(F32, [5]), net.tensor(I32, [])]
    net.op("NON_MAX_SUPPRESSION_V5", [boxes, scores, net.constant(I32, 5), *numbers(0.3, -0.5, 0.0)], made, "NonMaxSuppressionV5Options")
    net.outputs += made
    made = [net.tensor(I32, [30]), net.tensor(F32, [30]), net.tensor(I32, [])]
    net.op("NON_MAX_SUPPRESSION_V5", [boxes, scores, net.constant(I32, 30), *numbers(0.3, 0.4, 0.0)], made, "NonMaxSuppressionV5Options")
    net.outputs += made


def sound(net):
    """As networks begin that know commands by their sound."""
    x = net.input(F32, [400, 2])
    custom = dict(window_size=100, stride=30, magnitude_squared=True)
    seen = net.op("AudioSpectrogram", [x], [net.tensor(F32, [2, 11, 65])], custom=custom)
    custom = dict(upper_frequency_limit=4000, lower_frequency_limit=20, filterbank_channel_count=20, dct_coefficient_count=13)
    heard = net.op("Mfcc", [seen, net.constant(I32, [16000])], [net.tensor(F32, [2, 11, 13])], custom=custom)
    custom = dict(window_size=128, stride=64, magnitude_squared=False)
    net.outputs += [seen, heard, net.op("AudioSpectrogram", [x], [net.tensor(F32, [2, 5, 65])], custom=custom)]


def lstm(steps, peepholes=False, kind=F32, time_first=False):
    def make(net):
        width, cells, batch = 5, 4, 2
        x = net.input(F32, [batch, width] if steps == 0 else [steps, batch, width] if time_first else [batch, steps, width])

        def weights(shape):
            if kind == I8:
                return net.constant(I8, net.rng.integers(-127, 127, shape), scale=0.01)
            return net.constant(F32, net.rng.standard_normal(shape) * 0.5)

        floats = lambda shape: net.constant(F32, net.rng.standard_normal(shape) * 0.5)  # noqa: E731
        inputs = [x] + [weights([cells, width]) for _ in range(4)] + [weights([cells, cells]) for _ in range(4)]
        inputs += [floats([cells]) for _ in range(3)] if peepholes else [-1] * 3
        inputs += [floats([cells]) for _ in range(4)] + [-1, -1]
        inputs += [net.tensor(F32, [batch, cells], variable=True) for _ in range(2)]
        if steps:
            inputs += [-1] * 4
        shape = net.tensors[0][x][1][:-1] + [cells]
        name, options = ("UNIDIRECTIONAL_SEQUENCE_LSTM", "UnidirectionalSequenceLSTMOptions") if steps else ("LSTM", "LSTMOptions")
        fields = dict(TimeMajor=time_first) if steps else {}
        net.outputs.append(net.op(name, inputs, [net.tensor(F32, shape)], options, FusedActivationFunction=4, **fields))

    return make


def lstm_i8(net):
    """Scales as converters choose them: of gates and of the cell they are powers of two, of biases products."""
    width, cells, batch, steps = 5, 4, 2, 3
    x = net.input(I8, [batch, steps, width], scale=0.02, zero=3)
    weights = lambda shape: net.constant(I8, net.rng.integers(-127, 127, shape), scale=0.008)  # noqa: E731
    bias = lambda: net.constant(I32, net.rng.integers(-3000, 3000, [cells]), scale=0.02 * 0.008)  # noqa: E731
    of_hidden = dict(scale=1 / 128, zero=-2)
    inputs = [x] + [weights([cells, width]) for _ in range(4)] + [weights([cells, cells]) for _ in range(4)] + [-1] * 3
    inputs += [bias() for _ in range(4)] + [-1, -1]
    inputs += [net.tensor(I8, [batch, cells], variable=True, **of_hidden), net.tensor(I16, [batch, cells], variable=True, scale=2.0**-11)]
    within = [net.tensor(I16, [], scale=2.0**-12) for _ in range(4)] + [net.tensor(I8, [], **of_hidden)]
    made = net.tensor(I8, [batch, steps, cells], **of_hidden)
    fields = dict(FusedActivationFunction=4, TimeMajor=False, within=within)
    net.outputs.append(net.op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs + [-1] * 4, [made], "UnidirectionalSequenceLSTMOptions", **fields))


def svdf_i8(net):
    x = net.input(I8, [2, 5], scale=0.02, zero=-5)
    feature = net.constant(I8, net.rng.integers(-127, 127, [6, 5]), scale=0.008)
    time = net.constant(I16, net.rng.integers(-9000, 9000, [6, 4]), scale=0.0001)
    state = 1 / 4096
    bias = net.constant(I32, net.rng.integers(-3000, 3000, [3]), scale=state * 0.0001)
    inputs = [x, feature, time, bias, net.tensor(I16, [2, 24], variable=True, scale=state)]
    made = net.tensor(I8, [2, 3], scale=0.02, zero=-128)
    net.outputs.append(net.op("SVDF", inputs, [made], "SVDFOptions", Rank=2, FusedActivationFunction=1))


def recurrent(net):
    floats = lambda shape: net.constant(F32, net.rng.standard_normal(shape) * 0.5)  # noqa: E731
    x = net.input(F32, [2, 3, 5])
    inputs = [x, floats([4, 5]), floats([4, 4]), floats([4]), net.tensor(F32, [2, 4], variable=True)]
    fields = dict(FusedActivationFunction=4, TimeMajor=False)
    net.outputs.append(net.op("UNIDIRECTIONAL_SEQUENCE_RNN", inputs, [net.tensor(F32, [2, 3, 4])], "SequenceRNNOptions", **fields))
    y = net.input(F32, [2, 5])
    inputs = [y, floats([4, 5]), floats([4, 4]), floats([4]), net.tensor(F32, [2, 4], variable=True)]
    net.outputs.append(net.op("RNN", inputs, [net.tensor(F32, [2, 4])], "RNNOptions", FusedActivationFunction=1))
    inputs = [y, floats([6, 5]), floats([6, 4]), floats([3]), net.tensor(F32, [2, 24], variable=True)]
    net.outputs.append(net.op("SVDF", inputs, [net.tensor(F32, [2, 3])], "SVDFOptions", Rank=2, FusedActivationFunction=1))


def composite(net):
    """An operator with a name of its own, and the graph that it is made of."""
    net.tensors.append([])
    net.operators.append([])
    a, b = (net.tensor(F32, [2, 3, 4], graph=1) for _ in range(2))
    sum_ = net.op("ADD", [a, b], [net.tensor(F32, [2, 3, 4], graph=1)], "AddOptions", graph=1)
    made = net.op("TANH", [sum_], [net.tensor(F32, [2, 3, 4], graph=1)], graph=1)
    net.ports[1] = ([a, b], [made])
    x, y = net.input(F32, [2, 3, 4]), net.input(F32, [2, 3, 4])
    made = net.tensor(F32, [2, 3, 4])
    fields = dict(Name="own.sum", DecompositionSubgraphIndex=1, CompositeAttributes=bytes(flexbuffers.Dumps({"axis": 1})))
    net.outputs.append(net.op("STABLEHLO_COMPOSITE", [x, y], [made], "StableHLOCompositeOptions", **fields))


CASES = {
    "add_i16": pair("ADD", I16, PotScaleInt16=False),
    "add_i8": pair("ADD", FusedActivationFunction=1),
    "add_u8": pair("ADD", U8, shapes=((2, 3, 4), (2, 3, 4))),
    "average_pool_i8": pool("AVERAGE_POOL_2D", FusedActivationFunction=1),
    "composite_f32": composite,
    "concatenation_u8": concatenation,
    "connected_i16": connected_i16,
    "connected_i8": connected_i8,
    "conv_3d_f32": conv_3d,
    "conv_dilated_i8": conv_dilated_i8,
    "conv_f32": conv_f32,
    "conv_i16": conv_i16,
    "conv_i8": conv_i8,
    "conv_transpose_f32": conv_transpose,
    "conv_u8": conv_u8,
    "depthwise_i8": depthwise_i8,
    "detections_classes_f32": detections(max_classes_per_detection=3, nms_score_threshold=0.1),
    "detections_f32": detections(nms_score_threshold=0.1),
    "detections_regular_f32": detections(use_regular_nms=True, nms_score_threshold=1.0, most=30, detections_per_class=5),
    "detections_regular_u8": detections(U8, 1, 0, most=15, count=12, use_regular_nms=True),
    "detections_u8": detections(U8, 5, 1),
    "fourier_f32": fourier,
    "gelu_f32": function("GELU", F32, options="GeluOptions", Approximate=False),
    "hard_swish_f32": function("HARD_SWISH", F32, options="HardSwishOptions"),
    "hard_swish_i8": function("HARD_SWISH", options="HardSwishOptions"),
    "index_f32": index,
    "leaky_relu_i8": function("LEAKY_RELU", options="LeakyReluOptions", Alpha=0.3),
    "logistic_i8": function("LOGISTIC", to=1 / 256, zero=-128),
    "lstm_f32": lstm(3),
    "lstm_i8": lstm_i8,
    "lstm_peepholes_f32": lstm(4, peepholes=True, time_first=True),
    "lstm_step_f32": lstm(0),
    "masks_f32": masks,
    "max_pool_i8": pool("MAX_POOL_2D"),
    "mean_i8": mean,
    "mul_i8": pair("MUL"),
    "norms_f32": norms,
    "pad_i8": pad_i8,
    "recurrent_f32": recurrent,
    "relu6_i8": function("RELU6"),
    "resize_f32": resize("RESIZE_BILINEAR", HalfPixelCenters=True),
    "resize_corners_f32": resize("RESIZE_BILINEAR", AlignCorners=True),
    "resize_i8": resize("RESIZE_BILINEAR", I8),
    "resize_nearest_f32": resize("RESIZE_NEAREST_NEIGHBOR", HalfPixelCenters=True),
    "rows_f32": rows,
    "shapes_f32": shapes,
    "softmax_i8": softmax,
    "sound_f32": sound,
    "sub_i8": pair("SUB"),
    "suppressed_f32": suppressed,
    "svdf_i8": svdf_i8,
    "tanh_i8": function("TANH", to=1 / 128, zero=0),
    "there_and_back": there_and_back,
    "variable_i8": variable,
}


# Cases of LiteRT's usual kernels: the reference kernel of LOCAL_RESPONSE_NORMALIZATION leaves out the last channel around each.
USUAL = ["norms_f32"]


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for name, make in CASES.items():
        net = Net()
        make(net)
        model = net.bytes()
        try:
            kernels = OpResolverType.BUILTIN if name in USUAL else OpResolverType.BUILTIN_REF
            other = Interpreter(model_content=model, experimental_op_resolver_type=kernels)
            other.allocate_tensors()
        except Exception as error:  # noqa: BLE001
            print(f"{name}: {str(error)[:200]}")
            continue
        rng = np.random.default_rng(5)
        fed, made = b"", b""
        for _ in range(RUNS):
            for port in other.get_input_details():
                if np.issubdtype(port["dtype"], np.integer):
                    info = np.iinfo(port["dtype"])
                    array = rng.integers(info.min, info.max, port["shape"], endpoint=True).astype(port["dtype"])
                else:
                    array = rng.standard_normal(port["shape"]).astype(port["dtype"])
                other.set_tensor(port["index"], array)
                fed += array.tobytes()
            other.invoke()
            for port in other.get_output_details():
                made += other.get_tensor(port["index"]).tobytes()
        (FOLDER / f"{name}.tflite").write_bytes(model)
        (FOLDER / f"{name}.in").write_bytes(fed)
        (FOLDER / f"{name}.out").write_bytes(made)
    files = list(FOLDER.iterdir())
    print(f"{len(files) // 3} cases, {sum(file.stat().st_size for file in files)} bytes")


if __name__ == "__main__":
    main()
