#!/usr/bin/env python3
"""Writes the golden files of tests/golden/blocks, which crates/tensor/tests/blocks.rs reads.

The oracle is the `gguf` package (pip install gguf numpy): an implementation independent of ours.

  values.bin             f32 weights for the quantisers, 1024 of them
  <TYPE>.bin             blocks, then the f32 that the oracle makes of them
  <TYPE>.quantized.bin   values.bin as blocks, for the types that the oracle can quantise

Blocks hold random codes under scales that cover zero, the largest f16, a subnormal one, a negative one, and
plain random ones; one block is all ones. Numbers are little-endian.
"""

from pathlib import Path

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize

OUT = Path(__file__).parent / "blocks"

# Byte offsets of the f16 numbers in a block of each type, in the order in which the types came: random numbers are drawn
# one after the other. IQ1_M has its number in the highest nibbles of its last four words.
F16_AT = {
    "BF16": [],
    "F16": [0],
    "IQ4_NL": [0],
    "IQ4_XS": [0],
    "MXFP4": [],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q4_K": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "Q8_0": [0],
    "TQ1_0": [52],
    "TQ2_0": [64],
    "IQ1_M": [],
    "IQ1_S": [0],
    "IQ2_S": [0],
    "IQ2_XS": [0],
    "IQ2_XXS": [0],
    "IQ3_S": [0],
    "IQ3_XXS": [0],
}


def blocks_of(name: str, rng: np.random.Generator) -> np.ndarray:
    """Blocks of random codes, (blocks, bytes): six of a large type, sixteen of a small one."""
    elements, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    count = 6 if elements == 256 else 16
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    blocks[0] = 0
    blocks[1] = 255
    for at in F16_AT[name] or ["nibbles"] * (name == "IQ1_M"):
        scales = rng.normal(0, 0.05, count).astype(np.float16)
        scales[1:4] = [65504, 5e-7, -0.01]
        if at == "nibbles":
            scales[0] = 0
            nibbles = scales.view(np.uint16)[:, None] >> np.array([0, 4, 8, 12], np.uint16) & np.uint16(15)
            words = blocks[:, 48:].copy().view(np.uint16) & np.uint16(0x0FFF) | nibbles << np.uint16(12)
            blocks[:, 48:] = words.view(np.uint8)
            continue
        blocks[:, at : at + 2] = scales.view(np.uint8).reshape(count, 2)
        blocks[0, at : at + 2] = 0
    if name == "BF16":  # leave out infinities and NaN, whose signs and payloads nobody promises
        blocks[:, 1] &= 0xBF
    return blocks


def values_of(rng: np.random.Generator) -> np.ndarray:
    """Four super-blocks: Gaussian; Gaussian with outliers; all positive; ternary with a group of zeros."""
    values = rng.normal(0, 0.02, 1024)
    values[256:512:37] *= 12
    values[512:768] = np.abs(values[512:768]) + 0.01
    values[768:] = rng.integers(-1, 2, 256) * 0.5
    values[768:800] = 0
    return values.astype(np.float32)


def main() -> None:
    OUT.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    values = values_of(rng)
    values.astype("<f4").tofile(OUT / "values.bin")
    for name in F16_AT:
        kind = GGMLQuantizationType[name]
        blocks = blocks_of(name, rng)
        with np.errstate(over="ignore"):
            floats = np.stack([dequantize(block, kind).ravel() for block in blocks])
        (OUT / f"{name}.bin").write_bytes(blocks.tobytes() + floats.astype("<f4").tobytes())
        try:
            quantized = quantize(values, kind)
        except NotImplementedError:
            continue
        (OUT / f"{name}.quantized.bin").write_bytes(quantized.tobytes())


if __name__ == "__main__":
    main()
