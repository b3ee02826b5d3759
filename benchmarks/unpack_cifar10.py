"""Unpacks CIFAR-10 stored as JPEGs in one NumPy file, for use when the published archive is not available.

  python -m benchmarks.unpack_cifar10 --source=cifar10_jpeg_q75.npz --output=cifar10.npz
  python -m launch.prepare_data --dataset=cifar10 --source=cifar10.npz --data_dir=DIR

JPEG i is `header` and then `body[offset[i]:offset[i + 1]]`; `label` and `is_train` describe it. JPEG is lossy, so
accuracies differ slightly from published ones. The file is sorted by class; training shuffles it.
"""

import argparse
import io
import itertools
import pathlib

import numpy as np
import PIL.Image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    arrays = unpack(arguments.source)
    np.savez(arguments.output, num_classes=10, **arrays)
    print(f"{arguments.output}: {len(arrays['y_train']):,} training images, {len(arrays['y_test']):,} test images")


def unpack(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns x_train, y_train, x_test and y_test."""
    with np.load(path) as file:
        packed = dict(file)
    header, body, offset = packed["header"].tobytes(), packed["body"].tobytes(), packed["offset"]
    images = np.stack(
        [np.asarray(PIL.Image.open(io.BytesIO(header + body[start:end]))) for start, end in itertools.pairwise(offset)]
    )
    is_train, labels = packed["is_train"].astype(bool), packed["label"].astype(np.int32)
    return {
        "x_train": images[is_train],
        "y_train": labels[is_train],
        "x_test": images[~is_train],
        "y_test": labels[~is_train],
    }


if __name__ == "__main__":
    main()
