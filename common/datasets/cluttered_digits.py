"""Cluttered digits of 12x12 pixels, a harder variant of `digits` that needs no download.

Nearly every network classifies 98 % of scikit-learn's digits correctly, so they hardly separate architectures. Here a
digit of 8x8 pixels lies at a random place on a larger image, over four 3x3 patches of other digits: a small version of
the cluttered translated MNIST of Mnih et al. (2014, arXiv:1406.6247, section 4.2).
"""

import hashlib
import os

import numpy as np

from common.datasets import digits, records

SIZE, PIECE, NUM_PIECES = 12, 3, 4
TRAIN_COPIES, TEST_COPIES = 2, 4  # images of each digit
SHA256 = "1611bdb0c4d056e6773cc204357337b084071ad90200f2a26e41c497e6c9fdce"


def load(data_dir: str | os.PathLike | None = None) -> records.Dataset:
    """Returns the dataset, 2,180 images for training and 2,828 for tests; `data_dir` is not needed.

    Digits and patches belong to the training or test set as in `digits`. The two training images of a digit are one
    group, so that both are trained on or both are held out.

    Raises:
      ValueError: if scikit-learn's images or NumPy's random numbers are not the expected ones.
    """
    del data_dir
    levels, labels = digits.read()
    levels = levels * digits.LEVEL
    rng = np.random.RandomState(0)  # the same numbers in every version of NumPy
    train, test = np.split(digits.shuffled(), [digits.NUM_IMAGES - digits.NUM_TEST])
    groups = np.tile(np.arange(len(train)), TRAIN_COPIES)
    train, test = np.tile(train, TRAIN_COPIES), np.tile(test, TEST_COPIES)
    parts = [(clutter(rng, levels[part])[..., None], labels[part]) for part in (train, test)]
    found = hashlib.sha256(b"".join(images.tobytes() for images, _ in parts)).hexdigest()
    if found != SHA256:
        raise ValueError(f"digits were put among others otherwise: SHA-256 {found}, expected {SHA256}")
    source = "scikit-learn's load_digits"
    return records.make("cluttered_digits", *parts, source=source, num_classes=10, groups=groups)


def clutter(rng: np.random.RandomState, images: np.ndarray) -> np.ndarray:
    """Returns uint8[N, 12, 12], each image at a random place over patches of others.

    Args:
      rng: source of the patches and places.
      images: uint8[N, H, W], at most 12x12 pixels.
    """
    found = np.zeros((len(images), SIZE, SIZE), np.uint8)
    for _ in range(NUM_PIECES):
        sources = images[rng.randint(len(images), size=len(images))]
        pieces = sources[_window(rng, sources, PIECE)]
        at = _window(rng, found, PIECE)
        found[at] = np.maximum(found[at], pieces)
    at = _window(rng, found, images.shape[1])
    found[at] = np.maximum(found[at], images)
    return found


def _window(rng, images, size):
    """Returns the index of a window [N, size, size] at a random place of each of uint8[N, S, S]."""
    top, left = rng.randint(images.shape[1] - size + 1, size=(2, len(images), 1, 1))
    pixels = np.arange(size)
    return np.arange(len(images))[:, None, None], top + pixels[:, None], left + pixels
