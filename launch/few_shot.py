"""Shared weights of their own for each region of the space that the top splits of LaNAS' tree make.

Weights that fewer architectures share rank them better (arXiv:2006.06863; the LaNAS program's readme suggests regions
of the tree). Random architectures are measured on the weights of all; a tree of few levels is fitted to that; the
weights of each of its leaves start from those of all, and are trained further on architectures of the leaf.

In the folder of the run: regions.json (what the tree is fitted to), region_1/, region_2/, ... (a training each).
"""

import dataclasses
import functools
import json
import pathlib
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

import lanas_jax.config
from common import regression_targets as targets
from common import spaces, types
from common.records import run_dir
from common.supernets import scoring as scores
from common.supernets import training as supernet
from lanas_jax import partition, tree
from launch import few_shot_config, shared_weights, supernet_run

REGIONS = "regions.json"
_POOL_SIZE, _SAMPLED_AT_ONCE, _MAX_SAMPLED = 1000, 4096, 200_000
_KEY = 2**31 - 4  # folded into the key of a search


def evaluator(
    values: flags.FlagValues,
    settings: few_shot_config.Config,
    config: lanas_jax.config.Config,
    weights: supernet.Run,
    params: Any,
    folder: pathlib.Path,
) -> types.Evaluator:
    """Returns the evaluator on weights of regions, which are trained here, or taken from where they were.

    Args:
      values: the flags.
      settings: of the regions.
      config: of LaNAS, whose models are fitted.
      weights: of all architectures.
      params: their trained parameters.
      folder: of the search.

    Raises:
      ValueError: the architectures measured do not split, or `folder` is of another search.
    """
    if values.executor != "inline":
        raise ValueError("weights of several regions are in this process; measure with --executor=inline")
    if weights.draws.sampling == "fair":
        raise ValueError("weights of regions are trained on pools, from which sampling 'fair' cannot draw")
    score = shared_weights.score_config(values)
    shared = scores.of(weights, params, score, protocol=values.protocol)
    record, identity = _measured(values, settings, weights, shared, folder)
    config = dataclasses.replace(config, height=settings.few_shot_height, regressor="ridge", acquisition="greedy")
    fitted = _fit(weights.space, config, record)
    made = {}
    for leaf in range(2 ** (config.height - 1) - 1, 2**config.height - 1):
        about = _about(weights, region=leaf, regions=identity, epochs=settings.few_shot_epochs)
        run = supernet.build(about, values.data_dir)
        pool = _pool(weights.space, fitted, leaf, jax.random.fold_in(jax.random.key(values.seed), _KEY + leaf))
        print(f"weights of region {leaf}", flush=True)
        with supernet_run.Training(run, folder / f"region_{leaf}", first=params) as training:
            state = training.train(run.draw(pool), run.num_steps)
        made[leaf] = scores.of(run, state.params, score, protocol=values.protocol)

    def measure(name, key, archs):
        regions = _route(weights.space, fitted, archs)
        found = {leaf: getattr(one, name)(key, archs) for leaf, one in made.items() if np.any(regions == leaf)}
        at = np.searchsorted(list(found), regions)
        chosen = (np.choose(at, [one[field] for one in found.values()]) for field in ("fitness", "cost", "ok"))
        return types.Evaluation(**dict(zip(("fitness", "cost", "ok"), chosen, strict=True)))

    return shared._replace(
        name=f"{shared.name},{len(made)}_regions",
        evaluate=lambda key, archs: measure("evaluate", key, archs),
        test=lambda key, archs: measure("test", key, archs),
    )


def _measured(values, settings, weights, shared, folder):
    """Returns (what the tree is fitted to, a number that stands for it); measured once."""
    path = folder / REGIONS
    if not path.exists():
        sample_key, score_key = jax.random.split(jax.random.fold_in(jax.random.key(values.seed), _KEY))
        archs = np.asarray(weights.space.sample(sample_key, settings.few_shot_measured))
        found = shared.evaluate(score_key, archs)
        fitness = np.where(found.ok, found.fitness, np.nan)
        run_dir.write_json(path, {"archs": archs.tolist(), "fitness": fitness.tolist()})
    record = json.loads(path.read_text())
    if len(record["archs"]) != settings.few_shot_measured:
        raise ValueError(
            f"{path} holds {len(record['archs'])} architectures, and --few_shot_measured={settings.few_shot_measured}; "
            "set it as before, or start in a fresh folder"
        )
    return record, zlib.crc32(path.read_bytes())


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
            "the architectures measured do not fill all regions; raise --few_shot_measured or lower --few_shot_height"
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
                "--few_shot_height"
            )
        archs = np.asarray(space.sample(jax.random.fold_in(key, num_sampled), _SAMPLED_AT_ONCE))
        found.append(archs[_route(space, fitted, archs) == leaf])
        num_sampled += len(archs)
    return np.concatenate(found)[:_POOL_SIZE]


def _about(weights, *, region, regions, epochs):
    """Returns the record of the training of a region: that of all, over a cosine of its own."""
    training = dict(weights.about["training"])
    optimizer = dict(training["optimizer"])
    # A tenth of the rate: the weights are good already.
    schedule = optimizer["schedule"] | {
        "schedule": "cosine",
        "learning_rate": 0.1 * optimizer["schedule"]["learning_rate"],
        "final_learning_rate": 0.0,
        "period_epochs": 0,
    }
    training |= {"num_epochs": epochs, "optimizer": optimizer | {"schedule": schedule}, "progress_restarts": False}
    training["progress_epochs"] = 0
    about = {**weights.about, "training": training, "region": region, "regions": regions}
    if weights.draws.sampling == "growing":  # these weights have had their start
        about["draws"] = about["draws"] | {"sampling": "uniform"}
    return about
