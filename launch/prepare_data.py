"""Prepares a dataset to train on from the files its authors publish.

  python -m launch.prepare_data --dataset=cifar10 --source=cifar-10-python.tar.gz --data_dir=DIR
  python -m launch.prepare_data --dataset=cifar100 --source=cifar-100-binary.tar.gz --data_dir=DIR
  python -m launch.prepare_data --dataset=imagenet --source=FOLDER --data_dir=DIR
  python -m launch.prepare_data --dataset=NAME --source=FILE.npz --data_dir=DIR
  python -m launch.prepare_data --dataset=NAME --source=FOLDER --image_size=32 --data_dir=DIR

CIFAR is read from the Python or the binary archive; ImageNet from a folder with the folders train and val, each with a
folder of images for each class; any other from a NumPy file with the arrays x_train, y_train, x_test and y_test, or
from a folder with a folder of images for each class, resized to one size.
The result is a dataset of TensorFlow Datasets (array_record files) in a folder of DIR; TensorFlow is not needed.
Writing takes up to twice its size on disk.
"""

import sys
import time
from collections.abc import Sequence

from absl import flags

from common.datasets import prepared
from launch import commands


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return commands.run_main("prepare_data", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    names = ", ".join(prepared.SOURCES)
    flags.DEFINE_string(
        "dataset", None, f"{names}, or a name of your own for an npz file or a folder", flag_values=values
    )
    flags.DEFINE_string("source", None, "published archive or folder, or npz file", flag_values=values)
    text = (
        "pixels of the sides of images of a folder of your own, which are resized and cropped; by default as they are"
    )
    flags.DEFINE_integer("image_size", None, text, flag_values=values)
    flags.DEFINE_string("data_dir", None, "folder of prepared datasets", flag_values=values)


def run(values: flags.FlagValues) -> None:
    """Prepares the dataset named by the flags and prints its folder and size."""
    if not values.dataset:
        names = ", ".join(prepared.SOURCES)
        raise ValueError(f"give --dataset, one of {names}, or a name of your own for an npz file or a folder")
    if not values.source or not values.data_dir:
        command = prepared.command_for(values.dataset, values.data_dir)
        raise ValueError(f"give --source and --data_dir: `{command}`")
    start = time.perf_counter()
    folder = prepared.prepare(values.dataset, values.source, values.data_dir, image_size=values.image_size)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder}: {size:,} bytes, prepared in {time.perf_counter() - start:.1f} seconds")
    print(f"use it with --dataset={values.dataset} --data_dir={values.data_dir}")


if __name__ == "__main__":
    sys.exit(main())
