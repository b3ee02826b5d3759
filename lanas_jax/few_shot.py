"""Few-shot shared weights: separate weights for each region of the top splits of LaNAS' tree.

Weights that fewer architectures share rank them better (arXiv:2006.06863; the readme of the LaNAS program suggests
regions of the tree). Random architectures are evaluated on the weights of the whole space; a tree of few levels is
fitted to them; the weights of each of its leaves start from those of the whole space and train further on random
architectures of the leaf.

In the folder of the run: regions.json (the data the tree is fitted to), region_1/, region_2/, ... (a training each).
"""

import dataclasses
import functools
import pathlib
import zlib
from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from common import config as configs
from common import regression_targets as targets
from common import spaces, types
from common.file_formats import files
from common.records import json_files, run_dir
from lanas_jax import config as lanas_config
from lanas_jax import partition, tree

REGIONS = "regions.json"
_POOL_SIZE, _SAMPLED_AT_ONCE, _MAX_SAMPLED = 1000, 4096, 200_000
_KEY = 2**31 - 4  # folded into the key of a search


@configs.dataclass
class Config:
    """Shared weights for regions of the space."""

    few_shot_epochs: Annotated[
        int, "epochs of training for the weights of each region; 0: no regions", configs.Range(at_least=0)
    ] = 0
    few_shot_height: Annotated[
        int, "levels of the tree of regions: 2 for two regions, 3 for four", configs.Range(at_least=2, at_most=4)
    ] = 2
    few_shot_measured: Annotated[int, "random architectures that the tree is fitted to", configs.Range(at_least=2)] = (
        100
    )

    def __post_init__(self):
        if not self.few_shot_epochs and (self.few_shot_height, self.few_shot_measured) != (2, 100):
            raise ValueError("few_shot_height and few_shot_measured need few_shot_epochs above 0")


def evaluator(
    shared: types.Evaluator,
    train: Callable[[int, np.ndarray, int, int], types.Evaluator],
    folder: pathlib.Path,
    *,
    settings: Config,
    config: lanas_config.Config,
    seed: int,
) -> types.Evaluator:
    """Returns the evaluator on the weights of regions, which train here, or resume.

    Args:
      shared: on the weights of the whole space.
      train: (region, architectures int32[P, L] of the region, a number that identifies the data of the tree, epochs)
        -> the evaluator on the weights of the region, such as `common.runs.shared_weights.region_trainer`.
      config: of LaNAS, for the models of the tree.
      seed: determines all random numbers.

    Raises:
      ValueError: the evaluated architectures do not fill all regions, or `folder` belongs to another search.
    """
    record, identity = _evaluated(shared, settings, folder, jax.random.fold_in(jax.random.key(seed), _KEY))
    config = dataclasses.replace(config, height=settings.few_shot_height, regressor="ridge", acquisition="greedy")
    fitted = _fit(shared.space, config, record)
    regions = {}
    for leaf in range(2 ** (config.height - 1) - 1, 2**config.height - 1):
        pool = _pool(shared.space, fitted, leaf, jax.random.fold_in(jax.random.key(seed), _KEY + leaf))
        regions[leaf] = train(leaf, pool, identity, settings.few_shot_epochs)

    def measure(name, key, archs):
        leaves = _route(shared.space, fitted, archs)
        found = {leaf: getattr(one, name)(key, archs) for leaf, one in regions.items() if np.any(leaves == leaf)}
        at = np.searchsorted(list(found), leaves)
        chosen = (np.choose(at, [one[field] for one in found.values()]) for field in ("fitness", "cost", "ok"))
        return types.Evaluation(**dict(zip(("fitness", "cost", "ok"), chosen, strict=True)))

    return shared._replace(
        name=f"{shared.name},{len(regions)}_regions",
        evaluate=lambda key, archs: measure("evaluate", key, archs),
        test=lambda key, archs: measure("test", key, archs),
        recipe=None,
    )


def _evaluated(shared, settings, folder, key):
    """Returns (the data that the tree is fitted to, a number that identifies them); evaluated once."""
    path = folder / REGIONS
    if not path.exists():
        sample_key, score_key = jax.random.split(key)
        archs = np.asarray(shared.space.sample(sample_key, settings.few_shot_measured))
        found = shared.evaluate(score_key, archs)
        fitness = np.where(found.ok, found.fitness, np.nan)
        run_dir.write_json(path, {"archs": archs.tolist(), "fitness": fitness.tolist()})
    record = json_files.read(path)
    json_files.check(path, record, {"archs": [[int]], "fitness": [(int, float, type(None))]})
    if len(record["archs"]) != settings.few_shot_measured:
        raise ValueError(
            f"{path} holds {len(record['archs'])} architectures, and few_shot_measured = {settings.few_shot_measured}; "
            "set it as before, or start in a fresh folder"
        )
    return record, zlib.crc32(files.read_bytes(path))


def _fit(space, config, record):
    """Returns the tree."""
    fitness = np.array([np.nan if one is None else one for one in record["fitness"]], np.float32)
    is_measured = jnp.isfinite(jnp.asarray(fitness))
    values = targets.targets(jnp.nan_to_num(jnp.asarray(fitness)), is_measured, target=config.target)
    archs = jnp.asarray(record["archs"], jnp.int32)
    fit = jax.jit(lambda archs, *arrays: partition.fit(space.features(archs), *arrays, config=config))
    fitted, leaves = fit(archs, values, is_measured)
    counts = np.bincount(np.asarray(leaves)[np.asarray(is_measured)], minlength=2**config.height - 1)
    if not counts[2 ** (config.height - 1) - 1 :].all():
        raise ValueError(
            "the evaluated architectures do not fill all regions; raise few_shot_measured or lower few_shot_height"
        )
    return fitted


def _route(space, fitted, archs):
    """Returns int32[B], the leaf of each of int32[B, L]."""
    return np.asarray(_router(space.name)(fitted, np.asarray(archs, np.int32)))


@functools.cache
def _router(name):
    features = spaces.get(name).features
    return jax.jit(lambda fitted, archs: tree.route(fitted, features(archs)))


def _pool(space, fitted, leaf, key):
    """Returns int32[P, L], random architectures of a region."""
    found, num_sampled = [], 0
    while sum(map(len, found)) < _POOL_SIZE:
        if num_sampled >= _MAX_SAMPLED:
            raise ValueError(
                f"of {num_sampled} random architectures {sum(map(len, found))} are in region {leaf}; lower "
                "few_shot_height"
            )
        archs = np.asarray(space.sample(jax.random.fold_in(key, num_sampled), _SAMPLED_AT_ONCE))
        found.append(archs[_route(space, fitted, archs) == leaf])
        num_sampled += len(archs)
    return np.concatenate(found)[:_POOL_SIZE]
