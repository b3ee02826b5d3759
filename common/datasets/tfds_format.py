"""Datasets on disk in the format of TensorFlow Datasets, in array_record files, without TensorFlow.

The format is that of `tfds build --file_format=array_record`, and `tfds.data_source` reads it.
"""

import contextlib
import io
import os
import pathlib
import shutil
from collections.abc import Callable, Sequence

import numpy as np

from common.datasets import archives
from common.file_formats import files, json_values, pictures
from common.records import locks

_CHUNK = 512  # examples read at once


def folder_of(name: str, data_dir: str | os.PathLike) -> pathlib.Path | None:
    """Returns the folder of the newest version of a dataset in `data_dir`, or None."""
    found = [path.parent for path in pathlib.Path(data_dir, name).glob("*/dataset_info.json")]
    return max(found, key=lambda path: [int(part) for part in path.name.split(".") if part.isdigit()], default=None)


def open_split(folder: pathlib.Path, split: str) -> Sequence[dict]:
    """Returns the examples of a split, dictionaries with images as encoded bytes; for `folder` see `folder_of`.

    Raises:
      ValueError: if the dataset is damaged, in another file format, or has no such split.
    """
    import tensorflow_datasets as tfds

    with files.reporting(folder / "dataset_info.json", "is damaged: it holds no JSON object"):
        file_format = json_values.read(folder / "dataset_info.json").get("fileFormat")
    if file_format != "array_record":
        command = "tfds build --file_format=array_record"
        raise ValueError(f"{folder} holds {file_format} files; want array_record ({command})")
    with _reporting_damage(folder, split):
        builder = tfds.builder_from_directory(folder)
        if split not in builder.info.splits:
            raise ValueError(f"{folder} has no split {split}; it has {', '.join(builder.info.splits)}")
        for name in builder.info.splits[split].filenames:
            if not (folder / name).is_file():
                raise ValueError(f"{folder} is incomplete: {name} is missing")
        return builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})


def num_classes(folder: pathlib.Path) -> int:
    """Returns the number of classes of a dataset."""
    with files.reporting(folder / "features.json", "does not describe images with a label"):
        features = json_values.read(folder / "features.json")["featuresDict"]["features"]
        return int(features["label"]["classLabel"]["numClasses"])


def class_names(folder: pathlib.Path) -> tuple[str, ...]:
    """Returns the names of the classes of a dataset; none where they are not known."""
    path = folder / "label.labels.txt"
    return tuple(filter(None, files.read_text(path).split("\n"))) if path.exists() else ()


def read_split(
    folder: pathlib.Path, split: str, decode: Callable[[bytes], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (uint8[N, H, W, C], labels [N]) of a split; `decode` turns encoded bytes into uint8[H, W, C].

    Raises:
      ValueError: if the dataset is damaged, has no such split, or images of several sizes.
    """
    source = open_split(folder, split)
    images, labels = [], []
    with _reporting_damage(folder, split):
        for start in range(0, len(source), _CHUNK):
            for example in source.__getitems__(range(start, min(start + _CHUNK, len(source)))):
                images.append(decode(example["image"]))
                labels.append(example["label"])
    shapes = {image.shape for image in images}
    if len(shapes) != 1:
        raise ValueError(f"images of {split} of {folder} have {len(shapes)} sizes; want one")
    return np.stack(images), np.array(labels)


def decode_image(contents: bytes) -> np.ndarray:
    """Returns uint8[H, W, C] of an encoded image."""
    image = np.asarray(pictures.decode(contents))
    return image[..., None] if image.ndim == 2 else image


def write(
    name: str, version: str, published: archives.Published, data_dir: pathlib.Path, report: Callable[[str], None]
) -> pathlib.Path:
    """Writes a dataset, its examples in order; equal examples give equal files.

    Args:
      report: called with the name of the split after each example.

    Returns:
      The folder NAME/VERSION in `data_dir`, which appears only when complete.

    Raises:
      ValueError: if it exists already, or cannot be written.
    """
    target = data_dir / name / version
    if target.exists():
        raise ValueError(f"{target} exists already; remove it to prepare {name} again")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = data_dir / f".{name}-{version}.tmp"
        temporary.mkdir(exist_ok=True)  # or that of a killed process
    except OSError as error:
        raise ValueError(f"cannot write to {data_dir}: {error.strerror}") from error
    with locks.hold(temporary / "lock", what=str(temporary)):
        return _write(name, version, published, temporary, target, report)


def _write(name, version, published, temporary, target, report):
    """Writes a dataset to a temporary folder, and then renames it."""
    try:
        shutil.rmtree(temporary / name, ignore_errors=True)
        _build(name, version, published, temporary, report)
        os.rename(temporary / name / version, target)
    except (OSError, RuntimeError) as error:  # the writer of array_record raises the latter
        reason = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())[:200]
        raise ValueError(f"cannot write {target}: {reason}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):
            target.parent.rmdir()  # if nothing was written
    return target


def _build(name, version, published, folder, report):
    import tensorflow_datasets as tfds

    name_feature = "file_name" if name == "imagenet2012" else "id"
    features = {
        name_feature: tfds.features.Text(),
        "image": tfds.features.Image(shape=published.image_shape, encoding_format=published.encoding),
    }
    for label, classes in published.classes.items():
        kind = {"num_classes": classes} if isinstance(classes, int) else {"names": classes}
        features[label] = tfds.features.ClassLabel(**kind)

    def numbered(split, part):
        for number, (image, labels, image_name) in enumerate(part.examples):
            yield number, {name_feature: image_name, "image": image, **labels}
            report(split)

    with tfds.core.registered.skip_registration():

        class Builder(tfds.core.GeneratorBasedBuilder):
            """Passes the examples on."""

            VERSION = tfds.core.Version(version)
            pkg_dir_path = folder  # without descriptions and checksums
            code_path = None

            def _info(self):
                return tfds.core.DatasetInfo(
                    builder=self,
                    description=f"{name}, from the files as published",
                    features=tfds.features.FeaturesDict(features),
                    supervised_keys=("image", "label"),
                    disable_shuffling=True,
                )

            def _split_generators(self, _):
                return {split: numbered(split, part) for split, part in published.parts.items()}

            def _generate_examples(self):
                """Never called."""

    Builder.name = name
    builder = Builder(data_dir=folder, file_format="array_record")
    config = tfds.download.DownloadConfig(compute_stats=tfds.download.ComputeStatsMode.SKIP)
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()), _in_fixed_order():
        builder.download_and_prepare(download_config=config)


@contextlib.contextmanager
def _in_fixed_order():
    """Makes equal examples equal bytes; TensorFlow Datasets writes the fields of an example in the order of hashes."""
    from tensorflow_datasets.core import example_serializer

    kind = example_serializer.ExampleSerializer
    before = kind.serialize_example
    kind.serialize_example = lambda self, example: self.get_tf_example(example).SerializeToString(deterministic=True)
    try:
        yield
    finally:
        kind.serialize_example = before


@contextlib.contextmanager
def _reporting_damage(folder, split):
    """Turns the exceptions of a damaged dataset into a `ValueError`."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(f"cannot read split {split} of {folder}, is it damaged? {error}") from error
