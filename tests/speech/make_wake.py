"""Makes wake.wav, two words that wake, and wake.json, what openWakeWord's own package hears in them.

    python tests/speech/make_wake.py        with openwakeword==0.6.0, onnxruntime and the program espeak-ng

The voice is Piper's, of the folder of test models (`networks/fetch.py piper-joe openwakeword`). The package begins with noise of its own: scores
are kept from the moment on when that has passed.
"""

import json
import os
import subprocess
import wave
from pathlib import Path

import numpy as np
import onnxruntime
from openwakeword.model import Model

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("PINTPOT_TEST_MODELS", Path.home() / ".cache" / "pintpot-test-models"))
WORDS = ["alexa_v0.1", "hey_jarvis_v0.1", "hey_mycroft_v0.1", "weather_v0.1"]
FRAME = 1280


def say(text):
    """Samples at 16 kHz, as straight lines between those that the voice gives."""
    voice = json.loads((FOLDER / "piper-joe" / "en_US-joe-medium.onnx.json").read_text())
    symbols = voice["phoneme_id_map"]
    command = ["espeak-ng", "-q", "--ipa", "-v", voice["espeak"]["voice"], text]
    spoken = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    ids = symbols["^"] + symbols["_"] + [id for c in spoken for id in symbols.get(c, []) + symbols["_"]] + symbols["$"]
    session = onnxruntime.InferenceSession(FOLDER / "piper-joe" / "en_US-joe-medium.onnx")
    given = {"input": np.array([ids]), "input_lengths": np.array([len(ids)]), "scales": np.float32([0.333, 1.1, 0.333])}
    sound = session.run(None, given)[0].squeeze()
    times = np.arange(0, len(sound) - 1, voice["audio"]["sample_rate"] / 16000)
    return np.interp(times, np.arange(len(sound)), sound / abs(sound).max() * 0.5)


def main():
    clip = HERE / "wake.wav"
    if not clip.exists():
        parts = [np.zeros(24000), say("Alexa!"), np.zeros(8000), say("Hey Jarvis!"), np.zeros(4000)]
        with wave.open(str(clip), "wb") as file:
            file.setparams((1, 1, 16000, 0, "NONE", ""))
            file.writeframes((np.concatenate(parts) * 127 + 128).round().astype(np.uint8).tobytes())
    with wave.open(str(clip)) as file:
        samples = (np.frombuffer(file.readframes(file.getnframes()), np.uint8).astype(np.int16) - 128) * 256
    samples = np.pad(samples, (0, -len(samples) % FRAME))
    heard = {}
    for word in WORDS:
        place = {name: str(FOLDER / "openwakeword" / f"{file}.onnx") for name, file in
                 [("melspec_model_path", "melspectrogram"), ("embedding_model_path", "embedding_model")]}
        model = Model(wakeword_models=[str(FOLDER / "openwakeword" / f"{word}.onnx")], inference_framework="onnx", **place)
        scores = [float(model.predict(samples[at:at + FRAME])[word]) for at in range(0, len(samples), FRAME)]
        # The picture has 76 rows, 8 a frame.
        first = 10 + next(iter(model.model_inputs.values()))
        heard[word] = {"first": first, "scores": [round(score, 6) for score in scores[first:]]}
    (HERE / "wake.json").write_text(json.dumps(heard) + "\n")


if __name__ == "__main__":
    main()
