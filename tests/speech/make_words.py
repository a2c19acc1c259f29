"""Makes kws_ref_model_small.tflite, words.wav, three words in a row, and words.json, what that network hears in them in LiteRT.

    python tests/speech/make_words.py       with tensorflow-cpu==2.21.0, ai-edge-litert==2.3.0, onnxruntime and the program espeak-ng

The network is a small one of the form of MLPerf Tiny's for ten words, trained here on words of Piper's voice, of the folder of test models
(`networks/fetch.py piper-joe`), and on TensorFlow's coefficients with MLPerf Tiny's settings. What the voice says is different every time, so
another training gives other numbers: what lies here is what is tested, and is made anew only where it is missing. Windows of a second begin
every half.
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
WORDS = ["down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes"]
SILENCE, UNKNOWN = len(WORDS), len(WORDS) + 1
OTHERS = ["bed", "bird", "cat", "dog", "eight", "five", "four", "happy", "house", "marvin", "nine", "one", "seven", "six", "three", "tree",
          "two", "visual", "wow", "zero"]


class Voice:
    def __init__(self):
        model = FOLDER / "piper-joe" / "en_US-joe-medium.onnx"
        self.settings = json.loads(Path(f"{model}.json").read_text())
        self.session = onnxruntime.InferenceSession(model)

    def ids(self, text):
        command = ["espeak-ng", "-q", "--ipa", "-v", self.settings["espeak"]["voice"], text]
        spoken = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        symbols = self.settings["phoneme_id_map"]
        return symbols["^"] + symbols["_"] + [id for c in spoken for id in symbols.get(c, []) + symbols["_"]] + symbols["$"]

    def say(self, ids, scales, faster=1.0):
        """Samples at 16 kHz, as straight lines between those that the voice gives."""
        given = {"input": np.array([ids]), "input_lengths": np.array([len(ids)]), "scales": np.float32(scales)}
        sound = self.session.run(None, given)[0].squeeze()
        times = np.arange(0, len(sound) - 1, self.settings["audio"]["sample_rate"] / RATE * faster)
        return np.interp(times, np.arange(len(sound)), sound / abs(sound).max() * 0.5)[:RATE]


def placed(said, start):
    """A second of silence with a sound in it, from a sample on."""
    second = np.zeros(RATE, np.float32)
    first, end = max(start, 0), min(start + len(said), RATE)
    second[first:end] = said[first - start:end - start]
    return second


def coefficients(samples):
    samples = samples / np.maximum(samples.max(-1, keepdims=True), np.float32(1e-9))
    spectrum = tf.abs(tf.signal.stft(samples, 480, 320, 512))
    matrix = tf.signal.linear_to_mel_weight_matrix(40, spectrum.shape[-1], RATE, 20.0, 4000.0)
    logs = tf.math.log(tf.tensordot(spectrum, matrix, 1) + 1e-6)
    return tf.signal.mfccs_from_log_mel_spectrograms(logs)[..., :10].numpy()


def sayings(voice, random):
    """Words as the voice says them, faster and slower, higher and lower, without the silence around them; and what each is."""
    made = []
    for word in WORDS + OTHERS:
        ids = voice.ids(word)
        for _ in range(40 if word in WORDS else 10):
            scales = random.uniform([0.2, 0.8, 0.2], [0.8, 1.3, 0.9])
            said = voice.say(ids, scales, random.uniform(0.9, 1.15))
            [loud] = np.nonzero(abs(said) > 0.01)
            made.append((said[loud[0]:loud[-1] + 1], WORDS.index(word) if word in WORDS else UNKNOWN))
    return made


def seconds(sayings, random):
    """Seconds with a word in them, with the halves of two, or with none, in noise; and what each is."""
    made = []
    for said, word in sayings:
        for _ in range(8):
            made.append((placed(said, random.integers(-800, max(RATE - len(said), 0) + 800)), word))
    for _ in range(len(sayings) * 2):
        (one, _), (two, _) = (sayings[random.integers(len(sayings))] for _ in range(2))
        # As a window that begins half a second late hears two words that lie in the middle of theirs.
        made.append((placed(one, -len(one) // 2) + placed(two, RATE - len(two) // 2), UNKNOWN))
    made += [(np.zeros(RATE, np.float32), SILENCE)] * len(sayings)
    # Some have none, as sounds of eight bits do between words.
    noises = 10 ** random.uniform(-4.5, -1.7, len(made)) * (random.random(len(made)) < 0.7)
    samples = np.stack([second + noise * random.standard_normal(RATE, np.float32) for (second, _), noise in zip(made, noises)])
    numbers = np.concatenate([coefficients(part.astype(np.float32)) for part in np.array_split(samples, len(samples) // 256 + 1)])
    return numbers[..., None], np.array([word for _, word in made])


def train(path):
    random = np.random.default_rng(1)
    tf.keras.utils.set_random_seed(1)
    said = sayings(Voice(), random)
    tried, learnt = (seconds([said[n] for n in part], random) for part in np.split(random.permutation(len(said)), [len(said) // 10]))
    layers = tf.keras.layers
    model = tf.keras.Sequential([
        layers.Input((49, 10, 1)),
        layers.Conv2D(24, (10, 4), 2, "same", use_bias=False), layers.BatchNormalization(), layers.ReLU(),
        layers.DepthwiseConv2D(3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU(),
        layers.Conv2D(48, 1, use_bias=False), layers.BatchNormalization(), layers.ReLU(),
        layers.AveragePooling2D((25, 5)), layers.Flatten(), layers.Dropout(0.2),
        layers.Dense(UNKNOWN + 1, "softmax"),
    ])
    rate = tf.keras.optimizers.schedules.CosineDecay(4e-3, 40 * len(learnt[1]) // 64)
    model.compile(tf.keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*learnt, batch_size=64, epochs=40, verbose=2, validation_data=tried)
    taken = tf.function(model).get_concrete_function(tf.TensorSpec((1, 49, 10, 1), tf.float32, "input_1"))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([taken])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([learnt[0][n:n + 1]] for n in random.choice(len(learnt[0]), 500))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    path.write_bytes(converter.convert())


def main():
    network, clip = HERE / "kws_ref_model_small.tflite", HERE / "words.wav"
    if not network.exists():
        train(network)
    if not clip.exists():
        voice = Voice()
        said = [voice.say(voice.ids(word), [0.333, 1.1, 0.333]) for word in ("Yes!", "No!", "Left!")]
        sound = np.concatenate([placed(word, (RATE - len(word)) // 2) for word in said])
        with wave.open(str(clip), "wb") as file:
            file.setparams((1, 1, RATE, 0, "NONE", ""))
            file.writeframes((sound * 127 + 128).round().astype(np.uint8).tobytes())
    with wave.open(str(clip)) as file:
        samples = (np.frombuffer(file.readframes(file.getnframes()), np.uint8).astype(np.float32) - 128) / 128
    interpreter = Interpreter(str(network), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
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
