"""Writes little networks that say boxes as detectors do, and what onnxruntime, LiteRT and OpenCV find with them on a picture.

    pip install onnx==1.19.0 onnxruntime==1.31.1 opencv-python==4.11.0.86 ai-edge-litert==2.3.0 tflite==2.18.0
    python tests/pictures/boxes.py

A box stands around each cell of 8 pixels, and how red and how green a cell is are its two scores. The picture is brought to the
network's size as the YOLO family's own code does (Ultralytics 8.4, LetterBox and scale_boxes): in proportion, each side rounded, by
cv2.resize, in the middle of grey; for ssd.tflite it is stretched. `columns`, `rows` and `chosen` are forms of that family; `apart` has
boxes, classes and scores in outputs of their own, as many as there are things, as torchvision's exports have; `ssd` ends with TFLite's
own choice among boxes.
"""

import json
import pathlib
import sys

import cv2
import numpy
import onnx
import onnxruntime
from ai_edge_litert.interpreter import Interpreter
from onnx import TensorProto, helper

HERE = pathlib.Path(__file__).parent / "boxes"
sys.path.append(str(HERE.parent.parent / "networks"))
import make_litert  # noqa: E402

SIDE, CELL, BORDER, THRESHOLD, OVERLAP = 64, 8, 114, 0.6, 0.3
COUNT = (SIDE // CELL) ** 2


def write(name, transposed, with_object, chosen):
    """A network of one form; its boxes are as large as three cells."""
    cells = SIDE // CELL
    middles = numpy.stack(numpy.meshgrid(numpy.arange(cells), numpy.arange(cells)), 0).reshape(1, 2, -1) * CELL + CELL / 2
    box = numpy.concatenate([middles, numpy.full((1, 2, COUNT), 3.0 * CELL)], 1).astype("f4")
    if chosen:
        box = numpy.concatenate([middles - 1.5 * CELL, middles + 1.5 * CELL], 1).astype("f4")
    weights = {"box": box, "shape": numpy.array([1, 2, COUNT]), "from": numpy.array([0]), "to": numpy.array([2]),
               "axis": numpy.array([1])}
    nodes = [helper.make_node("AveragePool", ["images"], ["pooled"], kernel_shape=[CELL] * 2, strides=[CELL] * 2),
             helper.make_node("Slice", ["pooled", "from", "to", "axis"], ["colours"]),
             helper.make_node("Reshape", ["colours", "shape"], ["scores"])]
    parts, width = ["box", "scores"], 6
    if with_object:
        weights["most"] = numpy.full((1, 1, COUNT), 0.9, "f4")
        parts, width = ["box", "most", "scores"], 7
    if chosen:
        nodes += [helper.make_node("ReduceMax", ["scores"], ["score"], axes=[1]),
                  helper.make_node("ArgMax", ["scores"], ["index"], axis=1),
                  helper.make_node("Cast", ["index"], ["class"], to=TensorProto.FLOAT)]
        parts = ["box", "score", "class"]
    nodes.append(helper.make_node("Concat", parts, ["columns"], axis=1))
    if transposed:
        nodes.append(helper.make_node("Transpose", ["columns"], ["output0"], perm=[0, 2, 1]))
    else:
        nodes.append(helper.make_node("Identity", ["columns"], ["output0"]))
    extents = [1, COUNT, width] if transposed else [1, width, COUNT]
    save(name, nodes, [helper.make_tensor_value_info("output0", TensorProto.FLOAT, extents)], weights)


def write_apart(name):
    """A network that gives boxes, classes from 1 on and scores of what it has chosen."""
    cells = SIDE // CELL
    middles = numpy.stack(numpy.meshgrid(numpy.arange(cells), numpy.arange(cells)), -1).reshape(1, -1, 2) * CELL + CELL / 2
    weights = {"box": numpy.concatenate([middles - 1.5 * CELL, middles + 1.5 * CELL], 2).astype("f4"),
               "shape": numpy.array([1, 2, COUNT]), "from": numpy.array([0]), "to": numpy.array([2]), "axis": numpy.array([1]),
               "most": numpy.array([COUNT]), "overlap": numpy.array(OVERLAP, "f4"), "least": numpy.array(0.3, "f4"),
               "one": numpy.array(1), "two": numpy.array(2), "all": numpy.array([-1]), "four": numpy.array([-1, 4])}
    node = helper.make_node
    nodes = [node("AveragePool", ["images"], ["pooled"], kernel_shape=[CELL] * 2, strides=[CELL] * 2),
             node("Slice", ["pooled", "from", "to", "axis"], ["colours"]),
             node("Reshape", ["colours", "shape"], ["of_class"]),
             node("NonMaxSuppression", ["box", "of_class", "most", "overlap", "least"], ["chosen"]),
             node("Gather", ["chosen", "one"], ["class"], axis=1), node("Add", ["class", "one"], ["labels"]),
             node("Gather", ["chosen", "two"], ["place"], axis=1),
             node("Reshape", ["box", "four"], ["flat"]), node("Gather", ["flat", "place"], ["boxes"], axis=0),
             node("GatherND", ["of_class", "chosen"], ["scores"])]
    made = [("boxes", TensorProto.FLOAT, ["n", 4]), ("labels", TensorProto.INT64, ["n"]), ("scores", TensorProto.FLOAT, ["n"])]
    save(name, nodes, [helper.make_tensor_value_info(*port) for port in made], weights)


def save(name, nodes, outputs, weights):
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])], outputs,
        [onnx.numpy_helper.from_array(array, key) for key, array in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, HERE / f"{name}.onnx")


