"""The shared weights of NAO-WS for recurrent cells: one network that holds every cell of the space `nao_rnn`.

Node i has one matrix for each pair of a state that it may read and an activation, 4i of them; an architecture
is data, and picks 11 of the 264. As in the released program, the output is the mean of all 12 states, the
first one included, which the mean of a cell trained by itself leaves out.
"""

import chex
import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from common.genotypes.genotype import RecurrentGenotype
from common.language import highway, recurrent
from common.spaces import nao_rnn

_NUM_ACTIVATIONS = len(nao_rnn.ACTIVATIONS)
_NUM_BLOCKS = np.arange(1, nao_rnn.NUM_NODES + 1, dtype=np.int32) * _NUM_ACTIVATIONS  # of node 1, 2, ...
_FIRST_BLOCK = np.cumsum(_NUM_BLOCKS, dtype=np.int32) - _NUM_BLOCKS
OUTPUT = tuple(range(nao_rnn.NUM_NODES + 1))


class SharedCell(nn.Module):
    """All cells of the space, on shared weights.

    Attributes:
      width: H.
    """

    width: int

    @nn.compact
    def __call__(self, arch: chex.Array) -> tuple[highway.Wiring, chex.Array]:
        """Returns the wiring of a row int32[22], and its weights float32[11, H, 2H]."""
        shape = (int(_NUM_BLOCKS.sum()), self.width, 2 * self.width)
        blocks = self.param("blocks", recurrent.init_weights, shape)
        states, activations = recurrent.split(arch)
        return highway.Wiring(states, activations, OUTPUT), blocks[block_numbers(arch)]


def supernet(*, vocabulary_size: int, width: int, dropout: recurrent.Dropout | None = None) -> recurrent.LanguageModel:
    """Returns the language model of all cells.

    Raises:
      ValueError: a size is below 1.
    """
    recurrent.check_sizes(vocabulary_size, width)
    return recurrent.LanguageModel(vocabulary_size, width, SharedCell(width), dropout or recurrent.Dropout())


def block_numbers(arch: chex.Array) -> chex.Array:
    """Returns int32[11], which of the 264 matrices the nodes of a row int32[22] use."""
    states, activations = recurrent.split(arch)
    return jnp.asarray(_FIRST_BLOCK) + states * _NUM_ACTIVATIONS + activations


def extract(params: chex.ArrayTree, arch: chex.Array) -> chex.ArrayTree:
    """Returns the parameters of one cell alone, taken out of the shared ones.

    They fit a `recurrent.LanguageModel` of `recurrent.AnyCell`, or of the `recurrent.FixedCell` of `genotype`.
    """
    own = {name: value for name, value in params.items() if name != "cell"}
    return {**own, "cell": {"nodes": params["cell"]["blocks"][block_numbers(arch)]}}


def genotype(cell: RecurrentGenotype) -> RecurrentGenotype:
    """Returns a cell with the output that it has on shared weights: the mean of all states, the first included."""
    return RecurrentGenotype(cell.nodes, OUTPUT)
