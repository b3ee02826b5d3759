"""All networks of the space `convnet` in one, chosen by data: masks over the weights of the largest, see `convnet`.

Unlike the networks of the table, these have norms, with batch statistics, before each ReLU: without, shared weights do
not train. Each kind of layer has scales and offsets of its own, as each width in slimmable networks (arXiv:1812.08928),
and each depth a classifier. Measurements are in docs/experiments/supernet.md.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from common.networks import convnet, logits
from common.spaces import convnet as space

_EPSILON = 1e-5


class Network(nn.Module):
    """A network with the weights of all architectures; `config` is that of the network of one architecture."""

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
        """Returns the logits of one architecture, int32[5], of images float32[B, H, W, 1]."""
        if statistics != "batch":
            raise ValueError("elastic weights of convnet have statistics of the batch alone; leave statistics out")
        config, wide = self.config, self.config.widths[1]
        largest = self.param("layers", lambda key: convnet.init(key, config, jnp.array(space.LARGEST))[:-1])
        shape = (space.MAX_DEPTH, space.NUM_LAYERS, wide)
        scales, offsets = (
            self.param("scales", nn.initializers.ones, shape),
            self.param("offsets", nn.initializers.zeros, shape),
        )
        kernels = self.param(
            "kernels", nn.initializers.he_normal(batch_axis=0), (space.MAX_DEPTH, wide, config.num_classes)
        )
        biases = self.param("biases", nn.initializers.zeros, (space.MAX_DEPTH, config.num_classes))
        maps, depth, features = jnp.moveaxis(images[..., 0], 0, -1)[None], jnp.sum(arch > 0), 0.0
        for at, (layer, mask) in enumerate(zip(largest, convnet.masks(config, arch), strict=False)):
            sums = convnet.convolve_and_pool(config, at + 1, jax.tree.map(jnp.multiply, layer, mask), maps)
            mean = jnp.mean(sums, axis=(1, 2, 3), keepdims=True)
            sums -= mean
            sums *= lax.rsqrt(jnp.mean(sums**2, axis=(1, 2, 3), keepdims=True) + _EPSILON)
            scale, offset = (values[at, arch[at] - 1] * mask.biases for values in (scales, offsets))
            maps = jax.nn.relu(sums * scale[:, None, None, None] + offset[:, None, None, None])
            features += jnp.where(depth == at + 1, jnp.mean(maps, axis=(1, 2)), 0.0)
        found = features.T @ kernels[depth - 1] + biases[depth - 1][None]
        return logits.Logits(main=found, auxiliary=None)
