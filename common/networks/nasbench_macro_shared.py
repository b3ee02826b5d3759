"""All networks of NAS-Bench-Macro in one, chosen by data: shared weights.

Every layer holds the weights of all its choices, and a switch computes the chosen one. The layers of a stage but the
first are a loop, so that a stage compiles each choice twice.
"""

import functools
import operator
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from common.genotypes import conversion
from common.networks import logits, nasbench_macro, shared_operations
from common.networks.kernels import switches
from common.networks.nasbench_macro import Config
from common.spaces import nasbench_macro as space


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
        """Returns the logits of one architecture, int32[8]; the other arguments are those of `supernet.Network`."""
        config, style = self.config, shared_operations.style(self.config.style, statistics)
        state, at = nasbench_macro.stem(config, style, images, train), 0
        for stage, depth in enumerate(nasbench_macro.STAGES):
            for number, stride in ((1, 2), (depth - 1, 1)):
                modules = {
                    name: nasbench_macro.Layer(name, config.width * 2 ** (stage + 1), stride, style, parent=None)
                    for name in space.CHOICES
                }
                state = self._layers(modules, [f"layer_{at + more}" for more in range(number)], state, arch[at:])
                at += number
        return nasbench_macro.head(config, style, state, train)

    def _layers(self, modules, names, state, choices):
        """Returns the images after the layers called `names`, which are alike."""
        statistics = modules[space.CHOICES[0]].style.statistics

        def init(name):
            return {
                choice: shared_operations.param(self, f"{name}_{choice}", module, (), state.shape[-1])
                for choice, module in modules.items()
            }

        def run(state, layer):
            choice, weights, given = layer
            if statistics != "collect":
                return switches.switch(bodies, choice, (state, weights), given), {}
            return lax.switch(choice, collecting, state, weights)

        bodies = tuple(functools.partial(_operate, module, choice) for choice, module in modules.items())
        collecting = [functools.partial(_collect, modules, choice) for choice in modules]
        weights = [init(name) for name in names]
        given = [self.get_variable("batch_stats", name) if statistics == "given" else {} for name in names]
        if len(names) == 1:
            state, found = run(state, (choices[0], weights[0], given[0]))
            found = [found]
        else:
            stacked = jax.tree.map(lambda *values: jnp.stack(values), *zip(weights, given, strict=True))
            state, found = lax.scan(run, state, (choices[: len(names)], *stacked))
            found = [jax.tree.map(operator.itemgetter(at), found) for at in range(len(names))]
        if statistics == "collect":
            for name, tree in zip(names, found, strict=True):
                self.put_variable("batch_stats", name, tree)
        return state


def _operate(module, choice, operands, given):
    images, weights = operands
    return shared_operations.apply(module, weights[choice], given.get(choice, {}), images)[0]


def _collect(modules, chosen, images, weights):
    """Returns the images after a layer, and its statistics by choice, zeros for those not chosen."""

    def run(choice):
        return shared_operations.apply(modules[choice], weights[choice], {}, images)

    none = {name: jax.tree.map(jnp.zeros_like, jax.eval_shape(functools.partial(run, name))[1]) for name in modules}
    images, found = run(chosen)
    return images, none | {chosen: found}


def extract(variables: Any, config: Config, arch: np.ndarray) -> tuple[nasbench_macro.Network, Any]:
    """Returns the network of an architecture, int32[8], and its variables, as `supernet.extract` does."""
    made = nasbench_macro.Network(conversion.from_arch("nasbench_macro", arch), config)
    found = {}
    for collection, tree in variables.items():
        part = {name: values for name, values in tree.items() if not name.startswith("layer_")}
        for at, choice in enumerate(map(space.CHOICES.__getitem__, arch)):
            name = f"layer_{at}"
            values = tree.get(f"{name}_{choice}", {}) if collection == "params" else tree[name][choice]
            if values:
                part[name] = values
        found[collection] = part
    return made, found


def extremes(archs: chex.Array) -> chex.Array:
    """Returns int32[2, 8] for two rows: the last choice everywhere, and the identity."""
    return jnp.stack([jnp.full_like(archs[0], len(space.CHOICES) - 1), jnp.zeros_like(archs[0])])
