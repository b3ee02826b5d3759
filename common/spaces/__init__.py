"""Search spaces by name. A new space is one file and one line in `SPACES`."""

from common import types
from common.spaces import (
    convnet,
    lanas_cell,
    lanas_oneshot,
    nao_cnn,
    nao_rnn,
    nasbench101,
    nasbench201,
    nasbench_macro,
    ofa_mobile,
    seminas_mobile,
)

SPACES: dict[str, types.SearchSpace] = {
    space.name: space
    for space in (
        convnet.space(),
        lanas_cell.space(),
        lanas_oneshot.space(),
        *map(nao_cnn.space, nao_cnn.OPERATIONS),
        nao_rnn.space(),
        nasbench101.space(),
        nasbench201.space(),
        nasbench_macro.space(),
        ofa_mobile.space(),
        seminas_mobile.space(),
    )
}


def get(name: str) -> types.SearchSpace:
    """Returns the space called `name`; a `ValueError` lists the names there are."""
    if name not in SPACES:
        raise ValueError(f"unknown search space {name!r}; choose one of {', '.join(sorted(SPACES))}")
    return SPACES[name]
