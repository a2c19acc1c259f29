"""Writes texts/: little encoders of texts, and what numpy and onnxruntime make of texts with them and with trained ones.

    python tests/networks/make_texts.py      (needs: numpy, safetensors, tokenizers, onnxruntime==1.31.1; fetch.py before)

A network in safetensors is computed here by hand in f64, from the paper; those in ONNX are run by onnxruntime. Vectors are stored
as base64 of f32, one long; scores as they are.
"""

import base64
import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
from safetensors.numpy import load_file, save_file
from tokenizers import BertWordPieceTokenizer, Tokenizer

HERE = Path(__file__).parent / "texts"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
MODELS = Path(os.environ.get("PINTPOT_TEST_MODELS", CACHE / "pintpot-test-models"))

TEXTS = [
    "A man is eating food.",
    "Someone eats a meal",
    "The capital of France is Paris.",
    "a",
    "na\u00efve caf\u00e9 \u2014 d\u00e9j\u00e0 vu! \u4e2d\u6587 \u0440\u0443\u0441\u0441\u043a\u0438\u0439 \U0001f600 [SEP] end\u200b",
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. " * 30,
]
QUERY = "How many people live in Berlin?"
ANSWERS = [
    "Berlin has a population of 3,520,031 registered inhabitants in an area of 891.82 square kilometers.",
    "New York City is famous for the Metropolitan Museum of Art.",
    "Berlin is well known for its museums.",
    "",
    "People live. " * 300,
]


def erf(x):
    import math
    return np.vectorize(math.erf)(x)


def bert(folder, encodings):
    """What BERT makes of each encoding: vectors of tokens, or scores; in f64."""
    config = json.loads((folder / "config.json").read_text())
    w = {name: x.astype(np.float64) for name, x in load_file(folder / "model.safetensors").items()}
    prefix = "" if "embeddings.word_embeddings.weight" in w else "bert."
    heads, epsilon = config["num_attention_heads"], config["layer_norm_eps"]
    dense = lambda x, name: x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + epsilon) * w[f"{name}.weight"] + w[f"{name}.bias"]

    made = []
    for encoding in encodings:
        own = f"{prefix}embeddings."
        x = w[f"{own}word_embeddings.weight"][encoding.ids] + w[f"{own}token_type_embeddings.weight"][encoding.type_ids]
        x = norm(x + w[f"{own}position_embeddings.weight"][: len(x)], f"{own}LayerNorm")
        apart = lambda x: x.reshape(len(x), heads, -1).swapaxes(0, 1)
        for layer in range(config["num_hidden_layers"]):
            own = f"{prefix}encoder.layer.{layer}."
            q, k, v = (apart(dense(x, f"{own}attention.self.{part}")) for part in ("query", "key", "value"))
            scores = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1])
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = (weights / weights.sum(-1, keepdims=True)) @ v
            mixed = mixed.swapaxes(0, 1).reshape(len(x), -1)
            x = norm(dense(mixed, f"{own}attention.output.dense") + x, f"{own}attention.output.LayerNorm")
            inner = dense(x, f"{own}intermediate.dense")
            inner = inner * 0.5 * (1 + erf(inner / np.sqrt(2)))
            x = norm(dense(inner, f"{own}output.dense") + x, f"{own}output.LayerNorm")
        if "classifier.weight" in w:
            x = dense(np.tanh(dense(x[0], f"{prefix}pooler.dense")), "classifier")
        made.append(x)
    return made


