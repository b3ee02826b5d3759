"""Language models with one recurrent layer, and the shared weights of NAO-WS (arXiv:1808.07233).

Words are embedded, read by the cell of `highway`, and the outputs are projected by the embedding table (tied
weights). In training, each dropout mask is sampled once per sequence and applied at all of its steps
(arXiv:1512.05287, arXiv:1708.02182).
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from common.genotypes.genotype import RecurrentGenotype
from common.language import config as configs
from common.language import highway
from common.spaces import nao_rnn

INIT_RANGE = 0.04
ALL_STATES = tuple(range(nao_rnn.NUM_NODES + 1))  # the output of a cell on shared weights is the mean of these
_NUM_ACTIVATIONS = len(nao_rnn.ACTIVATIONS)
_NUM_BLOCKS = np.arange(1, nao_rnn.NUM_NODES + 1, dtype=np.int32) * _NUM_ACTIVATIONS  # of node 1, 2, ...
_FIRST_BLOCK = np.cumsum(_NUM_BLOCKS, dtype=np.int32) - _NUM_BLOCKS


@chex.dataclass(frozen=True)
class Masks:
    """Dropout masks of a sequence, with values 0 and 1 / (1 - rate).

    Attributes:
      word: float32[V, 1].
      input, cell_input, hidden, output: float32[B, H].
    """

    word: chex.Array
    input: chex.Array
    cell_input: chex.Array
    hidden: chex.Array
    output: chex.Array


@chex.dataclass(frozen=True)
class Reading:
    """Outputs of a language model over a sequence."""

    logits: chex.Array  # float32[T, B, V], of the next word
    dropped: chex.Array  # float32[T, B, H], outputs of the cell after dropout
    raw: chex.Array  # float32[T, B, H], outputs of the cell before dropout; the last one is the next hidden state


class LanguageModel(nn.Module):
    """Word-level language model with one recurrent layer.

    Attributes:
      vocabulary_size: V.
      width: H, size of embeddings and states.
      cell: module (arch int32[22] or None) -> (`highway.Wiring`, float32[K, H, 2H] weights of its nodes): one of
        `FixedCell`, `AnyCell` and `SharedCell`.
      dropout: rates in training.
      dtype: of the factors of matrix products, see `config.Config`.
    """

    vocabulary_size: int
    width: int
    cell: nn.Module
    dropout: configs.Dropout = configs.Dropout()
    dtype: str | None = None

    @nn.compact
    def __call__(
        self, words: chex.Array, hidden: chex.Array, *, arch: chex.Array | None = None, train: bool = False
    ) -> Reading:
        """Reads sequences.

        Args:
          words: int32[T, B], indices into the vocabulary.
          hidden: float32[B, H], the cell's previous output; zeros at the beginning of a text.
          arch: int32[22], a row of the space `nao_rnn`, for cells whose architecture is data.
          train: whether dropout is applied; needs the random stream "dropout".
        """
        table = self.param("table", init_weights, (self.vocabulary_size, self.width))
        bias = self.param("bias", nn.initializers.zeros, (self.vocabulary_size,))
        first = self.param("first", init_weights, (2 * self.width, 2 * self.width))
        wiring, nodes = self.cell(arch)
        mask = masks(self.make_rng("dropout") if train else None, self.dropout, hidden.shape, self.vocabulary_size)
        if train and self.dropout.dropout_node:
            nodes = _freeze(self.make_rng("dropout"), self.dropout.dropout_node, nodes)
        inputs = table[words] * mask.word[words] * (mask.input * mask.cell_input)[None]
        first, nodes, output = (weights.astype(self.dtype or "float32") for weights in (first, nodes, table.T))
        projected = highway.product(inputs, first[: self.width])
        raw = highway.read(wiring, projected, first[self.width :], nodes, mask.hidden, hidden)
        dropped = raw * mask.output[None]
        return Reading(logits=highway.product(dropped, output) + bias[None, None], dropped=dropped, raw=raw)


class FixedCell(nn.Module):
    """Cell whose architecture is known at compile time."""

    genotype: RecurrentGenotype
    width: int  # H

    @nn.compact
    def __call__(self, arch: None = None) -> tuple[highway.Wiring, chex.Array]:
        """Returns its wiring and weights."""
        if arch is not None:
            raise ValueError("the cell of this network is fixed; call it without arch")
        nodes = self.param("nodes", init_weights, (len(self.genotype.nodes), self.width, 2 * self.width))
        return wiring(self.genotype), nodes


class AnyCell(nn.Module):
    """Cell whose architecture is data: one program trains every architecture of the space `nao_rnn`."""

    width: int  # H

    @nn.compact
    def __call__(self, arch: chex.Array) -> tuple[highway.Wiring, chex.Array]:
        """Returns the wiring of a row int32[22], and the weights."""
        nodes = self.param("nodes", init_weights, (nao_rnn.NUM_NODES, self.width, 2 * self.width))
        return highway.Wiring(*_split(arch), ALL_STATES[1:]), nodes


class SharedCell(nn.Module):
    """All cells of the space `nao_rnn` on shared weights.

    Node i has one weight matrix for each pair of input state and activation, 4i of them; an architecture uses 11 of
    the 264. As in the released program, the output is the mean of all 12 states, including the first one, which the
    output of a cell trained from scratch excludes.
    """

    width: int  # H

    @nn.compact
    def __call__(self, arch: chex.Array) -> tuple[highway.Wiring, chex.Array]:
        """Returns the wiring of a row int32[22], and its weights float32[11, H, 2H]."""
        blocks = self.param("blocks", init_weights, (int(_NUM_BLOCKS.sum()), self.width, 2 * self.width))
        return highway.Wiring(*_split(arch), ALL_STATES), blocks[block_numbers(arch)]


def language_model(
    genotype: RecurrentGenotype,
    *,
    vocabulary_size: int,
    width: int,
    dropout: configs.Dropout | None = None,
    dtype: str | None = None,
) -> LanguageModel:
    """Returns the language model of one cell.

    Args:
      vocabulary_size: V, words.
      width: H, units of the embedding and the cell.
      dropout: dropout rates; by default none.
      dtype: of the factors of matrix products; by default float32.

    Raises:
      ValueError: an activation is not in `highway.ACTIVATIONS`, or a size is below 1.
    """
    wiring(genotype)
    return _model(FixedCell(genotype, width), vocabulary_size, width, dropout, dtype)


def supernet(
    *, vocabulary_size: int, width: int, dropout: configs.Dropout | None = None, dtype: str | None = None
) -> LanguageModel:
    """Returns the language model of all cells on shared weights (NAO-WS); arguments as of `language_model`.

    Raises:
      ValueError: a size is below 1.
    """
    return _model(SharedCell(width), vocabulary_size, width, dropout, dtype)


def wiring(genotype: RecurrentGenotype) -> highway.Wiring:
    """Returns the wiring of a genotype.

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


