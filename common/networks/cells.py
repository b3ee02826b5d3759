"""Cells of convolutional networks, built from a genotype's cell, and drop path.

State 0 of a cell is the output of the cell before the previous one, state 1 that of the previous cell, state i + 2 is
node i. In a reduction cell the branches that read states 0 and 1 have stride 2.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from common import config as configs
from common.genotypes import genotype
from common.networks import layers, operations, styles


class Calibration(nn.Module):
    """Brings the two inputs of a cell to one size and width, see `Style.calibration`.

    State 0 is halved (ReLU, factorized reduction) if it is larger, that is after a reduction. Otherwise, and for state
    1, a pointwise convolution (ReLU, 1x1, norm) sets the width:

      where_needed  if the width differs (NAO in PyTorch)
      always        (DARTS, LaNAS)
      nao_tf        of state 0 if the width differs, of state 1 always; state 0 of the first cell stays as it is, and
                    the operations that read it map it to the width
      nao_ws_tf     as where_needed, then once more for state 1
      nao_ws_tf_shared  as where_needed; the inputs of a reduction cell are those of `halved_inputs`, so that its
                    operations have stride 1 (the shared weights of NAO-WS in TensorFlow)
    """

    features: int  # the width of the cell
    style: styles.Style
    is_first: bool = False  # whether the cell is the first of its network

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


def is_halved_first(style: styles.Style) -> bool:
    """Returns whether a reduction cell reads `halved_inputs`, with operations of stride 1."""
    return style.calibration == "nao_ws_tf_shared"


def halved_inputs(
    previous: chex.Array, features: int, style: styles.Style, *, name: str, train: bool
) -> tuple[chex.Array, chex.Array]:
    """Returns the output of the previous cell, which calibration halves, and its factorized reduction."""
    return previous, layers.FactorizedReduction(features, style, name=name)(previous, train)


class Cell(nn.Module):
    """A cell: nodes sum their branches, and the output concatenates some states."""

    genotype: genotype.Cell  # its nodes and output
    features: int  # its width
    style: styles.Style
    is_reduction: bool = False  # whether it halves the image
    is_first: bool = False  # whether it is the first of its network
    is_projected: bool = False  # whether the output is projected to its width, see `child.Config.output`

    @nn.compact
    def __call__(self, before: chex.Array, previous: chex.Array, scales: chex.Array | None, train: bool) -> chex.Array:
        """Returns the cell's output.

        Args:
          before: float[B, H, W, C], the output of the cell before the previous one, or twice as high and wide.
          previous: float[B, H, W, C'], the output of the previous cell.
          scales: float32[branches, B], factor of each branch, see `drop_path_scales`; None: one.
        """
        calibration = Calibration(self.features, self.style, is_first=self.is_first, name="calibration")
        states = list(calibration(before, previous, train))
        number = 0
        for node, branches in enumerate(self.genotype.nodes):
            sums = []
            for at, branch in enumerate(branches):
                configs.one_of("operation", branch.operation, sorted(operations.OPERATIONS))
                stride = 2 if self.is_reduction and branch.state < genotype.NUM_INPUTS else 1
                operation = operations.OPERATIONS[branch.operation](
                    features=self.features, stride=stride, style=self.style, name=f"node_{node}_branch_{at}"
                )
                output = operation(states[branch.state], train)
                if scales is not None and not is_exempt(self.style, branch.operation, stride):
                    output = output * scales[number, :, None, None, None].astype(output.dtype)
                sums.append(output)
                number += 1
            states.append(sum(sums[1:], start=sums[0]))
        output = self._concatenate([(at, states[at]) for at in self.genotype.output], train)
        if self.is_projected:
            output = layers.ReluConvolution(self.features, (1, 1), self.style, name="projection")(output, train)
        return output

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


def drop_path(
    module: nn.Module, keep: float, progress: chex.Numeric, shape: tuple[int, int, int], *, by_depth: bool = True
) -> chex.Array | None:
    """Returns `drop_path_scales` of `shape` (cells, branches, B), or None if nothing is dropped.

    Args:
      module: provides the random stream "drop_path".
      keep: see `keep_probabilities`, as `progress` and `by_depth`.
    """
    if keep == 1.0:
        return None
    probabilities = keep_probabilities(shape[0], keep, by_depth=by_depth, progress=jnp.asarray(progress, jnp.float32))
    return drop_path_scales(module.make_rng("drop_path"), probabilities, num_branches=shape[1], batch_size=shape[2])


def keep_probabilities(num_cells: int, keep: float, *, by_depth: bool, progress: chex.Array) -> chex.Array:
    """Returns float32[num_cells], the probability to keep a branch of each cell.

    At the end of training it is `keep`, or with depth (NAO) 1 - (l + 1) / num_cells * (1 - keep) in cell l; before,
    1 - progress * (1 - that).

    Args:
      keep: in (0, 1].
      by_depth: whether earlier cells keep more (NAO); otherwise all keep the same (LaNAS, DARTS).
      progress: float32[], the fraction of training done, in [0, 1].
    """
    depth = (jnp.arange(num_cells) + 1) / num_cells if by_depth else jnp.ones(num_cells)
    return 1 - jnp.clip(progress, 0, 1) * depth * (1 - keep)


def drop_path_scales(key: chex.PRNGKey, keep: chex.Array, *, num_branches: int, batch_size: int) -> chex.Array:
    """Returns float32[cells, branches, B]: 0 with probability 1 - keep (float32[cells]), else 1 / keep.

    All samples of a network come from one call: hundreds of calls in one program are slow to compile.
    """
    uniform = jax.random.uniform(key, (keep.shape[0], num_branches, batch_size))
    keep = keep[:, None, None]
    return jnp.where(uniform < keep, 1 / keep, 0.0)
