"""Language models with one recurrent layer, whose cell is known beforehand or is data (arXiv:1808.07233).

Words are looked up in a table, read by the cell of `highway`, and the outputs are compared with the same table
(tied weights). While it trains, every mask of dropout is drawn once for a sequence and stands for all of its
steps (arXiv:1512.05287, arXiv:1708.02182).
"""

import dataclasses
from typing import Annotated

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from common.genotypes.genotype import RecurrentGenotype
from common.language import highway
from common.spaces import nao_rnn

INIT_RANGE = 0.04


@dataclasses.dataclass(frozen=True)
class Dropout:
    """What is dropped while a language model trains. The defaults are NAO's on Penn Treebank."""

    dropout_output: Annotated[float, "share of the outputs that are dropped"] = 0.75
    dropout_hidden: Annotated[float, "share of the states that are dropped before each of the cell's products"] = 0.25
    dropout_cell_input: Annotated[float, "share of the cell's inputs that are dropped"] = 0.75
    dropout_input: Annotated[float, "share of the looked-up values that are dropped, before those"] = 0.2
    dropout_word: Annotated[float, "share of the words of the vocabulary whose looked-up values are dropped"] = 0.0
    dropout_node: Annotated[float, "share of the nodes of the cell whose weights do not learn from a step"] = 0.0

    def __post_init__(self):
        """Refuses what is no share."""
        for name, value in dataclasses.asdict(self).items():
            if not 0.0 <= value < 1.0:
                raise ValueError(f"{name} must be at least 0 and below 1; got {value}")


@chex.dataclass(frozen=True)
class Masks:
    """The masks of a sequence, of 0 and 1 / (1 - share).

    Attributes:
      word: float32[V, 1].
      input: float32[B, H].
      cell_input: float32[B, H].
      hidden: float32[B, H].
      output: float32[B, H].
    """

    word: chex.Array
    input: chex.Array
    cell_input: chex.Array
    hidden: chex.Array
    output: chex.Array


@chex.dataclass(frozen=True)
class Reading:
    """What a language model makes of a sequence.

    Attributes:
      logits: float32[T, B, V], of the next word.
      dropped: float32[T, B, H], the outputs of the cell after dropout.
      raw: float32[T, B, H], before it.
    """

    logits: chex.Array
    dropped: chex.Array
    raw: chex.Array


class LanguageModel(nn.Module):
    """A language model.

    Attributes:
      vocabulary_size: V.
      width: H, of the table's rows and of all states.
      cell: (arch int32[22] or None) -> (`highway.Wiring`, float32[K, H, 2H]), the cell's nodes and their weights:
        `FixedCell`, `AnyCell` or `recurrent_supernet.SharedCell`.
      dropout: what is dropped in training.
    """

    vocabulary_size: int
    width: int
    cell: nn.Module
    dropout: Dropout = Dropout()

    @nn.compact
    def __call__(
        self, words: chex.Array, hidden: chex.Array, *, arch: chex.Array | None = None, train: bool = False
    ) -> Reading:
        """Reads sequences.

        Args:
          words: int32[T, B], their numbers in the vocabulary.
          hidden: float32[B, H], the cell's output before them; zero in the beginning.
          arch: int32[22], a row of the space `nao_rnn`, where the cell is data.
          train: whether to drop; takes the random stream "dropout".
        """
        table = self.param("table", init_weights, (self.vocabulary_size, self.width))
        bias = self.param("bias", nn.initializers.zeros, (self.vocabulary_size,))
        first = self.param("first", init_weights, (2 * self.width, 2 * self.width))
        wiring, nodes = self.cell(arch)
        mask = masks(self.make_rng("dropout") if train else None, self.dropout, hidden.shape, self.vocabulary_size)
        if train and self.dropout.dropout_node:
            nodes = _frozen(self.make_rng("dropout"), self.dropout.dropout_node, nodes)
        inputs = table[words] * mask.word[words] * (mask.input * mask.cell_input)[None]
        projected = inputs @ first[: self.width]
        raw = highway.read(wiring, projected, first[self.width :], nodes, mask.hidden, hidden)
        dropped = raw * mask.output[None]
        return Reading(logits=dropped @ table.T + bias[None, None], dropped=dropped, raw=raw)


