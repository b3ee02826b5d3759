"""Prepares a dataset to train on from the files its authors publish.

  python -m launch.prepare_data --dataset=cifar10 --source=cifar-10-python.tar.gz --data_dir=DIR
  python -m launch.prepare_data --dataset=cifar100 --source=cifar-100-binary.tar.gz --data_dir=DIR
  python -m launch.prepare_data --dataset=imagenet --source=FOLDER --data_dir=DIR
  python -m launch.prepare_data --dataset=NAME --source=FILE.npz --data_dir=DIR

CIFAR comes as the archive for Python or the binary one; ImageNet as a folder with the folders train and val, each
with a folder of images for each class; any other dataset as a NumPy file with the arrays x_train, y_train, x_test
and y_test. The result, in a folder of DIR, is what TensorFlow Datasets writes (array_record files); TensorFlow is not
needed, neither here nor in training. It takes up to twice its size on disk while it is written.
"""

import pathlib
import re
import sys
import time
from collections.abc import Sequence

from absl import flags

from common.datasets import prepared, tfds_format
from common.records import progress
from launch import flags as launch_flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return launch_flags.run_main("prepare_data", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    names = ", ".join(prepared.SOURCES)
    flags.DEFINE_string("dataset", None, f"{names}, or a name of your own for an npz file", flag_values=values)
    flags.DEFINE_string("source", None, "archive, folder or npz file as published", flag_values=values)
    flags.DEFINE_string("data_dir", None, "folder of prepared datasets", flag_values=values)


def run(values: flags.FlagValues) -> None:
    """Prepares the dataset that the flags ask for, and says what it holds."""
    start = time.perf_counter()
    folder = prepare(dataset=values.dataset, source=values.source, data_dir=values.data_dir)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder}: {size:,} bytes, prepared in {time.perf_counter() - start:.1f} seconds")


def prepare(*, dataset: str | None, source: str | None, data_dir: str | None) -> pathlib.Path:
    """Writes a dataset and returns its folder.

    Args:
      dataset: a key of `prepared.SOURCES`, or a new name for a NumPy file.
      source: the archive, folder or file.
      data_dir: the folder of prepared datasets.

    Raises:
      ValueError: if an argument is missing or of no use, or the source is not sound.
    """
    names = ", ".join(prepared.SOURCES)
    if not dataset:
        raise ValueError(f"give --dataset, one of {names}, or a name of your own for an npz file")
    is_array_file = bool(source) and source.endswith(".npz")
    if dataset not in prepared.SOURCES and source and not is_array_file:
        raise ValueError(f"unknown --dataset={dataset}; choose one of {names}, or give an npz file as --source")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", dataset):
        raise ValueError(f"--dataset must be lower-case letters, digits and _, with a letter first; got {dataset!r}")
    if not source or not data_dir:
        raise ValueError(f"give --source and --data_dir: `{prepared.command_for(dataset, data_dir)}`")
    kind = prepared.source_of(dataset)
    read = prepared.archives.read_arrays if is_array_file else kind.read
    published = read(pathlib.Path(source))
    for split, part in published.parts.items():
        print(f"{dataset}: {part.num_examples:,} images in {split}")
    total = sum(part.num_examples for part in published.parts.values())
    done = 0
    with progress.Progress(dataset, total=total, unit="images") as shown:

        def report(split, *_):
            nonlocal done
            done += 1
            shown.update(done, split)

        return tfds_format.write(kind.stored_name, kind.version, published, pathlib.Path(data_dir), report=report)


if __name__ == "__main__":
    sys.exit(main())
