"""Writes small.json: what LiteRT's reference kernels see on pictures of scikit-image with networks of whole numbers.

    pip install pillow numpy ai-edge-litert==2.3.0
    python tests/networks/fetch.py mltk scikit-image
    python tests/pictures/small.py

Both are Silicon Labs' trainings for MLPerf Tiny: one takes floats and gives them, one takes bytes and gives them.
"""

import json
import pathlib
import sys

import numpy
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from PIL import Image

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "networks"))
from fetch import FOLDER  # noqa: E402

# Side of the picture, mean and standard deviation of its bytes.
NETWORKS = {"visual_wake_words": (96, 0, 1), "image_classification": (32, 128, 128)}


def shares(network, picture):
    side, mean, std = NETWORKS[network]
    picture = Image.open(FOLDER / "scikit-image" / picture).convert("RGB").resize((side, side), Image.BILINEAR)
    numbers = ((numpy.asarray(picture, "f4") - mean) / std)[None]
    interpreter = Interpreter(str(FOLDER / "mltk" / f"{network}.tflite"),
                              experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    [taken], [given] = interpreter.get_input_details(), interpreter.get_output_details()
    if taken["dtype"] != numpy.float32:
        scale, zero = taken["quantization"]
        numbers = numpy.clip(numpy.round(numbers / scale + zero), -128, 127).astype(taken["dtype"])
    interpreter.set_tensor(taken["index"], numbers)
    interpreter.invoke()
    found = interpreter.get_tensor(given["index"])[0]
    if given["dtype"] != numpy.float32:
        scale, zero = given["quantization"]
        found = (found.astype("f4") - zero) * scale
    return [[int(i), round(float(found[i]), 6)] for i in numpy.argsort(-found, kind="stable")[:2]]


def main():
    pictures = ("astronaut.png", "chelsea.png", "coffee.png")
    seen = {f"{network} {picture}": shares(network, picture) for network in NETWORKS for picture in pictures}
    (HERE / "small.json").write_text(json.dumps(seen, indent=1) + "\n")


if __name__ == "__main__":
    main()
