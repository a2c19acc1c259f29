"""Makes speak.json: what onnxruntime makes of some phonemes with the voice en_US-joe, when nothing is left to chance.

    python tests/speech/make_speak.py        with onnxruntime; the voice is of `networks/fetch.py piper-joe`

Kept are how many samples there are, and every 97th.
"""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("PINTPOT_TEST_MODELS", Path.home() / ".cache" / "pintpot-test-models"))
VOICE = FOLDER / "piper-joe" / "en_US-joe-medium.onnx"
PHONEMES = "ðɪ ˈeɪdʒ ʌv ɹˈiːzən."


def main():
    symbols = json.loads(Path(f"{VOICE}.json").read_text())["phoneme_id_map"]
    ids = symbols["^"] + symbols["_"] + [id for c in PHONEMES for id in symbols[c] + symbols["_"]] + symbols["$"]
    given = {"input": np.array([ids]), "input_lengths": np.array([len(ids)]), "scales": np.float32([0, 1, 0])}
    sound = onnxruntime.InferenceSession(VOICE).run(None, given)[0].squeeze()
    kept = [round(float(x), 6) for x in sound[::97]]
    (HERE / "speak.json").write_text(json.dumps({"phonemes": PHONEMES, "count": len(sound), "samples": kept}) + "\n")


if __name__ == "__main__":
    main()
