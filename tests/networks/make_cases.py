"""Makes the small networks of cases/: operators of onnxruntime, and what ONNX's own suite does not ask of its operators.

    python tests/networks/make_cases.py

Needs `onnx` 1.19.0 and `onnxruntime` 1.31.1. Each case is laid out as in ONNX's suite; what must come out is what onnxruntime
makes of it. `crates/runtime/tests/onnxruntime.rs` runs them all.
"""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

CASES = Path(__file__).with_name("cases")
MICROSOFT = "com.microsoft"
random = np.random.default_rng(7)


def f32(*shape, scale=1.0):
    return (random.standard_normal(shape) * scale).astype(np.float32)


def u8(*shape):
    return random.integers(0, 256, shape).astype(np.uint8)


def i8(*shape):
    return random.integers(-128, 128, shape).astype(np.int8)


def s(x):
    return np.array(x, np.float32)


def case(name, op, inputs, outputs=1, domain=MICROSOFT, opset=21, constants=(), ml=0, **attributes):
    """`inputs`: arrays or None; those whose places are in `constants` become initializers; `outputs`: how many, or which."""
    inputs = [None if x is None else np.asarray(x) for x in inputs]
    wanted = list(range(outputs)) if isinstance(outputs, int) else outputs
    names = [f"x{n}" if x is not None else "" for n, x in enumerate(inputs)]
    made = [f"y{n}" if n in wanted else "" for n in range(max(wanted) + 1)]
    node = helper.make_node(op, names, made, domain=domain, **attributes)
    fed = {f"x{n}": x for n, x in enumerate(inputs) if x is not None and n not in constants}
    kept = [numpy_helper.from_array(inputs[n], f"x{n}") for n in constants]
    kind = helper.np_dtype_to_tensor_dtype
    declared = [helper.make_tensor_value_info(k, kind(x.dtype), x.shape) for k, x in fed.items()]
    results = [onnx.ValueInfoProto(name=y) for y in made if y]
    graph = helper.make_graph([node], name, declared, results, kept)
    sets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    if ml:
        sets.append(helper.make_opsetid("ai.onnx.ml", ml))
    model = helper.make_model(graph, opset_imports=sets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    expected = session.run(None, fed)
    del graph.output[:]
    for y, x in zip([y for y in made if y], expected):
        graph.output.append(helper.make_tensor_value_info(y, kind(x.dtype), x.shape))
    keep(name, helper.make_model(graph, opset_imports=sets, ir_version=10), fed, expected)


def keep(name, model, fed, expected):
    folder = CASES / name
    (folder / "test_data_set_0").mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    for kind, arrays in (("input", fed.values()), ("output", expected)):
        for n, x in enumerate(arrays):
            tensor = numpy_helper.from_array(np.asarray(x))
            (folder / f"test_data_set_0/{kind}_{n}.pb").write_bytes(tensor.SerializeToString())


def recurrent():
    rows, batch, width, hidden = 5, 3, 4, 6
    lens = np.array([5, 2, 4], np.int32)

    def weights(directions, gates):
        return [
            f32(directions, gates * hidden, width, scale=0.5),
            f32(directions, gates * hidden, hidden, scale=0.5),
            f32(directions, 2 * gates * hidden, scale=0.5),
        ]

    x = f32(rows, batch, width)
    h, c, p = f32(2, batch, hidden), f32(2, batch, hidden), f32(2, 3 * hidden)
    own = {"domain": "", "opset": 14, "hidden_size": hidden}
    case("lstm_both_ways", "LSTM", [x, *weights(2, 4), lens, h, c, p], 3, direction="bidirectional", **own)
    case("lstm_clip", "LSTM", [x, *weights(1, 4)], 3, clip=0.3, direction="reverse", **own)
    case("lstm_coupled", "LSTM", [x, *weights(1, 4)], 3, input_forget=1, **own)
    functions = ["HardSigmoid", "ScaledTanh", "Affine"]
    alphas, betas = [0.3, 1.2, 0.5], [0.4, 0.7, 0.1]
    more = {"activations": functions, "activation_alpha": alphas, "activation_beta": betas}
    case("lstm_functions", "LSTM", [x, *weights(1, 4)], [1], **more, **own)
    for linear in (0, 1):
        more = {"linear_before_reset": linear, "direction": "bidirectional"}
        case(f"gru_both_ways_{linear}", "GRU", [x, *weights(2, 3), lens, h], 2, **more, **own)
    case("gru_clip", "GRU", [x, *weights(1, 3)[:2]], 2, clip=0.2, **own)
    more = {"activations": ["Relu", "Elu"], "activation_alpha": [0.7], "direction": "bidirectional"}
    case("rnn_both_ways", "RNN", [x, *weights(2, 1), lens, h], 2, **more, **own)


def norms():
    x, skip, g, b = f32(2, 3, 8), f32(2, 3, 8), f32(8), f32(8)
    case("skip_norm", "SkipLayerNormalization", [x, skip, g, b, f32(8)], [0, 3], constants=[2, 3, 4], epsilon=1e-5)
    case("skip_norm_rms", "SkipSimplifiedLayerNormalization", [x, skip, g, f32(8)], [0, 3], epsilon=1e-6)
    case("norm_rms", "SimplifiedLayerNormalization", [x, g], 1, domain="", epsilon=1e-6, axis=-1, stash_type=1)
    case("norm_moments", "LayerNormalization", [x, g, b], 3, domain="", opset=17, axis=-1)
    case("norm_group", "GroupNormalization", [f32(2, 6, 5), f32(6), f32(6)], 1, domain="", num_groups=3)
    ids = random.integers(0, 7, (2, 3)).astype(np.int32)
    segments = random.integers(0, 2, (2, 3)).astype(np.int32)
    mask = np.array([[1, 1, 1], [1, 1, 0]], np.int32)
    tables = [f32(7, 8), f32(5, 8), f32(2, 8)]
    case("embed", "EmbedLayerNormalization", [ids, segments, *tables, g, b, mask], 3, epsilon=1e-12)
    case("embed_bare", "EmbedLayerNormalization", [ids, None, *tables[:2], None, g, b], 2)


def functions():
    x = f32(3, 8, scale=2)
    case("gelu", "Gelu", [x])
    case("gelu_bias", "BiasGelu", [x, f32(8)])
    case("gelu_fast", "FastGelu", [x, f32(8)])
    case("gelu_quick", "QuickGelu", [x], alpha=1.702)
    case("matmul_fused", "FusedMatMul", [f32(2, 5, 3), f32(2, 4, 5)], transA=1, transB=1, alpha=0.5)
    case("matmul_fused_batch", "FusedMatMul", [f32(3, 2, 5), f32(2, 5, 4)], transBatchA=1)
    image, kernel = f32(1, 2, 5, 5), f32(3, 2, 3, 3)
    case("conv_fused", "FusedConv", [image, kernel, f32(3)], activation="LeakyRelu", activation_params=[0.2])


def attention():
    batch, rows, count, width = 2, 3, 2, 4
    hidden = count * width
    x, w, b = f32(batch, rows, hidden), f32(hidden, 3 * hidden, scale=0.3), f32(3 * hidden)
    mask = np.array([[1, 1, 1], [1, 1, 0]], np.int32)
    case("attention", "Attention", [x, w, b], num_heads=count)
    case("attention_mask", "Attention", [x, w, b, mask], num_heads=count, unidirectional=1)
    case("attention_lengths", "Attention", [x, w, b, np.array([3, 2], np.int32)], num_heads=count)
    past = f32(2, batch, count, 2, width)
    case("attention_past", "Attention", [x, w, b, None, past], 2, num_heads=count, unidirectional=1)
    bias = f32(1, count, rows, rows)
    case("attention_bias", "Attention", [x, w, b, None, None, bias], num_heads=count)
    q, k, v = f32(batch, rows, hidden), f32(batch, 5, hidden), f32(batch, 5, hidden)
    case("heads", "MultiHeadAttention", [q, k, v, b], num_heads=count)
    seen = np.array([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]], np.int32)
    case("heads_mask", "MultiHeadAttention", [q, k, v, None, seen, f32(1, count, rows, 5)], num_heads=count, scale=0.3)
    pasts = [f32(batch, count, 2, width), f32(batch, count, 2, width)]
    more = [None, None, None, *pasts]
    case("heads_past", "MultiHeadAttention", [q, x, f32(batch, rows, hidden), *more], 3, num_heads=count)
    small = [u8(batch, rows, hidden), i8(hidden, 3 * hidden), b, s(0.01), s(0.01), mask, np.uint8(128), np.int8(0)]
    case("attention_quantised", "QAttention", small, num_heads=count, unidirectional=1)
    past = f32(2, batch, count, 2, width)
    case("attention_quantised_past", "QAttention", [*small[:5], None, *small[6:], past], 2, num_heads=count)
    table = [f32(9, width // 2), f32(9, width // 2)]
    for interleaved in (0, 1):
        ids = random.integers(0, 9, (batch, rows)).astype(np.int64)
        case(f"rotary_{interleaved}", "RotaryEmbedding", [q, ids, *table], interleaved=interleaved)
    case("rotary_first", "RotaryEmbedding", [f32(batch, count, rows, width), np.array([2], np.int64), *table])


def grouped():
    rows, width, pairs = 3, 16, {"num_heads": 4, "kv_num_heads": 2}
    tables = [f32(16, width // 2), f32(16, width // 2)]

    def inputs(rows, before, room=None):
        past = [f32(1, 2, before if room is None else room, width) for _ in range(2)]
        total = np.array(before + rows, np.int32)
        lens = np.array([before + rows - 1], np.int32)
        return [f32(1, rows, 4 * width), f32(1, rows, 2 * width), f32(1, rows, 2 * width), *past, lens, total]

    case("grouped_first", "GroupQueryAttention", inputs(rows, 0), 3, constants=[6], **pairs)
    case("grouped_later", "GroupQueryAttention", [*inputs(1, 5), *tables], 3, constants=[6], do_rotary=1, **pairs)
    more = {"do_rotary": 1, "rotary_interleaved": 1, "local_window_size": 2, "softcap": 2.0}
    case("grouped_window", "GroupQueryAttention", [*inputs(rows, 0), *tables], 3, constants=[6], **more, **pairs)
    all_in_one = inputs(rows, 0)
    all_in_one[:3] = [f32(1, rows, 8 * width), None, None]
    case("grouped_packed", "GroupQueryAttention", all_in_one, 3, constants=[6], **pairs)
    own = {"domain": "", "opset": 23}
    q, k, v = f32(1, 4, 2, width), f32(1, 2, 3, width), f32(1, 2, 3, width)
    case("own_grouped", "Attention", [q, k, v], **own)
    past = [f32(1, 2, 4, width), f32(1, 2, 4, width)]
    mask = np.array([[0, 0, -np.inf, 0, 0, 0, 0]] * 2, np.float32)
    case("own_causal_past", "Attention", [q, k, v, mask, *past], 3, is_causal=1, softcap=1.5, **own)


def quantised():
    a, b = u8(3, 8), i8(8, 4)
    case("integer_matmul_columns", "MatMulInteger", [a, b, np.uint8(7), i8(4)], domain="")
    case("integer_matmul_dynamic", "DynamicQuantizeMatMul", [f32(3, 8), b, np.abs(f32(4)), i8(4), f32(4)])
    case("integer_matmul_float", "MatMulIntegerToFloat", [a, b, s(0.02), np.abs(f32(4)), np.uint8(120), i8(4), f32(4)])
    scales = [s(0.02), np.uint8(120), s(0.03), np.uint8(3), s(0.05), np.uint8(100)]
    x, y = u8(2, 3, 4), u8(2, 3, 4)
    both = [x, scales[0], scales[1], y, scales[2], scales[3], scales[4], scales[5]]
    case("linear_add", "QLinearAdd", both)
    case("linear_mul", "QLinearMul", both)
    case("linear_sigmoid", "QLinearSigmoid", [x, scales[0], scales[1], s(1 / 256), np.uint8(0)])
    case("linear_leaky", "QLinearLeakyRelu", [x, *scales[:4]], alpha=0.1)
    case("linear_average", "QLinearGlobalAveragePool", [u8(2, 3, 4, 4), *scales[:4]], channels_last=0)
    case("linear_concat", "QLinearConcat", [scales[4], scales[5], x, *scales[:2], y, *scales[2:4]], axis=1)
    bias = random.integers(-5000, 5000, 5).astype(np.int32)
    of_b = [i8(5, 4), np.abs(f32(5, scale=0.1)), np.zeros(5, np.int8)]
    case("linear_gemm", "QGemm", [u8(3, 4), *scales[:2], *of_b, bias, s(0.7), np.uint8(100)], transB=1)
    case("linear_gemm_float", "QGemm", [u8(3, 4), *scales[:2], *of_b, bias], transB=1)
    image, kernel = u8(1, 4, 5, 5), i8(6, 2, 3, 3)
    per_channel = np.abs(f32(6, scale=0.01)) + np.float32(0.001)
    more = {"domain": "", "group": 2, "pads": [1, 1, 1, 1], "strides": [2, 1]}
    bias = random.integers(-500, 500, 6).astype(np.int32)
    scales = [s(0.02), np.uint8(120), kernel, per_channel, np.zeros(6, np.int8), s(0.05), np.uint8(100), bias]
    case("linear_conv", "QLinearConv", [image, *scales], **more)
    case("integer_conv", "ConvInteger", [image, kernel, np.uint8(120)], **more)
    case("dynamic_quantise_zeros", "DynamicQuantizeLinear", [np.zeros((2, 3), np.float32)], 3, domain="")
    blocks = f32(2, 5, 3)
    factors = np.abs(f32(2, 3, 3)) + np.float32(0.01)
    case("quantise_blocks", "QuantizeLinear", [blocks, factors, u8(2, 3, 3)], domain="", axis=1, block_size=2)


def packed():
    common, columns, block = 40, 5, 16
    blocks = -(-common // block)
    for bits in (4, 8):
        more = {"K": common, "N": columns, "bits": bits, "block_size": block}
        b, scales = u8(columns, blocks, block * bits // 8), f32(columns, blocks, scale=0.1)
        zeros = u8(columns, -(-blocks * bits // 8))
        case(f"packed_{bits}", "MatMulNBits", [f32(2, 3, common), b, scales], constants=[1, 2], **more)
        flat = [b, scales.reshape(-1), zeros.reshape(-1)]
        case(f"packed_{bits}_zeros", "MatMulNBits", [f32(3, common), *flat, None, f32(columns)], constants=[1, 2, 3], **more)


def trees():
    own = {"domain": "ai.onnx.ml", "ml": 3}
    nodes = {
        "nodes_treeids": [0] * 5 + [1] * 3,
        "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2],
        "nodes_featureids": [0, 1, 0, 0, 0, 2, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "BRANCH_GT", "LEAF", "LEAF", "LEAF", "BRANCH_LT", "LEAF", "LEAF"],
        "nodes_values": [0.1, -0.2, 0, 0, 0, 0.3, 0, 0],
        "nodes_truenodeids": [1, 2, 0, 0, 0, 1, 0, 0],
        "nodes_falsenodeids": [4, 3, 0, 0, 0, 2, 0, 0],
        "nodes_missing_value_tracks_true": [1, 0, 0, 0, 0, 0, 0, 0],
    }
    x = f32(6, 3)
    x[0, 0] = np.nan

    def votes(kind, targets, sign=1):
        places = {"treeids": [0, 0, 0, 1, 1], "nodeids": [2, 3, 4, 1, 2], "ids": targets}
        votes = {f"{kind}_{key}": value for key, value in places.items()}
        return {**votes, f"{kind}_weights": [0.1, 0.7 * sign, 0.4, 0.3, 0.2 * sign]}

    for how in ("SUM", "AVERAGE", "MIN"):
        more = {"n_targets": 2, "aggregate_function": how}
        case(f"trees_{how.lower()}", "TreeEnsembleRegressor", [x], **more, **nodes, **votes("target", [0, 1, 0, 1, 0]), **own)
    more = {"n_targets": 1, "base_values": [0.5]}
    case("trees_base", "TreeEnsembleRegressor", [x], **more, **nodes, **votes("target", [0] * 5), **own)
    labels = {"classlabels_int64s": [3, 5, 9], "post_transform": "SOFTMAX"}
    case("trees_classes", "TreeEnsembleClassifier", [x], 2, **labels, **nodes, **votes("class", [0, 1, 2, 1, 0]), **own)
    for post, sign in (("NONE", 1), ("LOGISTIC", -1)):
        labels = {"classlabels_int64s": [3, 5], "post_transform": post}
        name = f"trees_two_{post.lower()}"
        case(name, "TreeEnsembleClassifier", [x], 2, **labels, **nodes, **votes("class", [0] * 5, sign), **own)


def masks():
    """`y[mask] = f(x[mask], w[mask])`, and where it is false what it was: as PyTorch writes it."""
    texts = """
        limit = Constant <value = float {0.3}> ()
        is = Greater(x, limit)
        not = Not(is)
        zero = Constant <value = float {0}> ()
        wide = Shape(x)
        zeros = Expand(zero, wide)
        others = NonZero(not)
        of_others = Transpose <perm = [1, 0]> (others)
        left = GatherND(x, of_others)
        count = Shape(of_others)
        first = Constant <value_ints = [0]> ()
        rows = Gather(count, first)
        kept = Slice(left, first, rows, first)
        half = ScatterND(zeros, of_others, kept)
        places = NonZero(is)
        of = Transpose <perm = [1, 0]> (places)
        a = GatherND(x, of)
        b = GatherND(w, of)
        soft = Softmax <axis = 1> (b)
        one = Constant <value = int64 {1}> ()
        sums = CumSum(soft, one)
        axis = Constant <value_ints = [1]> ()
        column = Unsqueeze(a, axis)
        less = Less(sums, column)
        number = Cast <to = 7> (less)
        at = ReduceSum <keepdims = 1> (number, axis)
        picked = GatherElements <axis = 1> (b, at)
        nothing = Constant <value = int64 {0}> ()
        flat = Gather <axis = 1> (picked, nothing)
        made = Mul(flat, a)
        y = ScatterND(half, of, made)
    """
    graph = onnx.parser.parse_graph(f"masks (float[1, 2, 5] x, float[1, 2, 5, 4] w) => (float[1, 2, 5] y) {{{texts}}}")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    helper.set_model_props(model, {"pintpot.masks": ""})
    fed = {"x": random.uniform(0, 0.6, (1, 2, 5)).astype(np.float32), "w": f32(1, 2, 5, 4)}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    keep("masked_rows", model, fed, session.run(None, fed))


def windows():
    """Convolutions of bytes without groups, from numbers of their own, so that those of other cases stay."""
    global random
    random = np.random.default_rng(8)
    image, kernel = u8(2, 3, 7, 6), i8(5, 3, 3, 2)
    per_channel = np.abs(f32(5, scale=0.01)) + np.float32(0.001)
    more = {"domain": "", "pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2]}
    bias = random.integers(-500, 500, 5).astype(np.int32)
    scales = [s(0.02), np.uint8(120), kernel, per_channel, np.zeros(5, np.int8), s(0.05), np.uint8(100), bias]
    case("linear_conv_whole", "QLinearConv", [image, *scales], **more)
    case("integer_conv_whole", "ConvInteger", [image, u8(5, 3, 3, 2), np.uint8(120), np.uint8(131)], **more)
    case("integer_matmul_many", "MatMulInteger", [u8(2, 3, 5, 8), u8(2, 3, 8, 4), np.uint8(7), np.uint8(250)], domain="")


def main():
    shutil.rmtree(CASES, ignore_errors=True)
    for group in (recurrent, norms, functions, attention, grouped, quantised, packed, trees, masks, windows):
        group()
    sizes = {folder.name: sum(f.stat().st_size for f in folder.rglob("*.*") if f.is_file()) for folder in CASES.iterdir()}
    print(len(sizes), "cases,", sum(sizes.values()), "bytes, the largest", max(sizes.values()))


if __name__ == "__main__":
    main()
