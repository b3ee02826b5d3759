"""scikit-learn's digits, 8x8 pixels of 17 grey levels, which need no download.

The 707 test images are those of the benchmark `digits_convnet`; the other 1,090 are for training.
"""

import hashlib
import os

import numpy as np

from common.datasets import records

SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
NUM_IMAGES = 1797
NUM_TEST = 707
LEVEL = 15  # grey levels 0 to 16 times 15 span most of a byte


def load(data_dir: str | os.PathLike | None = None) -> records.Dataset:
    """Returns the dataset; `data_dir` is not needed.

    Raises:
      ValueError: if scikit-learn's images are not the expected ones.
    """
    del data_dir
    levels, labels = read()
    images = (levels * LEVEL)[..., None]
    train, test = np.split(shuffled(), [NUM_IMAGES - NUM_TEST])
    source = "scikit-learn's load_digits"
    return records.make(
        "digits", (images[train], labels[train]), (images[test], labels[test]), source=source, num_classes=10
    )


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
