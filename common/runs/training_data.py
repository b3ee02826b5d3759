"""Images of a training run: in memory, or streamed from disk because they do not fit into memory (ImageNet)."""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax

from common.datasets import images as datasets
from common.datasets import records, streams
from common.training import config as configs
from common.training import loop, sharding, stream
from common.training import state as states

Chunks = Iterator[tuple[states.State, loop.Chunk]]
Scores = dict[str, float]  # "loss", "top1", "top5": means over images
_STEPS_PER_CHUNK = 8  # of a stream: 512 images of 224 pixels, 8 times, are 600 MB


class Images(NamedTuple):
    """Images of a training run.

    Attributes:
      chunks: (steps, state, keys, config, *, most, sharding, teacher) -> `Chunks`, from `state.step` to the last step.
        `most` is the maximum number of steps of a chunk, 0 for the default.
    """

    shape: tuple[int, int, int]  # (H, W, C)
    num_classes: int  # K
    mean: tuple[float, ...]  # of each channel, of pixels / 255
    std: tuple[float, ...]  # standard deviation, likewise
    sizes: Mapping[str, int]  # number of images by part: "train", "test" and, where images are held out, "validation"
    is_streamed: bool  # whether batches are read while training; all of them are whole then
    chunks: Callable[..., Chunks]
    scorer: Callable[..., Callable[[Any], Scores]]  # (steps, part, *, batch_size, sharding) -> (variables -> `Scores`)
    checksum: int | None = None  # of images and labels; None: they are streamed

    @property
    def watched(self) -> str:
        """The part that is evaluated during training and that determines the best checkpoint."""
        return "validation" if "validation" in self.sizes else "test"


def in_memory(name: str, data_dir: str | os.PathLike | None = None, *, held_out: int = 0) -> Images:
    """Returns a dataset that fits into memory.

    The `held_out` training images for validation are the same for every seed.

    Raises:
      ValueError: there is no such dataset, or it has too few images.
    """
    dataset = datasets.load(name, data_dir)
    if jax.process_index() == 0:
        datasets.report(dataset)
    parts = {"train": dataset.train, "test": dataset.test}
    if held_out:
        parts["train"], parts["validation"] = datasets.hold_out(dataset.train, held_out, key=jax.random.key(0))

    def data(part, split):
        return sharding.place(loop.Data(images=parts[part].images, labels=parts[part].labels), split)

    def chunks(steps, state, keys, config, *, sharding=None, **settings):
        return loop.train(steps, state, keys, data("train", sharding), config, sharding=sharding, **settings)

    def scorer(steps, part, *, batch_size, sharding=None):
        score = loop.evaluator(steps, batch_size=batch_size, sharding=sharding)
        images = data(part, sharding)
        return lambda variables: score(variables, images)

    statistics = {"num_classes": dataset.num_classes, "mean": dataset.mean, "std": dataset.std}
    statistics["checksum"] = records.checksum([dataset.train, dataset.test])
    sizes = {part: len(split.labels) for part, split in parts.items()}
    shape = dataset.train.images.shape[1:]
    return Images(shape=shape, **statistics, sizes=sizes, is_streamed=False, chunks=chunks, scorer=scorer)


def streamed(name: str, data_dir: str | os.PathLike | None, changes: streams.Config, *, seed: int) -> Images:
    """Returns a dataset prepared in `data_dir` that is read during training, in an order that `seed` determines.

    Batches are whole, also across the end of an epoch.

    Raises:
      ValueError: there is no such dataset.
    """
    source = streams.open_source(data_dir, name)

    def chunks(steps, state, keys, config, *, most=0, **settings):
        num_hosts = jax.process_count()  # each reads its share of a batch, which can be split evenly over all devices
        done, per_epoch = int(state.step), configs.steps_per_epoch(config, len(source.train))
        batches = streams.train_batches(
            source.train,
            changes,
            batch_size=config.batch_size // num_hosts,
            seed=seed,
            shard=(jax.process_index(), num_hosts),
            start=done,
        )
        pairs = ((batch["images"], batch["labels"]) for batch in batches)
        while done < config.num_epochs * per_epoch:  # an epoch at a time, so that chunks end where epochs do
            length = per_epoch - done % per_epoch
            epoch = itertools.islice(pairs, length)
            chunks = stream.train(steps, state, keys, epoch, most=most or _STEPS_PER_CHUNK, **settings)
            for state, chunk in chunks:
                yield state, chunk
            done += length

    def scorer(steps, part, *, batch_size, sharding=None):
        def batches():
            pairs = streams.evaluation_batches(source.test, changes, batch_size=batch_size)
            return ((batch["images"], batch["labels"]) for batch in pairs)

        return lambda variables: stream.evaluate(steps, variables, batches(), batch_size=batch_size)

    statistics = {"num_classes": source.num_classes, "mean": source.mean, "std": source.std}
    sizes = {"train": len(source.train), "test": len(source.test)}
    shape = (changes.image_size, changes.image_size, 3)
    return Images(shape=shape, **statistics, sizes=sizes, is_streamed=True, chunks=chunks, scorer=scorer)
