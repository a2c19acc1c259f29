"""Makes words.wav, three words in a row, and words.json, what MLPerf Tiny's network hears in them in LiteRT.

    python tests/speech/make_words.py       with tensorflow-cpu==2.21.0, ai-edge-litert==2.3.0, onnxruntime and the program espeak-ng

kws_ref_model.tflite is MLPerf Tiny's own (Apache-2.0, MLCommons), and so are the settings of its coefficients, which TensorFlow works
out here. The voice is Piper's, of the folder of test models (`networks/fetch.py piper-joe`). Windows of a second begin every half.
"""

import json
import os
import subprocess
import wave
from pathlib import Path

import numpy as np
import onnxruntime
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("PINTPOT_TEST_MODELS", Path.home() / ".cache" / "pintpot-test-models"))
RATE, HOP = 16000, 8000


def say(text):
    """Samples at 16 kHz, as straight lines between those that the voice gives, in the middle of a second."""
    voice = json.loads((FOLDER / "piper-joe" / "en_US-joe-medium.onnx.json").read_text())
    symbols = voice["phoneme_id_map"]
    command = ["espeak-ng", "-q", "--ipa", "-v", voice["espeak"]["voice"], text]
    spoken = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    ids = symbols["^"] + symbols["_"] + [id for c in spoken for id in symbols.get(c, []) + symbols["_"]] + symbols["$"]
    session = onnxruntime.InferenceSession(FOLDER / "piper-joe" / "en_US-joe-medium.onnx")
    given = {"input": np.array([ids]), "input_lengths": np.array([len(ids)]), "scales": np.float32([0.333, 1.1, 0.333])}
    sound = session.run(None, given)[0].squeeze()
    times = np.arange(0, len(sound) - 1, voice["audio"]["sample_rate"] / RATE)
    said = np.interp(times, np.arange(len(sound)), sound / abs(sound).max() * 0.5)[:RATE]
    left = (RATE - len(said)) // 2
    return np.pad(said, (left, RATE - len(said) - left))


def coefficients(samples):
    samples = samples / max(samples.max(), np.float32(1e-9))
    spectrum = tf.abs(tf.signal.stft(samples, 480, 320, 512))
    matrix = tf.signal.linear_to_mel_weight_matrix(40, spectrum.shape[-1], RATE, 20.0, 4000.0)
    logs = tf.math.log(tf.tensordot(spectrum, matrix, 1) + 1e-6)
    return tf.signal.mfccs_from_log_mel_spectrograms(logs)[..., :10].numpy()


def main():
    clip = HERE / "words.wav"
    if not clip.exists():
        sound = np.concatenate([say(word) for word in ("Yes!", "No!", "Left!")])
        with wave.open(str(clip), "wb") as file:
            file.setparams((1, 1, RATE, 0, "NONE", ""))
            file.writeframes((sound * 127 + 128).round().astype(np.uint8).tobytes())
    with wave.open(str(clip)) as file:
        samples = (np.frombuffer(file.readframes(file.getnframes()), np.uint8).astype(np.float32) - 128) / 128
    interpreter = Interpreter(str(HERE / "kws_ref_model.tflite"), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    [taken], [given] = interpreter.get_input_details(), interpreter.get_output_details()
    windows = []
    for start in range(0, len(samples) - RATE + 1, HOP):
        scale, zero = taken["quantization"]
        numbers = np.clip(np.round(coefficients(samples[start:start + RATE]) / scale + zero), -128, 127)
        interpreter.set_tensor(taken["index"], numbers.astype(np.int8)[None, ..., None])
        interpreter.invoke()
        scale, zero = given["quantization"]
        shares = (interpreter.get_tensor(given["index"])[0].astype(np.float32) - zero) * scale
        windows.append({"start": start / RATE, "shares": [round(float(share), 6) for share in shares]})
    (HERE / "words.json").write_text(json.dumps(windows) + "\n")


if __name__ == "__main__":
    main()
