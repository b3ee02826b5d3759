"""From the latent to the predicted fitness (NAO, section 3.2)."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nao_jax import config as configs
from nao_jax import dropout, encoder, initializers


class Predictor(nn.Module):
    """A small feed-forward network that reads the architecture's embedding and nothing else.

    Attributes:
      config: sizes and variants.
    """

    config: configs.Model

    @nn.compact
    def __call__(self, latent: chex.Array, *, is_training: bool = False) -> chex.Array:
        """Returns float32[B], the predictions.

        Args:
          latent: float32[B, S, H].
          is_training: whether units are dropped, by the random stream "dropout".
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
                hidden = dropout.drop(self.make_rng("dropout"), hidden, rate=config.predictor_dropout)
        if config.predictor == "residual":
            hidden = np.sqrt(0.5, dtype=np.float32) * (before + hidden)
        prediction = self._linear("output", hidden, 1)[:, 0]
        return jax.nn.sigmoid(prediction) if config.has_sigmoid else prediction

    def _linear(self, name, inputs, size):
        fan_in = inputs.shape[-1]
        init = initializers.weights(self.config, fan_in=fan_in)
        if self.config.predictor_weight_range:
            init = initializers.uniform(self.config.predictor_weight_range)
        weights = self.param(f"{name}_weights", init, (fan_in, size))
        biases = self.param(f"{name}_biases", initializers.biases(self.config, fan_in=fan_in), (size,))
        return jnp.dot(inputs, weights) + biases[None]
