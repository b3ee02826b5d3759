"""The networks of NAO: predictor, and all three as one module."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nao_jax import config as configs
from nao_jax import decoder, encoder, layers

START = 0  # start symbol of every sequence


class Model(nn.Module):
    """Encoder, predictor and decoder.

    Call a part by its name: `model.apply(params, tokens, method="encode")`; if `is_training`, with
    `rngs={"dropout": key}`. An LSTM of PyTorch has two bias vectors where ours has one, so the released models
    have 4H more parameters for each.

    Attributes:
      config: sizes and variants.
      num_tokens: T, a multiple of `config.tokens_per_step`.
      vocabulary_size: V, the start symbol included.
    """

    config: configs.Model
    num_tokens: int
    vocabulary_size: int

    def __post_init__(self):
        """Validates the sizes."""
        if self.num_tokens < 1 or self.num_tokens % self.config.tokens_per_step:
            raise ValueError(
                f"num_tokens must be a positive multiple of tokens_per_step, {self.config.tokens_per_step}; got "
                f"{self.num_tokens}"
            )
        if self.vocabulary_size < 2:
            raise ValueError(
                f"vocabulary_size must be at least 2, as it counts the start symbol; got {self.vocabulary_size}"
            )
        super().__post_init__()

    def setup(self):
        """Declares the three networks."""
        self.encoder = encoder.Encoder(self.config, self.vocabulary_size)
        self.predictor = Predictor(self.config)
        self.decoder = decoder.Decoder(self.config, self.vocabulary_size)

    def __call__(
        self,
        tokens: chex.Array,
        inputs: chex.Array,
        *,
        features: chex.Array | None = None,
        is_training: bool = False,
    ) -> tuple[chex.Array, chex.Array, chex.Array]:
        """Returns (latent float32[B, S, H], prediction float32[B], logits float32[B, T, V]).

        Args:
          tokens: int32[B, T], inputs of the encoder.
          inputs: int32[B, T], inputs of the decoder, see `shift_right`.
          features: float32[B, F], further inputs of the encoder if `config.has_features`.
          is_training: whether dropout is active.
        """
        latent = self.encode(tokens, features=features, is_training=is_training)
        prediction = self.predict(latent, is_training=is_training)
        return latent, prediction, self.decode(latent, inputs, is_training=is_training)

    def encode(
        self, tokens: chex.Array, *, features: chex.Array | None = None, is_training: bool = False
    ) -> chex.Array:
        """Returns the latent float32[B, S, H], rows of length 1, of `tokens` int32[B, T] (and `features`)."""
        chex.assert_shape(tokens, (None, self.num_tokens))
        return self.encoder(tokens, features=features, is_training=is_training)

    def predict(self, latent: chex.Array, *, is_training: bool = False) -> chex.Array:
        """Returns the predictions float32[B] of `latent` float32[B, S, H]."""
        return self.predictor(latent, is_training=is_training)

    def decode(self, latent: chex.Array, inputs: chex.Array, *, is_training: bool = False) -> chex.Array:
        """Returns the logits float32[B, T, V] of each token given `inputs` int32[B, T] up to it."""
        chex.assert_shape(inputs, (None, self.num_tokens))
        return self.decoder(latent, inputs, is_training=is_training)

    def start(self, latent: chex.Array) -> decoder.Carry:
        """Returns the decoder's carry before the first token."""
        return self.decoder.start(latent)

    def step(self, carry: decoder.Carry, tokens: chex.Array, latent: chex.Array) -> tuple[decoder.Carry, chex.Array]:
        """Reads `tokens` int32[B]; returns (carry, logits float32[B, V] of the next tokens)."""
        return self.decoder.step(carry, tokens, latent)


class Predictor(nn.Module):
    """Predictor of fitness: a small feed-forward network on the architecture's embedding (NAO, section 3.2)."""

    config: configs.Model

    @nn.compact
    def __call__(self, latent: chex.Array, *, is_training: bool = False) -> chex.Array:
        """Returns float32[B], the predictions.

        Args:
          latent: float32[B, S, H].
          is_training: whether dropout is active, with the random stream "dropout".
        """
        config = self.config
        hidden = before = encoder.embedding(latent)
        if config.predictor == "residual":
            sizes = (config.predictor_size, config.hidden_size)
        else:
            sizes = (config.predictor_size,) * config.predictor_layers
        for layer, size in enumerate(sizes):
            hidden = jax.nn.relu(self._linear(f"layer{layer}", hidden, size))
            if is_training and config.predictor_dropout:
                hidden = layers.drop(self.make_rng("dropout"), hidden, rate=config.predictor_dropout)
        if config.predictor == "residual":
            hidden = np.sqrt(0.5, dtype=np.float32) * (before + hidden)
        prediction = self._linear("output", hidden, 1)[:, 0]
        return jax.nn.sigmoid(prediction) if config.has_sigmoid else prediction

    def _linear(self, name, inputs, size):
        fan_in = inputs.shape[-1]
        init = layers.weights(self.config, fan_in=fan_in)
        if self.config.predictor_weight_range:
            init = layers.uniform(self.config.predictor_weight_range)
        weights = self.param(f"{name}_weights", init, (fan_in, size))
        biases = self.param(f"{name}_biases", layers.biases(self.config, fan_in=fan_in), (size,))
        return jnp.dot(inputs, weights) + biases[None]


def shift_right(tokens: chex.Array) -> chex.Array:
    """Returns the inputs of the decoder for `tokens` int32[B, T]: the start symbol, then all but the last."""
    return jnp.pad(tokens[:, :-1], ((0, 0), (1, 0)), constant_values=START)
