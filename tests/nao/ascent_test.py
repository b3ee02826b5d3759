"""Latent ascent: gradient by finite differences, steps by hand, and the architectures decoded."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common import spaces
from nao_jax import ascent, decoding, encoder, presets
from nao_jax import config as configs
from nao_jax import model as models

NUM_STARTS, NUM_STEPS = 3, 4
MODELS = ("nao_cnn", "nao_rnn", "nao_pytorch_v2", "seminas_nasbench101")  # predictors: none, deep, wide, residual
TINY = configs.Model(embedding_size=4, hidden_size=8, is_bidirectional=False, decoder="plain")


@functools.cache
def predictor(name):
    """Returns (float[S, H] -> float[], latents float32[B, S, H]) of a published model with random parameters."""
    config = presets.MODELS[name]
    model = models.Model(config, config.tokens_per_step, 2)
    latents = jax.random.normal(jax.random.key(2), (NUM_STARTS, 5, config.hidden_size))
    params = jax.jit(functools.partial(model.init, method="predict"))(jax.random.key(1), latents)
    params = jax.tree.map(lambda leaf: 3 * leaf, params)  # so that no prediction is flat
    return (lambda latent: model.apply(params, latent[None], method="predict")[0]), encoder.to_unit_length(latents)


@functools.cache
def published_steps(name):
    """step sizes float32[2, K] -> latents after them, the gradient as it is and of unit length."""
    predict, latents = predictor(name)

    @jax.jit
    def steps(step_sizes):
        def steps_of(sizes, is_unit):
            move = functools.partial(ascent.step, predict, is_unit=is_unit)
            return jax.vmap(lambda size: jax.vmap(lambda latent: move(latent, size))(latents))(sizes)

        return jnp.stack([steps_of(step_sizes[0], False), steps_of(step_sizes[1], True)])

    return lambda step_sizes: np.asarray(steps(jnp.asarray(step_sizes, jnp.float32)))


def numerical_gradients(name, width=1e-6):
    """Central differences in double precision, float64[B, S, H]."""
    predict, latents = predictor(name)
    with jax.enable_x64(True):
        latents = np.asarray(latents, np.float64)
        moves = width * np.eye(latents[0].size).reshape(-1, *latents[0].shape)
        differences = jax.jit(
            jax.vmap(lambda latent: jax.vmap(lambda move: predict(latent + move) - predict(latent - move))(moves))
        )(latents)
        return np.asarray(differences).reshape(latents.shape) / (2 * width)


class StepTest(chex.TestCase):
    def step(self, latent, weights, step_size, is_unit=False):
        """Of the prediction sum(weights * latent), the gradient of which is the weights."""
        weights = jnp.array(weights)
        step = self.variant(functools.partial(ascent.step, lambda one: jnp.sum(weights * one), is_unit=is_unit))
        return np.asarray(step(jnp.array(latent), jnp.float32(step_size)))

    @chex.variants(with_jit=True, without_jit=True)
    def test_by_hand(self):
        # (1, 0) + 2 (1, 2) = (3, 4), of length 5; (0, 1) + 2 (0, -1) = (0, -1).
        found = self.step([[1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [0.0, -1.0]], 2.0)
        np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, -1.0]], atol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_a_unit_gradient_by_hand(self):
        # Squared lengths 32 and 0, so on average 16, and the gradient is divided by 4 (and so by 0.004).
        for scale in (1.0, 1e-3):
            weights = [[0.0, scale * 32**0.5], [0.0, 0.0]]
            found = self.step([[1.0, 0.0], [0.6, 0.8]], weights, 2.0, is_unit=True)
            np.testing.assert_allclose(found, [[1 / 3, 8**0.5 / 3], [0.6, 0.8]], atol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_where_the_prediction_is_flat_it_stays(self):
        latent = [[1.0, 0.0], [0.6, 0.8]]
        for is_unit in (True, False):
            found = self.step(latent, [[0.0, 0.0], [0.0, 0.0]], 5.0, is_unit=is_unit)
            np.testing.assert_allclose(found, latent, atol=1e-6)

    @parameterized.parameters(*MODELS)
    def test_the_gradient_is_that_of_finite_differences(self, name):
        latents = np.asarray(predictor(name)[1], np.float64)
        gradients = numerical_gradients(name)
        lengths = np.sqrt(np.mean(np.sum(gradients**2, axis=-1), axis=-1))[:, None, None]
        # Steps about as long as the latent, so that the direction shows.
        step_sizes = np.array([0.5, 1.0, 1.5, 2.0]) * np.array([[1 / lengths.min()], [1.0]])
        moved = published_steps(name)(step_sizes)
        for is_unit in (0, 1):
            for size, found in zip(step_sizes[is_unit], moved[is_unit]):
                expected = latents + size * gradients / (lengths if is_unit else 1.0)
                expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
                assert np.abs(expected - latents).max() > 0.05
                np.testing.assert_allclose(found, expected, atol=1e-4)


def is_legal(legal, tokens):
    """Whether each of int[..., T] is legal after the one before it, the start symbol first."""
    before = np.concatenate([np.zeros((*tokens.shape[:-1], 1), int), tokens[..., :-1]], axis=-1)
    return legal[np.arange(tokens.shape[-1]), before, tokens]


@functools.cache
def climbed(name, beam_width):
    """Returns (latents, tokens, those of single steps decoded alone) on a space, with random parameters."""
    legal = spaces.get(name).legal_tokens
    fields = {"num_steps": NUM_STEPS, "step_size": 0.7, "has_unit_gradient": True, "beam_width": beam_width}
    config = dataclasses.replace(configs.Config(), model=TINY, **fields)
    model = models.Model(TINY, *legal.shape[:2])

    @jax.jit
    def run(params_key, latent_key):
        blank = jnp.zeros((1, model.num_tokens), jnp.int32)
        params = jax.tree.map(lambda leaf: 4 * leaf, model.init(params_key, blank, blank))
        latents = jax.random.normal(latent_key, (NUM_STARTS, model.num_tokens, TINY.hidden_size))
        latents = encoder.to_unit_length(latents)
        tokens = ascent.climb(model, params, latents, jnp.asarray(legal), config=config)

        def alone(size):
            def predict(latent):
                return model.apply(params, latent[None], method="predict")[0]

            move = functools.partial(ascent.step, predict, is_unit=config.has_unit_gradient)
            moved = jax.vmap(lambda latent: move(latent, size))(latents)
            if beam_width == 1:
                return decoding.greedy(model, params, moved, legal)[:, None]
            return decoding.beam(model, params, moved, legal, width=beam_width)[0]

        sizes = config.step_size * jnp.arange(1.0, config.num_steps + 1.0)
        return latents, tokens, jax.lax.map(alone, sizes)

    return tuple(map(np.asarray, run(jax.random.key(3), jax.random.key(4))))


class ClimbTest(parameterized.TestCase):
    @parameterized.parameters(("convnet", 1), ("nasbench101", 1), ("convnet", 3))
    def test_every_step_starts_from_the_latent_itself_the_smallest_first(self, name, beam_width):
        _, tokens, expected = climbed(name, beam_width)
        np.testing.assert_array_equal(tokens, expected)
        assert np.any(tokens[0] != tokens[-1])

    def test_a_beam_is_different_sequences_the_likeliest_first(self):
        legal = spaces.get("convnet").legal_tokens
        _, tokens, _ = climbed("convnet", 3)
        assert tokens.shape == (NUM_STEPS, NUM_STARTS, 3, 5)
        assert np.all(is_legal(legal, tokens))
        for beam in tokens.reshape(-1, 3, 5):
            assert len(np.unique(beam, axis=0)) == 3
