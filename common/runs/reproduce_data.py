"""Synthetic data with the shapes of published data, for dry runs: random images, words and accuracies."""

import contextlib
import io
import pathlib

import numpy as np
import PIL.Image

from common import spaces
from common.datasets import prepared, text
from common.tables import table

_WORDS = {"ptb": 10_000, "wikitext2": 33_278}  # vocabularies
_NUM_VALID, _NUM_TEST = 12_000, 200  # words


def make(name: str, folder: pathlib.Path, *, num_images: int, image_size: int = 32) -> None:
    """Writes data of the shape of a published dataset, corpus or benchmark to a folder, unless it is there.

    Args:
      name: "cifar10", "imagenet" (and "imagenet_search", a part of it), a corpus of `text.FILES`, or "nasbench101".
      folder: for the --data_dir of commands.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    if name in text.FILES:
        _write_text(folder, _WORDS[name], rng)
    elif name == "nasbench101" and not (folder / f"{name}{table.SUFFIX}").exists():
        _write_table(folder / f"{name}{table.SUFFIX}", rng)
    elif name in prepared.SOURCES and not (folder / prepared.source_of(name).stored_name).exists():
        parts = {"train": num_images, "test": 16}
        shape = (image_size, image_size, 3)
        arrays = {f"x_{part}": rng.integers(0, 256, (num, *shape), np.uint8) for part, num in parts.items()}
        arrays |= {f"y_{part}": np.arange(num) % 10 for part, num in parts.items()}
        np.savez(folder / "images.npz", num_classes=10, **arrays)
        sources = {name: folder / "images.npz"}
        if name == "imagenet":
            sources = {name: _write_images(folder / "images", arrays), "imagenet_search": folder / "images.npz"}
        for one, source in reversed(sources.items()):  # `name` last: if it is there, all is
            if not (folder / prepared.source_of(one).stored_name).exists():
                with contextlib.redirect_stdout(io.StringIO()):
                    prepared.prepare(one, str(source), folder)


def _write_images(folder, arrays):
    """Writes images as a folder of ImageNet has them, and returns it."""
    for part, split in (("train", "train"), ("test", "val")):
        for at, (pixels, label) in enumerate(zip(arrays[f"x_{part}"], arrays[f"y_{part}"], strict=True)):
            (place := folder / split / f"n{label}").mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(pixels).save(place / f"{at}.JPEG")
    return folder


def _write_text(folder, size, rng):
    """Writes a corpus: every word once for training, random words for evaluation."""
    for part, words in (
        ("train", np.arange(size - 1)),
        ("valid", rng.integers(0, size - 1, _NUM_VALID)),
        ("test", rng.integers(0, size - 1, _NUM_TEST)),
    ):
        (folder / f"{part}.txt").write_text(" ".join(f"w{word}" for word in words) + "\n")


def _write_table(path, rng):
    """Writes a table of all networks of NAS-Bench-101, with random accuracies of three runs."""
    archs = spaces.get("nasbench101").enumerate()
    accuracy = rng.uniform(0.8, 0.95, (len(archs), 3)).astype(np.float32)
    metrics = {"validation": accuracy, "test": accuracy, "training_seconds": np.full(len(archs), 1000.0)}
    datasets = {"cifar10": {"validation": "validation", "test": "test", "cost": "training_seconds"}}
    info = table.Info("nasbench101", "nasbench101", datasets, "random numbers", "none", "Synthetic.")
    table.save(path, table.from_rows(info, archs, metrics))
