"""scikit-learn's digits, 8x8 pixels of 17 grey levels, which need no download; plain, and among clutter."""

import hashlib
import os

import numpy as np

from common.datasets import records

SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
NUM_IMAGES, NUM_TEST = 1797, 707  # the test images are those of the benchmark `digits_convnet`
LEVEL = 15  # grey levels 0 to 16 times 15 span most of a byte
SIZE, PIECE, NUM_PIECES = 12, 3, 4  # of cluttered digits
TRAIN_COPIES, TEST_COPIES = 2, 4  # cluttered images of each digit
CLUTTERED_SHA256 = "1611bdb0c4d056e6773cc204357337b084071ad90200f2a26e41c497e6c9fdce"


def load(data_dir: str | os.PathLike | None = None) -> records.Dataset:
    """Returns the digits, 1,090 for training and 707 for tests; `data_dir` is not needed.

    Raises:
      ValueError: if scikit-learn's images are not the expected ones.
    """
    del data_dir
    levels, labels = read()
    images = (levels * LEVEL)[..., None]
    parts = [(images[part], labels[part]) for part in np.split(shuffled(), [NUM_IMAGES - NUM_TEST])]
    return records.make("digits", *parts, source="scikit-learn's load_digits", num_classes=10)


def load_cluttered(data_dir: str | os.PathLike | None = None) -> records.Dataset:
    """Returns cluttered digits, 2,180 images of 12x12 pixels for training and 2,828 for tests; needs no `data_dir`.

    Nearly every network classifies 98 % of the plain digits correctly, so they hardly separate architectures. Here a
    digit lies at a random place over four 3x3 patches of others: a small version of the cluttered translated MNIST of
    Mnih et al. (2014, arXiv:1406.6247, section 4.2). The two training images of a digit are one group.

    Raises:
      ValueError: if scikit-learn's images or NumPy's random numbers are not the expected ones.
    """
    del data_dir
    levels, labels = read()
    levels = levels * LEVEL
    rng = np.random.RandomState(0)  # the same numbers in every version of NumPy
    train, test = np.split(shuffled(), [NUM_IMAGES - NUM_TEST])
    groups = np.tile(np.arange(len(train)), TRAIN_COPIES)
    train, test = np.tile(train, TRAIN_COPIES), np.tile(test, TEST_COPIES)
    parts = [(clutter(rng, levels[part])[..., None], labels[part]) for part in (train, test)]
    found = hashlib.sha256(b"".join(images.tobytes() for images, _ in parts)).hexdigest()
    if found != CLUTTERED_SHA256:
        raise ValueError(f"digits were put among others otherwise: SHA-256 {found}, expected {CLUTTERED_SHA256}")
    source = "scikit-learn's load_digits"
    return records.make("cluttered_digits", *parts, source=source, num_classes=10, groups=groups)


def clutter(rng: np.random.RandomState, images: np.ndarray) -> np.ndarray:
    """Returns uint8[N, 12, 12]: uint8[N, H, W], at most that large, at random places over patches of each other."""
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


def read() -> tuple[np.ndarray, np.ndarray]:
    """Returns (grey levels uint8[1797, 8, 8] from 0 to 16, labels int32[1797]) in scikit-learn's order.

    Raises:
      ValueError: if scikit-learn's images are not the expected ones.
    """
    from sklearn import datasets  # takes a second to import

    levels, labels = datasets.load_digits(return_X_y=True)
    levels, labels = levels.astype(np.uint8), labels.astype(np.int32)
    found = hashlib.sha256(levels.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()
    if found != SHA256:
        raise ValueError(f"sklearn.datasets.load_digits gave other images: SHA-256 {found}, expected {SHA256}")
    return levels.reshape(-1, 8, 8), labels


def shuffled() -> np.ndarray:
    """Returns the indices of all images in a fixed random order, in which splits are consecutive."""
    import jax

    return np.asarray(jax.random.permutation(jax.random.key(0), NUM_IMAGES))
