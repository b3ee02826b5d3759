"""The recurrence against a plain scan and against NumPy: values, and gradients of everything."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from nao_jax import recurrent

LENGTH, BATCH, INPUTS, SIZE = 5, 3, 4, 6


def arguments(*lead, seed=0):
    """(inputs, weights, biases, h, c), all with the leading axes `lead`."""
    rng = np.random.default_rng(seed)
    shapes = ((LENGTH, BATCH, INPUTS), (INPUTS + SIZE, 4 * SIZE), (4 * SIZE,), (BATCH, SIZE), (BATCH, SIZE))
    return tuple(rng.normal(size=(*lead, *shape)).astype(np.float32) for shape in shapes)


def plain(inputs, weights, biases, h, c, forget_bias=0.0):
    """The textbook scan, gates in the order input, forget, output, candidate."""

    def step(carry, x):
        h, c = carry
        gates = jnp.concatenate([x, h], axis=-1) @ weights + biases[None]
        admit, keep, show, candidate = jnp.split(gates, 4, axis=-1)
        c = jax.nn.sigmoid(keep + forget_bias) * c + jax.nn.sigmoid(admit) * jnp.tanh(candidate)
        h = jax.nn.sigmoid(show) * jnp.tanh(c)
        return (h, c), h

    return jax.lax.scan(step, (h, c), inputs)[1]


ours = jax.jit(recurrent.read, static_argnames=("forget_bias", "is_reversed"))


def weighted(function):
    """A scalar in which every output has a weight of its own."""

    def run(*args):
        hidden = function(*args)
        return jnp.sum(hidden * jnp.cos(jnp.arange(hidden.size, dtype=jnp.float32)).reshape(hidden.shape))

    return run


class RecurrentTest(parameterized.TestCase):
    def test_values_are_those_of_numpy(self):
        inputs, weights, biases, h, c = (np.asarray(x, np.float64) for x in arguments())
        expected = []
        for x in inputs:
            gates = np.concatenate([x, h], axis=-1) @ weights + biases
            admit, keep, show = (1 / (1 + np.exp(-gates[:, at * SIZE : (at + 1) * SIZE])) for at in range(3))
            c = keep * c + admit * np.tanh(gates[:, 3 * SIZE :])
            h = show * np.tanh(c)
            expected.append(h)
        np.testing.assert_allclose(ours(*arguments()), expected, atol=1e-6)

    def test_one_unit_by_hand(self):
        # Gates before activation: 0, 0, 0 and 0.5 x; c = 0.5 x 2 + 0.5 tanh(0.5), h = 0.5 tanh(c).
        weights = jnp.asarray([[0.0, 0.0, 0.0, 0.5], [0.0, 0.0, 0.0, 0.0]])
        hidden = ours(jnp.ones((1, 1, 1)), weights, jnp.zeros(4), jnp.ones((1, 1)), jnp.full((1, 1), 2.0))
        np.testing.assert_allclose(hidden, 0.5 * np.tanh(1 + 0.5 * np.tanh(0.5)).reshape(1, 1, 1), rtol=1e-6)

    @parameterized.parameters(0.0, 1.0)
    def test_the_forget_bias_is_added_to_the_forget_gate(self, forget_bias):
        expected = plain(*arguments(), forget_bias=forget_bias)
        np.testing.assert_allclose(ours(*arguments(), forget_bias=forget_bias), expected, atol=1e-6)

    @parameterized.parameters(False, True)
    def test_gradients_equal_those_of_the_plain_scan(self, is_reversed):
        def backwards(inputs, *rest):
            return plain(inputs[::-1], *rest)[::-1]

        def found(*args):
            return ours(*args, is_reversed=is_reversed)

        found, expected = (
            jax.jit(jax.value_and_grad(weighted(function), argnums=(0, 1, 2, 3, 4)))(*arguments())
            for function in (found, backwards if is_reversed else plain)
        )
        chex.assert_trees_all_close(found, expected, atol=2e-6, rtol=2e-5)

    def test_gradients_are_numerically_right(self):
        def loss(*args):
            return jnp.mean(ours(*args) ** 2)

        args, rng = arguments(seed=1), np.random.default_rng(2)
        direction = tuple(rng.normal(size=x.shape).astype(np.float32) for x in args)
        run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2, 3, 4)))
        slope = sum(np.vdot(g, d) for g, d in zip(run(*args)[1], direction))
        ahead, behind = (run(*(x + sign * 1e-2 * d for x, d in zip(args, direction)))[0] for sign in (1, -1))
        np.testing.assert_allclose(slope, (ahead - behind) / 2e-2, rtol=1e-2)

    def test_shared_parameters_under_vmap(self):
        inputs, *rest = arguments(2)
        rest = [x[0] for x in rest]
        found = jax.jit(jax.vmap(lambda x: jax.grad(weighted(ours), argnums=1)(x, *rest)))(inputs)
        one = jax.jit(jax.grad(weighted(plain), argnums=1))
        expected = [one(x, *rest) for x in inputs]
        np.testing.assert_allclose(found, expected, atol=2e-6, rtol=2e-5)

    def test_steps_of_the_cell_give_the_sequence(self):
        inputs, weights, biases, h, c = arguments()
        input_weights, hidden_weights = recurrent.split(weights, SIZE)
        for x, expected in zip(inputs, plain(inputs, weights, biases, h, c)):
            h, c = recurrent.cell(x @ input_weights + biases[None], hidden_weights, h, c)
            np.testing.assert_allclose(h, expected, atol=1e-6)
