"""Search spaces by name. A new space is one file and one line in `SPACES`."""

from common import types
from common.spaces import convnet, nasbench101, nasbench201, nasbench_macro

SPACES: dict[str, types.SearchSpace] = {
    space.name: space
    for space in (
        convnet.space(),
        nasbench101.space(),
        nasbench201.space(),
        nasbench_macro.space(),
    )
}


def get(name: str) -> types.SearchSpace:
    """Returns the space called `name`; a `ValueError` lists the names there are."""
    if name not in SPACES:
        raise ValueError(f"unknown search space {name!r}; choose one of {', '.join(sorted(SPACES))}")
    return SPACES[name]