def write_ssd(name):
    """A network whose boxes around anchors TFLite chooses among."""
    net, f32 = make_litert.Net(), make_litert.F32
    cells = SIDE // CELL
    x = net.input(f32, [1, SIDE, SIDE, 3])
    window = dict(Padding=1, StrideW=CELL, StrideH=CELL, FilterWidth=CELL, FilterHeight=CELL)
    pooled = net.op("AVERAGE_POOL_2D", [x], [net.tensor(f32, [1, cells, cells, 3])], "Pool2DOptions", **window)
    ends = [net.constant(make_litert.I32, list) for list in ([0, 0, 0, 0], [1, cells, cells, 2])]
    colours = net.op("SLICE", [pooled, *ends], [net.tensor(f32, [1, cells, cells, 2])], "SliceOptions")
    scores = net.op("RESHAPE", [colours], [net.tensor(f32, [1, COUNT, 2])], "ReshapeOptions", NewShape=[1, COUNT, 2])
    y, x = numpy.divmod(numpy.arange(COUNT), cells)
    anchors = numpy.stack([(y + 0.5) / cells, (x + 0.5) / cells, numpy.full(COUNT, 3 / cells), numpy.full(COUNT, 3 / cells)], 1)
    far = net.constant(f32, numpy.linspace(-1, 1, 4 * COUNT).reshape(1, COUNT, 4))
    custom = dict(max_detections=8, max_classes_per_detection=1, num_classes=2, nms_score_threshold=0.2, nms_iou_threshold=OVERLAP,
                  y_scale=10.0, x_scale=10.0, h_scale=5.0, w_scale=5.0)
    net.outputs += [net.tensor(f32, shape) for shape in ([1, 8, 4], [1, 8], [1, 8], [1])]
    net.op("TFLite_Detection_PostProcess", [far, scores, net.constant(f32, anchors)], net.outputs, custom=custom)
    (HERE / f"{name}.tflite").write_bytes(net.bytes())


def letterbox(picture):
    height, width = picture.shape[:2]
    scale = min(SIDE / height, SIDE / width)
    w, h = round(width * scale), round(height * scale)
    left, top = round((SIDE - w) / 2 - 0.1), round((SIDE - h) / 2 - 0.1)
    small = cv2.resize(picture, (w, h), interpolation=cv2.INTER_LINEAR)
    whole = cv2.copyMakeBorder(small, top, SIDE - h - top, left, SIDE - w - left, cv2.BORDER_CONSTANT, value=(BORDER,) * 3)
    return whole, (w / width, h / height), (left, top)


