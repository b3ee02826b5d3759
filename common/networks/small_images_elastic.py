"""All networks of the space `small_images` in one, chosen by data: elastic weights.

Every convolution holds the weights of the widest network, and a narrower one uses the first channels (slimmable
networks, arXiv:1812.08928; Once-for-all, arXiv:1908.09791); a smaller depthwise kernel is the centre of the larger one,
a shallower stage has the first of its blocks. Plain and residual blocks share their weights. The blocks of a stage are
a loop whose body is a switch over kinds and widths, so that a small network costs little; the expansion of an inverted
residual is the number of terms of a sum. Measurements of this against masks over the largest width are in
docs/experiments/supernet.md.

Channels beyond the width of a stage are zero. Norms use batch statistics, or given ones that were collected for an
architecture.
"""

import functools
import operator
from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from common import config as config_lib
from common.networks import heads, inverted_residual, layers, logits, shared_operations, small_images
from common.networks import small_images_parameters as parameters
from common.networks.kernels import convolution, depthwise, switches
from common.spaces import small_images as space

Config = small_images.Config
_SIDE = max(space.KERNELS)


class _Settings(NamedTuple):
    """What is the same for all bodies of a switch: epsilon of the norms, and whether statistics are collected."""

    epsilon: float
    collects: bool


class Network(nn.Module):
    """A network with the weights of all architectures; `config` is that of the network of one architecture."""

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
        """Returns the logits of one architecture, int32[18]; the other arguments are those of `supernet.Network`."""
        config_lib.one_of("statistics", statistics, ("batch", "collect", "given"))
        settings = _Settings(self.config.style.epsilon, statistics == "collect")
        chosen = space.decoded(arch)
        kernel, stride = small_images.stem(self.config, images.shape[1])
        state = images
        for at in range(space.NUM_STAGES):
            stage = space.Stages(*(decision[at] for decision in chosen))
            widths = [small_images.width(self.config, at, halves) for halves in space.WIDTHS]
            given = {}
            if statistics == "given":
                given = self.get_variable("batch_stats", f"stage_{at}")
            sizes = kernel, state.shape[-1], widths[-1]
            first = shared_operations.lazy_param(self, f"stage_{at}_convolution", parameters.first, *sizes)
            bodies = tuple(functools.partial(_first if at else _stem, settings, stride, width) for width in widths)
            # The images are a constant of the first convolution, without a gradient.
            operands, constants = ((state, first), None) if at else (first, state)
            constants = constants, given.get("convolution")
            state, of_first = _switch(settings, bodies, stage.width, operands, constants)
            blocks = shared_operations.lazy_param(self, f"stage_{at}_blocks", parameters.blocks, widths[-1])
            state, of_blocks = _blocks(settings, widths, stage, state, blocks, given.get("blocks"))
            if settings.collects:
                self.put_variable("batch_stats", f"stage_{at}", {"convolution": of_first, "blocks": of_blocks})
            kernel, stride = 3, 2
        classifier = heads.Classifier(self.config.num_classes, self.config.style, name="classifier")
        return logits.Logits(main=classifier(state, train), auxiliary=None)


def _blocks(settings, widths, stage, state, weights, given):
    """Returns the images after the blocks of a stage, and the statistics of each block."""
    kinds = (_convolutions, _inverted)
    bodies = [functools.partial(_none, settings)]
    bodies += [functools.partial(kind, settings, width) for kind in kinds for width in widths]
    chosen = 1 + (stage.kind == space.INVERTED) * len(widths) + stage.width

    def step(state, block):
        at, weights, given = block
        index = jnp.where(at < stage.depth, chosen, 0)
        return _switch(settings, tuple(bodies), index, (state, weights), (stage, given))

    return lax.scan(step, state, (jnp.arange(space.MAX_DEPTH), weights, given))


def _switch(settings, bodies, index, operands, constants):
    """Returns the images of the chosen body, and the statistics, or None."""
    found = switches.switch(bodies, index, operands, constants)
    return found if settings.collects else (found, None)


def _stem(settings, stride, width, weights, constants):
    """The first convolution."""
    return _first(settings, stride, width, (constants[0], weights), constants)


