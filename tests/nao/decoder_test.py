"""Decoder against NumPy, token by token, and causality."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from nao_jax import config as configs
from nao_jax import decoder, encoder

SIZE, VOCABULARY = 6, 5
VARIANTS = {
    "additive": {"attention": "additive", "decoder": "plain", "forget_bias": 1.0, "initializer": "orthogonal"},
    "dot": {"attention": "dot", "decoder": "plain", "has_attention_bias": True},
    "general": {"attention": "general", "decoder": "plain"},
    "residual": {"attention": "general", "decoder": "residual"},
}


def make(name, **changes):
    config = configs.Model(embedding_size=SIZE, hidden_size=SIZE, **{**VARIANTS[name], **changes})
    return decoder.Decoder(config, VOCABULARY)


LATENT = encoder.to_unit_length(np.random.default_rng(1).normal(size=(3, 4, SIZE)).astype(np.float32))
INPUTS = np.random.default_rng(2).integers(0, VOCABULARY, (3, 7)).astype(np.int32)


@functools.cache
def init(module):
    params = jax.jit(module.init)(jax.random.key(0), LATENT, INPUTS)
    noise = jax.random.normal(jax.random.key(2), (1000,))  # so that biases initialized to zero count too
    return jax.tree.map(lambda x: x + 0.3 * noise[: x.size].reshape(x.shape), params)


@functools.partial(jax.jit, static_argnames=("module", "method"))
def apply(module, *args, method=None):
    return module.apply(*args, method=method)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def reference(name, params, latent, inputs):
    """Logits [B, T, V] in float64, one token at a time as the papers' formulas say."""
    p = {key: np.asarray(x, np.float64) for key, x in params["params"].items()}
    latent = np.asarray(latent, np.float64)
    mean = latent.mean(axis=1)
    h = c = mean / np.linalg.norm(mean, axis=-1, keepdims=True)
    context, logits = np.zeros_like(h), []
    for tokens in np.asarray(inputs).T:
        embedded = p["embeddings"][tokens]
        read = [embedded, context, h] if name == "additive" else [embedded, h]
        gates = np.concatenate(read, axis=-1) @ p["cell_weights"] + p["cell_biases"]
        admit, keep, show, candidate = np.split(gates, 4, axis=-1)
        keep = keep + (1.0 if name == "additive" else 0.0)
        c = sigmoid(keep) * c + sigmoid(admit) * np.tanh(candidate)
        h = sigmoid(show) * np.tanh(c)
        top = h
        if name == "additive":
            direction = p["score_scale"] * p["score"] / np.linalg.norm(p["score"])
            query, keys = h @ p["query_weights"], latent @ p["key_weights"]
            scores = np.tanh(query[:, None] + keys + p["score_biases"]) @ direction
            context = (softmax(scores)[:, :, None] * latent).sum(axis=1)
        else:
            before = np.sqrt(0.5) * (embedded + h) if name == "residual" else h
            query = before if name == "dot" else before @ p["query_weights"]
            context = (softmax((latent * query[:, None]).sum(axis=-1))[:, :, None] * latent).sum(axis=1)
            mixed = np.concatenate([context, before], axis=-1) @ p["mix_weights"]
            top = np.tanh(mixed + p["mix_biases"] if name == "dot" else mixed)
            top = np.sqrt(0.5) * (before + top) if name == "residual" else top
        logits.append(top @ p["output_weights"] + p["output_biases"])
    return np.stack(logits, axis=1)


class DecoderTest(chex.TestCase, parameterized.TestCase):
    @parameterized.parameters(*VARIANTS)
    def test_logits_are_those_of_numpy(self, name):
        module = make(name)
        params = init(module)
        found = apply(module, params, LATENT, INPUTS)
        chex.assert_shape(found, (3, 7, VOCABULARY))
        np.testing.assert_allclose(found, reference(name, params, LATENT, INPUTS), atol=1e-5)

    @parameterized.parameters(*VARIANTS)
    def test_step_by_step_is_the_same(self, name):
        module = make(name)
        params = init(module)
        expected = apply(module, params, LATENT, INPUTS)
        carry = apply(module, params, LATENT, method="start")
        np.testing.assert_allclose(carry.h, encoder.embedding(LATENT), atol=1e-6)
        np.testing.assert_allclose(carry.c, carry.h)
        assert (carry.context is not None) == (name == "additive"), "only there it is fed back"
        for at in range(7):
            carry, logits = apply(module, params, carry, INPUTS[:, at], LATENT, method="step")
            np.testing.assert_allclose(logits, expected[:, at], atol=1e-5)

    def test_orthogonal_weights(self):
        module = make("additive")
        params = jax.jit(module.init)(jax.random.key(0), LATENT, INPUTS)["params"]
        weights = params["cell_weights"]
        chex.assert_shape(weights, (3 * SIZE, 4 * SIZE))
        np.testing.assert_allclose(jnp.dot(weights, weights.T), np.eye(3 * SIZE), atol=1e-5)
        np.testing.assert_allclose(params["score_scale"], SIZE**-0.5)
        for name in ("score_biases", "cell_biases", "output_biases"):
            np.testing.assert_array_equal(params[name], np.zeros_like(params[name]))
