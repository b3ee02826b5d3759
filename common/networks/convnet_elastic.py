"""All networks of the space `convnet` in one, chosen by data: masks over the weights of the largest, see `convnet`."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from common.networks import convnet, logits
from common.spaces import convnet as space


class Network(nn.Module):
    """A network with the weights of all architectures.

    Attributes:
      space: "convnet".
      config: that of the network of one architecture.
    """

    space: str
    config: convnet.Config

    @nn.compact
    def __call__(
        self,
        images: chex.Array,
        arch: chex.Array,
        *,
        train: bool,
        progress: chex.Numeric = 0.0,
        statistics: str = "batch",
    ) -> logits.Logits:
        """Returns the logits of one architecture, int32[5]; there are no norms, and so no statistics."""
        if statistics != "batch":
            raise ValueError(f"networks of convnet have no norms; statistics must be 'batch', got {statistics!r}")
        config, largest = self.config, jnp.array(space.LARGEST)
        params = self.param("layers", lambda key: convnet.init(key, config, largest))
        params = [
            jax.tree.map(jnp.multiply, layer, mask) for layer, mask in zip(params[:-1], convnet.masks(config, arch))
        ] + [params[-1]]
        maps, depth, features = jnp.moveaxis(images, 0, -1)[..., 0, :][None], jnp.sum(arch > 0), 0.0
        for at, layer in enumerate(params[:-1], start=1):
            maps = convnet.apply_layer(config, at, layer, maps)
            features += jnp.where(depth == at, jnp.mean(maps, axis=(1, 2)), 0.0)
        found = params[-1].weights[:, 0] @ features + params[-1].biases[:, None]
        return logits.Logits(main=found.T, auxiliary=None)