def onnx(path, encodings):
    """What onnxruntime makes of each encoding: the first output of floats, each text by itself."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    wanted = [port.name for port in session.get_outputs() if port.type == "tensor(float)"]
    made = []
    for encoding in encodings:
        feeds = {"input_ids": encoding.ids, "attention_mask": [1] * len(encoding.ids), "token_type_ids": encoding.type_ids}
        names = [port.name for port in session.get_inputs()]
        feeds = {name: np.array([feeds[name]], dtype=np.int64) for name in names}
        made.append(session.run(wanted, feeds)[0][0])
    return made


def vector(rows, pooling):
    pooled = rows.mean(0, dtype=np.float64) if pooling == "mean" else rows[0].astype(np.float64)
    pooled = pooled / np.linalg.norm(pooled)
    return base64.b64encode(pooled.astype("<f4").tobytes()).decode()


def little(folder, seed, classifier, dtype):
    """A random BERT and its vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["the", "is", "times", "was", "of", "it", "age", "##s", "##ing", "live", "berlin", "people", "."]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters), *words]
    vocabulary = list(dict.fromkeys(vocabulary))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    width, inner, layers, positions = 24, 40, 2, 48
    config = {"model_type": "bert", "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers,
              "num_attention_heads": 3, "max_position_embeddings": positions, "type_vocab_size": 2, "hidden_act": "gelu",
              "layer_norm_eps": 1e-12, "vocab_size": len(vocabulary)}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    prefix = "bert." if classifier else ""
    shapes = {"embeddings.word_embeddings": (len(vocabulary), width), "embeddings.position_embeddings": (positions, width),
              "embeddings.token_type_embeddings": (2, width)}
    tensors = {f"{name}.weight": random.normal(0, 1, shape) for name, shape in shapes.items()}
    norms = ["embeddings.LayerNorm"]
    matrices = {"pooler.dense": (width, width)} if classifier else {}
    for layer in range(layers):
        own = f"encoder.layer.{layer}."
        norms += [f"{own}attention.output.LayerNorm", f"{own}output.LayerNorm"]
        square = ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
        matrices |= {own + name: (width, width) for name in square}
        matrices |= {f"{own}intermediate.dense": (inner, width), f"{own}output.dense": (width, inner)}
    for name in norms:
        tensors |= {f"{name}.weight": random.normal(1, 0.1, width), f"{name}.bias": random.normal(0, 0.1, width)}
    for name, shape in matrices.items():
        tensors |= {f"{name}.weight": random.normal(0, 0.3, shape), f"{name}.bias": random.normal(0, 0.1, shape[0])}
    tensors = {prefix + name: x for name, x in tensors.items()}
    if classifier:
        tensors |= {"classifier.weight": random.normal(0, 1, (1, width)), "classifier.bias": random.normal(0, 1, 1)}
    save_file({name: x.astype(dtype) for name, x in tensors.items()}, folder / "model.safetensors")


def tokenizer(folder, longest):
    if (folder / "tokenizer.json").exists():
        made = Tokenizer.from_file(str(folder / "tokenizer.json"))
        made.no_padding()
    else:
        made = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)
    made.enable_truncation(longest)
    return made


def main():
    little(HERE / "encoder", 1, False, np.float16)
    little(HERE / "reranker", 2, True, np.float32)
    rows = []
    for name, folder, network, longest, pooling in [
        ("encoder", HERE / "encoder", None, 48, "mean"),
        ("minilm", MODELS / "minilm", None, 256, "mean"),
        ("minilm-int8", MODELS / "minilm", MODELS / "minilm-int8/model.onnx", 256, "mean"),
        ("paraphrase-minilm", MODELS / "minilm", MODELS / "paraphrase-minilm/paraphrase-MiniLM-L3-v2.onnx", 256, "mean"),
        ("bge-small", MODELS / "bge-small", MODELS / "bge-small/model.onnx", 512, "cls"),
        ("colbert-small", MODELS / "colbert-small", MODELS / "colbert-small/model.onnx", 512, "mean"),
    ]:
        encodings = tokenizer(folder, longest).encode_batch(TEXTS)
        outputs = onnx(network, encodings) if network else bert(folder, encodings)
        vectors = [vector(output, pooling) for output in outputs]
        own = {"name": name, "longest": longest, "pooling": pooling, "vectors": vectors}
        rows.append(own | {"ids": [encoding.ids[:40] for encoding in encodings]})
        print(name, [len(encoding.ids) for encoding in encodings])
    for name, folder, network, longest in [
        ("reranker", HERE / "reranker", None, 48),
        ("reranker-minilm", MODELS / "reranker-minilm", MODELS / "reranker-minilm/model.onnx", 512),
    ]:
        encodings = tokenizer(folder, longest).encode_batch([(QUERY, answer) for answer in ANSWERS])
        outputs = onnx(network, encodings) if network else bert(folder, encodings)
        scores = [float(np.asarray(output).reshape(-1)[0]) for output in outputs]
        rows.append({"name": name, "longest": longest, "scores": scores})
        print(name, scores)
    out = {"texts": TEXTS, "query": QUERY, "answers": ANSWERS, "models": rows}
    (HERE / "references.json").write_text(json.dumps(out, indent=1) + "\n")


main()