def run(name, fed):
    return onnxruntime.InferenceSession(HERE / f"{name}.onnx", providers=["CPUExecutionProvider"]).run(None, {"images": fed})


def told(kept, picture, scale, start):
    """Boxes (corners, score, class) of the network's picture as those of the whole one."""
    sides = picture.shape[1::-1]
    axis = lambda at, n: float(min(max((at - start[n]) / scale[n], 0), sides[n]))  # noqa: E731
    place = lambda corner: [[axis(corner[n], 0), axis(corner[n + 1], 1)] for n in (0, 2)]  # noqa: E731
    things = [{"class": int(kind), "score": float(score), "corners": place(corner)} for corner, score, kind in kept]
    return sorted(things, key=lambda thing: -thing["score"])


def found(name, picture, transposed, with_object, chosen):
    whole, scale, start = letterbox(picture)
    fed = (whole[..., ::-1].transpose(2, 0, 1)[None] / 255.0).astype("f4")
    rows = run(name, fed)[0][0]
    rows = rows if transposed else rows.T
    if chosen:
        kept = [(row[:4], row[4], row[5]) for row in rows if row[4] >= THRESHOLD]
    else:
        scores = rows[:, 5:] * rows[:, 4:5] if with_object else rows[:, 4:]
        corners = numpy.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2], 1)
        classes, best = scores.argmax(1), scores.max(1)
        boxes = numpy.concatenate([corners[:, :2], rows[:, 2:4]], 1)
        which = cv2.dnn.NMSBoxesBatched(boxes.tolist(), best.tolist(), classes.tolist(), THRESHOLD, OVERLAP)
        kept = [(corners[at], best[at], classes[at]) for at in which]
    return told(kept, picture, scale, start)


def found_apart(name, picture):
    whole, scale, start = letterbox(picture)
    boxes, labels, scores = run(name, (whole[..., ::-1].transpose(2, 0, 1)[None] / 255.0).astype("f4"))
    kept = [(box, score, label - 1) for box, label, score in zip(boxes, labels, scores) if score >= THRESHOLD]
    return told(kept, picture, scale, start)


def found_ssd(name, picture):
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)[..., ::-1]
    other = Interpreter(str(HERE / f"{name}.tflite"))
    other.allocate_tensors()
    other.set_tensor(other.get_input_details()[0]["index"], ((small / 255.0 - 0.5) / 0.5).astype("f4")[None])
    other.invoke()
    boxes, classes, scores, count = (other.get_tensor(port["index"])[0] for port in other.get_output_details())
    kept = [(box[[1, 0, 3, 2]], score, kind) for box, score, kind in zip(boxes, scores, classes)][:int(count)]
    kept = [thing for thing in kept if thing[1] >= THRESHOLD]
    return told(kept, picture, (1 / picture.shape[1], 1 / picture.shape[0]), (0, 0))


def main():
    HERE.mkdir(exist_ok=True)
    picture = numpy.full((61, 97, 3), 20, "u1")
    # No two cells are the same, so that there is one order of them.
    y, x = numpy.mgrid[0:61, 0:97]
    slope = (2 * x + 3 * y) // 4
    picture[6:31, 8:39, 2] = (250 - slope)[6:31, 8:39]
    picture[28:55, 50:83, 1] = (160 + slope)[28:55, 50:83]
    cv2.imwrite(str(HERE / "picture.png"), picture)
    forms = {"columns": (False, False, False), "rows": (True, True, False), "chosen": (True, False, True)}
    references = {}
    for name, form in forms.items():
        write(name, *form)
        references[name] = found(name, picture, *form)
    write_apart("apart")
    references["apart"] = found_apart("apart", picture)
    write_ssd("ssd")
    references["ssd"] = found_ssd("ssd", picture)
    (HERE / "found.json").write_text(json.dumps(references, indent=1) + "\n")


main()
