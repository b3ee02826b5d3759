"""The recurrent cell of NAO: 11 nodes, 4 activations (arXiv:1808.07233).

A row is 22 integers: for each node the state that it reads (0 for the cell's first state, or the number of an earlier
node) and its activation. The output of the cell is the mean of all nodes. Cells that differ only in the numbering of
nodes are different architectures here. The two released programs number the activations differently, so a published
string is ambiguous without its convention; rows and tokens use the indices of `ACTIVATIONS`.
"""

import math

import numpy as np

from common import config as configs
from common import types
from common.spaces import factory, integer_strings

ACTIVATIONS = ("tanh", "relu", "identity", "sigmoid")
# By released program: architectures trained from scratch, and shared weights.
CONVENTIONS = {"nao": ACTIVATIONS, "nao_ws": ("tanh", "relu", "sigmoid", "identity")}
NUM_NODES = 11
NUM_CHOICES = tuple(choices for node in range(NUM_NODES) for choices in (node + 1, len(ACTIVATIONS)))
# Token 0 is the start symbol, 1 to 11 are states, 12 to 15 activations.
OFFSETS = np.tile([1, NUM_NODES + 1], NUM_NODES).astype(np.int32)


def space() -> types.SearchSpace:
    """Returns the space of 11! * 4^11 rows; 22 tokens, the choices plus `OFFSETS`."""
    vocabulary = np.arange(1 + NUM_NODES + len(ACTIVATIONS))[None, :]
    last = OFFSETS + np.array(NUM_CHOICES) - 1
    return factory.search_space(
        "nao_rnn",
        NUM_CHOICES,
        size=math.prod(NUM_CHOICES),
        describe=describe,
        tokens=lambda archs: archs + OFFSETS[None],
        from_tokens=lambda tokens: tokens - OFFSETS[None],
        legal_tokens=factory.after_any((vocabulary >= OFFSETS[:, None]) & (vocabulary <= last[:, None])),
    )


def describe(arch: np.ndarray) -> str:
    """Returns the text of one row (22,), such as `1=relu(0) 2=relu(0) 3=tanh(1) ...`."""
    nodes = np.asarray(arch).reshape(NUM_NODES, 2)
    return " ".join(f"{i}={ACTIVATIONS[activation]}({state})" for i, (state, activation) in enumerate(nodes, start=1))


def from_string(text: str, *, convention: str) -> np.ndarray:
    """Returns int32[22], the row of a published string of 22 integers `state activation state activation ...`.

    Raises:
      ValueError: the convention is not one of `CONVENTIONS`, or the text not a cell of the space.
    """
    configs.one_of("convention", convention, CONVENTIONS)
    names, places = CONVENTIONS[convention], []
    for node in range(1, NUM_NODES + 1):
        places += [f"state that node {node} reads", f"activation of node {node}: {', '.join(names)}"]
    row = integer_strings.read(text, "nao_rnn architecture", places, NUM_CHOICES)
    row[1::2] = np.array([ACTIVATIONS.index(name) for name in names])[row[1::2]]
    return row


def to_string(arch: np.ndarray, *, convention: str) -> str:
    """Returns the published string of one row (22,) in the ids of a convention; the inverse of `from_string`."""
    configs.one_of("convention", convention, CONVENTIONS)
    written = np.array(arch)
    written[1::2] = np.array([CONVENTIONS[convention].index(name) for name in ACTIVATIONS])[written[1::2]]
    return integer_strings.write(written)
