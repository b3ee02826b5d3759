"""Images for the page of `search_images`: training images as the network sees them, and mistakes on test images."""

import pathlib
from typing import Any

import jax
import numpy as np

from common.datasets import images
from common.records import run_dir
from common.report import own_classes
from common.runs import image_trainings
from common.training import augmentation

_NUM_SHOWN, _NUM_VIEWS = 8, 2  # training images, and augmented versions of each
_NUM_PAIRS, _NUM_OF_PAIR = 5, 6  # confusions, and images of each


def write_examples(folder: pathlib.Path, dataset: images.Dataset) -> dict[str, Any]:
    """Writes training images, of as many classes as possible, and augmented versions of them.

    Returns:
      The description of the images for config.json and the page.
    """
    labels = dataset.train.labels
    repeats = np.zeros(len(labels), int)  # of each image, how many of its class come before it
    for label in range(dataset.num_classes):
        repeats[labels == label] = np.arange(np.sum(labels == label))
    shown = np.lexsort((labels, repeats))[:_NUM_SHOWN]
    chosen, config = dataset.train.images[shown], image_trainings.augment(dataset)
    blank = np.zeros(chosen.shape[-1])
    views = [augmentation.augment(jax.random.key(at), chosen, config, blank, blank + 1) for at in range(_NUM_VIEWS)]
    augmented = np.round(255 * np.stack(views)).astype(np.uint8)
    run_dir.write_arrays(
        folder / own_classes.EXAMPLES, {"images": chosen, "augmented": augmented, "labels": labels[shown]}
    )
    long = image_trainings.augment(dataset, image_trainings.MUCH_WORK)
    also = "; in long trainings of large networks also by AutoAugment" if long != config else ""
    return {
        "classes": dataset.num_classes,
        "class_names": list(dataset.class_names),
        "image_shape": list(dataset.train.images.shape[1:]),
        "num_images": {"train": len(dataset.train), "test": len(dataset.test)},
        "augmentation": augmentation.describe(config) + also,
    }


def write_mistakes(folder: pathlib.Path, dataset: images.Dataset, predicted: np.ndarray) -> None:
    """Writes test images of the most frequent confusions; `predicted` int32[N] are the classes of all."""
    labels = dataset.test.labels
    wrong = np.flatnonzero(labels != predicted)
    pairs, places, counts = np.unique(
        labels[wrong].astype(np.int64) * dataset.num_classes + predicted[wrong], return_inverse=True, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")[:_NUM_PAIRS]
    shown = np.concatenate([wrong[places == at][:_NUM_OF_PAIR] for at in order]) if len(pairs) else wrong
    run_dir.write_arrays(
        folder / own_classes.MISTAKES,
        {"images": dataset.test.images[shown], "labels": labels[shown], "predicted": predicted[shown]},
    )
