"""Search spaces by name. A new space is one file and one line in `SPACES`."""

from common import config as configs
from common import types
from common.spaces import (
    convnet,
    lanas_cell,
    lanas_oneshot,
    nao_cnn,
    nao_rnn,
    nasbench101,
    nasbench101_encodings,
    nasbench201,
    nasbench_macro,
    ofa_mobile,
    seminas_mobile,
    small_images,
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
        small_images.space(),
    )
}

# The same decisions with other features: name -> (the space of `SPACES`, the variant).
VARIANTS: dict[str, tuple[str, types.SearchSpace]] = {
    "nasbench101_lanas": ("nasbench101", nasbench101.space("nasbench101_lanas", nasbench101_encodings.lanas_features)),
    "nasbench101_codes": ("nasbench101", nasbench101.codes()),
}
# Those of all codes: equal networks are different rows, and rows without a network have fitness 0.
CODES = ("nasbench101_codes",)


def get(name: str) -> types.SearchSpace:
    """Returns the space or variant called `name`; a `ValueError` lists the names of the spaces."""
    if name in VARIANTS:
        return VARIANTS[name][1]
    configs.one_of("search space", name, sorted(SPACES))
    return SPACES[name]
