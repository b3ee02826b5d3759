"""Cells of convolutional networks, built from a genotype's cell, and drop path.

State 0 of a cell is the output of the cell before the previous one, state 1 that of the previous cell, state i + 2 is
node i. In a reduction cell the branches that read states 0 and 1 have stride 2.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from common.genotypes import genotype
from common.networks import layers, operations, styles


class Calibration(nn.Module):
    """Brings the two inputs of a cell to one size and width, see `Style.calibration`.

    State 0 is halved (ReLU, factorized reduction) if it is larger than state 1, that is after a reduction. Otherwise,
    and for state 1, a pointwise convolution (ReLU, 1x1, norm) sets the width:

      where_needed  if the width differs (NAO in PyTorch)
      always        (DARTS, LaNAS)
      nao_tf        of state 0 if the width differs, of state 1 always; state 0 of the first cell stays as it is, and
                    the operations that read it map it to the width
      nao_ws_tf     as where_needed, then once more for state 1

    Attributes:
      features: the width of the cell.
      style: see `styles.Style`.
      is_first: whether the cell is the first of its network.
    """

    features: int
    style: styles.Style
    is_first: bool = False

    @nn.compact
    def __call__(self, before: chex.Array, previous: chex.Array, train: bool) -> tuple[chex.Array, chex.Array]:
        """Returns the calibrated states 0 and 1."""
        kind = self.style.calibration
        states = [before, previous]
        is_needed = [state.shape[-1] != self.features or kind == "always" for state in states]
        if kind == "nao_tf":
            is_needed = [is_needed[0] and not self.is_first, True]
        if before.shape[1:3] != previous.shape[1:3]:
            reduction = layers.FactorizedReduction(self.features, self.style, name="reduction_0")
            states[0] = reduction(jax.nn.relu(before), train)
        elif is_needed[0]:
            states[0] = self._pointwise("pointwise_0", before, train)
        if is_needed[1]:
            states[1] = self._pointwise("pointwise_1", previous, train)
        if kind == "nao_ws_tf":
            states[1] = self._pointwise("base_1", states[1], train)
        return tuple(states)

    def _pointwise(self, name, images, train):
        return layers.ReluConvolution(self.features, (1, 1), self.style, name=name)(images, train)


class Cell(nn.Module):
    """A cell: nodes sum their branches, and the output concatenates some states.

    Attributes:
      genotype: its nodes and output.
      features: its width.
      style: see `styles.Style`.
      is_reduction: whether it halves the image.
      is_first: whether it is the first of its network.
      is_projected: whether the output is projected to its width, see `child.Config.output`.
    """

    genotype: genotype.Cell
    features: int
    style: styles.Style
    is_reduction: bool = False
    is_first: bool = False
    is_projected: bool = False

    @nn.compact
    def __call__(self, before: chex.Array, previous: chex.Array, scales: chex.Array | None, train: bool) -> chex.Array:
        """Returns the cell's output.

        Args:
          before: float[B, H, W, C], the output of the cell before the previous one, or twice as high and wide.
          previous: float[B, H, W, C'], the output of the previous cell.
          scales: float32[branches, B], factor of each branch, see `drop_path_scales`; None: one.
          train: whether in training mode.
        """
        calibration = Calibration(self.features, self.style, is_first=self.is_first, name="calibration")
        states = list(calibration(before, previous, train))
        number = 0
        for node, branches in enumerate(self.genotype.nodes):
            sums = []
            for at, branch in enumerate(branches):
                output = self._branch(f"node_{node}_branch_{at}", branch, states, train)
                if scales is not None and not is_exempt(self.style, branch.operation, self._stride(branch)):
                    output = output * scales[number, :, None, None, None].astype(output.dtype)
                sums.append(output)
                number += 1
            states.append(sum(sums[1:], start=sums[0]))
        output = self._concatenate([(at, states[at]) for at in self.genotype.output], train)
        if self.is_projected:
            output = layers.ReluConvolution(self.features, (1, 1), self.style, name="projection")(output, train)
        return output

    def _branch(self, name, branch, states, train):
        if branch.operation not in operations.OPERATIONS:
            raise ValueError(
                f"unknown operation {branch.operation!r}; choose one of {', '.join(sorted(operations.OPERATIONS))}"
            )
        stride = self._stride(branch)
        operation = operations.OPERATIONS[branch.operation](
            features=self.features, stride=stride, style=self.style, name=name
        )
        return operation(states[branch.state], train)

    def _stride(self, branch):
        return 2 if self.is_reduction and branch.state < genotype.NUM_INPUTS else 1

    def _concatenate(self, states, train):
        """Concatenates states; inputs of another size or width are brought to that of the smallest state."""
        smallest = min(state.shape[1:3] for _, state in states)
        found = []
        for at, state in states:
            if state.shape[1:3] != smallest:
                state = layers.FactorizedReduction(self.features, self.style, name=f"reduction_of_{at}")(state, train)
            elif state.shape[-1] != self.features:
                # The "factorized reduction with stride 1" of NAO in TensorFlow, in its first cell only.
                state = layers.Convolution(self.features, (1, 1), self.style, name=f"pointwise_of_{at}")(state)
                state = layers.Norm(self.style, name=f"norm_of_{at}")(state, train)
            found.append(state)
        return jnp.concatenate(found, axis=-1)


def is_exempt(style: styles.Style, operation: str, stride: int) -> bool:
    """Returns whether a branch is never dropped."""
    is_identity = operation in operations.IDENTITIES
    if style.drop_path_exempt == "pass_through":
        return is_identity and stride == 1
    return is_identity and style.drop_path_exempt == "identity"


def num_branches(cell: genotype.Cell) -> int:
    """Returns the number of branches of a cell."""
    return sum(map(len, cell.nodes))


def keep_probabilities(num_cells: int, keep: float, *, by_depth: bool, progress: chex.Array) -> chex.Array:
    """Returns float32[num_cells], the probability to keep a branch of each cell.

    At the end of training it is `keep`, or with depth (NAO) 1 - (l + 1) / num_cells * (1 - keep) in cell l; before,
    1 - progress * (1 - that).

    Args:
      num_cells: cells of the network.
      keep: in (0, 1].
      by_depth: whether earlier cells keep more (NAO); otherwise all keep the same (LaNAS, DARTS).
      progress: float32[], the fraction of training done, in [0, 1].
    """
    depth = (jnp.arange(num_cells) + 1) / num_cells if by_depth else jnp.ones(num_cells)
    return 1 - jnp.clip(progress, 0, 1) * depth * (1 - keep)


def drop_path_scales(key: chex.PRNGKey, keep: chex.Array, *, num_branches: int, batch_size: int) -> chex.Array:
    """Returns float32[cells, branches, B]: 0 with probability 1 - keep, else 1 / keep, sampled per image.

    All samples of a network come from one call: hundreds of calls in one program are slow to compile.

    Args:
      key: a key.
      keep: float32[cells].
      num_branches: maximum number of branches of a cell.
      batch_size: B.
    """
    uniform = jax.random.uniform(key, (keep.shape[0], num_branches, batch_size))
    keep = keep[:, None, None]
    return jnp.where(uniform < keep, 1 / keep, 0.0)
