"""Decoder: tokens from the latent (NAO, section 3.2).

An LSTM whose initial state is the architecture's embedding attends to the latent. The dot-product variants do
not feed the context back, so teacher forcing takes one attention for all steps; in the additive variant each
step reads the context of the last one (input feeding).
"""

import math
from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from nao_jax import config as configs
from nao_jax import encoder, layers, recurrent

_HALF = math.sqrt(0.5)


class Carry(NamedTuple):
    """State of the decoder between two tokens."""

    h: chex.Array  # float32[B, H], the hidden state
    c: chex.Array  # float32[B, H], the cell state
    context: chex.Array | None  # float32[B, H], the last output of the attention; None if it is not fed back


class Decoder(nn.Module):
    """Autoregressive decoder with attention over the latent.

    Attributes:
      config: sizes and variants.
      vocabulary_size: V.
    """

    config: configs.Model
    vocabulary_size: int

    def setup(self):
        """Declares the parameters."""
        config, size = self.config, self.config.hidden_size
        is_additive = config.attention == "additive"

        def linear(name, fan_in, outputs, has_bias=True):
            weights = self.param(f"{name}_weights", layers.weights(config, fan_in=fan_in), (fan_in, outputs))
            if not has_bias:
                return weights, None
            return weights, self.param(f"{name}_biases", layers.biases(config, fan_in=fan_in), (outputs,))

        self.table = self.param("embeddings", layers.table(config), (self.vocabulary_size, size))
        init = layers.recurrent_weights(config, is_decoder=True)
        self.cell_weights = self.param("cell_weights", init, ((3 if is_additive else 2) * size, 4 * size))
        self.cell_biases = self.param("cell_biases", layers.recurrent_biases(config), (4 * size,))
        if config.attention != "dot":
            self.query_weights, _ = linear("query", size, size, has_bias=False)
        if is_additive:
            self.key_weights, _ = linear("key", size, size, has_bias=False)
            self.score = self.param("score", layers.weights(config, fan_in=size), (size,))
            self.score_scale = self.param("score_scale", nn.initializers.constant(size**-0.5), ())
            self.score_biases = self.param("score_biases", nn.initializers.zeros, (size,))
        else:
            self.mix = linear("mix", 2 * size, size, has_bias=config.has_attention_bias)
        self.output = linear("output", size, self.vocabulary_size)

    def __call__(self, latent: chex.Array, inputs: chex.Array, *, is_training: bool = False) -> chex.Array:
        """Returns the logits of each token given the preceding ones, float32[B, T, V].

        Args:
          latent: float32[B, S, H].
          inputs: int32[B, T], the sequence shifted right, see `nao_jax.model.shift_right`.
          is_training: whether dropout is active, with the random stream "dropout".
        """
        embedded = self.table[inputs.T]
        if is_training and self.config.decoder_dropout:
            embedded = layers.drop(self.make_rng("dropout"), embedded, rate=self.config.decoder_dropout)
        latent, embedded = (values.astype(self.cell_weights.dtype) for values in (latent, embedded))
        carry = self.start(latent)
        if self.config.attention == "additive":
            hidden = self._read_with_feeding(embedded, carry, latent)
        else:
            hidden = recurrent.read(
                embedded,
                self.cell_weights,
                self.cell_biases,
                carry.h,
                carry.c,
                forget_bias=self.config.forget_bias,
            )
        return self._logits(embedded.swapaxes(0, 1), hidden.swapaxes(0, 1), latent)

    def start(self, latent: chex.Array) -> Carry:
        """Returns the carry before the first token: both states are the architecture's embedding."""
        first = encoder.embedding(latent)
        return Carry(h=first, c=first, context=jnp.zeros_like(first) if self.config.attention == "additive" else None)

    def step(self, carry: Carry, tokens: chex.Array, latent: chex.Array) -> tuple[Carry, chex.Array]:
        """Reads one token and returns (carry, logits of the next float32[B, V]).

        Args:
          carry: the state after the preceding tokens.
          tokens: int32[B]; initially 0, the start symbol.
          latent: float32[B, S, H].
        """
        embedded = self.table[tokens]
        input_weights, hidden_weights = recurrent.split(self.cell_weights, self.config.hidden_size)
        biases = recurrent.gate_biases(self.cell_biases, forget_bias=self.config.forget_bias)
        is_additive = self.config.attention == "additive"
        read = jnp.concatenate([embedded, carry.context], axis=-1) if is_additive else embedded
        h, c = recurrent.cell(read @ input_weights + biases[None], hidden_weights, carry.h, carry.c)
        context = self._additive_attention(h, latent @ self.key_weights, latent) if is_additive else None
        logits = self._logits(embedded[:, None], h[:, None], latent)[:, 0]
        return Carry(h=h, c=c, context=context), logits

    def _read_with_feeding(self, embedded, carry, latent):
        """Returns the hidden states float32[T, B, H], with input feeding."""
        size = self.config.hidden_size
        input_weights, hidden_weights = recurrent.split(self.cell_weights, size)
        token_weights, context_weights = recurrent.split(input_weights, size)
        biases = recurrent.gate_biases(self.cell_biases, forget_bias=self.config.forget_bias)
        projected = jnp.einsum("tbe,eg->tbg", embedded, token_weights) + biases[None, None]
        keys = latent @ self.key_weights

        def step(carry, gate_inputs):
            h, c = recurrent.cell(gate_inputs + carry.context @ context_weights, hidden_weights, carry.h, carry.c)
            return Carry(h=h, c=c, context=self._additive_attention(h, keys, latent)), h

        return jax.lax.scan(step, carry, projected)[1]

    def _additive_attention(self, h, keys, latent):
        """Attends with a weight-normalized score (Bahdanau et al., 2015; Salimans and Kingma, 2016)."""
        direction = self.score_scale * self.score / jnp.linalg.norm(self.score)
        query = h @ self.query_weights + self.score_biases[None]
        scores = jnp.einsum("bsh,h->bs", jnp.tanh(query[:, None] + keys), direction)
        return jnp.einsum("bs,bsh->bh", jax.nn.softmax(scores), latent)

    def _logits(self, embedded, hidden, latent):
        """Returns float32[B, T, V] of embeddings and hidden states float32[B, T, H]."""
        if self.config.attention != "additive":
            is_residual = self.config.decoder == "residual"
            before = _HALF * (embedded + hidden) if is_residual else hidden
            hidden = self._dot_attention(before, latent)
            hidden = _HALF * (before + hidden) if is_residual else hidden
        weights, biases = self.output
        return jnp.dot(hidden, weights) + biases[None, None]

    def _dot_attention(self, hidden, latent):
        """Attends by dot product and mixes the context with the state (Luong et al., 2015)."""
        query = jnp.dot(hidden, self.query_weights) if self.config.attention == "general" else hidden
        shares = jax.nn.softmax(jnp.einsum("bth,bsh->bts", query, latent))
        context = jnp.einsum("bts,bsh->bth", shares, latent)
        weights, biases = self.mix
        size = self.config.hidden_size
        mixed = jnp.dot(context, weights[:size]) + jnp.dot(hidden, weights[size:])
        return jnp.tanh(mixed if biases is None else mixed + biases[None, None])