class FixedCell(nn.Module):
    """A cell that is known when the program is made.

    Attributes:
      genotype: the cell.
      width: H.
    """

    genotype: RecurrentGenotype
    width: int

    @nn.compact
    def __call__(self, arch: None = None) -> tuple[highway.Wiring, chex.Array]:
        """Returns its wiring and weights."""
        if arch is not None:
            raise ValueError("the cell of this network is fixed; call it without arch")
        nodes = self.param("nodes", init_weights, (len(self.genotype.nodes), self.width, 2 * self.width))
        return wiring(self.genotype), nodes


class AnyCell(nn.Module):
    """A cell that is data, with weights of its own: one program trains any architecture of the space `nao_rnn`.

    Attributes:
      width: H.
    """

    width: int

    @nn.compact
    def __call__(self, arch: chex.Array) -> tuple[highway.Wiring, chex.Array]:
        """Returns the wiring of a row int32[22], and the weights."""
        nodes = self.param("nodes", init_weights, (nao_rnn.NUM_NODES, self.width, 2 * self.width))
        states, activations = split(arch)
        return highway.Wiring(states, activations, tuple(range(1, nao_rnn.NUM_NODES + 1))), nodes


def language_model(
    genotype: RecurrentGenotype, *, vocabulary_size: int, width: int, dropout: Dropout | None = None
) -> LanguageModel:
    """Returns the language model of a cell.

    Raises:
      ValueError: it has an activation that is none of `highway.ACTIVATIONS`, or a size makes no sense.
    """
    wiring(genotype)
    check_sizes(vocabulary_size, width)
    return LanguageModel(vocabulary_size, width, FixedCell(genotype, width), dropout or Dropout())


def check_sizes(vocabulary_size: int, width: int) -> None:
    """Raises a `ValueError` for a size below 1."""
    for name, value in (("vocabulary_size", vocabulary_size), ("width", width)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}")


def wiring(genotype: RecurrentGenotype) -> highway.Wiring:
    """Returns how the nodes of a genotype are joined.

    Raises:
      ValueError: an activation is unknown.
    """
    for at, node in enumerate(genotype.nodes, start=1):
        if node.activation not in highway.ACTIVATIONS:
            allowed = ", ".join(highway.ACTIVATIONS)
            raise ValueError(f"node {at} has the activation {node.activation!r}; choose one of {allowed}")
    states = tuple(node.state for node in genotype.nodes)
    activations = tuple(highway.ACTIVATIONS.index(node.activation) for node in genotype.nodes)
    return highway.Wiring(states, activations, genotype.output)


def split(arch: chex.Array) -> tuple[chex.Array, chex.Array]:
    """Returns (states, activations), int32[11] each, of a row int32[22]."""
    return arch[0::2], arch[1::2]


def masks(key: chex.PRNGKey | None, shares: Dropout, shape: tuple[int, int], vocabulary_size: int) -> Masks:
    """Draws the masks of a sequence; without a key, all ones.

    Args:
      key: random key, or None.
      shares: what is dropped.
      shape: (B, H).
      vocabulary_size: V.
    """
    names = ("word", "input", "cell_input", "hidden", "output")
    keys = [None] * len(names) if key is None else list(jax.random.split(key, len(names)))
    drawn = {}
    for name, own in zip(names, keys, strict=True):
        share = getattr(shares, f"dropout_{name}")
        drawn[name] = _mask(own, share, (vocabulary_size, 1) if name == "word" else shape)
    return Masks(**drawn)


def _frozen(key, share, nodes):
    """The weights float32[K, H, 2H] as they are, of which those of some nodes have no gradient."""
    learns = jax.random.bernoulli(key, 1.0 - share, (nodes.shape[0], 1, 1))
    return jnp.where(learns, nodes, jax.lax.stop_gradient(nodes))


def init_weights(key: chex.PRNGKey, shape: tuple[int, ...], dtype=jnp.float32) -> chex.Array:
    """Draws first weights, uniform within `INIT_RANGE` of 0."""
    return jax.random.uniform(key, shape, dtype, -INIT_RANGE, INIT_RANGE)


def _mask(key, share, shape):
    if key is None or share == 0.0:
        return jnp.ones(shape)
    return jax.random.bernoulli(key, 1.0 - share, shape) / (1.0 - share)
