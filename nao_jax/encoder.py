"""Encoder: the latent is the sequence of unit-length states of an LSTM over the tokens (NAO, section 3.2)."""

import chex
import flax.linen as nn
import jax.numpy as jnp

from nao_jax import config as configs
from nao_jax import layers, recurrent


def embedding(latent: chex.Array) -> chex.Array:
    """Returns float32[..., H], the embedding of an architecture: the normalized mean of `latent` float32[..., S, H]."""
    return to_unit_length(jnp.mean(latent, axis=-2))


def to_unit_length(vectors: chex.Array) -> chex.Array:
    """Normalizes float32[..., H] to length 1 along the last axis; zero stays zero."""
    squares = jnp.sum(vectors**2, axis=-1, keepdims=True)
    return vectors / jnp.sqrt(jnp.maximum(squares, 1e-24))


class Encoder(nn.Module):
    """LSTM over the tokens of an architecture, `tokens_per_step` at a time.

    Attributes:
      config: sizes and variants.
      vocabulary_size: V.
    """

    config: configs.Model
    vocabulary_size: int

    @nn.compact
    def __call__(
        self, tokens: chex.Array, *, features: chex.Array | None = None, is_training: bool = False
    ) -> chex.Array:
        """Returns the latent, float32[B, S, H] with rows of length 1, where S = T / tokens_per_step.

        Args:
          tokens: int32[B, T].
          features: float32[B, F], read at every step if `config.has_features`.
          is_training: whether dropout is active, with the random stream "dropout".
        """
        config = self.config
        table = self.param("embeddings", layers.table(config), (self.vocabulary_size, config.embedding_size))
        inputs = table[tokens.T]
        if is_training and config.encoder_dropout and config.encoder_dropout_place == "embeddings":
            inputs = layers.drop(self.make_rng("dropout"), inputs, rate=config.encoder_dropout)
        inputs = _group(inputs, config.tokens_per_step)
        if config.has_features:
            inputs += self._embed_features(features, inputs.shape[-1])[None]
        hidden = self._read("forward", inputs)
        if is_training and config.encoder_dropout and config.encoder_dropout_place == "outputs":
            hidden = layers.drop(self.make_rng("dropout"), hidden, rate=config.encoder_dropout)
        if config.is_bidirectional:
            backward = self._read("backward", inputs, is_reversed=True)
            # SemiNAS's ImageNet encoder scales this sum by sqrt(1/2), which the normalization cancels.
            hidden = inputs + self._project(hidden, backward)
        return to_unit_length(hidden.swapaxes(0, 1).astype(table.dtype))

    def _read(self, name, inputs, is_reversed=False):
        """Returns float32[S, B, H], the hidden states along float32[S, B, E]."""
        config = self.config
        weights = self.param(
            f"{name}_weights",
            layers.recurrent_weights(config, is_decoder=False),
            (inputs.shape[-1] + config.hidden_size, 4 * config.hidden_size),
        )
        biases = self.param(f"{name}_biases", layers.recurrent_biases(config), (4 * config.hidden_size,))
        inputs = inputs.astype(weights.dtype)
        h = jnp.zeros((inputs.shape[1], config.hidden_size), weights.dtype)
        return recurrent.read(inputs, weights, biases, h, h, forget_bias=config.forget_bias, is_reversed=is_reversed)

    def _embed_features(self, features, size):
        fan_in = features.shape[-1]
        weights = self.param("feature_weights", layers.weights(self.config, fan_in=fan_in), (fan_in, size))
        return jnp.dot(features.astype(weights.dtype), weights)

    def _project(self, forward, backward):
        """Returns float32[S, B, H], a linear map of the concatenated hidden states of both directions."""
        size = self.config.hidden_size
        weights = self.param("output_weights", layers.weights(self.config, fan_in=2 * size), (2 * size, size))
        biases = self.param("output_biases", layers.biases(self.config, fan_in=2 * size), (size,))
        return jnp.dot(forward, weights[:size]) + jnp.dot(backward, weights[size:]) + biases[None, None]


def _group(inputs, tokens_per_step):
    """Concatenates the embeddings float32[T, B, E] of each step: float32[S, B, tokens_per_step x E]."""
    if tokens_per_step == 1:
        return inputs
    length, batch, size = inputs.shape
    grouped = inputs.reshape(length // tokens_per_step, tokens_per_step, batch, size).swapaxes(1, 2)
    return grouped.reshape(length // tokens_per_step, batch, tokens_per_step * size)
