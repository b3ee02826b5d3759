"""Programs for accelerators are lowered for them here, on a CPU: none has an operation that only CPUs have."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import baselines, compiled_search, objectives, spaces
from common.evaluators import benchmark
from common.genotypes import published
from common.language import config as language_config
from common.language import recurrent
from common.language import step as steps
from common.language import training as language_training
from common.networks import child, supernet
from common.supernets import presets as supernet_presets
from common.training import models, presets
from common.training import step as step_lib
from launch import algorithms

CPU_ONLY = re.compile(r"custom_call @(\w*(?:lapack|eigen|onednn|cpu)\w*)", re.IGNORECASE)
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


def steps_of(network, preset, arch=None):
    """Returns the program of initial parameters, a step of training, and evaluation."""
    inputs = models.inputs(preset.augmentation, mean=(0.5,) * 3, std=(0.2,) * 3)
    steps = step_lib.steps(network, preset.training, inputs, num_classes=NUM_CLASSES, num_images=1000, arch=arch)

    def run(key, images, labels, *arch):
        state, metrics = steps.train(key, steps.init(key, images.shape[1:]), images, labels, *arch)
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        return metrics, steps.evaluate(variables, images, labels, labels >= 0, *arch)

    images, labels = jax.ShapeDtypeStruct((4, SIZE, SIZE, 3), jnp.uint8), jax.ShapeDtypeStruct((4,), jnp.int32)
    return jax.jit(run).trace(jax.random.key(0), images, labels, *(() if arch is None else (arch,)))


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


def language():
    """Returns the program of training a language model with a published cell."""
    config = language_config.Config(width=8, batch_size=2)
    cell = published.get("nao_ptb")
    network = recurrent.language_model(cell, vocabulary_size=20, width=8, dropout=config.dropout)
    key, tokens = jax.random.key(0), jnp.zeros((200, 2), jnp.int32)
    starts = lengths = jnp.zeros(4, jnp.int32)
    state = jax.eval_shape(lambda key: steps.create(key, network, config), key)
    settings = (network, config.chunks, config.optimizer, language_training.NO_ARCH)
    return language_training._train_segments.trace(*settings, key, state, tokens, starts, lengths)


SEARCHES = ("lanas_linear", "lanas_official", "nao", "seminas", *baselines.ALGORITHMS)


class LoweringTest(parameterized.TestCase):
    def check(self, traced):
        text = traced.lower(lowering_platforms=("cuda", "tpu")).as_text()
        self.assertIn("stablehlo", text)
        self.assertEqual(CPU_ONLY.findall(text), [])

    def test_an_operation_that_only_cpus_have_is_found(self):
        traced = jax.jit(jnp.linalg.cholesky).trace(jnp.eye(3))
        self.assertNotEqual(CPU_ONLY.findall(traced.lower(lowering_platforms=("cpu",)).as_text()), [])

    def test_lanas(self):
        self.check(search("lanas"))

    @parameterized.parameters("lanas", "nao")
    @pytest.mark.slow
    def test_several_objectives(self, name):
        self.check(search(name, "fitness,-params"))

    @parameterized.parameters(*SEARCHES)
    @pytest.mark.slow
    def test_searches(self, name):
        self.check(search(name))

    @parameterized.parameters(
        ("naonet_b", "naonet_b_36", "float32"),
        ("naonet_b", "naonet_b_36", "bfloat16"),
        ("naonet_tf", "naonet_tf", "bfloat16"),
        ("lanet", "lanet", "bfloat16"),
        ("seminasnet", "seminasnet", "bfloat16"),
    )
    @pytest.mark.slow
    def test_training(self, *settings):
        self.check(training(*settings))

    def test_language(self):
        self.check(language())

    @parameterized.product(space=tuple(supernet.SPACES), dtype=("float32", "bfloat16"))
    @pytest.mark.slow
    def test_shared_weights(self, space, dtype):
        self.check(shared_weights(space, dtype))
