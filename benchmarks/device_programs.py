"""Programs whose results `benchmarks.device` compares on the device and on the CPU."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import child_step, nao_controller, supernet
from common import spaces
from common.genotypes import published
from common.language import config as language_config
from common.language import recurrent
from common.language import step as language_step
from common.networks import supernet as supernet_networks
from common.training import models


def programs() -> dict[str, tuple[Callable, tuple]]:
    """Returns programs of several kinds at small size: name -> (function, arguments as NumPy arrays)."""
    images, labels = supernet.batch(8, (16, 16, 3))

    def step(network, *arch):
        steps = supernet.make_steps(network, 8, *arch)

        def train(seed, *batch):
            key = jax.random.key(seed)  # not a constant: initial parameters are part of the program
            state, metrics = steps.train(key, steps.init(key, images.shape[1:]), *batch)
            return state.params, metrics

        return train, (np.int32(0), images, labels, *arch)

    sizes = {"num_cells": 3, "width": 8}
    genotype, network = child_step.network("lanet_36", **sizes)
    arch = np.asarray(spaces.get("nao_small").sample(jax.random.key(0), 1)[0])
    config = language_config.Config(width=16, batch_size=4)
    language = recurrent.language_model(
        published.get("nao_ptb"), vocabulary_size=50, width=16, dropout=language_config.Dropout()
    )
    words = np.random.default_rng(0).integers(0, 50, (11, 4)).astype(np.int32)

    def read(seed, words):
        key = jax.random.key(seed)
        state = language_step.create(key, language, config)
        settings = (language, config.optimizer, key, state, words, jnp.int32(10), None)
        return language_step.train(*settings, bptt=35).params

    problem, model = nao_controller.make_problem(20, seed=0), nao_controller.make_model()
    epoch = functools.partial(
        nao_controller.train_epoch, model, config=dataclasses.replace(nao_controller.CONFIG, batch_size=10)
    )

    def fit(tokens, targets):
        params, keys = nao_controller.first(1)
        params, keys = jax.tree.map(lambda leaf: leaf[0], (params, keys))
        state = nao_controller.training.optimizer(nao_controller.CONFIG).init(params)
        return epoch(params, state, keys, nao_controller.examples(nao_controller.Problem(tokens, targets)))[0]

    return {
        "training step": step(models.network(genotype, dataclasses.replace(network, auxiliary=False))),
        "step with shared weights": step(
            supernet_networks.Network("nao_small", supernet.network_config("nao_ws_tf", **sizes)), arch
        ),
        "step of a language model": (read, (np.int32(0), words)),
        "epoch of the controller": (fit, (problem.tokens, problem.targets)),
    }
