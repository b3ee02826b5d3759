"""Learning rates and the drop-path ramp at given steps, by hand."""

import chex
import jax
import numpy as np
from absl.testing import parameterized

from common.training import config as configs
from common.training import schedules


def rates(config, steps, *, num_epochs, steps_per_epoch):
    schedule = schedules.learning_rate(config, num_epochs=num_epochs, steps_per_epoch=steps_per_epoch)
    return np.array([schedule(step) for step in steps])


class LearningRateTest(chex.TestCase):
    def test_constant(self):
        found = rates(
            configs.Schedule(schedule="constant", learning_rate=0.1), [0, 5, 99], num_epochs=3, steps_per_epoch=4
        )
        np.testing.assert_allclose(found, 0.1)

    def test_cosine_per_epoch_stands_still_within_an_epoch(self):
        config = configs.Schedule(learning_rate=0.4, final_learning_rate=0.0)
        found = rates(config, [0, 9, 10, 19, 20, 30, 40], num_epochs=4, steps_per_epoch=10)
        half = 0.5 * np.sqrt(0.5)  # cos(45 degrees) / 2
        np.testing.assert_allclose(found, 0.4 * np.array([1, 1, 0.5 + half, 0.5 + half, 0.5, 0.5 - half, 0]), atol=1e-7)

    def test_cosine_per_step(self):
        config = configs.Schedule(schedule_unit="step", learning_rate=0.4, final_learning_rate=0.1)
        found = rates(config, [0, 10, 20, 30, 40, 50], num_epochs=4, steps_per_epoch=10)
        half = 0.5 * np.sqrt(0.5)
        np.testing.assert_allclose(found, 0.1 + 0.3 * np.array([1, 0.5 + half, 0.5, 0.5 - half, 0, 0]), rtol=1e-6)

    def test_stopping_midway_on_a_longer_cosine(self):
        # NAO's proxy runs: 25 epochs of a cosine over 100, from 0.024. LaNAS: 101 of 600, "still about 0.0233".
        config = configs.Schedule(learning_rate=0.024, period_epochs=100)
        found = rates(config, [0, 24 * 351], num_epochs=25, steps_per_epoch=351)
        np.testing.assert_allclose(found, [0.024, 0.012 * (1 + np.cos(0.24 * np.pi))], rtol=1e-6)
        config = configs.Schedule(learning_rate=0.025, period_epochs=600)
        found = rates(config, [100 * 225], num_epochs=101, steps_per_epoch=225)
        np.testing.assert_allclose(found, 0.0233, atol=5e-5)

    @parameterized.parameters("epoch", "step")
    def test_cosine_restarts_of_nao_ws(self, unit):
        # 0.05 to 1e-4, T0 = 10, Tmul = 2: restarts at epochs 10, 30, 70, 150, 310; 630 epochs are six cosines.
        config = configs.Schedule(
            schedule="cosine_restarts", schedule_unit=unit, learning_rate=0.05, final_learning_rate=1e-4
        )
        epochs = [0, 5, 10, 20, 30, 50, 70, 110, 150, 310, 470]
        found = rates(config, [277 * epoch for epoch in epochs], num_epochs=630, steps_per_epoch=277)
        middle = (0.05 + 1e-4) / 2
        wanted = [0.05, middle, 0.05, middle, 0.05, middle, 0.05, middle, 0.05, 0.05, middle]
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
        before = rates(config, [277 * 10 - 1, 277 * 150 - 1], num_epochs=630, steps_per_epoch=277)
        fraction = np.array([0.9, 79 / 80]) if unit == "epoch" else 1 - 1 / (277 * np.array([10, 80]))
        np.testing.assert_allclose(
            before, 1e-4 + (0.05 - 1e-4) * 0.5 * (1 + np.cos(np.pi * fraction)), rtol=1e-4, atol=1e-9
        )

    def test_cosine_restarts_of_equal_length(self):
        config = configs.Schedule(schedule="cosine_restarts", learning_rate=1.0, restart_epochs=2, restart_factor=1)
        found = rates(config, range(6), num_epochs=6, steps_per_epoch=1)
        np.testing.assert_allclose(found, [1, 0.5, 1, 0.5, 1, 0.5])

    def test_step_and_exponential(self):
        # PyTorch's StepLR(step_size=2, gamma=0.5).
        config = configs.Schedule(schedule="step", learning_rate=0.8, decay_epochs=2, decay_factor=0.5)
        found = rates(config, [0, 19, 20, 39, 40, 60], num_epochs=9, steps_per_epoch=10)
        np.testing.assert_allclose(found, [0.8, 0.8, 0.4, 0.4, 0.2, 0.1], rtol=1e-6)
        config = configs.Schedule(
            schedule="exponential", schedule_unit="step", learning_rate=0.8, decay_epochs=2, decay_factor=0.25
        )
        found = rates(config, [0, 10, 20, 30], num_epochs=9, steps_per_epoch=10)
        np.testing.assert_allclose(found, [0.8, 0.4, 0.2, 0.1], rtol=1e-6)

    def test_imagenet_step_of_nao(self):
        found = rates(
            configs.Schedule(schedule="step", learning_rate=0.4), [0, 249 * 7], num_epochs=250, steps_per_epoch=7
        )
        np.testing.assert_allclose(found, [0.4, 0.4 * 0.97**249], rtol=1e-5)

    @parameterized.parameters(("epoch", [0.25, 0.25, 0.5, 1, 1]), ("step", [1 / 40, 1 / 4, 11 / 40, 1, 1]))
    def test_warmup(self, unit, wanted):
        config = configs.Schedule(schedule="constant", learning_rate=1.0, warmup_epochs=4, schedule_unit=unit)
        found = rates(config, [0, 9, 10, 39, 45], num_epochs=9, steps_per_epoch=10)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)

    @parameterized.parameters("constant", "cosine", "cosine_restarts", "step", "exponential")
    def test_compiled_and_for_many_steps_at_once(self, name):
        config = configs.Schedule(schedule=name, warmup_epochs=1)
        schedule = schedules.learning_rate(config, num_epochs=40, steps_per_epoch=7)
        at = np.arange(300, dtype=np.int32)
        found = jax.jit(jax.vmap(schedule))(at)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, [schedule(int(step)) for step in at], rtol=1e-5, atol=1e-8)


