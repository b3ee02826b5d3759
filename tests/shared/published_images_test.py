"""Complete image datasets, if available."""

import os
import pathlib
import tempfile

import numpy as np
import pytest
from absl.testing import parameterized

from benchmarks import unpack_cifar10
from common.datasets import images, prepared


def published(name):
    """Returns the path of a file in the folder that NAS_DATA_DIR names; skips the test where it is absent."""
    path = pathlib.Path(os.environ.get("NAS_DATA_DIR", "/nowhere"), name)
    if not path.is_file():
        pytest.skip(f"no {path}; set NAS_DATA_DIR")
    return path


@pytest.mark.slow
class PublishedImagesTest(parameterized.TestCase):
    def test_cifar10_from_jpegs(self):
        path = published("cifar10/cifar10_jpeg_q75.npz")
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        arrays = unpack_cifar10.unpack(path)
        np.savez(folder / "cifar10.npz", num_classes=10, **arrays)
        prepared.prepare("cifar10", str(folder / "cifar10.npz"), str(folder))
        data = images.load("cifar10", folder)
        assert (data.train.images.shape, data.test.images.shape) == ((50_000, 32, 32, 3), (10_000, 32, 32, 3))
        np.testing.assert_array_equal(np.bincount(data.train.labels), np.full(10, 5000))
        np.testing.assert_array_equal(np.bincount(data.test.labels), np.full(10, 1000))
        np.testing.assert_array_equal(data.train.images, arrays["x_train"])
        np.testing.assert_array_equal(data.test.images, arrays["x_test"])
        measured = (data.train.images / np.float32(255)).mean(axis=(0, 1, 2), dtype=np.float64)
        np.testing.assert_allclose(measured, data.mean, atol=3e-3)  # JPEGs of quality 75 differ by so much

    def test_mnist(self):
        data = images.load("mnist", published("mnist/mnist.npz").parents[1])
        assert (data.train.images.shape, data.test.images.shape) == ((60_000, 28, 28, 1), (10_000, 28, 28, 1))
        np.testing.assert_allclose([*data.mean, *data.std], [0.1307, 0.3081], atol=5e-5)
        np.testing.assert_array_equal(data.train.labels[:8], [5, 0, 4, 1, 9, 2, 1, 3])
