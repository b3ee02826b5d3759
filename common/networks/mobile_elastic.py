"""All networks of the space `ofa_mobile` in one, chosen by data: elastic weights (Once-for-all, arXiv:1908.09791).

The weights are those of the largest network, under its names. A smaller network has the first blocks of each stage, the
first channels of the inner width of a block, and the centre of its depthwise kernel, or a learned transform of that
centre. A switch computes the chosen expansion and kernel of a block, without the cost of larger ones; the blocks of a
stage but the first are a loop. Measurements of this against masks over the largest block are in
docs/experiments/supernet.md.

The resolution is data too, so that one program computes all 25: images are resized to the upper left corner of maps of
the largest size, and norms and means leave out the rest. The arithmetic is that of the network on smaller images, but
the time is that of the largest resolution.
"""

import dataclasses
import functools
from typing import Annotated, Any, Literal

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from common import config as configs
from common.networks import logits, mobile, mobile_extraction, shared_operations
from common.networks.kernels import switches
from common.spaces import ofa_mobile as space

_LARGEST = (max(space.EXPANSIONS), max(space.KERNELS))


@configs.dataclass
class Config(mobile.Config):
    """Elastic network: that of the largest architecture, and how smaller kernels follow from it."""

    small_kernels: Annotated[
        Literal["centre", "transformed"],
        "kernels smaller than the largest: its centre, or a learned linear function of that, as in Once-for-all",
    ] = "centre"

    def __post_init__(self):
        configs.require(
            (
                self.style.padding == "symmetric",
                f"padding must be 'symmetric', as smaller images are padded alike; got {self.style.padding!r}",
            )
        )

    def stand_alone(self) -> mobile.Config:
        """Returns the settings of a network of one architecture."""
        return mobile.Config(**{field.name: getattr(self, field.name) for field in dataclasses.fields(mobile.Config)})


def elastic(network: mobile.Config, **settings: Any) -> Config:
    """Returns the settings of the elastic network of given networks."""
    return Config(**{field.name: getattr(network, field.name) for field in dataclasses.fields(network)}, **settings)


class Network(nn.Module):
    """A network with the weights of all architectures."""

    space: str
    config: Config

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
        """Returns the logits of one architecture, int32[46]; the other arguments are those of `supernet.Network`.

        Features and blocks are dropped of the largest network alone (BigNAS, arXiv:2003.11142).
        """
        config = dataclasses.replace(self.config, remat=False)  # switches recompute the chosen block anyway
        style = shared_operations.style(dataclasses.replace(config.style, dtype=config.dtype), statistics)
        depths, blocks, _ = (decision[0] for decision in space.decoded(arch[None]))
        is_largest = jnp.all(arch == jnp.array(space.LARGEST))
        images, mask = resized(images, arch[0])
        mask = mask[::2, ::2]
        state = mobile.stem(config, style, images, train, mask)
        num_blocks = 1 + space.NUM_STAGES * space.MAX_DEPTH
        scales = mobile.drop_path(self, progress, num_blocks, images.shape[0]) if train else None
        scales = jax.tree.map(lambda values: jnp.where(is_largest, values, 1.0), scales)  # of None it is None
        state = mobile.first_block(config, style)(state, _at(scales, 0), train, mask)
        for stage in range(space.NUM_STAGES):
            own = _at(scales, slice(1 + stage * space.MAX_DEPTH, 1 + (stage + 1) * space.MAX_DEPTH))
            chosen = 1 + blocks[stage] @ np.array([len(space.EXPANSIONS), 1])
            chosen = jnp.where(jnp.arange(space.MAX_DEPTH) < depths[stage] + min(space.DEPTHS), chosen, 0)
            state = self._stage(config, style, stage, state, mask, chosen, own)
            mask = mask[:: config.strides[stage], :: config.strides[stage]]
        return mobile.head(config, style, state, train, mask, is_largest)

    def _stage(self, config, style, stage, state, mask, chosen, scales):
        """Returns the images after the blocks of a stage.

        Args:
          chosen: int32[4], zero for no block, else one and the kernel times 3 and the expansion.
          scales: float32[4, B], see `inverted_residual.Block`; None: ones.
        """
        weights, given = [], []
        for at in range(space.MAX_DEPTH):
            weights.append(self._param(config, stage, at, state.shape[-1] if at == 0 else config.widths[stage]))
            name = f"stage_{stage}_block_{at}"
            given.append(self.get_variable("batch_stats", name) if style.statistics == "given" else {})
        sizes = [(expansion, kernel) for kernel in space.KERNELS for expansion in space.EXPANSIONS]

        def run(at, state, mask, chosen, scales, weights, given):
            bodies = [functools.partial(_operate, config, style, stage, at, *size) for size in sizes]
            if at:
                bodies.insert(0, functools.partial(_none, config, style, stage))
            index = chosen if at else chosen - 1
            found = switches.switch(tuple(bodies), index, (state, weights), (mask, scales, given))
            return found if style.statistics == "collect" else (found, {})

        state, of_first = run(0, state, mask, chosen[0], _at(scales, 0), weights[0], given[0])
        mask = mask[:: config.strides[stage], :: config.strides[stage]]
        rest = jax.tree.map(lambda *values: jnp.stack(values), *zip(weights[1:], given[1:], strict=True))
        state, of_rest = lax.scan(
            lambda state, block: run(1, state, mask, *block), state, (chosen[1:], _at(scales, slice(1, None)), *rest)
        )
        if style.statistics == "collect":
            self.put_variable("batch_stats", f"stage_{stage}_block_0", of_first)
            for at in range(1, space.MAX_DEPTH):
                self.put_variable("batch_stats", f"stage_{stage}_block_{at}", _at(of_rest, at - 1))
        return state

    def _param(self, config, stage, at, channels):
        """Returns the parameters of the largest block at a place, and the transforms of its kernel."""
        name = f"stage_{stage}_block_{at}"
        names = [name, f"{name}_transforms"] if config.small_kernels == "transformed" else [name]

        def init(key):
            module = mobile.block(config, config.style, stage, at, *_LARGEST, name=None, parent=None)
            images = jax.ShapeDtypeStruct((1, 4, 4, channels), jnp.float32)
            return module.lazy_init(key, images, None, True)["params"]

        def init_transforms(key):
            del key
            return {str(size): jnp.eye(size**2) for size in space.KERNELS[:-1]}

        made = zip(names, (init, init_transforms), strict=False)
        return tuple(shared_operations.lazy_param(self, one, init) for one, init in made)


