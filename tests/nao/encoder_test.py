"""Encoder by hand: grouping, lengths, both directions, dropout."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from nao_jax import config as configs
from nao_jax import encoder

PLAIN = configs.Model(
    embedding_size=3, hidden_size=5, tokens_per_step=2, is_bidirectional=False, encoder_dropout_place="outputs"
)
BOTH = configs.Model(embedding_size=4, hidden_size=8, tokens_per_step=2)


def read(inputs, weights, biases, size):
    """Hidden states [S, B, H] in float64."""
    h = c = np.zeros((inputs.shape[1], size))
    hidden = []
    for x in inputs:
        gates = np.concatenate([x, h], axis=-1) @ weights + biases
        admit, keep, show = (1 / (1 + np.exp(-gates[:, at * size : (at + 1) * size])) for at in range(3))
        c = keep * c + admit * np.tanh(gates[:, 3 * size :])
        h = show * np.tanh(c)
        hidden.append(h)
    return np.stack(hidden)


class EncoderTest(chex.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.tokens = jax.random.randint(jax.random.key(1), (3, 6), 0, 7)

    def encode(self, config, params, **options):
        return jax.jit(functools.partial(encoder.Encoder(config, 7).apply, **options))(params, self.tokens)

    def init(self, config):
        return jax.jit(encoder.Encoder(config, 7).init)(jax.random.key(0), self.tokens)

    @parameterized.parameters(PLAIN, BOTH)
    def test_latents_are_those_of_numpy(self, config):
        params, size = self.init(config), config.hidden_size
        named = {name: np.asarray(x, np.float64) for name, x in params["params"].items()}
        # The embeddings of two tokens side by side are one step.
        embedded = named["embeddings"][np.asarray(self.tokens)]
        steps = np.stack([np.concatenate([embedded[:, 2 * s], embedded[:, 2 * s + 1]], axis=-1) for s in range(3)])
        hidden = read(steps, named["forward_weights"], named["forward_biases"], size)
        if config.is_bidirectional:
            backward = read(steps[::-1], named["backward_weights"], named["backward_biases"], size)[::-1]
            hidden = np.concatenate([hidden, backward], axis=-1) @ named["output_weights"] + named["output_biases"]
            hidden = steps + hidden
        expected = (hidden / np.linalg.norm(hidden, axis=-1, keepdims=True)).swapaxes(0, 1)
        np.testing.assert_allclose(self.encode(config, params), expected, atol=1e-6)

    def test_embedding_is_the_mean_at_length_one(self):
        latent = jnp.asarray([[[3.0, 0.0], [0.0, 4.0]], [[1.0, 1.0], [1.0, -1.0]]])
        np.testing.assert_allclose(encoder.embedding(latent), [[0.6, 0.8], [1.0, 0.0]], rtol=1e-6)
        np.testing.assert_allclose(encoder.embedding(latent[None, None])[0, 0], encoder.embedding(latent))

    def test_zero_stays_zero_with_a_finite_gradient(self):
        zero = jnp.zeros((2, 3))
        np.testing.assert_array_equal(encoder.to_unit_length(zero), zero)
        assert np.all(np.isfinite(jax.grad(lambda x: jnp.sum(encoder.to_unit_length(x)))(zero)))
