"""The cell of distributed LaNAS: 7 nodes, 4 operations (arXiv:1906.06832 and its released code).

A row is the 28 integers of the released traces: the operations of the two branches of each node, then
their inputs. One cell serves as normal and as reduction cell. LaNet is such a cell.
"""

import numpy as np

from common import types
from common.spaces import cells

OPERATIONS = ("sep_conv_3x3", "max_pool_3x3", "skip_connect", "sep_conv_5x5")
NUM_NODES = 7


def space() -> types.SearchSpace:
    """Returns the space; 28 tokens, for each branch its input plus 1 and its operation plus 9."""
    return cells.search_space("lanas_cell", layout())


def layout() -> cells.Layout:
    """Returns how rows hold the cell: operation (node, branch) in column 2 node + branch, its input 14 later."""
    operations = np.arange(2 * NUM_NODES).reshape(1, NUM_NODES, 2)
    columns = np.stack([operations + 2 * NUM_NODES, operations], axis=-1)
    return cells.Layout(cells=("searched",), operations=OPERATIONS, columns=columns)


def from_string(text: str) -> np.ndarray:
    """Returns int32[28], the row of a released code such as `[2, 2, 0, ...]`; or raises a `ValueError`."""
    return cells.read(layout(), text, "lanas_cell architecture")


def to_string(arch: np.ndarray) -> str:
    """Returns the released code of one row (28,); undoes `from_string`."""
    return str(cells.write(layout(), arch))
