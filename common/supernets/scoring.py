"""Fitness of convolutional networks on shared weights: a look at validation images, without training.

An architecture is data, so one program scores all of a space. Norms take the statistics of the batch, in scoring as
in training, as in both programs of NAO; or statistics that were collected for the architecture just before.
"""

import functools
import os
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from common import one_round, types
from common.supernets import config as configs
from common.supernets import training
from common.training import step as step_lib

PROTOCOLS = ("validation", "test")
_AT_ONCE = 8  # architectures a call of the program, which is compiled for one and for so many
_MOST_SCORED = 500  # images, as the programs of NAO score


def evaluator(
    folder: str | os.PathLike,
    *,
    data_dir: str | os.PathLike | None = None,
    protocol: str = "validation",
    **settings: Any,
) -> types.Evaluator:
    """Returns the evaluator on the shared weights that were trained in `folder`.

    Args:
      folder: of a run of launch.train_supernet.
      data_dir: of the dataset, see `images.load`.
      protocol: what `evaluate` gives: "validation", or "test" for the test images.
      **settings: fields of `configs.Scoring`.

    Raises:
      ValueError: the weights are not there, not trained to the end, or a setting makes no sense.
    """
    run, params = training.load(folder, data_dir)
    found = of(run, params, configs.Scoring(**settings), protocol=protocol)
    told = {
        "folder": str(pathlib.Path(folder).absolute()),
        "data_dir": None if data_dir is None else str(pathlib.Path(data_dir).absolute()),
        "protocol": protocol,
        **settings,
    }
    return found._replace(recipe=types.Recipe(f"{__name__}.evaluator", told))


def of(
    run: training.Run, params: Any, config: configs.Scoring | None = None, *, protocol: str = "validation"
) -> types.Evaluator:
    """Returns the evaluator on given shared weights.

    The fitness is the accuracy on images held out from training; the test fitness is that on all test images, on
    shared weights too. The cost is the time taken, compiling included. Of an invalid row, and where the network gives
    what is no number, `ok` is False.

    Args:
      run: what was trained.
      params: its trained parameters.
      config: what is looked at.
      protocol: what `evaluate` gives.

    Raises:
      ValueError: a setting makes no sense.
    """
    config = configs.Scoring() if config is None else config
    if protocol not in PROTOCOLS:
        raise ValueError(f"unknown protocol {protocol!r}; choose one of {', '.join(PROTOCOLS)}")
    num_images = _num_scored(config, len(run.parts[protocol].labels))
    calibration = None
    if config.statistics == "recalibrated":
        calibration = jnp.asarray(_calibration(run, config))
    measure = functools.partial(_measure, run, params, calibration, config.batch_size)
    settings = [config.method, f"num_images={num_images}", f"batch_size={config.batch_size}", config.statistics]
    return types.Evaluator(
        name=f"supernet/{pathlib.Path(run.about['dataset']).stem}/{','.join(settings)}",
        space=run.space,
        protocol=protocol,
        evaluate=functools.partial(measure, _Images(run, protocol, config.method, num_images)),
        test=functools.partial(measure, _Images(run, "test", "all", len(run.parts["test"].labels))),
        optimum=None,
        num_archs=None,
        is_traceable=False,
    )


