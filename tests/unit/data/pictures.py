"""Small image files of every kind, for the tests of data."""

from pathlib import Path

import numpy as np
from PIL import Image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def plain(color, size=(12, 10)):
    """Return a one-colored RGB image; `size` is (width, height)."""
    return Image.new("RGB", size, color)


def halves(left, right, size=(16, 8)):
    """Return an RGB image whose left and right half have one color each."""
    image = Image.new("RGB", size, left)
    image.paste(right, (size[0] // 2, 0, size[0], size[1]))
    return image


def noise(rng, size=(12, 10)):
    """Return an RGB image of random pixels."""
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def save(image: Image.Image, path: Path, **options) -> Path:
    """Save an image, making its folder, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def class_folder(root: Path, classes: dict[str, int], seed: int = 0) -> Path:
    """Make `root` with a folder per class and so many random PNG images in each."""
    rng = np.random.default_rng(seed)
    for name, count in classes.items():
        for number in range(count):
            save(noise(rng), root / name / f"图 {number:02d}.png")
    return root


def truncated(path: Path, keep: float = 0.5) -> Path:
    """Make a JPEG that ends early."""
    rng = np.random.default_rng(1)
    save(noise(rng, (64, 64)), path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * keep)])
    return path


def write_idx(path: Path, array: np.ndarray) -> bytes:
    """Write a uint8 array in the idx format and return the bytes."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    raw = header + array.astype(np.uint8).tobytes()
    path.write_bytes(raw)
    return raw