def _first(settings, stride, width, operands, constants):
    """The convolution that starts a stage."""
    (images, weights), (_, given) = operands, constants
    padding = (weights["kernel"].shape[0] // 2,) * 2
    kernel = weights["kernel"][..., :width]
    state = convolution.convolve(images, kernel, strides=(stride, stride), paddings=(padding, padding))
    state, statistics = _norm(settings, state, weights["norm"], given)
    return _result(settings, jax.nn.relu(state), weights["kernel"].shape[-1], statistics)


def _none(settings, operands, constants):
    """No block."""
    images, weights = operands
    return (images, _zeros(weights)) if settings.collects else images


def _convolutions(settings, width, operands, constants):
    """Plain or residual block."""
    (images, weights), (stage, given) = operands, constants
    state = inputs = images[..., :width]
    collected = []
    for at in range(2):
        state = jax.nn.relu(state) if at else state
        kernel = weights["kernel"][at, :, :, :width, :width]
        state = convolution.convolve(state, kernel, strides=(1, 1), paddings=((1, 1), (1, 1)))
        norm, of_norm = jax.tree.map(operator.itemgetter(at), (weights["norm"], given and given["norm"]))
        state, statistics = _norm(settings, state, norm, of_norm)
        collected.append(_padded(statistics, images.shape[-1]))
    state = _squeezed(state, weights["squeeze"], stage.squeeze)
    state = jax.nn.relu(state + (stage.kind == space.RESIDUAL) * inputs)
    norms = jax.tree.map(lambda *values: jnp.stack(values), *collected)
    found = _zeros(weights) | {"norm": norms} if settings.collects else None
    return _result(settings, state, images.shape[-1], found)


def _inverted(settings, width, operands, constants):
    """Inverted residual block."""
    (images, weights), (stage, given) = operands, constants
    inputs, size = images[..., :width], images.shape[-1]
    from_middle = np.abs(np.arange(_SIDE) - _SIDE // 2)
    reach = np.maximum(from_middle[:, None], from_middle[None, :])[..., None, None]
    mask = (reach <= jnp.asarray(space.KERNELS)[stage.kernel] // 2).astype(images.dtype)
    inner = weights["inner"]
    terms = {
        "expansion": inner["expansion"][:, :width, :width],
        "depthwise": (inner["depthwise"] * mask[None])[..., :width],
        "projection": inner["projection"][:, :width, :width],
        **{name: jax.tree.map(lambda values: values[:, :width], inner[name]) for name in ("norm_0", "norm_1")},
        "given": given and jax.tree.map(lambda values: values[:, :width], given["inner"]),
    }
    number = jnp.asarray(space.EXPANSIONS)[stage.expansion]
    state = switches.sum_first(functools.partial(_inner, settings), number, inputs, terms)
    state, last = _norm(settings, state, weights["last_norm"], given and given["last_norm"])
    state = _squeezed(state, weights["squeeze"], stage.squeeze) + inputs
    found = None
    if settings.collects:
        norms = lax.map(lambda term: _inner_statistics(settings, inputs, term), terms)
        found = _zeros(weights) | {"inner": _padded(norms, size), "last_norm": _padded(last, size)}
    return _result(settings, state, size, found)


def _inner(settings, inputs, term):
    """The part of an inverted residual between its first and its last width, for some inner channels."""
    return _inner_parts(settings, inputs, term)[0]


def _inner_statistics(settings, inputs, term):
    return _inner_parts(settings, inputs, term)[1]


def _inner_parts(settings, inputs, term):
    given = term["given"] or {}
    state = layers.pointwise(inputs, term["expansion"])
    state, first = _norm(settings, state, term["norm_0"], given.get("norm_0"))
    padding = (_SIDE // 2,) * 2
    state = depthwise.convolve(jax.nn.relu(state), term["depthwise"], stride=1, dilation=1, paddings=(padding, padding))
    state, second = _norm(settings, state, term["norm_1"], given.get("norm_1"))
    return layers.pointwise(jax.nn.relu(state), term["projection"]), {"norm_0": first, "norm_1": second}


def _squeezed(images, weights, is_squeezed):
    """Returns the images scaled by squeeze-and-excitation, where it is chosen."""
    width = images.shape[-1]
    hidden = inverted_residual.make_divisible(width // inverted_residual.SQUEEZE, 1)
    means = jnp.mean(images, axis=(1, 2))
    inner = jax.nn.relu(means @ weights["squeeze"][:width, :hidden] + weights["squeeze_bias"][None, :hidden])
    outer = inner @ weights["excite"][:hidden, :width] + weights["excite_bias"][None, :width]
    return images * jnp.where(is_squeezed, jax.nn.hard_sigmoid(outer), 1.0)[:, None, None]


def _norm(settings, images, weights, given):
    """Returns images normalized with batch statistics or given ones, and the statistics; the first channels of each."""
    width = images.shape[-1]
    if given is None:
        mean = jnp.mean(images, axis=(0, 1, 2))
        variance = jnp.maximum(jnp.mean(images**2, axis=(0, 1, 2)) - mean**2, 0.0)
    else:
        mean, variance = given["mean"][:width], given["var"][:width]
    scale = weights["scale"][:width] * lax.rsqrt(variance + settings.epsilon)
    offset = weights["bias"][:width] - mean * scale
    return images * scale[None, None, None] + offset[None, None, None], {"mean": mean, "var": variance}


def _result(settings, images, width, statistics):
    """Returns images, and statistics if they are collected, with zeros up to the largest width."""
    images = _padded(images, width)
    return (images, _padded(statistics, width)) if settings.collects else images


def _padded(tree, width):
    def pad(values):
        return jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, width - values.shape[-1])])

    return jax.tree.map(pad, tree)


def _zeros(weights):
    """Returns statistics of a block that are all zero."""

    def of(norm):
        return {name: jnp.zeros_like(norm["scale"]) for name in ("mean", "var")}

    inner = {name: of(weights["inner"][name]) for name in ("norm_0", "norm_1")}
    return {"norm": of(weights["norm"]), "inner": inner, "last_norm": of(weights["last_norm"])}
