"""Cells of two-branch nodes, the basis of the convolutional spaces of NAO and LaNAS.

State 0 of a cell is the output of the cell before the previous one, state 1 that of the previous cell, state i + 2
node i. Node i adds up two branches, each an operation on one of the states 0 to i + 1. The output of the cell is the
concatenation of all states that no branch reads, its *loose ends*.

The canonical row has of the two branches of a node the one with the smaller (input, operation) first. Cells that differ
in the numbering of their nodes, or in operations that happen to be equivalent, count as different networks here.
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import types
from common.spaces import cell_features, factory, integer_strings

NUM_BRANCHES = 2


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """Layout of the cells of a space in a row of decisions.

    Attributes:
      cells: names of the C kinds of cell.
      operations: names of the O operations, by id.
      columns: int[C, N, 2, 2], a permutation of the L = 4 C N columns of a row: for each cell, node and branch those
        of the input (0) and the operation (1).
    """

    cells: tuple[str, ...]
    operations: tuple[str, ...]
    columns: np.ndarray

    @property
    def num_nodes(self) -> int:
        """N, nodes of a cell."""
        return self.columns.shape[1]

    @property
    def num_choices(self) -> tuple[int, ...]:
        """Options at each column of a row."""
        num_choices = np.full(self.columns.size, len(self.operations))
        num_choices[self.columns[..., 0]] = np.arange(self.num_nodes)[None, :, None] + 2
        return tuple(num_choices.tolist())

    def num_networks(self) -> int:
        """Returns the number of rows up to swaps of branches: of m branches, m (m + 1) / 2 pairs."""
        num_branches = [(node + 2) * len(self.operations) for node in range(self.num_nodes)]
        return math.prod(m * (m + 1) // 2 for m in num_branches) ** len(self.cells)


def two_cells(operations: tuple[str, ...], num_nodes: int) -> Layout:
    """Returns the layout of a normal and a reduction cell, each branch as `input operation` in their order."""
    columns = np.arange(2 * num_nodes * 4).reshape(2, num_nodes, NUM_BRANCHES, 2)
    return Layout(cells=("normal", "reduction"), operations=operations, columns=columns)


def search_space(
    name: str,
    layout: Layout,
    *,
    size: int | None = None,
    is_valid: Callable[[chex.Array], chex.Array] | None = None,
    tokens: tuple[Callable, Callable, np.ndarray] | None = None,
) -> types.SearchSpace:
    """Returns the space of a layout.

    Args:
      name: its key in `common.spaces.SPACES`.
      layout: order of the decisions of a row.
      size: number of distinct networks; by default that of the layout.
      is_valid: int32[B, L] -> bool[B]; by default all rows are valid.
      tokens: `tokens`, `from_tokens` and `legal_tokens` of `types.SearchSpace`; by default `branch_tokens(layout)`.
    """
    to_tokens, from_tokens, legal_tokens = tokens or branch_tokens(layout)
    return factory.search_space(
        name,
        layout.num_choices,
        size=layout.num_networks() if size is None else size,
        describe=lambda arch: describe(layout, arch),
        is_valid=is_valid,
        canonicalize=lambda archs: canonicalize(layout, archs),
        features=lambda archs: features(layout, archs),
        tokens=to_tokens,
        from_tokens=from_tokens,
        legal_tokens=legal_tokens,
        symmetries=_swaps(layout, len(legal_tokens)),
    )


def branches(layout: Layout, archs: chex.Array) -> chex.Array:
    """Returns int32[B, C, N, 2, 2] of rows int32[B, L]: of each branch the input and the operation."""
    return archs[:, layout.columns]


def from_branches(layout: Layout, pairs: chex.Array) -> chex.Array:
    """Returns int32[B, L], the rows of int32[B, C, N, 2, 2]; undoes `branches`."""
    return pairs.reshape(pairs.shape[0], layout.columns.size)[:, np.argsort(layout.columns, axis=None)]


def canonicalize(layout: Layout, archs: chex.Array) -> chex.Array:
    """Returns int32[B, L], where of each node's branches the one with the smaller (input, operation) is first."""
    pairs = branches(layout, archs)
    rank = pairs[..., 0] * len(layout.operations) + pairs[..., 1]
    is_swapped = rank[..., 0] > rank[..., 1]
    return from_branches(layout, jnp.where(is_swapped[..., None, None], pairs[..., ::-1, :], pairs))


