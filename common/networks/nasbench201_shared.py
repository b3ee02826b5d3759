"""All networks of NAS-Bench-201 in one, chosen by data: shared weights.

Every edge of every cell holds the weights of both its convolutions. The cells of a stage are a loop, and so are the
edges of a cell, whose body is a switch over the operations (`kernels.branch_sums`): only the chosen ones are computed,
and a stage compiles each operation once.
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
from common.networks import logits, nasbench201, shared_operations, styles
from common.networks.kernels import branch_sums
from common.networks.nasbench201 import Config
from common.spaces import nasbench201 as space

_WEIGHTED = ("nor_conv_1x1", "nor_conv_3x3")  # the operations that have weights


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
        """Returns the logits of one architecture, int32[6]; the other arguments are those of `supernet.Network`."""
        config, style = self.config, shared_operations.style(self.config.style, statistics)
        state = nasbench201.stem(config, style, images, train)
        for stage, depth in enumerate(config.depths):
            width = config.width * 2**stage
            if stage:
                state = nasbench201.Residual(width, style, name=f"residual_{stage}")(state, train)
            state = Stage(width, depth, style, name=f"stage_{stage}")(state, arch)
        return nasbench201.head(config, style, state, train)


class Stage(nn.Module):
    """Cells of one width, each of the edges that the architecture names."""

    features: int
    depth: int  # number of cells
    style: styles.Style

    @nn.compact
    def __call__(self, images: chex.Array, arch: chex.Array) -> chex.Array:
        """Returns images of the same shape."""
        modules = {name: nasbench201.operation(name, self.features, self.style, parent=None) for name in _WEIGHTED}
        sizes = (self.depth, len(space.EDGES))
        weights = {
            name: shared_operations.param(self, name, module, sizes, self.features) for name, module in modules.items()
        }
        given = {name: {} for name in _WEIGHTED}
        if self.style.statistics == "given":
            given = {name: self.get_variable("batch_stats", name) for name in _WEIGHTED}
        sources, targets = (jnp.array(ends, jnp.int32) for ends in zip(*space.EDGES, strict=True))
        plan = branch_sums.Plan(node=targets, at=sources, choice=arch)
        options = tuple(
            branch_sums.Option(functools.partial(_operate, modules.get(name), name), reads_inputs=False)
            for name in space.OPERATIONS
        )

        def step(state, cell):
            states = jnp.zeros((len(space.EDGES) - 2, *state.shape), state.dtype).at[0].set(state)
            states = branch_sums.add(options, plan, states, None, cell, None)
            found = _collected(modules, plan, states, cell[0]) if self.style.statistics == "collect" else {}
            return states[-1], found

        state, found = lax.scan(step, images, (weights, given))
        for name, tree in found.items():
            self.put_variable("batch_stats", name, tree)
        return state


def _operate(module, name, variables, images):
    if module is not None:
        weights, given = (tree[name] for tree in variables)
        return shared_operations.apply(module, weights, given, images)[0]
    if name == "avg_pool_3x3":
        return nasbench201.operation(name, images.shape[-1], nasbench201.STYLE, parent=None).apply({}, images, True)
    return images if name == "skip_connect" else jnp.zeros_like(images)


def _collected(modules, plan, states, weights):
    """Returns the statistics of each edge of a cell by operation, zeros for those not chosen."""

    def body(_, edge):
        at, choice, weights = edge
        found = {}
        for name, module in modules.items():

            def collect(weights, images, module=module):
                return shared_operations.apply(module, weights, {}, images)[1]

            shapes = jax.eval_shape(collect, weights[name], states[0])
            none = functools.partial(jax.tree.map, jnp.zeros_like, shapes)
            is_chosen = choice == space.OPERATIONS.index(name)
            found[name] = lax.cond(is_chosen, collect, lambda *_, none=none: none(), weights[name], states[at])
        return None, found

    return lax.scan(body, None, (plan.at, plan.choice, weights))[1]


def extract(variables: Any, config: Config, arch: np.ndarray) -> tuple[nasbench201.Network, Any]:
    """Returns the network of an architecture, int32[6], and its variables, as `supernet.extract` does."""
    made = nasbench201.Network(conversion.from_arch("nasbench201", arch), config)
    found = {}
    for collection, tree in variables.items():
        part = {name: values for name, values in tree.items() if not name.startswith("stage_")}
        for stage, depth in enumerate(config.depths):
            shared = tree[f"stage_{stage}"]
            for cell in range(depth):
                edges = {
                    nasbench201.edge_name(*edge): jax.tree.map(operator.itemgetter((cell, at)), shared[name])
                    for at, (edge, name) in enumerate(zip(space.EDGES, map(space.OPERATIONS.__getitem__, arch)))
                    if name in _WEIGHTED
                }
                if edges:
                    part[f"stage_{stage}_cell_{cell}"] = edges
        found[collection] = part
    return made, found


def extremes(archs: chex.Array) -> chex.Array:
    """Returns int32[2, 6] for two rows: all edges 3x3 convolutions, and all skips."""
    del archs
    names = ("nor_conv_3x3", "skip_connect")
    return jnp.repeat(
        jnp.array([[space.OPERATIONS.index(name)] for name in names], jnp.int32), len(space.EDGES), axis=1
    )
