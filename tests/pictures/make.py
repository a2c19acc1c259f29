"""Writes small pictures, and what Pillow and OpenCV make of them, as references.

    pip install pillow==13.0.0 numpy opencv-python==5.0.0.93
    python tests/pictures/make.py

NAME.png or NAME.jpg is a picture, NAME.rgb its upright pixels as Pillow has them. FILTER-WIDTHxHEIGHT.rgb is `smooth.png`
resized, `warp.rgb` its part between four corners.
"""

import pathlib

import cv2
import numpy
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent
CORNERS = [[3.5, 2.25], [30.0, 5.0], [27.5, 19.0], [1.0, 16.5]]


def keep(name, picture, **options):
    picture.save(HERE / name, **options)
    upright = ImageOps.exif_transpose(Image.open(HERE / name)).convert("RGB")
    (HERE / name).with_suffix(".rgb").write_bytes(upright.tobytes())


def main():
    y, x = numpy.mgrid[0:23, 0:37]
    smooth = numpy.stack([x * 6 + y, 255 - x * 3 - y * 4, (x * x + y * y) // 8 % 256], -1).astype("u1")
    rng = numpy.random.default_rng(7)
    noisy = numpy.clip(smooth.astype(int) + rng.integers(-25, 26, smooth.shape), 0, 255).astype("u1")
    smooth, noisy = Image.fromarray(smooth), Image.fromarray(noisy)
    keep("smooth.png", smooth)
    keep("gray.png", noisy.convert("L"))
    keep("bits.png", noisy.convert("1"))
    keep("palette.png", noisy.quantize(13))
    alpha = noisy.copy()
    alpha.putalpha(noisy.convert("L"))
    keep("alpha.png", alpha)
    keep("baseline.jpg", smooth, quality=90)
    keep("plain.jpg", noisy, quality=85, subsampling=0)
    keep("progressive.jpg", noisy, quality=85, progressive=True)
    keep("gray.jpg", noisy.convert("L"), quality=85)
    (HERE / "gray.rgb").unlink()
    keep("gray.png", noisy.convert("L"))
    for turn in (3, 6, 8):
        exif = Image.Exif()
        exif[0x0112] = turn
        keep(f"turned{turn}.png", smooth.crop((0, 0, 9, 5)), exif=exif)
        keep(f"turned{turn}-photo.jpg", smooth, quality=95, exif=exif)
    # Pillow writes no interlaced file; OpenCV neither: rows by hand.
    (HERE / "interlaced.png").write_bytes(interlaced(numpy.asarray(noisy)))
    (HERE / "interlaced.rgb").write_bytes(noisy.tobytes())
    filters = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "nearest": Image.NEAREST}
    for name, kind in filters.items():
        for size in ((16, 9), (61, 40), (37, 11)):
            part = smooth.resize(size, kind)
            (HERE / f"{name}-{size[0]}x{size[1]}.rgb").write_bytes(part.tobytes())
    pixels = numpy.asarray(smooth)
    for size in ((16, 9), (61, 40)):
        part = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
        (HERE / f"linear-{size[0]}x{size[1]}.rgb").write_bytes(part.tobytes())
    to = numpy.float32([[0, 0], [20, 0], [20, 12], [0, 12]])
    map_ = cv2.getPerspectiveTransform(numpy.float32(CORNERS), to)
    part = cv2.warpPerspective(pixels, map_, (20, 12), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    (HERE / "warp.rgb").write_bytes(part.tobytes())


def interlaced(pixels):
    import struct
    import zlib

    height, width, _ = pixels.shape
    rows = b""
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        for row in pixels[y0::dy, x0::dx]:
            rows += b"\0" + row.tobytes() if row.size else b""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


if __name__ == "__main__":
    main()
