"""Fitness of convolutional networks on shared weights: accuracy on validation images, without training.

An architecture is data, so one program scores all of a space. Norms use the statistics of the batch, in scoring as
in training, as in both programs of NAO; or statistics that are collected for the architecture just before.
"""

import functools
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import compilation, one_round, types
from common import config as config_lib
from common.supernets import config as configs
from common.supernets import training
from common.training import latency as latencies
from common.training import step as step_lib

PROTOCOLS = ("validation", "test")
_AT_ONCE = 8  # architectures per call of the program, which is compiled for one and for this many
_MOST_SCORED = 500  # images, as the programs of NAO score


def evaluator(
    folder: str | os.PathLike,
    *,
    data_dir: str | os.PathLike | None = None,
    protocol: str = "validation",
    latency: Mapping[str, Any] | None = None,
    **settings: Any,
) -> types.Evaluator:
    """Returns the evaluator on the shared weights that were trained in a folder.

    Args:
      folder: of a run of launch.train_supernet.
      data_dir: of the dataset, see `images.load`.
      protocol: images of `evaluate`: "validation", or "test".
      latency: fields of `latency.Config`, see `of`.
      **settings: fields of `config.Scoring`.

    Raises:
      ValueError: the weights do not exist or are not fully trained, or a setting is not allowed.
    """
    run, params = training.load(folder, data_dir)
    places = {"protocol": protocol, "folder": folder, "data_dir": data_dir}
    timing = None if latency is None else config_lib.from_json(latencies.Config, latency)
    return of(run, params, configs.Scoring(**settings), latency=timing, **places)


@compilation.in_32_bits
def of(
    run: training.Run,
    params: Any,
    config: configs.Scoring | None = None,
    *,
    protocol: str = "validation",
    folder: str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
    latency: latencies.Config | None = None,
) -> types.Evaluator:
    """Returns the evaluator on given shared weights.

    The fitness is the accuracy on images held out from training, the test fitness that on all test images, also on
    shared weights. The cost is the time taken, compiling included. `ok` is False for invalid rows and where the
    network's output is not finite.

    Args:
      protocol: images of `evaluate`.
      folder: of the training, from which workers load the weights; None: workers cannot.
      data_dir: of the dataset, for workers.
      latency: if given, the costs of `common.training.latency` are measured, of stand-alone networks.

    Raises:
      ValueError: a setting is not allowed.
    """
    config = configs.Scoring() if config is None else config
    config_lib.one_of("protocol", protocol, PROTOCOLS)
    num_images = _num_scored(config, len(run.parts[protocol].labels))
    calibration = None
    if config.statistics == "recalibrated":
        calibration = jnp.asarray(calibration_images(run, config))
        arch = jnp.zeros(len(run.space.num_choices), jnp.int32)
        jax.eval_shape(functools.partial(collected, run.network, run.inputs), params, calibration, arch)  # may raise
    measure = functools.partial(_measure, run, params, calibration, config.batch_size)
    settings = [config.method, f"num_images={num_images}", f"batch_size={config.batch_size}", config.statistics]
    if calibration is not None and config.num_calibration != configs.Scoring().num_calibration:
        settings.append(f"num_calibration={config.num_calibration}")  # left out by default, as in earlier versions
    recipe = None
    if folder is not None:
        where = {"folder": str(pathlib.Path(folder).absolute())}
        where["data_dir"] = None if data_dir is None else str(pathlib.Path(data_dir).absolute())
        recipe = types.Recipe(f"{__name__}.evaluator", {**where, "protocol": protocol, **config_lib.to_json(config)})
        if latency is not None:
            recipe.settings["latency"] = config_lib.to_json(latency)
    made = types.Evaluator(
        name=f"supernet/{pathlib.Path(run.about['dataset']).stem}/{','.join(settings)}",
        space=run.space,
        protocol=protocol,
        evaluate=functools.partial(measure, _Images(run, protocol, config.method, num_images)),
        test=functools.partial(measure, _Images(run, "test", "all", len(run.parts["test"].labels))),
        recipe=recipe,
        costs=run.costs,
    )
    return made if latency is None else latencies.measured(made, run.stand_alone, run.images.shape, latency)


