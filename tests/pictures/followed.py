"""Writes `followed.json`: what MediaPipe sees on scikit-image's astronaut.

    pip install mediapipe==0.10.21 pillow
    python tests/networks/fetch.py
    python tests/pictures/followed.py
"""

import json
import pathlib
import sys

import mediapipe
import numpy
from PIL import Image

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "networks"))
from fetch import FOLDER  # noqa: E402

SOLUTIONS = mediapipe.solutions
# Of the points of a face so many are enough.
EVERY = 12


def main():
    picture = numpy.asarray(Image.open(FOLDER / "scikit-image" / "astronaut.png").convert("RGB"))
    height, width, _ = picture.shape
    seen = {}
    for name, selection in (("face_detection_short_range", 0), ("face_detection_full_range_sparse", 1)):
        with SOLUTIONS.face_detection.FaceDetection(model_selection=selection) as task:
            (face,) = task.process(picture).detections
        box = face.location_data.relative_bounding_box
        points = [[point.x * width, point.y * height] for point in face.location_data.relative_keypoints]
        corners = [[box.xmin * width, box.ymin * height],
                   [(box.xmin + box.width) * width, (box.ymin + box.height) * height]]
        seen[name] = {"score": face.score[0], "corners": corners, "points": points}
    with SOLUTIONS.face_mesh.FaceMesh(static_image_mode=True) as task:
        (face,) = task.process(picture).multi_face_landmarks
    seen["face"] = [[p.x * width, p.y * height, p.z * width] for p in face.landmark[::EVERY]]
    with SOLUTIONS.pose.Pose(static_image_mode=True, model_complexity=1) as task:
        pose = task.process(picture).pose_landmarks
    seen["pose"] = [[p.x * width, p.y * height, p.visibility] for p in pose.landmark]
    with SOLUTIONS.selfie_segmentation.SelfieSegmentation(model_selection=0) as task:
        seen["selfie_segmentation"] = float(task.process(picture).segmentation_mask.mean())
    text = json.dumps(seen, indent=None, default=float)
    rounded = json.loads(text, parse_float=lambda number: round(float(number), 4))
    (HERE / "followed.json").write_text(json.dumps(rounded, indent=None) + "\n")


if __name__ == "__main__":
    main()
