"""Optimizers against NumPy versions of PyTorch's, losses by hand, the moving average."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common.networks import logits as logits_lib
from common.training import config as configs
from common.training import losses, optimizers
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

    def test_clip_is_of_all_parameters_together(self):
        config = configs.Optimizer(momentum=0.0, weight_decay=0.0, clip_norm=5.0)
        params = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
        optimizer = optimizers.make(config, lambda step: 1.0, {"a": True, "b": True})
        for scale in (1.0, 2.0):  # norms 5 and 10 become 5
            gradient = {"a": jnp.array([3.0 * scale]), "b": jnp.array([4.0 * scale])}
            updates, _ = optimizer.update(gradient, optimizer.init(params), params)
            chex.assert_trees_all_close(updates, {"a": jnp.array([-3.0]), "b": jnp.array([-4.0])})

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
        ("half_square", True, 0.05 * 15),
        ("square", True, 0.1 * 15),
        ("square", False, 0.1 * 14),
        ("gradient", True, 0),
        ("decoupled", True, 0),
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