def features(layout: Layout, archs: chex.Array) -> chex.Array:
    """Returns float32[B, F], equal for all encodings of a network: cell after cell, `cell_features.features`."""
    one = functools.partial(cell_features.features, operations=layout.operations)
    return jax.vmap(jax.vmap(one))(branches(layout, archs)).reshape(archs.shape[0], -1)


def branch_tokens(layout: Layout) -> tuple[Callable, Callable, np.ndarray]:
    """Two tokens a branch, cell after cell: its input plus 1, its operation plus N + 2.

    The vocabulary is the start symbol, the N + 1 states that can be read, and the operations.

    Returns:
      `tokens`, `from_tokens` and bool[T, V, V] `legal_tokens` of `common.types.SearchSpace`, T = 4 C N.
    """
    order = layout.columns.reshape(-1)
    offsets = np.tile([1, layout.num_nodes + 2], order.size // 2).astype(np.int32)
    last = offsets + np.array(layout.num_choices)[order] - 1
    vocabulary = np.arange(layout.num_nodes + 2 + len(layout.operations))[None, :]
    legal = (vocabulary >= offsets[:, None]) & (vocabulary <= last[:, None])

    def tokens(archs):
        return archs[:, order] + offsets[None]

    def from_tokens(tokens):
        return (tokens - offsets[None])[:, np.argsort(order)]

    return tokens, from_tokens, factory.after_any(legal)


def describe(layout: Layout, arch: np.ndarray) -> str:
    """Returns a text of one row (L,), such as `normal: 2=identity(0)+sep_conv_3x3(1) 3=... | reduction: ...`."""
    texts = []
    for cell, nodes in zip(layout.cells, branches(layout, np.asarray(arch)[None])[0], strict=True):
        sums = ["+".join(f"{layout.operations[operation]}({state})" for state, operation in node) for node in nodes]
        texts.append(f"{cell}: " + " ".join(f"{i + 2}={text}" for i, text in enumerate(sums)))
    return " | ".join(texts)


def read(layout: Layout, text: str, kind: str, *, first_id: int = 0) -> np.ndarray:
    """Returns int32[L], the row of its published string, which need not be canonical.

    Args:
      layout: of the rows.
      text: L integers in the order of the row.
      kind: description of the text, for messages.
      first_id: the integer that stands for the first operation.

    Raises:
      ValueError: if the text is not an architecture; the message names the place.
    """
    lows = np.zeros(layout.columns.size, np.int32)
    lows[layout.columns[..., 1]] = first_id
    places = [""] * layout.columns.size
    for (cell, node, branch, part), column in np.ndenumerate(layout.columns):
        allowed = f"a state before it, its own is {node + 2}" if part == 0 else ", ".join(layout.operations)
        kind_of_place = ("input", "operation")[part]
        places[column] = f"{layout.cells[cell]} cell, node {node}, {kind_of_place} of branch {branch}: {allowed}"
    return integer_strings.read(text, kind, places, layout.num_choices, lows=lows)


def write(layout: Layout, arch: np.ndarray, *, first_id: int = 0) -> list[int]:
    """Returns the L integers of the published string of one row (L,); undoes `read`."""
    written = np.array(arch)
    written[layout.columns[..., 1]] += first_id
    return written.tolist()


def _swaps(layout: Layout, num_tokens: int) -> tuple[np.ndarray, ...]:
    """For each cell int32[N, T]: the positions of T tokens with the two halves of one node exchanged."""
    positions = np.arange(num_tokens, dtype=np.int32)
    groups = positions.reshape(len(layout.cells), layout.num_nodes, NUM_BRANCHES, -1)
    swaps = np.tile(positions, (len(layout.cells), layout.num_nodes, 1))
    np.put_along_axis(swaps, groups.reshape(*swaps.shape[:2], -1), groups[:, :, ::-1].reshape(*swaps.shape[:2], -1), 2)
    return tuple(swaps)
