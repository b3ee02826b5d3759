"""Optimizers against PyTorch's in NumPy; losses, the moving average, schedules and the drop-path ramp by hand."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common.networks import logits as logits_lib
from common.training import config as configs
from common.training import losses, optimizers, schedules
from common.training import state as states


def pytorch_sgd(params, gradients, rates, *, momentum, nesterov, weight_decay, clip_norm):
    """torch.nn.utils.clip_grad_norm_ and torch.optim.SGD.step, in float64."""
    buffers = None
    for gradient, rate in zip(gradients, rates, strict=True):
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradient.values()))
        scale = min(1.0, clip_norm / (norm + 1e-6)) if clip_norm else 1.0
        gradient = {name: scale * g + weight_decay * params[name] for name, g in gradient.items()}
        if momentum:
            if buffers is None:
                buffers = dict(gradient)
            else:
                buffers = {name: momentum * buffers[name] + g for name, g in gradient.items()}
            ahead = {name: g + momentum * buffers[name] for name, g in gradient.items()}
            gradient = ahead if nesterov else buffers
        params = {name: params[name] - rate * g for name, g in gradient.items()}
    return params


def pytorch_adam(params, gradients, rates, *, momentum, beta2, weight_decay, is_decoupled):
    """torch.optim.Adam.step, or AdamW's, in float64."""
    means, squares = ({name: np.zeros_like(p) for name, p in params.items()} for _ in range(2))
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        found = {}
        for name, p in params.items():
            g = gradient[name] + (0.0 if is_decoupled else weight_decay * p)
            p = p * (1 - rate * weight_decay) if is_decoupled else p
            means[name] = momentum * means[name] + (1 - momentum) * g
            squares[name] = beta2 * squares[name] + (1 - beta2) * g**2
            root = np.sqrt(squares[name] / (1 - beta2**step)) + optimizers.EPSILON
            found[name] = p - rate * means[name] / (1 - momentum**step) / root
        params = found
    return params


class OptimizersTest(chex.TestCase):
    @parameterized.product(decay=["gradient", "decoupled"], weight_decay=[0.0, 0.5], momentum=[0.0, 0.9])
    def test_three_steps_of_adam(self, decay, weight_decay, momentum):
        settings = {"momentum": momentum, "beta2": 0.9, "weight_decay": weight_decay}
        config = configs.Optimizer(optimizer="adam", decay=decay, clip_norm=0.0, **settings)
        self._check(config, functools.partial(pytorch_adam, is_decoupled=decay == "decoupled", **settings))

    @parameterized.product(
        momentum_nesterov=[(0.9, False), (0.9, True), (0.0, False)], weight_decay=[0.0, 0.05], clip_norm=[0.0, 5.0, 1.0]
    )
    def test_three_steps_of_sgd(self, momentum_nesterov, **settings):
        settings |= dict(zip(("momentum", "nesterov"), momentum_nesterov, strict=True))
        self._check(configs.Optimizer(**settings), functools.partial(pytorch_sgd, **settings))

    def _check(self, config, reference):
        rng = np.random.default_rng(0)
        start = {"kernel": rng.normal(size=(3, 4)), "bias": rng.normal(size=4)}
        gradients = [{name: scale * rng.normal(size=p.shape) for name, p in start.items()} for scale in (1.0, 0.1, 3.0)]
        gradients[1]["bias"] = np.zeros(4)  # as of weights that a step does not use
        rates = [0.1, 0.05, 0.025]
        optimizer = optimizers.make(config, lambda step: jnp.asarray(rates)[step], dict.fromkeys(start, True))
        params = jax.tree.map(jnp.float32, start)
        opt_state = optimizer.init(params)
        for gradient in gradients:
            updates, opt_state = optimizer.update(jax.tree.map(jnp.float32, gradient), opt_state, params)
            params = jax.tree.map(jnp.add, params, updates)
        chex.assert_trees_all_close(params, reference(start, gradients, rates), rtol=2e-5, atol=1e-6)

    def test_nesterov_is_for_sgd(self):
        with self.assertRaisesRegex(ValueError, "nesterov = True needs optimizer 'sgd'; got optimizer 'adam'"):
            configs.Optimizer(optimizer="adam", nesterov=True)

    def test_batch_norm_is_left_out_of_the_decay(self):
        params = {"conv": {"kernel": jnp.ones(2)}, "norm": {"scale": jnp.ones(2), "bias": jnp.ones(2)}}
        batch_stats = {"norm": {"mean": jnp.zeros(2), "var": jnp.ones(2)}}
        config = configs.Optimizer(decay_batch_norm=False, momentum=0.0, weight_decay=0.5, clip_norm=0.0)
        is_decayed = losses.is_decayed(params, batch_stats, config)
        assert is_decayed == {"conv": {"kernel": True}, "norm": {"scale": False, "bias": False}}
        optimizer = optimizers.make(config, lambda step: 1.0, is_decayed)
        updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
        np.testing.assert_allclose(updates["conv"]["kernel"], -0.5)
        np.testing.assert_allclose(updates["norm"]["scale"], 0.0)
        everything = losses.is_decayed(params, batch_stats, configs.Optimizer())
        assert all(jax.tree.leaves(everything))