def block_numbers(arch: chex.Array) -> chex.Array:
    """Returns int32[11], the indices of the shared matrices that the nodes of a row int32[22] use."""
    states, activations = _split(arch)
    return jnp.asarray(_FIRST_BLOCK) + states * _NUM_ACTIVATIONS + activations


def masks(key: chex.PRNGKey | None, rates: configs.Dropout, shape: tuple[int, int], vocabulary_size: int) -> Masks:
    """Samples dropout masks of shape (B, H), scaled by the inverse of the keeping probability; ones without a key."""
    names = ("word", "input", "cell_input", "hidden", "output")
    keys = [None] * len(names) if key is None else list(jax.random.split(key, len(names)))
    shapes = {"word": (vocabulary_size, 1)}
    return Masks(
        **{
            name: _mask(mask_key, getattr(rates, f"dropout_{name}"), shapes.get(name, shape))
            for name, mask_key in zip(names, keys, strict=True)
        }
    )


def init_weights(key: chex.PRNGKey, shape: tuple[int, ...]) -> chex.Array:
    """Returns initial parameters, uniform within `INIT_RANGE` of 0."""
    return jax.random.uniform(key, shape, jnp.float32, -INIT_RANGE, INIT_RANGE)


def _model(cell, vocabulary_size, width, dropout, dtype):
    for name, value in (("vocabulary_size", vocabulary_size), ("width", width)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}")
    return LanguageModel(vocabulary_size, width, cell, dropout or configs.Dropout(), dtype)


def _split(arch):
    """Returns (states, activations), int32[11] each, of a row int32[22]."""
    return arch[0::2], arch[1::2]


def _freeze(key, rate, nodes):
    """Returns the weights float32[K, H, 2H], those of some nodes without a gradient."""
    learns = jax.random.bernoulli(key, 1.0 - rate, (nodes.shape[0], 1, 1))
    return jnp.where(learns, nodes, jax.lax.stop_gradient(nodes))


def _mask(key, rate, shape):
    if key is None or rate == 0.0:
        return jnp.ones(shape)
    return jax.random.bernoulli(key, 1.0 - rate, shape) / (1.0 - rate)
