"""ImageNet as a stream: images are decoded and augmented on the host while the device trains.

Augmentation is that of the published code (torchvision's RandomResizedCrop, RandomHorizontalFlip and ColorJitter on
Pillow images). Randomness depends on the seed and the place of an example in the stream, not on threads or hosts.
"""

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from common import config as configs
from common.datasets import jitter, prepared, tfds_format
from common.file_formats import pictures

_COUNT, _SIZE = configs.Range(at_least=0), configs.Range(at_least=1)
_AREA = configs.Range(above=0, at_most=1)
_CHANGE, _HUE = configs.Range(at_least=0, at_most=1), configs.Range(at_least=0, at_most=0.5)


@configs.dataclass
class Config:
    """Decoding and augmentation of streamed images; the defaults are those of NAONet on ImageNet."""

    image_size: Annotated[int, "side of the images that the network gets, in pixels", _SIZE] = 224
    resized: Annotated[int, "length of a test image's shorter side before the central crop, in pixels", _SIZE] = 256
    min_area: Annotated[float, "smallest area of a random crop, as a fraction", _AREA] = 0.08
    brightness: Annotated[float, "range of the random brightness factor, 1 +- this", _CHANGE] = 0.4
    contrast: Annotated[float, "range of the random contrast factor, 1 +- this", _CHANGE] = 0.4
    saturation: Annotated[float, "range of the random saturation factor, 1 +- this", _CHANGE] = 0.4
    hue: Annotated[float, "range of the random hue shift, +- this fraction of the circle", _HUE] = 0.2
    num_threads: Annotated[int, "threads that decode images", _SIZE] = 16
    num_processes: Annotated[int, "processes that decode images, each with num_threads; 0: only this one", _COUNT] = 0
    prefetch: Annotated[int, "images decoded ahead", _SIZE] = 512

    def __post_init__(self):
        if self.resized < self.image_size:
            raise ValueError(f"resized must be at least image_size = {self.image_size}; got {self.resized}")


PRESETS: dict[str, Config] = {"naonet": Config(), "seminasnet": Config(hue=0.1)}


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A dataset on disk that is streamed.

    Attributes:
      train: examples, dictionaries with "image" (encoded bytes) and "label".
      test: test examples, likewise.
      mean: published mean of each channel, of pixels / 255.
      std: published standard deviation of each channel.
    """

    train: Sequence[dict]
    test: Sequence[dict]
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def open_source(data_dir: str | os.PathLike | None, name: str = "imagenet") -> Source:
    """Opens a prepared dataset (see `launch.prepare_data`) without reading images.

    Raises:
      ValueError: if it is missing or damaged.
    """
    folder = prepared.find(name, data_dir)
    train, test = (tfds_format.open_split(folder, split) for split in ("train", prepared.source_of(name).test))
    mean, std = prepared.source_of(name).statistics or prepared.IMAGENET_STATISTICS
    return Source(train=train, test=test, num_classes=tfds_format.num_classes(folder), mean=mean, std=std)


def train_batches(
    examples: Sequence[dict],
    config: Config,
    *,
    batch_size: int,
    seed: int,
    shard: tuple[int, int] = (0, 1),
    num_epochs: int | None = None,
    start: int = 0,
) -> Any:
    """Streams training batches, reshuffled in each epoch.

    Args:
      examples: `Source.train`.
      config: decoding and augmentation.
      batch_size: images per batch on this host.
      seed: of the order and the augmentation.
      shard: (this host, number of hosts): each epoch's images are divided among hosts; a remainder is dropped.
      num_epochs: passes over the examples; None: unlimited.
      start: batches to leave out at the beginning, for a training that resumes.

    Returns:
      A `grain.IterDataset` of {"images": uint8[B, S, S, 3], "labels": int32[B]}. Its iterators have `get_state` and
      `set_state`.

    Raises:
      ValueError: if the shard or a size is out of range.
    """
    import grain

    _check(examples, batch_size, shard)
    index, count = shard
    per_host = len(examples) // count
    if per_host < batch_size:
        raise ValueError(f"batch_size = {batch_size} is more than the {per_host} training images of a host")
    dataset = grain.MapDataset.source(_Examples(examples)).seed(seed).shuffle()
    dataset = dataset.random_map(functools.partial(_augment, config))  # before the split by host: as on one host
    dataset = dataset[index : per_host * count : count].repeat(num_epochs)
    dataset = dataset.batch(batch_size, drop_remainder=True, batch_fn=_stack)[start:]
    return _read(dataset, config, batch_size)


def evaluation_batches(examples: Sequence[dict], config: Config, *, batch_size: int) -> Any:
    """Streams `Source.test` once, in order, in batches as those of `train_batches`; the last may be smaller."""
    import grain

    _check(examples, batch_size, (0, 1))
    dataset = grain.MapDataset.source(_Examples(examples))
    dataset = dataset.map(functools.partial(_crop_centre, config)).batch(batch_size, batch_fn=_stack)
    return _read(dataset, config, batch_size)


def _check(examples, batch_size, shard):
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(f"shard must be (host, number of hosts), the host from 0; got {shard}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1; got {batch_size}")
    if len(examples) < count:
        raise ValueError(f"{len(examples)} images are too few for {count} hosts")


def _read(dataset, config, batch_size):
    import grain

    ahead = max(1, config.prefetch // batch_size)
    dataset = dataset.to_iter_dataset(grain.ReadOptions(num_threads=config.num_threads, prefetch_buffer_size=ahead))
    if config.num_processes:
        dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=config.num_processes))
    return dataset


def _stack(examples):
    return {
        "images": np.stack([example["image"] for example in examples]),
        "labels": np.array([example["label"] for example in examples], np.int32),
    }


@dataclasses.dataclass(frozen=True, eq=False)
class _Examples:
    """A random-access source for grain."""

    examples: Sequence[dict]

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, index):
        return self.examples[int(index)]


def _augment(config, example, rng):
    image = pictures.decode(example["image"]).convert("RGB")
    image = jitter.resized_crop(image, jitter.draw_crop(rng, image.size, config.min_area), config.image_size)
    image = jitter.flip(image) if rng.random() < 0.5 else image
    image = jitter.recolor(image, jitter.draw_colors(rng, config))
    return {"image": np.asarray(image), "label": example["label"]}


def _crop_centre(config, example):
    image = prepared.decode_centre(example["image"], config.image_size, config.resized)
    return {"image": image, "label": example["label"]}
