"""Trainings from scratch by the program of shared weights: equal to those of a program of their own."""

import dataclasses
import functools
from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.supernets import presets as supernet_presets
from common.supernets import sampling, stand_alone
from common.supernets import training as supernet
from common.training import loop, memory
from common.training import state as states
from common.training import step as step_lib
from tests.shared import tiny_supernet

SPACE = "lanas_oneshot"


class StandAloneTest(parameterized.TestCase):
    def test_a_fitness_depends_on_the_architecture_and_the_key_alone(self):
        preset = supernet_presets.get("digits", SPACE, width=4)
        about = supernet.describe(SPACE, "digits", preset, num_images=64)
        self.enterContext(mock.patch.object(supernet.supernet, "Network", tiny_supernet.network))
        evaluator = stand_alone.evaluator(about, num_epochs=2)
        rows = np.asarray(spaces.get(SPACE).sample(jax.random.key(1), 2))
        rows = np.concatenate([rows, rows[:1]])
        rows[2, 2:4] = rows[2, :2]  # the same branch twice
        key = jax.random.key(3)
        together = evaluator.evaluate(key, rows)
        np.testing.assert_array_equal(together.ok, [True, True, False])
        assert together.reasons == ("", "", "not a valid architecture")
        assert np.all((together.fitness[:2] > 0) & (together.fitness[:2] <= 1))
        np.testing.assert_array_equal(evaluator.evaluate(key, rows[1:2]).fitness, together.fitness[1:2])
        assert evaluator.evaluate(jax.random.key(4), rows[1:2]).fitness[0] != together.fitness[1]
        assert evaluator.test(key, rows[1:2]).fitness[0] != together.fitness[1]  # on other images

    @parameterized.parameters(
        (loop.DivergedError(3), "DivergedError: training diverged: step 3 was the last"),
        (memory.OutOfMemoryError("9 GiB"), "out of memory: OutOfMemoryError: 9 GiB"),
    )
    def test_what_fails_is_infeasible_and_the_reason_told(self, error, wanted):
        about = supernet.describe(SPACE, "digits", supernet_presets.get("digits", SPACE), num_images=64)
        self.enterContext(mock.patch.object(supernet.supernet, "Network", tiny_supernet.network))
        evaluator = stand_alone.evaluator(about, num_epochs=2)
        self.enterContext(mock.patch.object(loop, "train", side_effect=error))
        found = evaluator.evaluate(jax.random.key(3), spaces.get(SPACE).sample(jax.random.key(1), 1))
        assert not found.ok.any()
        assert found.reasons[0].startswith(wanted)

    @pytest.mark.slow
    def test_a_training_equals_that_of_the_same_network_in_a_program_of_its_own(self):
        space, shared = "nao_small", supernet.supernet
        preset = supernet_presets.get("digits", space, num_cells=1, width=2)
        preset = preset._replace(training=dataclasses.replace(preset.training, num_epochs=2))
        run, init = stand_alone.trainer(supernet.describe(space, "digits", preset, held_out=40, num_images=64))

        def keys():
            return states.keys(jax.random.key(3))

        def extract(params, arch):
            return shared.extract({"params": params}, space, run.network.config, arch)

        def train(steps, state, **more):
            """Returns (loss of each step, parameters)."""
            chunks = [
                (state.params, chunk.metrics.loss)
                for state, chunk in loop.train(steps, state, keys(), run.data("train"), run.config, stop=8, **more)
            ]
            return np.concatenate([loss for _, loss in chunks]), jax.device_get(chunks[-1][0])

        for arch in np.asarray(run.space.sample(jax.random.key(1), 3)):
            state = init(keys().init)
            network, own = extract(jax.tree.map(jnp.copy, state.params), arch)
            losses, params = train(run.steps, state, draw=sampling.from_pool(arch[None]))
            steps = step_lib.steps(network, run.config, run.inputs, num_classes=10, num_images=64)
            first = jax.jit(functools.partial(steps.init, image_shape=run.images.shape))(keys().init)
            own_losses, own_params = train(steps, first.replace(params=own["params"]))
            np.testing.assert_allclose(losses, own_losses, rtol=1e-3)
            chex.assert_trees_all_close(extract(params, arch)[1]["params"], own_params, atol=1e-3)
