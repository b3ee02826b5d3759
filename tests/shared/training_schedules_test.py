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


HALF = 0.5 * np.sqrt(0.5)  # cos(45 degrees) / 2
Schedule = configs.Schedule


class LearningRateTest(chex.TestCase):
    @parameterized.parameters(
        (Schedule(schedule="constant", learning_rate=0.1), 3, 4, {0: 0.1, 5: 0.1, 99: 0.1}),
        # A cosine per epoch is constant within an epoch.
        (
            Schedule(learning_rate=1.0),
            4,
            10,
            {0: 1, 9: 1, 10: 0.5 + HALF, 19: 0.5 + HALF, 20: 0.5, 30: 0.5 - HALF, 40: 0},
        ),
        (
            Schedule(schedule_unit="step", learning_rate=0.4, final_learning_rate=0.1),
            *(4, 10, {0: 0.4, 10: 0.25 + 0.3 * HALF, 20: 0.25, 30: 0.25 - 0.3 * HALF, 40: 0.1, 50: 0.1}),
        ),
        # NAO's proxy runs: 25 epochs of a cosine over 100.
        (Schedule(learning_rate=0.024, period_epochs=100), 25, 351, {24 * 351: 0.012 * (1 + np.cos(0.24 * np.pi))}),
        (
            Schedule(schedule="cosine_restarts", learning_rate=1.0, restart_epochs=2, restart_factor=1),
            *(6, 1, {0: 1, 1: 0.5, 2: 1, 3: 0.5, 4: 1}),
        ),
        # PyTorch's StepLR(step_size=2, gamma=0.5).
        (
            Schedule(schedule="step", learning_rate=0.8, decay_epochs=2, decay_factor=0.5),
            *(9, 10, {0: 0.8, 19: 0.8, 20: 0.4, 39: 0.4, 40: 0.2, 60: 0.1}),
        ),
        # NAO on ImageNet.
        (Schedule(schedule="step", learning_rate=0.4), 250, 7, {0: 0.4, 249 * 7: 0.4 * 0.97**249}),
        (
            Schedule(
                schedule="exponential", schedule_unit="step", learning_rate=0.8, decay_epochs=2, decay_factor=0.25
            ),
            *(9, 10, {0: 0.8, 10: 0.4, 20: 0.2, 30: 0.1}),
        ),
        (
            Schedule(schedule="constant", learning_rate=1.0, warmup_epochs=4),
            *(9, 10, {0: 0.25, 9: 0.25, 10: 0.5, 39: 1, 45: 1}),
        ),
        (
            Schedule(schedule="constant", learning_rate=1.0, warmup_epochs=4, schedule_unit="step"),
            *(9, 10, {0: 1 / 40, 9: 1 / 4, 10: 11 / 40, 39: 1, 45: 1}),
        ),
    )
    def test_by_hand(self, settings, num_epochs, steps_per_epoch, wanted):
        found = rates(settings, wanted, num_epochs=num_epochs, steps_per_epoch=steps_per_epoch)
        np.testing.assert_allclose(found, list(wanted.values()), rtol=1e-5, atol=1e-7)

    def test_lanas_stops_midway(self):
        """After 101 of 600 epochs the paper has "still about 0.0233"."""
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

    @parameterized.parameters("constant", "cosine", "cosine_restarts", "step", "exponential")
    def test_compiled_and_for_many_steps_at_once(self, name):
        config = configs.Schedule(schedule=name, warmup_epochs=1)
        schedule = schedules.learning_rate(config, num_epochs=40, steps_per_epoch=7)
        at = np.arange(300, dtype=np.int32)
        found = jax.jit(jax.vmap(schedule))(at)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, [schedule(int(step)) for step in at], rtol=1e-5, atol=1e-8)

    @parameterized.parameters(
        ({"num_epochs": 4}, 10, {0: 0, 5: 0.125, 20: 0.5, 40: 1, 80: 1}),
        ({"num_epochs": 4, "progress_unit": "epoch"}, 10, {0: 0, 9: 0, 10: 0.25, 39: 0.75}),
        ({"num_epochs": 101, "progress_epochs": 600, "progress_unit": "epoch"}, 3, {303: 101 / 600}),
        ({"num_epochs": 6, "progress_epochs": 2, "progress_restarts": True}, 5, {0: 0, 5: 0.5, 9: 0.9, 10: 0, 15: 0.5}),
    )
    def test_progress(self, settings, steps_per_epoch, wanted):
        ramp = schedules.progress(configs.Config(**settings), steps_per_epoch=steps_per_epoch)
        np.testing.assert_allclose([ramp(step) for step in wanted], list(wanted.values()), rtol=1e-6)


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