class _Images:
    """The images that are looked at: on the device, and which of them each architecture gets."""

    def __init__(self, run, part, method, num_scored):
        self.data = run.data(part)
        self._num, self._method, self._num_scored = len(run.parts[part].labels), method, num_scored
        # Datasets may come ordered by class.
        self._order = np.asarray(jax.random.permutation(jax.random.key(0), self._num))

    def rows(self, key, archs):
        """Returns int32[B, n], the images of each architecture."""
        batch, num = len(archs), self._num_scored
        if self._method == "random":
            return np.asarray(_permutations(one_round.candidate_keys(key, archs), num=self._num))[:, :num]
        starts = np.zeros(batch, int)
        if self._method == "consecutive":
            starts = np.arange(batch) % (self._num // num) * num
        return self._order[starts[:, None] + np.arange(num)]


def _num_scored(config, num):
    if config.method == "all":
        return num
    if config.num_images is None:
        return min(_MOST_SCORED, num)
    if config.num_images > num:
        raise ValueError(f"num_images = {config.num_images} is more than the {num} images there are to score")
    return config.num_images


def _calibration(run, config):
    """Returns uint8[n, b, H, W, C], training images."""
    images = run.parts["train"].images
    size = min(config.batch_size, len(images))
    if size * config.num_calibration > len(images):
        raise ValueError(
            f"num_calibration = {config.num_calibration} batches of {size} images are more than the {len(images)} "
            "training images; lower one of them"
        )
    order = np.asarray(jax.random.permutation(jax.random.key(1), len(images)))
    return images[order[: size * config.num_calibration]].reshape(config.num_calibration, size, *images.shape[1:])


def _measure(run, params, calibration, batch_size, images, key, archs):
    start = time.perf_counter()
    archs = np.asarray(archs, np.int32)
    is_valid = np.asarray(run.space.is_valid(archs))
    rows = images.rows(key, archs)
    num = rows.shape[1]
    # Batches are equal, so that their statistics are; what fills the last one up counts nothing.
    num_batches = -(-num // batch_size)
    places = np.arange(num_batches * -(-num // num_batches))
    mask = (places < num).reshape(num_batches, -1)
    rows = rows[:, places % num].reshape(len(archs), *mask.shape).astype(np.int32)
    at_once = 1 if len(archs) == 1 else _AT_ONCE
    right, is_finite = [], []
    for first in range(0, len(archs), at_once):
        some = np.minimum(np.arange(first, first + at_once), len(archs) - 1)  # filled up by the last
        safe = np.where(is_valid[some, None], archs[some], 0)
        found = _score(run.network, run.inputs, params, calibration, images.data, safe, rows[some], mask)
        found = jax.device_get(found)
        right.append(found[0])
        is_finite.append(found[1])
    ok = is_valid & np.concatenate(is_finite)[: len(archs)]
    fitness = (np.concatenate(right)[: len(archs)] / num).astype(np.float32)
    cost = (time.perf_counter() - start) / len(archs)
    reasons = np.where(is_valid, "the shared weights give what is no number", "not a valid architecture")
    return types.Evaluation(
        fitness=np.where(ok, fitness, np.float32(0.0)),
        cost=np.full(len(archs), cost, np.float32),
        ok=ok,
        reasons=tuple(np.where(ok, "", reasons).tolist()),
    )


@functools.partial(jax.jit, static_argnames=("network", "inputs"))
def _score(network, inputs, params, calibration, data, archs, rows, mask):
    """Returns (int32[B] images classified rightly, bool[B] whether all logits are finite), one after the other."""

    def variables_of(arch):
        if calibration is None:
            return {"params": params}, "batch"

        def collect(images):
            _, found = network.apply(
                {"params": params},
                inputs.normalize(images),
                arch=arch,
                train=False,
                statistics="collect",
                mutable=["batch_stats"],
            )
            return found["batch_stats"]

        collected = jax.lax.map(collect, calibration)
        batch_stats = jax.tree.map(lambda values: jnp.mean(values, axis=0), collected)
        return {"params": params, "batch_stats": batch_stats}, "given"

    def one(arguments):
        arch, rows = arguments
        variables, statistics = variables_of(arch)

        def add(total, batch):
            rows, mask = batch
            images = inputs.normalize(data.images[rows])
            logits = network.apply(variables, images, arch=arch, train=False, statistics=statistics).main
            right, _ = step_lib.is_right(logits, data.labels[rows])
            num, is_finite = total
            return (num + jnp.sum(right & mask, dtype=jnp.int32), is_finite & jnp.all(jnp.isfinite(logits))), None

        total, _ = jax.lax.scan(add, (jnp.int32(0), jnp.bool_(True)), (rows, mask))
        return total

    return jax.lax.map(one, (archs, rows))


@functools.partial(jax.jit, static_argnames="num")
def _permutations(keys, *, num):
    return jax.vmap(lambda key: jax.random.permutation(key, num))(keys)