class LossesTest(chex.TestCase):
    @parameterized.parameters(
        *(("half_square", True, 0.05 * 15), ("square", True, 0.1 * 15), ("square", False, 0.1 * 14)),
        *(("gradient", True, 0), ("decoupled", True, 0)),
    )
    def test_loss_terms(self, decay, decay_batch_norm, wanted):
        params = {"conv": {"kernel": jnp.array([1.0, 2.0, 3.0])}, "norm": {"scale": jnp.array([1.0])}}
        batch_stats = {"norm": {"mean": jnp.zeros(1)}}
        config = configs.Optimizer(decay=decay, weight_decay=0.1, decay_batch_norm=decay_batch_norm)
        found = losses.penalty(params, losses.is_decayed(params, batch_stats, config), config)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)

    def test_auxiliary_head(self):
        main, auxiliary = jnp.zeros((2, 4)), jnp.log(jnp.array([[0.7, 0.1, 0.1, 0.1]] * 2))
        targets = jax.nn.one_hot(jnp.array([0, 0]), 4)
        config = configs.Loss(auxiliary_weight=0.4)
        alone = losses.classification(logits_lib.Logits(main=main, auxiliary=None), targets, config)
        both = losses.classification(logits_lib.Logits(main=main, auxiliary=auxiliary), targets, config)
        np.testing.assert_allclose(alone, np.log(4), rtol=1e-6)
        np.testing.assert_allclose(both, np.log(4) - 0.4 * np.log(0.7), rtol=1e-6)

    def test_smoothing_reaches_the_loss(self):
        logits = logits_lib.Logits(main=jnp.log(jnp.array([[0.7, 0.1, 0.1, 0.1]])), auxiliary=None)
        found = losses.classification(logits, jnp.array([[1.0, 0, 0, 0]]), configs.Loss(label_smoothing=0.1))
        np.testing.assert_allclose(found, -0.925 * np.log(0.7) - 0.075 * np.log(0.1), rtol=1e-6)


class AverageTest(chex.TestCase):
    def test_by_hand(self):
        average = {"params": jnp.array([1.0]), "batch_stats": jnp.array([0.0])}
        for value in (2.0, 4.0):
            new = {"params": jnp.array([value]), "batch_stats": jnp.array([10.0])}
            average = states.update_average(average, new, 0.75)
        # 0.75 * (0.75 * 1 + 0.25 * 2) + 0.25 * 4, and 10 * (1 - 0.75^2)
        chex.assert_trees_all_close(average, {"params": jnp.array([1.9375]), "batch_stats": jnp.array([4.375])})
        assert states.update_average(None, {"params": jnp.ones(1)}, 0.9) is None


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
