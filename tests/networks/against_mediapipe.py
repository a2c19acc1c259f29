"""Runs MediaPipe's networks with operators of its own through pintpot and MediaPipe, and says how far apart the outputs are.

    pip install mediapipe==0.10.21 numpy==1.26.4
    python tests/networks/against_mediapipe.py target/release/pintpot FOLDER_OF_TEST_MODELS

LiteRT has none of these operators, so `against_tflite.py` cannot run them. MediaPipe's graph is fed with a picture of random bytes of
just the network's size, whose shares of 255 are what ours is fed with.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import mediapipe
import numpy

APART = 1e-4
FILES = [
    "mediapipe/face_landmark_with_attention.tflite",
    "mediapipe/selfie_segmentation.tflite",
    "mediapipe/selfie_segmentation_landscape.tflite",
    "selfie-segmentation/selfie_segmentation.tflite",
    "selfie-segmentation/selfie_segmentation_landscape.tflite",
]
INFERENCE = """
input_stream: "image"
node {{ calculator: "ImageToTensorCalculator" input_stream: "IMAGE:image" output_stream: "TENSORS:in"
  options {{ [mediapipe.ImageToTensorCalculatorOptions.ext] {{ output_tensor_width: {width} output_tensor_height: {height}
    output_tensor_float_range {{ min: 0 max: 1 }} }} }} }}
node {{ calculator: "TfLiteCustomOpResolverCalculator" output_side_packet: "OP_RESOLVER:operators" }}
node {{ calculator: "InferenceCalculator" input_side_packet: "OP_RESOLVER:operators" input_stream: "TENSORS:in"
  output_stream: "TENSORS:all" options {{ [mediapipe.InferenceCalculatorOptions.ext] {{
    model_path: "{file}" delegate {{ tflite {{}} }} }} }} }}
node {{ calculator: "SplitTensorVectorCalculator" input_stream: "all" {streams}
  options {{ [mediapipe.SplitVectorCalculatorOptions.ext] {{ {ranges} }} }} }}
{floats}
"""


def theirs(file, picture, count):
    """The outputs of MediaPipe, in the file's order."""
    each = range(count)
    config = INFERENCE.format(
        file=file, width=picture.shape[1], height=picture.shape[0],
        streams=" ".join(f'output_stream: "out{n}"' for n in each),
        ranges=" ".join(f"ranges {{ begin: {n} end: {n + 1} }}" for n in each),
        floats="\n".join(
            f'node {{ calculator: "TensorsToFloatsCalculator" input_stream: "TENSORS:out{n}" output_stream: "FLOATS:floats{n}" }}'
            for n in each))
    graph, found = mediapipe.CalculatorGraph(graph_config=config), {}
    for n in each:
        keep = lambda name, packet: found.update({name: mediapipe.packet_getter.get_float_list(packet)})  # noqa: E731
        graph.observe_output_stream(f"floats{n}", keep)
    graph.start_run()
    packet = mediapipe.packet_creator.create_image_frame(image_format=mediapipe.ImageFormat.SRGB, data=picture)
    graph.add_packet_to_input_stream("image", packet.at(1))
    graph.close_all_packet_sources()
    graph.wait_until_done()
    return [numpy.array(found[f"floats{n}"]) for n in each]


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    failed = 0
    for name in FILES:
        show = json.loads(subprocess.run([program, "show", folder / name, "--json"], capture_output=True, text=True).stdout)
        port, outputs = show["inputs"][0], [output["name"] for output in show["outputs"]]
        _, height, width, _ = map(int, port["type"].split("[")[1].rstrip("]").split(","))
        picture = numpy.random.default_rng(3).integers(0, 256, (height, width, 3), dtype="u1")
        with tempfile.TemporaryDirectory() as out:
            numpy.save(f"{out}/in.npy", (picture[None] * numpy.float32(1 / 255)).astype("f4"))
            words = [program, "run", folder / name, "--input", f"{port['name']}={out}/in.npy", "--out-dir", f"{out}/out"]
            ran = subprocess.run(words, capture_output=True, text=True)
            if ran.returncode:
                failed += 1
                print(f"{name}: {ran.stderr.strip()[:300]}")
                continue
            ours = [numpy.load(f"{out}/out/{output.replace('/', '_')}.npy").ravel() for output in outputs]
        references = theirs(folder / name, picture, len(outputs))
        worst = max(float(numpy.abs(a - b).max() / max(numpy.abs(b).max(), 1e-12)) for a, b in zip(ours, references))
        failed += not worst <= APART
        print(f"{name}: apart {worst:.2e}{'' if worst <= APART else ' WRONG'}", flush=True)
    print(f"{failed} of {len(FILES)} wrong")
    sys.exit(failed > 0)


main()
