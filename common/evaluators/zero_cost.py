"""Zero-cost scores: the fitness of a network from its initial parameters and one batch of images, without training.

synflow and snip are those of arXiv:2101.08134 (section 3.3; synflow of arXiv:2006.05467, snip of arXiv:1810.02340),
as is grad_norm; nwot is that of arXiv:2006.04647, section 3, and jacov that of its first version. Details follow
NAS-Bench-Suite-Zero (arXiv:2210.03230): sums are over the weights of convolutions and linear layers, synflow has no
norms and is reported as log(1 + x), and norms have the statistics of the batch otherwise.

Where a space has shared weights that equal its networks (`elastic.FAMILIES`), one program scores all of them, each
with its part of the same initial parameters. Networks of other spaces are compiled one by one.
"""

import dataclasses
import functools
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from common import compilation, spaces, types
from common import config as config_lib
from common.datasets import images as datasets
from common.datasets import records
from common.evaluators import training_problem
from common.evaluators.zero_cost_config import Config
from common.genotypes import conversion
from common.networks import costs, elastic, of_space, relu_codes
from common.networks.kernels import compile_options
from common.training import augmentation, models
from common.training import step as step_lib

SHARED = ("nasbench201", "nasbench_macro")  # spaces of which one program scores all networks
_LOG_SCALES = (0.0, 32.0, 64.0, 80.0)
_K = 1e-5  # of jacov


def evaluator(
    space: str, *, dataset: str = "digits", data_dir: str | os.PathLike | None = None, **settings: Any
) -> types.Evaluator:
    """Returns the evaluator of a zero-cost score. Its results depend on the architecture and the settings alone.

    The fitness is the score x mapped to a fraction that grows with it, (1 + x / (100 + |x|)) / 2. The cost is the time
    taken. `ok` is False for invalid rows and where the score is not finite.

    Args:
      space: a space whose networks can be trained, see `of_space.NETWORKS`.
      dataset: see `datasets.load`; scores are of training images.
      data_dir: likewise.
      **settings: fields of `Config`.

    Raises:
      ValueError: the space has no network, a setting is not allowed, or the dataset cannot be loaded.
    """
    config = Config(**settings)
    network, score = scorer(space, config, dataset=dataset, data_dir=data_dir)
    train = datasets.load(dataset, data_dir).train
    shape = train.images.shape[1:]
    folder = None if data_dir is None else str(pathlib.Path(data_dir).absolute())
    recipe = {"space": space, "dataset": dataset, "data_dir": folder, **config_lib.to_json(config)}
    known = {"image_size": shape[0], "num_channels": shape[2]}
    default = config_lib.to_json(Config(score=config.score))
    changed = [f"{name}={value}" for name, value in config_lib.to_json(config).items() if value != default[name]]
    return types.Evaluator(
        name=f"zero_cost/{pathlib.Path(dataset).stem}/{','.join([config.score, *changed])}",
        space=spaces.get(space),
        protocol="validation",
        evaluate=functools.partial(_measure, score, config.score),
        recipe=types.Recipe(f"{__name__}.evaluator", recipe),
        costs=costs.of_space(space, network, **known) if shape[0] == shape[1] else {},
        data=records.checksum([train]),
    )


def _measure(score, name, key, archs):
    del key
    start = time.perf_counter()
    values = score(name, archs)
    ok = np.isfinite(values)
    fitness = 0.5 + 0.5 * np.where(ok, values, 0.0) / (100 + np.abs(np.where(ok, values, 0.0)))
    return types.Evaluation(
        fitness=np.where(ok, fitness, 0.0).astype(np.float32),
        cost=np.full(len(values), (time.perf_counter() - start) / len(values), np.float32),
        ok=ok,
        reasons=tuple(np.where(ok, "", f"{name} is not finite, or the architecture is not valid").tolist()),
    )


@compilation.in_32_bits
def scorer(
    space: str, config: Config, *, dataset: str = "digits", data_dir: str | os.PathLike | None = None
) -> tuple[of_space.Config, Callable[[str, np.ndarray], np.ndarray]]:
    """Returns (settings of the networks, function of the name of a score and int32[B, L] -> float64[B]).

    A score is NaN for invalid rows.

    Raises:
      ValueError: as `evaluator`.
    """
    config_lib.one_of("space with networks to score", space, of_space.NETWORKS)
    loaded, found = datasets.load(dataset, data_dir), spaces.get(space)
    if config.batch_size > len(loaded.train.labels):
        raise ValueError(f"batch_size must be at most {len(loaded.train.labels)}, the training images of {dataset}")
    sizes = {"num_cells": config.num_cells, "width": config.width}
    network = training_problem.adapted(of_space.NETWORKS[space], space, num_classes=loaded.num_classes, **sizes)
    if hasattr(network, "auxiliary"):  # its head would limit the size of images
        network = dataclasses.replace(network, auxiliary=False)
    order = jax.random.permutation(jax.random.key(config.init_seed), len(loaded.train.labels))
    rows = np.asarray(order)[: config.batch_size]
    images = augmentation.normalize(loaded.train.images[rows], mean=loaded.mean, std=loaded.std)
    data = images, jnp.asarray(loaded.train.labels[rows])
    run = (_of_shared if space in SHARED else _of_each)(space, network, config.init_seed, images.shape[1:])

    @compilation.in_32_bits
    def score(name, archs):
        archs = np.asarray(archs, np.int32)
        is_valid = np.asarray(found.is_valid(archs))
        return np.array(
            [
                _FINISH[name](np.asarray(run(name, arch, *data), np.float64)) if ok else np.nan
                for arch, ok in zip(archs, is_valid, strict=True)
            ]
        )

    return network, score


