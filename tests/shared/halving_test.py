"""Successive halving of trainings by one program."""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import config as configs
from common.supernets import halving, presets, training

KEY = jax.random.key(5)
ARCHS = np.array([[1, 0, 0, 0, 0], [4, 4, 0, 0, 0], [2, 3, 0, 0, 0], [3, 4, 2, 0, 0], [4, 4, 4, 0, 0]], np.int32)


@functools.cache
def _run():
    preset = presets.get("elastic", "convnet")
    changes = {"num_epochs": 4, "optimizer": "adam", "nesterov": False, "learning_rate": 0.02}
    preset = preset._replace(training=configs.replace(preset.training, changes))
    return training.build(training.describe("convnet", "digits", preset, held_out=200, num_images=256, seed=1))


@functools.cache
def _rungs():
    return halving.successive_halving(KEY, _run(), ARCHS, epochs=(1, 2, 4), factor=2)


class HalvingTest(parameterized.TestCase):
    def test_the_best_half_continues(self):
        rungs = _rungs()
        assert [(rung.epochs, len(rung.archs)) for rung in rungs] == [(1, 5), (2, 3), (4, 2)]
        for rung, following in itertools.pairwise(rungs):
            best = {tuple(row) for row in rung.archs[: len(following.archs)].tolist()}
            assert {tuple(row) for row in following.archs.tolist()} == best
            np.testing.assert_array_equal(rung.fitness, -np.sort(-rung.fitness))
        assert {tuple(row) for row in rungs[0].archs.tolist()} == {tuple(row) for row in ARCHS.tolist()}
        steps = [int(state.step) for rung in rungs for state in rung.states]
        assert steps == [4] * 5 + [8] * 3 + [16] * 2

    def test_a_training_that_continues_equals_one_without_a_stop(self):
        run, last = _run(), _rungs()[-1]
        alone = halving.successive_halving(KEY, run, last.archs[:1], epochs=(4,), factor=2)[0]
        np.testing.assert_array_equal(alone.fitness, last.fitness[:1])
        chex.assert_trees_all_equal(alone.states[0].params, last.states[0].params)

    def test_trainings_that_diverge_are_last_and_stop(self):
        run = _run()

        def train(key, state, images, labels, arch):
            state, metrics = run.steps.train(key, state, images, labels, arch)
            return state, metrics.replace(loss=jnp.where(arch[1] == 4, jnp.nan, metrics.loss))

        broken = run._replace(steps=run.steps._replace(train=train))
        rungs = halving.successive_halving(KEY, broken, ARCHS[:2], epochs=(1, 4), factor=1.5)
        np.testing.assert_array_equal(rungs[0].archs, ARCHS[:2])
        assert rungs[0].states[1] is None
        assert rungs[0].fitness[1] == 0
        np.testing.assert_array_equal(rungs[1].archs, ARCHS[:1])
        with pytest.raises(ValueError, match=r"all trainings diverged within 1 epochs"):
            halving.successive_halving(KEY, broken, ARCHS[1:2], epochs=(1, 4))

    @parameterized.parameters(
        ({"epochs": (1, 3)}, r"epochs must ascend.*num_epochs = 4.*\(1, 3\)"),
        ({"epochs": (2, 1, 4)}, r"epochs must ascend"),
        ({"epochs": (4,), "factor": 1}, r"factor must be above 1; got 1"),
        ({"epochs": (4,), "archs": ARCHS[[0, 0]]}, r"must differ"),
        ({"epochs": (4,), "archs": ARCHS[:1, ::-1]}, r"not a valid canonical architecture"),
    )
    def test_bad_input(self, changes, message):
        with pytest.raises(ValueError, match=message):
            halving.successive_halving(KEY, _run(), **({"archs": ARCHS} | changes))
