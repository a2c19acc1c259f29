"""Writes little networks that say boxes as exports of the YOLO family do, and what onnxruntime and OpenCV find with them on a picture.

    pip install onnx==1.19.0 onnxruntime==1.31.1 opencv-python==4.11.0.86
    python tests/pictures/boxes.py

A box stands around each cell of 8 pixels, and how red and how green a cell is are its two scores. The picture is brought to the
network's size as the family's own code does: in proportion, by cv2.resize, in the middle of grey.
"""

import json
import pathlib

import cv2
import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper

HERE = pathlib.Path(__file__).parent / "boxes"
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
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, extents)],
        [onnx.numpy_helper.from_array(array, key) for key, array in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, HERE / f"{name}.onnx")


def letterbox(picture):
    height, width = picture.shape[:2]
    scale = min(SIDE / height, SIDE / width)
    w, h = round(width * scale), round(height * scale)
    left, top = (SIDE - w) // 2, (SIDE - h) // 2
    small = cv2.resize(picture, (w, h), interpolation=cv2.INTER_LINEAR)
    whole = cv2.copyMakeBorder(small, top, SIDE - h - top, left, SIDE - w - left, cv2.BORDER_CONSTANT, value=(BORDER,) * 3)
    return whole, scale, left, top


def found(name, picture, transposed, with_object, chosen):
    whole, scale, left, top = letterbox(picture)
    fed = (whole[..., ::-1].transpose(2, 0, 1)[None] / 255.0).astype("f4")
    rows = onnxruntime.InferenceSession(HERE / f"{name}.onnx", providers=["CPUExecutionProvider"]).run(None, {"images": fed})[0][0]
    rows = rows if transposed else rows.T
    if chosen:
        kept = [(row[:4], float(row[4]), int(row[5])) for row in rows if row[4] >= THRESHOLD]
    else:
        scores = rows[:, 5:] * rows[:, 4:5] if with_object else rows[:, 4:]
        corners = numpy.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2], 1)
        classes, best = scores.argmax(1), scores.max(1)
        boxes = numpy.concatenate([corners[:, :2], rows[:, 2:4]], 1)
        which = cv2.dnn.NMSBoxesBatched(boxes.tolist(), best.tolist(), classes.tolist(), THRESHOLD, OVERLAP)
        kept = [(corners[at], float(best[at]), int(classes[at])) for at in which]
    place = lambda corner: [[float((corner[n] - left) / scale), float((corner[n + 1] - top) / scale)] for n in (0, 2)]  # noqa: E731
    told = [{"class": kind, "score": score, "corners": place(corner)} for corner, score, kind in kept]
    return sorted(told, key=lambda thing: -thing["score"])


def main():
    HERE.mkdir(exist_ok=True)
    picture = numpy.full((60, 96, 3), 20, "u1")
    # No two cells are the same, so that there is one order of them.
    y, x = numpy.mgrid[0:60, 0:96]
    slope = (2 * x + 3 * y) // 4
    picture[6:31, 8:39, 2] = (250 - slope)[6:31, 8:39]
    picture[28:55, 50:83, 1] = (160 + slope)[28:55, 50:83]
    cv2.imwrite(str(HERE / "picture.png"), picture)
    forms = {"columns": (False, False, False), "rows": (True, True, False), "chosen": (True, False, True)}
    references = {}
    for name, form in forms.items():
        write(name, *form)
        references[name] = found(name, picture, *form)
    (HERE / "found.json").write_text(json.dumps(references, indent=1) + "\n")


main()