def _of_shared(space, network, seed, shape):
    """Returns (name, arch, images, labels) -> array, by one program for all architectures."""
    made = elastic.FAMILIES[space].network(space, network)
    none = jnp.zeros(len(spaces.get(space).num_choices), jnp.int32)
    params = step_lib.init_variables(made, jax.random.key(seed), shape, none)["params"]

    @functools.partial(jax.jit, static_argnums=0)
    def program(name, params, arch, images, labels):
        def apply(params, images, statistics):
            return made.apply({"params": params}, images, arch=arch, train=False, statistics=statistics).main

        return _PROGRAMS[name](apply, params, images, labels)

    return lambda name, arch, images, labels: program(name, params, arch, images, labels)


def _of_each(space, network, seed, shape):
    """Returns the same, by a program for each architecture."""

    def run(name, arch, images, labels):
        def made(statistics):
            style = dataclasses.replace(network.style, statistics=statistics)
            return models.network(genotype, dataclasses.replace(network, style=style))

        def apply(params, images, statistics):
            return made(statistics).apply({"params": params}, images, train=False).main

        genotype = conversion.from_arch(space, arch)
        params = step_lib.init_variables(made("batch"), jax.random.key(seed), shape)["params"]
        program = jax.jit(functools.partial(_PROGRAMS[name], apply), compiler_options=compile_options.quick("once"))
        return program(params, images, labels)

    return run


def _synflow(apply, params, images, labels):
    """Without norms, with absolute weights, on an image of ones; the scales keep it in the range of float32."""
    del labels
    params = jax.tree.map(jnp.abs, params)

    def at(log_scale):
        ones = jnp.exp(-log_scale) * jnp.ones_like(images[:1])
        flow = jax.grad(lambda params: jnp.exp(-log_scale) * jnp.sum(apply(params, ones, "none")))(params)
        return jnp.log(_sum(jnp.multiply, params, flow)) + 2 * log_scale

    values = jax.lax.map(at, jnp.array(_LOG_SCALES))
    is_known = ~jnp.isnan(values) & (values < jnp.inf)
    return jnp.where(jnp.any(is_known), jnp.logaddexp(0.0, values[jnp.argmax(is_known)]), jnp.nan)


def _gradient(apply, params, images, labels):
    def loss(params):
        logits = apply(params, images, "batch")
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))

    return jax.grad(loss)(params)


def _snip(apply, params, images, labels):
    gradient = _gradient(apply, params, images, labels)
    return _sum(lambda weight, change: jnp.abs(weight * change), params, gradient)


def _grad_norm(apply, params, images, labels):
    """Weights of several layers may be stacked, along axes before the four of a kernel."""

    def norms(kernel):
        return jnp.sqrt(jnp.sum(kernel**2, axis=tuple(range(max(kernel.ndim - 4, 0), kernel.ndim))))

    return _sum(norms, _gradient(apply, params, images, labels))


def _jacov(apply, params, images, labels):
    del labels
    gradient = jax.grad(lambda images: jnp.sum(apply(params, images, "batch")))(images)
    return gradient.reshape(len(images), -1)


def _nwot(apply, params, images, labels):
    del labels
    return relu_codes.agreement(lambda images: apply(params, images, "batch"))(images)


def _sum(function, *trees):
    """Returns the sum of a function of the weights of convolutions and linear layers."""
    leaves = zip(*map(jax.tree_util.tree_leaves_with_path, trees), strict=True)
    kernels = ([leaf for _, leaf in pair] for pair in leaves if pair[0][0][-1].key == "kernel")
    return sum(jnp.sum(function(*kernel)) for kernel in kernels)


def _eigenvalues_score(gradients):
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = np.corrcoef(gradients)
    if not np.all(np.isfinite(correlations)):
        return np.nan
    values = np.linalg.eigvalsh(correlations) + _K
    return -np.sum(np.log(np.maximum(values, _K)) + 1 / np.maximum(values, _K))


_PROGRAMS = {"synflow": _synflow, "jacov": _jacov, "nwot": _nwot, "snip": _snip, "grad_norm": _grad_norm}
_FINISH = {
    **dict.fromkeys(("synflow", "snip", "grad_norm"), float),
    "jacov": _eigenvalues_score,
    "nwot": lambda agreement: np.linalg.slogdet(agreement)[1],
}
