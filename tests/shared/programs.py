"""Compiled programs of the project at tiny sizes, traced: for tests of what they are lowered to."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from common import compiled_search, objectives, one_round, spaces
from common import history as history_lib
from common.evaluators import benchmark, zero_cost
from common.genotypes import published
from common.language import config as language_config
from common.language import evaluators as language_evaluators
from common.language import recurrent
from common.language import step as steps
from common.language import training as language_training
from common.networks import child, elastic, supernet
from common.supernets import presets as supernet_presets
from common.supernets import sampling, scoring
from common.training import loop, models, presets
from common.training import state as states
from common.training import step as step_lib
from launch import algorithms
from tests.shared import tiny_supernet

SIZE, NUM_CLASSES = 32, 10


def search(name, texts="fitness"):
    """Returns the program of whole searches on a table."""
    task = benchmark.evaluator("digits_convnet")
    algorithm = algorithms.get(name)
    searcher = objectives.searcher(algorithm, task.space, algorithm.config, objectives.of(texts, task))
    sizes = {"num_decisions": len(task.space.num_choices), "budget": 200, "count": searcher.count}
    keys, mesh = jax.random.split(jax.random.key(0), 2), compiled_search.mesh_of(1)
    with jax.debug_key_reuse(False):  # the checker rejects a loop over draws in a branch once it is vmapped
        return compiled_search.scan_seeds.trace(keys, compiled_search._functions(searcher, task), mesh=mesh, **sizes)


def inputs(preset):
    return models.inputs(preset.augmentation, mean=(0.5,) * 3, std=(0.2,) * 3)


def steps_for(network, preset, arch=None):
    sizes = {"num_classes": NUM_CLASSES, "num_images": 1000}
    return step_lib.steps(network, preset.training, inputs(preset), arch=arch, **sizes)


def batch():
    """Returns the shapes of images and labels."""
    return jax.ShapeDtypeStruct((4, SIZE, SIZE, 3), jnp.uint8), jax.ShapeDtypeStruct((4,), jnp.int32)


def steps_of(network, preset, arch=None):
    """Returns the program of initial parameters, a step of training, and evaluation."""
    steps = steps_for(network, preset, arch)

    def run(key, images, labels, *arch):
        state, metrics = steps.train(key, steps.init(key, images.shape[1:]), images, labels, *arch)
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        return metrics, steps.evaluate(variables, images, labels, labels >= 0, *arch)

    return jax.jit(run).trace(jax.random.key(0), *batch(), *(() if arch is None else (arch,)))


def training(genotype, preset, dtype):
    """Returns the program of training a network from scratch."""
    made = presets.PRESETS[preset]
    sizes = {"num_cells": 3, "width": 8} if isinstance(made.network, child.Config) else {}
    config = dataclasses.replace(made.network, dtype=dtype, num_classes=NUM_CLASSES, **sizes)
    return steps_of(models.network(published.get(genotype), config), made)


def shared_weights(space, dtype):
    """Returns the program of training shared weights."""
    preset = supernet_presets.get("digits", space, num_classes=NUM_CLASSES, dtype=dtype)
    arch = np.asarray(spaces.get(space).sample(jax.random.key(0), 1)[0])
    return steps_of(supernet.Network(space, preset.network), preset, arch)


def elastic_weights(space):
    """Returns the program of training elastic weights: the largest network, the smallest and two random ones."""
    preset = supernet_presets.get("elastic", space, num_classes=NUM_CLASSES)
    arch = np.asarray(spaces.get(space).sample(jax.random.key(0), 1)[0])
    steps = steps_for(elastic.FAMILIES[space].network(space, preset.network), preset, arch)

    def run(key, images, labels, arch):
        state, metrics = steps.train(key, steps.init(key, images.shape[1:]), images, labels, jnp.stack([arch] * 4))
        return metrics, steps.evaluate({"params": state.params}, images, labels, labels >= 0, arch)

    return jax.jit(run).trace(jax.random.key(0), *batch(), arch)


def chunk(name):
    """Returns the program of a chunk of steps with a sampler of architectures."""
    preset, space = supernet_presets.get("digits", "nao_small", num_classes=NUM_CLASSES), spaces.get("nao_small")
    pool = np.asarray(space.sample(jax.random.key(0), 8)) if name == "num_params" else None
    network = tiny_supernet.Tiny(NUM_CLASSES)
    if name.startswith("sandwich"):
        space, preset = spaces.get("convnet"), supernet_presets.get("elastic", "convnet", num_classes=NUM_CLASSES)
        network = elastic.FAMILIES["convnet"].network("convnet", preset.network)
    if name == "shrinking":
        space = spaces.get("ofa_mobile")
    preset = preset._replace(training=dataclasses.replace(preset.training, batch_size=4))
    arch = np.asarray(space.sample(jax.random.key(0), 1)[0])
    steps = steps_for(network, preset, arch)
    draw = sampling.make(name, space, pool, num_params=lambda archs: np.ones(len(archs), int), num_growing=10)
    state = jax.eval_shape(lambda key: steps.init(key, (SIZE, SIZE, 3)), jax.random.key(0))
    keys, settings = states.keys(jax.random.key(0)), {"length": 2, "size": 4, "sharding": None}
    data = loop.Data(images=batch()[0], labels=batch()[1])
    return loop._train_chunk.trace(steps, state, keys, data, preset.training, draw, None, **settings)


def scores(space, dtype, calibration):
    """Returns the program that scores architectures on shared weights, with statistics collected for each or not."""
    preset = supernet_presets.get("digits", space, num_classes=NUM_CLASSES, dtype=dtype)
    network, arch = supernet.Network(space, preset.network), np.asarray(spaces.get(space).sample(jax.random.key(0), 1))
    variables = jax.eval_shape(
        lambda key: step_lib.init_variables(network, key, (SIZE, SIZE, 3), arch[0]), jax.random.key(0)
    )
    images, labels = batch()
    collected = jax.ShapeDtypeStruct((2, *images.shape), jnp.uint8) if calibration else None
    rows, mask = np.zeros((1, 2, 4), np.int32), np.ones((2, 4), bool)
    data = loop.Data(images=images, labels=labels)
    return scoring._score.trace(network, inputs(preset), variables["params"], collected, data, arch, rows, mask)


def proposal(name, space):
    """Returns the program of a proposal in a space that is not listed."""
    algorithm, space = algorithms.get(name), spaces.get(space)
    searcher = algorithm.searcher(space, algorithm.for_space(space, algorithm.config), name=name)
    functions, history = one_round.functions(searcher), history_lib.empty(2000, len(space.num_choices))
    state = jax.eval_shape(functions.init, jax.random.key(0), history)
    propose = jax.jit(functions.propose, static_argnames="count")
    with jax.debug_key_reuse(False):  # as in `search`
        return propose.trace(jax.random.key(0), state, history, count=searcher.count)


def language(cell, part):
    """Returns a program of a language model: training, evaluation of a text or of a segment."""
    config = language_config.Config(width=8, batch_size=2)
    sizes = {"vocabulary_size": 20, "width": 8, "dropout": config.dropout}
    network, sample_arch = recurrent.supernet(**sizes), jax.tree_util.Partial(language_evaluators._from_space)
    if cell == "fixed":
        network, sample_arch = recurrent.language_model(published.get("nao_ptb"), **sizes), language_training.NO_ARCH
    elif cell == "any":
        network = recurrent.LanguageModel(20, 8, recurrent.AnyCell(8), config.dropout)
    arch, tokens = sample_arch(jax.random.key(0)), jnp.zeros((200, 2), jnp.int32)
    if cell == "any":
        sample_arch = language_training.one_arch(arch)
    state = jax.eval_shape(lambda key: steps.create(key, network, config, arch=arch), jax.random.key(0))
    if part == "evaluation":
        return steps.evaluate.trace(network, state.params, tokens, jnp.int32(100), arch, size=35)
    if part == "segment":
        return language_evaluators._segment_loss.trace(network, state.params, tokens, jnp.int32(0), arch, size=35)
    starts = lengths = jnp.zeros(4, jnp.int32)
    settings = (network, config.chunks, config.optimizer, sample_arch)
    return language_training._train_segments.trace(*settings, jax.random.key(0), state, tokens, starts, lengths)


def score_without_training(name):
    """Returns the program of a zero-cost score, by the network of NAS-Bench-201 that holds all architectures."""
    network = elastic.FAMILIES["nasbench201"].network("nasbench201", supernet_presets.NETWORKS["nasbench201"])
    images, labels = batch()
    arch = np.zeros(6, np.int32)
    variables = jax.eval_shape(
        lambda key: step_lib.init_variables(network, key, (SIZE, SIZE, 3), arch), jax.random.key(0)
    )

    def run(params, images, labels, arch):
        def apply(params, images, statistics):
            return network.apply({"params": params}, images, arch=arch, train=False, statistics=statistics).main

        return zero_cost._PROGRAMS[name](apply, params, images.astype(jnp.float32), labels)

    return jax.jit(run).trace(variables["params"], images, labels, arch)
