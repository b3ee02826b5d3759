"""Decoded sequences are legal; greedy and beam decoding against exhaustive search."""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from nao_jax import config as configs
from nao_jax import decoding, encoder
from nao_jax import model as models

LENGTH, VOCABULARY = 4, 4
CONFIGS = {
    "residual": configs.Model(embedding_size=6, hidden_size=6),
    "additive": configs.Model(
        embedding_size=3,
        hidden_size=6,
        tokens_per_step=2,
        is_bidirectional=False,
        decoder="plain",
        attention="additive",
    ),
}


def some_legal():
    """After 2 only 1 and 3 may stand, after 3 only 2; the last token is not 1; the start symbol stands nowhere."""
    legal = np.ones((LENGTH, VOCABULARY, VOCABULARY), bool)
    legal[:, 2, 2] = False
    legal[1:, 3, :2] = legal[1:, 3, 3] = False
    legal[-1, :, 1] = False
    legal[:, :, 0] = False
    legal[1:, 0, :] = False  # never read
    return legal


def is_legal(legal, tokens):
    before = (0, *tokens[:-1])
    return all(legal[at, p, v] for at, (p, v) in enumerate(zip(before, tokens)))


@functools.partial(jax.jit, static_argnames="model")
def greedy(model, params, latent, legal):
    return decoding.greedy(model, params, latent, legal)


@functools.partial(jax.jit, static_argnames=("model", "width"))
def beam(model, params, latent, legal, *, width):
    return decoding.beam(model, params, latent, legal, width=width)


@functools.partial(jax.jit, static_argnames=("model", "method"))
def apply(model, *args, method):
    return model.apply(*args, method=method)


@functools.cache
def made(name):
    model = models.Model(CONFIGS[name], LENGTH, VOCABULARY)
    blank = jnp.zeros((1, LENGTH), jnp.int32)
    params = jax.jit(model.init)(jax.random.key(0), blank, blank)
    return model, jax.tree.map(lambda x: 3 * x, params)  # so that tokens differ clearly in likelihood


class DecodingTest(chex.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.legal = some_legal()
        everything = itertools.product(range(VOCABULARY), repeat=LENGTH)
        self.sequences = [tokens for tokens in everything if is_legal(self.legal, tokens)]

    def make(self, name, batch=5):
        model, params = made(name)
        latent = jax.random.normal(jax.random.key(1), (batch, LENGTH // model.config.tokens_per_step, 6))
        return model, params, encoder.to_unit_length(latent)

    def log_probs(self, model, params, latent):
        """Returns [B, number of legal sequences], relative to the legal tokens at each step."""
        found = []
        for tokens in self.sequences:
            target = jnp.broadcast_to(jnp.asarray(tokens), (len(latent), LENGTH))
            inputs = models.shift_right(target)
            logits = np.asarray(apply(model, params, latent, inputs, method="decode"), np.float64)
            masked = np.where(self.legal[np.arange(LENGTH), np.asarray(inputs)], logits, -np.inf)
            normalized = masked - np.log(np.exp(masked).sum(axis=-1, keepdims=True))
            found.append(sum(normalized[:, at, v] for at, v in enumerate(tokens)))
        return np.stack(found, axis=1)

    @parameterized.parameters(*CONFIGS)
    def test_greedy_takes_the_likeliest_legal_token(self, name):
        model, params, latent = self.make(name)
        found = np.asarray(greedy(model, params, latent, self.legal))
        assert found.dtype == np.int32
        carry, last = apply(model, params, latent, method="start"), np.zeros(len(latent), int)
        for at in range(LENGTH):
            carry, logits = apply(model, params, carry, jnp.asarray(last), latent, method="step")
            choice = [[v for v in range(VOCABULARY) if self.legal[at, p, v]] for p in last]
            last = np.array([max(tokens, key=lambda v, row=row: row[v]) for tokens, row in zip(choice, logits)])
            np.testing.assert_array_equal(found[:, at], last)

    @parameterized.parameters(*CONFIGS)
    def test_a_wide_beam_is_the_list_of_all_sequences(self, name):
        model, params, latent = self.make(name)
        width = len(self.sequences) + 3
        tokens, log_probs = beam(model, params, latent, self.legal, width=width)
        expected = self.log_probs(model, params, latent)
        order = np.argsort(-expected, axis=1)
        np.testing.assert_allclose(log_probs[:, :-3], np.take_along_axis(expected, order, 1), atol=2e-5)
        np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), np.ones(len(latent)), atol=1e-5)
        np.testing.assert_array_equal(tokens[:, :-3], np.asarray(self.sequences)[order])
        likeliest = np.asarray(greedy(model, params, latent, self.legal))
        for row, sequence in enumerate(likeliest.tolist()):
            assert log_probs[row, 0] >= expected[row, self.sequences.index(tuple(sequence))] - 2e-5
        # There are no more: the rest repeat the likeliest.
        np.testing.assert_array_equal(log_probs[:, -3:], np.full((len(latent), 3), -np.inf))
        np.testing.assert_array_equal(tokens[:, -3:], np.repeat(tokens[:, :1], 3, axis=1))

    @parameterized.product(name=list(CONFIGS), width=[1, 2, 5])
    def test_beams_are_legal_different_and_in_order(self, name, width):
        model, params, latent = self.make(name, batch=8)
        tokens, log_probs = beam(model, params, latent, self.legal, width=width)
        likeliest = np.asarray(greedy(model, params, latent, self.legal))
        everything = self.log_probs(model, params, latent)
        for row in range(len(latent)):
            written = [tuple(sequence) for sequence in np.asarray(tokens[row]).tolist()]
            assert len(set(written)) == width
            at = [self.sequences.index(sequence) for sequence in written]  # raises where it is not legal
            np.testing.assert_allclose(log_probs[row], everything[row, at], atol=2e-5)
            assert np.all(np.diff(log_probs[row]) <= 0)
            if width == 1:
                np.testing.assert_array_equal(tokens[row, 0], likeliest[row])

    def test_no_width(self):
        model, params, latent = self.make("residual")
        with self.assertRaisesRegex(ValueError, "width must be at least 1; got 0"):
            decoding.beam(model, params, latent, self.legal, width=0)