class ProgressTest(chex.TestCase):
    def test_by_step_and_by_epoch(self):
        by_step = schedules.progress(configs.Config(num_epochs=4), steps_per_epoch=10)
        np.testing.assert_allclose([by_step(step) for step in (0, 5, 20, 40, 80)], [0, 0.125, 0.5, 1, 1])
        by_epoch = schedules.progress(configs.Config(num_epochs=4, progress_unit="epoch"), steps_per_epoch=10)
        np.testing.assert_allclose([by_epoch(step) for step in (0, 9, 10, 39)], [0, 0, 0.25, 0.75])

    def test_a_longer_ramp(self):
        ramp = schedules.progress(
            configs.Config(num_epochs=101, progress_epochs=600, progress_unit="epoch"), steps_per_epoch=3
        )
        np.testing.assert_allclose(ramp(303), 101 / 600)

    def test_a_ramp_that_begins_anew(self):
        config = configs.Config(num_epochs=6, progress_epochs=2, progress_restarts=True)
        ramp = schedules.progress(config, steps_per_epoch=5)
        np.testing.assert_allclose([ramp(step) for step in (0, 5, 9, 10, 15, 20)], [0, 0.5, 0.9, 0, 0.5, 0])


class ConfigTest(chex.TestCase):
    def test_fields_that_do_not_fit_each_other(self):
        with self.assertRaisesRegex(ValueError, "needs a momentum above 0"):
            configs.Optimizer(nesterov=True, momentum=0.0)
        with self.assertRaisesRegex(ValueError, "more than the 8 training images"):
            configs.steps_per_epoch(configs.Config(batch_size=9), 8)

    def test_steps_per_epoch(self):
        assert configs.steps_per_epoch(configs.Config(batch_size=128), 50_000) == 390
        assert configs.steps_per_epoch(configs.Config(batch_size=128, last_batch="keep"), 50_000) == 391
        assert configs.steps_per_epoch(configs.Config(batch_size=9, last_batch="keep"), 8) == 1
