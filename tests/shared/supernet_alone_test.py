"""Architectures trained alone by the program of shared weights."""

import jax
import numpy as np
import pytest
from absl.testing import absltest, parameterized

from common import spaces
from common.supernets import presets
from common.supernets import stand_alone as supernet_alone
from common.supernets import training as supernet

SPACE = "lanas_oneshot"


def about():
    return supernet.describe(SPACE, "digits", presets.get("digits", SPACE, width=4), num_images=64)


class SupernetAloneTest(parameterized.TestCase):
    def test_no_training_is_refused(self):
        with self.assertRaisesRegex(ValueError, "num_epochs must be at least 1; got 0"):
            supernet_alone.evaluator(about(), num_epochs=0)

    @pytest.mark.slow
    def test_a_fitness_depends_on_the_architecture_and_the_key_alone(self):
        evaluator = supernet_alone.evaluator(about(), num_epochs=2)
        archs = np.array(spaces.get(SPACE).sample(jax.random.key(0), 2))
        archs = np.concatenate([archs, archs[:1]])
        archs[2, 2:4] = archs[2, :2]  # the same branch twice
        key = jax.random.key(3)
        together = evaluator.evaluate(key, archs)
        np.testing.assert_array_equal(together.ok, [True, True, False])
        self.assertEqual(together.reasons, ("", "", "not a valid architecture"))
        self.assertTrue(np.all((together.fitness[:2] > 0) & (together.fitness[:2] <= 1)))
        np.testing.assert_array_equal(evaluator.evaluate(key, archs[1:2]).fitness, together.fitness[1:2])
        self.assertNotEqual(evaluator.evaluate(jax.random.key(4), archs[1:2]).fitness[0], together.fitness[1])
        self.assertNotEqual(evaluator.test(key, archs[1:2]).fitness[0], together.fitness[1])  # on other images


if __name__ == "__main__":
    absltest.main()
