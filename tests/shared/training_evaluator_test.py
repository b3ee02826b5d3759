"""Fitness by training: one tiny training for what it gives, and refusals without any."""

import functools

import jax
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces, types
from common.evaluators import training
from common.executors import measuring
from common.training import loop

TINY = {"num_cells": 3, "width": 2, "num_epochs": 1, "num_images": 64, "held_out": 40}


@functools.cache
def evaluator(**changes):
    return training.evaluator("lanas_cell", **{**TINY, **changes})


def arch(count=1):
    return np.asarray(spaces.get("lanas_cell").sample(jax.random.key(1), count))


def cheap_arch():
    """A cell of max pools and identities alone, which compiles fast."""
    row = arch().copy()
    row[:, :14] = row[:, :14] % 2 + 1
    return np.asarray(spaces.get("lanas_cell").canonicalize(row))


class TrainingEvaluatorTest(parameterized.TestCase):
    def test_one_training(self):
        made = measuring.make(evaluator().recipe)  # as a worker makes it
        assert (made.name, made.space.name, made.is_traceable) == (evaluator().name, "lanas_cell", False)
        assert made.name == "training/digits/preset=short,num_cells=3,width=2,num_epochs=1,held_out=40,num_images=64"
        found = made.evaluate(jax.random.key(0), cheap_arch())
        assert found.ok.tolist() == [True]
        assert 0 <= found.fitness[0] <= 1
        np.testing.assert_allclose(found.fitness[0] * 40, np.round(found.fitness[0] * 40), atol=1e-4)  # of 40 images
        assert found.cost[0] > 0

    @pytest.mark.slow
    def test_the_same_to_the_bit_alone_and_among_others(self):
        archs, key = arch(2), jax.random.key(3)
        together = evaluator().evaluate(key, archs)
        alone = [evaluator().evaluate(key, archs[at : at + 1]).fitness[0] for at in (1, 0)]
        np.testing.assert_array_equal(together.fitness, alone[::-1])

    @parameterized.parameters("nao_small", "nao_middle", "nao_large", "lanas_oneshot", "seminas_mobile", "ofa_mobile")
    @pytest.mark.slow
    def test_every_space_is_trained(self, space):
        settings = {name: value for name, value in TINY.items() if name != "num_cells"}
        made = training.evaluator(space, **settings)
        assert made.evaluate(jax.random.key(0), made.space.sample(jax.random.key(0), 1)).ok.all()

    @parameterized.parameters(
        loop.DivergedError(3), MemoryError("no room"), jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
    )
    def test_what_fails_is_infeasible(self, error):
        def fail(*arguments):
            raise error

        before, training._accuracy = training._accuracy, fail
        self.addCleanup(setattr, training, "_accuracy", before)
        found = evaluator().evaluate(jax.random.key(0), arch(2))
        assert found.ok.tolist() == [False, False]
        candidate = types.Candidate(0, tuple(arch()[0].tolist()), (0, 0), "threefry2x32")
        assert not measuring.measurer(evaluator())(candidate).ok

    def test_an_invalid_row_is_infeasible(self):
        assert not evaluator().evaluate(jax.random.key(0), arch() + 100).ok.any()

    @parameterized.parameters(
        ({"space": "nasbench201"}, "space 'nasbench201' has no network to train; choose one of nao_small"),
        ({"space": "nao_small", "protocol": "best"}, "unknown protocol 'best'"),
        ({"space": "nao_small", "preset": "long"}, "unknown preset 'long'; choose one of short, digits"),
        ({"space": "nao_small", "dataset": "cifar11"}, "unknown dataset 'cifar11'"),
        ({"space": "nao_small", "held_out": 0}, "held_out must be at least 1"),
        ({"space": "nao_small", "num_images": 9999}, "num_images must be from 1 to 727"),
        ({"space": "ofa_mobile", "num_cells": 3}, "num_cells is of networks of cells"),
        ({"space": "ofa_mobile", "preset": "lanet"}, "settings are for another kind of network"),
    )
    def test_refused(self, settings, message):
        with self.assertRaisesRegex(ValueError, message):
            training.evaluator(**settings)
