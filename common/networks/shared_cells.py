"""Cells that hold the weights of every cell of a space; the cell to compute is data.

A branch is an operation on a state, with separate weights for every pair of the two. All copies of an operation's
weights are stacked along a first axis, so the weights of a cell are a gather. The branches of a cell are a loop, see
`branch_sums`, whose body reads a state, applies the operation that a switch selects, and adds the result to a node.
Only the chosen operations are computed, and a cell compiles each operation once, however many branches and
architectures there are. On a CPU 1x1 convolutions in such a loop must be matrix products, see `layers.pointwise`.
"""

import functools
import operator
from typing import Literal, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from common.genotypes.genotype import NUM_INPUTS
from common.networks import cells, initializers, layers, operations, shared_operations, styles
from common.networks.kernels import branch_sums

NUM_BRANCHES = 2
NUM_LAST_NODES = 4


class Group(NamedTuple):
    """Branches of one stride, which read the states `first` to `end` - 1; `name` is that of their weights."""

    name: str
    stride: int
    first: int
    end: int


class SharedCell(nn.Module):
    """A cell whose operations and inputs are data.

    Attributes:
      operations: names of the operations.
      num_nodes: N.
      features: its width F.
      style: see `styles.Style`; its statistics must not be "running".
      sharing: "branch", separate weights for each branch, operation and input of a node (NAO), or "edge", for each
        operation and input of a node, shared by its branches (LaNAS).
      output: "projected", the sum of a 1x1 convolution of the ReLU of every loose end, then a norm (NAO), or
        "last_nodes", the last 4 nodes, concatenated (LaNAS).
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
          scales: float32[2 N, B], factor of each branch; None: 1.
          train: whether this is a training step.
        """
        calibration = cells.Calibration(self.features, self.style, is_first=self.is_first, name="calibration")
        inputs = jnp.stack(calibration(before, previous, train))
        states = self._states(inputs, branches.reshape(-1, 2), scales)
        if self.output == "last_nodes":
            return jnp.concatenate(list(states[-NUM_LAST_NODES:]), axis=-1)
        return self._projected(inputs, states, branches, train)

    def _states(self, inputs, branches, scales):
        """Returns float[S, B, H, W, F]: the nodes, preceded by the inputs if they have the same size."""
        own_groups = groups(self.num_nodes, is_reduction=self.is_reduction)
        height, width = (-(-side // own_groups[0].stride) for side in inputs.shape[2:4])
        states = jnp.zeros((self.num_nodes, inputs.shape[1], height, width, self.features), inputs.dtype)
        if not self.is_reduction:
            states = jnp.concatenate([inputs, states])
        # In a reduction cell the operations on inputs are others, as they are strided.
        is_later = branches[:, 0] >= own_groups[0].end
        offset = NUM_INPUTS if self.is_reduction else 0
        plan = branch_sums.Plan(
            node=jnp.repeat(jnp.arange(self.num_nodes), NUM_BRANCHES) + NUM_INPUTS - offset,
            at=branches[:, 0] - offset * is_later,
            choice=branches[:, 1] + len(self.operations) * is_later,
        )
        if scales is not None:
            exempt = [
                cells.is_exempt(self.style, name, group.stride) for group in own_groups for name in self.operations
            ]
            scales = jnp.where(jnp.array(exempt)[plan.choice][:, None], 1.0, scales)

        def run(group, name, variables, images):
            weights, given = (tree[group.name][name] for tree in variables)
            return shared_operations.apply(self._operation(group, name), weights, given, images)[0]

        options = tuple(
            branch_sums.Option(functools.partial(run, group, name), reads_inputs=group.stride > 1)
            for group in own_groups
            for name in self.operations
        )
        weights = self._weights(branches)
        none = {group.name: {name: {} for name in self.operations} for group in own_groups}
        is_given = self.style.statistics == "given"
        given = self.get_variable("batch_stats", "branches") if is_given else none
        strided = inputs if self.is_reduction else None
        states = branch_sums.add(options, plan, states, strided, (weights, given), scales)
        if self.style.statistics == "collect":
            self.put_variable("batch_stats", "branches", self._collected(plan, states, inputs, weights))
        return states

    def _weights(self, branches):
        """Returns the weights of each branch, [2 N, ...], by group and operation."""
        weights = {}
        for group in groups(self.num_nodes, is_reduction=self.is_reduction):
            numbers, size = copies(self.num_nodes, self.sharing, group)
            chosen = jnp.asarray(numbers)[np.arange(len(numbers)), branches[:, 0]]
            weights[group.name] = {}
            for name in self.operations:
                module = self._operation(group, name)
                shared = shared_operations.param(self, f"{group.name}_{name}", module, (size,), self.features)
                weights[group.name][name] = jax.tree.map(operator.itemgetter(chosen), shared)
        return weights

    def _collected(self, plan, states, inputs, weights):
        """Returns the statistics of each branch, [2 N, ...], by group and operation; zeros for those not chosen."""
        pairs = [
            (group, name)
            for group in groups(self.num_nodes, is_reduction=self.is_reduction)
            for name in self.operations
        ]

        def found(group, name, weights, at):
            images = inputs[at] if group.stride > 1 else states[at]
            return shared_operations.apply(self._operation(group, name), weights[group.name][name], {}, images)[1]

        def body(_, branch):
            (_, at, choice), weights = branch
            none = {}
            for group, name in pairs:
                shapes = jax.eval_shape(functools.partial(found, group, name), weights, at)
                none.setdefault(group.name, {})[name] = jax.tree.map(jnp.zeros_like, shapes)

            def collect(group, name):
                return none | {group.name: none[group.name] | {name: found(group, name, weights, at)}}

            return None, lax.switch(choice, [functools.partial(collect, *pair) for pair in pairs])

        return lax.scan(body, None, (plan, weights))[1]

    def _operation(self, group, name):
        return operations.OPERATIONS[name](features=self.features, stride=group.stride, style=self.style, parent=None)

    def _projected(self, inputs, states, branches, train):
        """Returns the projected sum of the loose ends."""
        num_states = NUM_INPUTS + self.num_nodes
        is_end = ~jnp.any(branches[..., 0].reshape(1, -1) == np.arange(num_states)[:, None], axis=1)
        init = initializers.weights(self.style.initializer)
        blocks = self.param("projection", init, (num_states, self.features, self.features)).astype(states.dtype)
        same = slice(num_states - len(states), None)  # those of the size of the output
        total = branch_sums.project(states, blocks[same], is_end[same])
        for at in range(same.start):
            total += self._reduced(f"reduction_of_{at}", is_end[at], inputs[at], blocks[at], total)
        return layers.Norm(self.style, name="norm")(total, train)

    def _reduced(self, name, is_end, state, block, like):
        """Returns the projection of an input of a reduction cell, or zeros if it is not a loose end."""
        reduction = layers.FactorizedReduction(self.features, self.style, parent=None)
        weights = shared_operations.param(self, name, reduction, (), self.features)
        if self.style.statistics == "collect":
            made, statistics = shared_operations.apply(reduction, weights, {}, state)
            self.put_variable("batch_stats", name, statistics)
            return jnp.where(is_end, branch_sums.project(made[None], block[None], jnp.ones(1, bool)), 0.0)
        given = self.get_variable("batch_stats", name) if self.style.statistics == "given" else {}

        def project(state, block, weights, given):
            made, _ = shared_operations.apply(reduction, weights, given, state)
            return branch_sums.project(made[None], block[None], jnp.ones(1, bool))

        return lax.cond(is_end, project, lambda *_: jnp.zeros_like(like), state, block, weights, given)


def groups(num_nodes: int, *, is_reduction: bool) -> tuple[Group, ...]:
    """Returns the groups of branches of a cell of N nodes; those of the inputs come first."""
    num_states = num_nodes + 1  # that can be read
    if is_reduction:
        return Group("strided", 2, 0, NUM_INPUTS), Group("unit", 1, NUM_INPUTS, num_states)
    return (Group("unit", 1, 0, num_states),)


def copies(num_nodes: int, sharing: str, group: Group) -> tuple[np.ndarray, int]:
    """Returns the indices of the weights of each branch among the copies of their operation.

    Args:
      num_nodes: N.
      sharing: see `SharedCell.sharing`.

    Returns:
      int32[2 N, N + 1], the index of the copy for each branch and input, 0 where there is none; and the number of
      copies.
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