class _Images:
    """Images to score on: on the device, and those of each architecture."""

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
        raise ValueError(f"num_images = {config.num_images} is more than the {num} images to score")
    return config.num_images


def calibration_images(run: training.Run, config: configs.Scoring) -> np.ndarray:
    """Returns uint8[n, b, H, W, C], training images from which statistics of norms are collected."""
    images = run.parts["train"].images
    size = min(config.batch_size, len(images))
    if size * config.num_calibration > len(images):
        raise ValueError(
            f"num_calibration = {config.num_calibration} batches of {size} images are more than the {len(images)} "
            "training images; lower one of them"
        )
    order = np.asarray(jax.random.permutation(jax.random.key(1), len(images)))
    return images[order[: size * config.num_calibration]].reshape(config.num_calibration, size, *images.shape[1:])


@compilation.in_32_bits
def _measure(run, params, calibration, batch_size, images, key, archs):
    start = time.perf_counter()
    archs = np.asarray(archs, np.int32)
    is_valid = np.asarray(run.space.is_valid(archs))
    rows = images.rows(key, archs)
    num = rows.shape[1]
    # Batches have equal sizes, and so have their statistics; padding of the last one is masked.
    num_batches = -(-num // batch_size)
    places = np.arange(num_batches * -(-num // num_batches))
    mask = (places < num).reshape(num_batches, -1)
    rows = rows[:, places % num].reshape(len(archs), *mask.shape).astype(np.int32)
    at_once = 1 if len(archs) == 1 else _AT_ONCE
    right, is_finite = [], []
    for first in range(0, len(archs), at_once):
        some = np.minimum(np.arange(first, first + at_once), len(archs) - 1)  # padded with the last
        safe = np.where(is_valid[some, None], archs[some], 0)
        found = _score(run.network, run.inputs, params, calibration, images.data, safe, rows[some], mask)
        found = jax.device_get(found)
        right.append(found[0])
        is_finite.append(found[1])
    ok = is_valid & np.concatenate(is_finite)[: len(archs)]
    fitness = (np.concatenate(right)[: len(archs)] / num).astype(np.float32)
    cost = (time.perf_counter() - start) / len(archs)
    reasons = np.where(is_valid, "the output on shared weights is not finite", "not a valid architecture")
    return types.Evaluation(
        fitness=np.where(ok, fitness, np.float32(0.0)),
        cost=np.full(len(archs), cost, np.float32),
        ok=ok,
        reasons=tuple(np.where(ok, "", reasons).tolist()),
    )


def collected(network: Any, inputs: step_lib.Inputs, params: Any, images: chex.Array, arch: chex.Array) -> Any:
    """Returns the collection "batch_stats" of an architecture: the mean statistics of norms over batches.

    Args:
      network: with shared weights.
      inputs: normalization of images.
      images: uint8[n, b, H, W, C], n batches.
      arch: int32[L].
    """

    def collect(images):
        settings = {"train": False, "statistics": "collect", "mutable": ["batch_stats"]}
        return network.apply({"params": params}, inputs.normalize(images), arch=arch, **settings)[1]["batch_stats"]

    return jax.tree.map(lambda values: jnp.mean(values, axis=0), jax.lax.map(collect, images))


@functools.partial(jax.jit, static_argnames=("network", "inputs"))
def _score(network, inputs, params, calibration, data, archs, rows, mask):
    """Returns (int32[B] images classified correctly, bool[B] whether all logits are finite)."""

    def variables_of(arch):
        if calibration is None:
            return {"params": params}, "batch"

        batch_stats = collected(network, inputs, params, calibration, arch)
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
