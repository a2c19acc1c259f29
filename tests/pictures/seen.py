"""Writes `seen.json`: what onnxruntime and RapidOCR see on pictures of scikit-image, with Pillow and OpenCV before them.

    pip install pillow numpy onnxruntime rapidocr-onnxruntime==1.4.4
    python tests/networks/fetch.py; python tests/networks/export_classifiers.py
    python tests/pictures/seen.py
"""

import json
import pathlib
import sys
import tempfile

import numpy
import onnxruntime
from PIL import Image
from rapidocr_onnxruntime import RapidOCR

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "networks"))
from fetch import FOLDER  # noqa: E402

PICTURES = FOLDER / "scikit-image"


def classes(model, picture, filter_, mean, std):
    picture = Image.open(PICTURES / picture).convert("RGB")
    w, h = picture.size
    picture = picture.resize((256, 256 * h // w) if w < h else (256 * w // h, 256), filter_)
    left, top = (round((side - 224) / 2) for side in picture.size)
    pixels = numpy.asarray(picture.crop((left, top, left + 224, top + 224)), "f8")
    fed = ((pixels - mean) / std).transpose(2, 0, 1)[None].astype("f4")
    session = onnxruntime.InferenceSession(str(FOLDER / model / f"{model}.onnx"))
    scores = session.run(None, {"input": fed})[0][0].astype("f8")
    shares = numpy.exp(scores - scores.max())
    shares /= shares.sum()
    return [[int(i), round(float(shares[i]), 5)] for i in numpy.argsort(-shares)[:3]]


def lines(picture):
    folder = FOLDER / "ppocr-v5"
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as keys:
        # RapidOCR puts the blank before the list by itself.
        keys.write((folder / "ppocr_keys_v5.txt").read_text().split("\n", 1)[1])
        keys.flush()
        engine = RapidOCR(det_model_path=str(folder / "ppocrv5_det.onnx"), det_use_dilation=False,
                          rec_model_path=str(folder / "ppocrv5_rec.onnx"), rec_keys_path=keys.name)
        found, _ = engine(str(PICTURES / picture), box_thresh=0.6, unclip_ratio=1.5)
    return [{"text": text, "score": round(float(score), 4), "corners": corners} for corners, text, score in found]


def main():
    imagenet = 255 * numpy.array([0.485, 0.456, 0.406]), 255 * numpy.array([0.229, 0.224, 0.225])
    seen = {"classes": {}, "lines": {}}
    for picture in ("chelsea.png", "coffee.png"):
        seen["classes"][f"mobilenetv2 {picture}"] = classes("mobilenetv2", picture, Image.BILINEAR, *imagenet)
        found = classes("efficientnet-lite0", picture, Image.BICUBIC, numpy.float64(127), numpy.float64(128))
        seen["classes"][f"efficientnet-lite0 {picture}"] = found
    for picture in ("page.png",):
        seen["lines"][picture] = lines(picture)
    (HERE / "seen.json").write_text(json.dumps(seen, indent=1) + "\n")


if __name__ == "__main__":
    main()
