"""Writes spectrograms.json: what TensorFlow and librosa make of a sound.

    pip install tensorflow-cpu==2.21.0 librosa==0.11.0 numpy
    python tests/speech/make_spectrograms.py

The sound is two tones and a hiss, by a formula that `crates/processors/tests/spectrograms.rs` has too. A case is the settings as a
pipeline has them, and a few of the numbers: window, row, value.
"""

import json
import math
import pathlib

import librosa
import numpy as np
import tensorflow as tf

RATE, SAMPLES, PICKED = 16000, 16000, 40


def sound():
    state, samples = 12345, []
    for t in range(SAMPLES):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        tone = lambda hertz: math.sin(2 * math.pi * t * hertz / RATE)  # noqa: B023, E731
        later = 0.1 * tone(3000.0) if t > SAMPLES // 2 else 0.0
        samples.append(0.3 * tone(440.0) + later + 0.01 * (state / 0x7FFFFFFF - 0.5))
    return np.float32(samples)


def by_tensorflow(samples, window, step, fft, shape, power, bands, lowest, highest, log, coefficients):
    spectrum = tf.abs(tf.signal.stft(samples, window, step, fft, shape)) ** power
    matrix = tf.signal.linear_to_mel_weight_matrix(bands, spectrum.shape[-1], RATE, lowest, highest)
    logs = log(tf.tensordot(spectrum, matrix, 1))
    return (tf.signal.mfccs_from_log_mel_spectrograms(logs)[..., :coefficients] if coefficients else logs).numpy()


def cases(samples):
    """Settings, and windows by rows."""
    mlperf = {"window": "30 ms", "step": "20 ms", "fft": 512, "power": 1, "bands": 40, "lowest": 20.0, "highest": 4000.0,
              "scale": "htk", "slopes": "mel", "log": "natural", "offset": 1e-6, "coefficients": 10, "frames": 49}
    log = lambda mel: tf.math.log(mel + 1e-6)  # noqa: E731
    yield mlperf, by_tensorflow(samples, 480, 320, 512, tf.signal.hann_window, 1, 40, 20.0, 4000.0, log, 10)
    yamnet = {"window": 400, "step": 160, "fft": 512, "power": 1, "bands": 64, "lowest": 125.0, "highest": 7500.0,
              "scale": "htk", "slopes": "mel", "log": "natural", "offset": 0.001, "frames": 96}
    log = lambda mel: tf.math.log(mel + 0.001)  # noqa: E731
    yield yamnet, by_tensorflow(samples, 400, 160, 512, tf.signal.hann_window, 1, 64, 125.0, 7500.0, log, 0)
    hamming = {"window": 480, "step": 320, "shape": "hamming-symmetric", "power": 2, "bands": 24, "highest": 8000.0,
               "scale": "htk", "slopes": "mel", "frames": 40, "order": "bands-time", "mean": 0.5, "std": 2.0}
    symmetric = lambda length, dtype: tf.signal.hamming_window(length, periodic=False, dtype=dtype)  # noqa: E731
    whole = by_tensorflow(samples, 480, 320, 480, symmetric, 2, 24, 0.0, 8000.0, lambda mel: mel, 0)
    yield hamming, (whole - 0.5) / 2.0
    wake = {"window": "64 ms", "step": "32 ms", "emphasis": 0.96875, "shape": "hamming-symmetric", "bands": 40, "scale": "htk",
            "slopes": "mel", "log": "db", "floor": 1e-27, "mean": -21.897, "std": 64.0, "frames": 30}
    sharp = samples - np.float32(0.96875) * np.pad(samples, (1, 0))[:-1]
    log = lambda mel: (10 * tf.math.log(mel / 1024) / math.log(10) + 52) / 64  # noqa: E731
    yield wake, by_tensorflow(sharp, 1024, 512, 1024, symmetric, 2, 40, 0.0, 8000.0, log, 0)
    for name, more, made in [
        ("hann", {"scale": "slaney", "area": True}, {"window": "hann"}),
        ("hamming", {"scale": "htk"}, {"window": "hamming", "htk": True, "norm": None}),
    ]:
        settings = {"window": 1024, "step": "10 ms", "shape": name, "bands": 64, "log": "db", "floor": 1e-10, "range": 80.0,
                    "lowest": 50.0, "frames": 90}
        mel = librosa.feature.melspectrogram(y=samples, sr=RATE, n_fft=1024, hop_length=160, center=False, n_mels=64, fmin=50.0, **made)
        # The range is that of the windows that are asked for.
        yield settings | more, librosa.power_to_db(mel[:, :90], top_db=80.0).T
        if name == "hann":
            logs = librosa.power_to_db(mel[:, :90], top_db=80.0)
            cepstrum = librosa.feature.mfcc(S=logs, n_mfcc=20, norm="ortho").T
            yield settings | more | {"coefficients": 20, "ortho": True}, cepstrum
    settings = {"window": 640, "step": 320, "bands": 32, "log": "ten", "floor": 1e-7, "power": 1, "area": True, "highest": 7000.0, "frames": 30}
    mel = librosa.feature.melspectrogram(y=samples, sr=RATE, n_fft=640, hop_length=320, center=False, n_mels=32, fmax=7000.0, power=1.0)
    yield settings, np.log10(np.maximum(mel.T, 1e-7))


def main():
    samples, told = sound(), []
    for settings, picture in cases(samples):
        picture = picture[:settings["frames"]]
        # The whole picture is gone through, in steps that meet no row twice.
        places = [(n * 7 % picture.shape[0], n * 11 % picture.shape[1]) for n in range(PICKED)]
        told.append({"settings": settings, "numbers": [[f, r, round(float(picture[f, r]), 5)] for f, r in places]})
    text = ",\n".join(json.dumps(case) for case in told)
    pathlib.Path(__file__).with_name("spectrograms.json").write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()