def sizes(side: int) -> np.ndarray:
    """Returns int[25], the sides in pixels of images of each resolution; the largest is that of the images."""
    return np.maximum(1, np.rint(side * np.array(space.RESOLUTIONS) / space.RESOLUTIONS[-1])).astype(int)


def resized(images: chex.Array, resolution: chex.Array) -> tuple[chex.Array, chex.Array]:
    """Returns images resized, in the upper left corner of zeros, and their mask, float32[H, W].

    Args:
      images: float32[B, H, W, C].
      resolution: int32[], the choice among `spaces.ofa_mobile.RESOLUTIONS`.
    """
    own = [jnp.array(sizes(side))[resolution] for side in images.shape[1:3]]
    scale = jnp.stack([size / side for size, side in zip(own, images.shape[1:3], strict=True)])
    images = jax.image.scale_and_translate(images, images.shape, (1, 2), scale, jnp.zeros(2), "linear")
    rows, columns = (jnp.arange(side) < size for size, side in zip(own, images.shape[1:3], strict=True))
    return images, (rows[:, None] & columns[None]).astype(jnp.float32)


def _operate(config, style, stage, at, expansion, kernel, operands, constants):
    """Returns the images after a block of the given expansion and kernel, and its statistics if they are collected."""
    (images, (weights, *transforms)), (mask, scales, given) = operands, constants
    channels = images.shape[-1]
    shapes = _shapes(config, stage, at, expansion, kernel, channels)
    variables = {"params": mobile_extraction.part(shapes["params"], weights, *transforms)}
    if style.statistics == "given":
        variables["batch_stats"] = mobile_extraction.part(shapes["batch_stats"], given)
    module = mobile.block(config, style, stage, at, expansion, kernel, name=None, parent=None)
    if style.statistics != "collect":
        return module.apply(variables, images, scales, True, mask)
    state, changed = module.apply(variables, images, scales, True, mask, mutable=["batch_stats"])
    largest = _shapes(config, stage, at, *_LARGEST, channels)["batch_stats"]

    def padded(shape, values):
        return jnp.pad(values, (0, shape.shape[0] - values.shape[0]))

    return state, jax.tree.map(padded, largest, changed["batch_stats"])


def _none(config, style, stage, operands, constants):
    """No block."""
    images, _ = operands
    if style.statistics != "collect":
        return images
    shapes = _shapes(config, stage, 1, *_LARGEST, images.shape[-1])["batch_stats"]
    return images, jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)


@functools.lru_cache(maxsize=1024)
def _shapes(config, stage, at, expansion, kernel, channels):
    """Returns the shapes of the variables of a block."""
    style = dataclasses.replace(config.style, statistics="collect")
    module = mobile.block(config, style, stage, at, expansion, kernel, name=None, parent=None)
    images = jax.ShapeDtypeStruct((1, 4, 4, channels), jnp.float32)
    return jax.eval_shape(lambda images: module.init(jax.random.key(0), images, None, True), images)


def _at(tree, index):
    return jax.tree.map(lambda values: values[index], tree)
