"""Cells that hold the weights of every cell of a space; which of them they compute is data.

A branch is an operation on a state, and has weights of its own for every pair of the two. All copies of an
operation's weights lie in arrays whose first axis tells them apart, so that the weights of a cell are a gather. The
branches of a cell are then a loop, whose body reads a state, does what a `switch` over the operations says, and adds
it to a node:

  states[node] += operation(weights[operation][copy], states[input])

Only the chosen operations are computed, and a cell compiles each operation once, however many branches and
architectures there are. In such a loop a CPU needs 1x1 convolutions that are matrix products, see `layers.pointwise`.
"""

import functools
import operator
from typing import Any, Literal, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from common.genotypes.genotype import NUM_INPUTS
from common.networks import cells, initializers, layers, operations, styles

NUM_BRANCHES = 2
NUM_LAST_NODES = 4


class Group(NamedTuple):
    """Branches of one stride, which read the states from `first` to before `end`; `name` is of their weights."""

    name: str
    stride: int
    first: int
    end: int


class SharedCell(nn.Module):
    """A cell whose operations and inputs are data.

    Attributes:
      operations: the names of its operations.
      num_nodes: N.
      features: its width F.
      style: see `styles.Style`; its statistics must not be "running".
      sharing: what has weights of its own: "branch", a node's each branch, operation and input (NAO), or "edge", a
        node's each operation and input, whatever the branch (LaNAS).
      output: "projected", the sum of a 1x1 convolution of the ReLU of every loose end, and a norm (NAO), or
        "last_nodes", the last 4 nodes side by side (LaNAS).
      is_reduction: whether it halves the image.
      is_first: whether it is the first of its network.
    """

    operations: tuple[str, ...]
    num_nodes: int
    features: int
    style: styles.Style
    sharing: Literal["branch", "edge"]
    output: Literal["projected", "last_nodes"]
    is_reduction: bool = False
    is_first: bool = False

    @nn.compact
    def __call__(
        self, before: chex.Array, previous: chex.Array, branches: chex.Array, scales: chex.Array | None, train: bool
    ) -> chex.Array:
        """Returns the cell's output, float[B, H, W, F], or [B, H, W, 4 F] of the last nodes.

        Args:
          before: float[B, H, W, C], the output of the cell before the previous one, or twice as high and wide.
          previous: float[B, H, W, C'], the output of the previous cell.
          branches: int32[N, 2, 2], of each node and branch the input and the operation.
          scales: float32[2 N, B], what each branch is multiplied with; None: one.
          train: whether it trains.
        """
        calibration = cells.Calibration(self.features, self.style, is_first=self.is_first, name="calibration")
        inputs = jnp.stack(calibration(before, previous, train))
        nodes = self._nodes(inputs, branches.reshape(-1, 2), scales)
        if self.output == "last_nodes":
            return jnp.concatenate(list(nodes[-NUM_LAST_NODES:]), axis=-1)
        return self._projected(inputs, nodes, branches, train)

    def _nodes(self, inputs, branches, scales):
        """Returns float[N, B, H, W, F], the nodes of the inputs float[2, B, H, W, F] or twice as high and wide."""
        own_groups = groups(self.num_nodes, is_reduction=self.is_reduction)
        size = (self.num_nodes, inputs.shape[1], *(-(-side // own_groups[0].stride) for side in inputs.shape[2:4]))
        states = jnp.zeros((*size, self.features), inputs.dtype)
        offset = NUM_INPUTS if self.is_reduction else 0  # of the states within the loop's
        if not self.is_reduction:
            states = jnp.concatenate([inputs, states])
        weights, given, shapes = self._weights(branches, inputs)
        # In a reduction cell whatever reads an input is another operation, as it is strided.
        is_later = branches[:, 0] >= own_groups[0].end
        choices = branches[:, 1] + len(self.operations) * is_later
        if scales is not None:
            exempt = [
                cells.is_exempt(self.style, name, group.stride) for group in own_groups for name in self.operations
            ]
            scales = jnp.where(jnp.array(exempt)[choices][:, None], 1.0, scales)

        def operate(group, name, weights, given, at, states):
            read = states[at - offset] if group.stride == 1 else inputs[at]
            made, found = self._operate(group, name, weights[group.name][name], given[group.name][name], read)
            if not shapes:
                return made, {}
            none = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
            return made, none | {group.name: none[group.name] | {name: found}}

        options = [functools.partial(operate, group, name) for group in own_groups for name in self.operations]

        def body(states, branch):
            node, at, choice, weights, given, scale = branch
            made, found = lax.switch(choice, options, weights, given, at, states)
            if scale is not None:
                made *= scale[:, None, None, None].astype(made.dtype)
            return states.at[node].add(made), found

        own = np.repeat(np.arange(self.num_nodes, dtype=np.int32), NUM_BRANCHES) + NUM_INPUTS - offset
        states, found = lax.scan(body, states, (own, branches[:, 0], choices, weights, given, scales))
        if shapes:
            self.put_variable("batch_stats", "branches", found)
        return states[NUM_INPUTS - offset :]

    def _weights(self, branches, inputs):
        """Returns the weights of each branch, by group and operation, their statistics, and the latter's shapes.

        The statistics are empty unless they are given, and the shapes unless they are collected.
        """
        weights, shapes, none = {}, {}, {}
        for group in groups(self.num_nodes, is_reduction=self.is_reduction):
            numbers, size = copies(self.num_nodes, self.sharing, group)
            chosen = jnp.asarray(numbers)[np.arange(len(numbers)), branches[:, 0]]
            weights[group.name], shapes[group.name], none[group.name] = {}, {}, {}
            for name in self.operations:
                made = self._operation(group, name)
                init = functools.partial(_init, made, size, inputs[0, :1])
                shared = self._param(f"{group.name}_{name}", init)
                weights[group.name][name] = jax.tree.map(operator.itemgetter(chosen), shared)
                none[group.name][name] = {}
                if self.style.statistics == "collect":
                    one = jax.tree.map(lambda leaf: leaf[0], shared)
                    _, found = jax.eval_shape(
                        functools.partial(self._operate, group, name),
                        one,
                        {},
                        jax.ShapeDtypeStruct(inputs.shape[1:], inputs.dtype),
                    )
                    shapes[group.name][name] = found
        if self.style.statistics == "given":
            return weights, self.get_variable("batch_stats", "branches"), {}
        return weights, none, shapes if self.style.statistics == "collect" else {}

    def _param(self, name, init):
        """Returns what `self.param` does, which would follow the shapes of the first weights at every call."""
        return self.get_variable("params", name) if self.has_variable("params", name) else self.param(name, init)

    def _operation(self, group, name):
        return operations.OPERATIONS[name](features=self.features, stride=group.stride, style=self.style, parent=None)

    def _operate(self, group, name, weights, given, images):
        """Returns what an operation makes of float[B, H, W, F], and its statistics where they are collected."""
        variables = {"params": weights, "batch_stats": given}
        if self.style.statistics != "collect":
            return self._operation(group, name).apply(variables, images, True), {}
        made, changed = self._operation(group, name).apply(variables, images, True, mutable=["batch_stats"])
        return made, changed.get("batch_stats", {})

    def _projected(self, inputs, nodes, branches, train):
        """Returns the projected sum of the loose ends. Of the other states nothing is computed, but to collect."""
        num_states = NUM_INPUTS + self.num_nodes
        is_end = ~jnp.any(branches.reshape(-1, 2)[:, 0][None] == np.arange(num_states)[:, None], axis=1)
        init = initializers.weights(self.style.initializer)
        blocks = self.param("projection", init, (num_states, self.features, self.features)).astype(nodes.dtype)
        total = jnp.zeros_like(nodes[0])
        for at in range(num_states):
            if at < NUM_INPUTS and self.is_reduction:
                reduction = layers.FactorizedReduction(self.features, self.style, parent=None)
                init = functools.partial(_init, reduction, None, inputs[0, :1])
                weights = self._param(f"reduction_of_{at}", init)
                total += self._reduced(
                    f"reduction_of_{at}", reduction, weights, is_end[at], inputs[at], blocks[at], total
                )
            else:
                state = inputs[at] if at < NUM_INPUTS else nodes[at - NUM_INPUTS]
                total += _if(is_end[at], _project, state, blocks[at], like=total)
        return layers.Norm(self.style, name="norm")(total, train)

    def _reduced(self, name, reduction, weights, is_end, state, block, like):
        """Returns the projection of an input of a reduction cell, or zeros where it is no loose end."""
        if self.style.statistics == "collect":
            made, changed = reduction.apply({"params": weights}, state, True, mutable=["batch_stats"])
            self.put_variable("batch_stats", name, changed["batch_stats"])
            return jnp.where(is_end, _project(made, block), 0.0)
        given = self.get_variable("batch_stats", name) if self.style.statistics == "given" else {}

        def project(state, block, weights, given):
            return _project(reduction.apply({"params": weights, "batch_stats": given}, state, True), block)

        return _if(is_end, project, state, block, weights, given, like=like)


def groups(num_nodes: int, *, is_reduction: bool) -> tuple[Group, ...]:
    """Returns the groups of branches of a cell of N nodes; those of the inputs come first."""
    num_states = num_nodes + 1  # that can be read
    if is_reduction:
        return Group("strided", 2, 0, NUM_INPUTS), Group("unit", 1, NUM_INPUTS, num_states)
    return (Group("unit", 1, 0, num_states),)


def copies(num_nodes: int, sharing: str, group: Group) -> tuple[np.ndarray, int]:
    """Returns where the weights of each branch lie among those of their operation.

    Args:
      num_nodes: N.
      sharing: see `SharedCell.sharing`.
      group: which branches have such weights.

    Returns:
      int32[2 N, N + 1], the number of the copy for each branch and input, 0 where it has none; and how many there
      are.
    """
    numbers, size = np.zeros((NUM_BRANCHES * num_nodes, num_nodes + 1), np.int32), 0
    for at in range(len(numbers)):
        node, branch = divmod(at, NUM_BRANCHES)
        if branch and sharing == "edge":
            numbers[at] = numbers[at - 1]
            continue
        readable = range(group.first, min(group.end, node + NUM_INPUTS))
        numbers[at, group.first : group.first + len(readable)] = size + np.arange(len(readable))
        size += len(readable)
    return numbers, size


def _init(module, size, images, key) -> Any:
    """Returns the first weights of `size` copies of a module, or without a first axis of one (None)."""

    def init(key):
        return module.init(key, images, True).get("params", {})

    return init(key) if size is None else jax.vmap(init)(jax.random.split(key, size))


def _project(state, block):
    return layers.pointwise(jax.nn.relu(state), block)


def _if(condition, function, *arguments, like):
    """Returns what a function gives, or zeros like `like`."""
    return lax.cond(condition, function, lambda *_: jnp.zeros(like.shape, like.dtype), *arguments)
