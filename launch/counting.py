"""What the network of a genotype costs: which network that is, and its parameters and multiply-adds."""

import dataclasses

from common.genotypes import description, formats
from common.genotypes.genotype import CellGenotype, ChainGenotype, Genotype
from launch import flags as launch_flags

# The network that stacks the cells, by the space that holds them.
_OF_CELLS = {
    "nao_small": "nao_pytorch",
    "nao_middle": "nao_pytorch",
    "nao_large": "nao_pytorch_large",
    "lanas_cell": "lanas",
    "lanas_oneshot": "lanas_oneshot_retrain",
}
_OF_OTHER_CELLS = "darts"
_OF_CHAINS = {"seminas_mobile": "seminas", "ofa_mobile": "once_for_all"}
_CIFAR_SIZE, _IMAGENET_SIZE = 32, 224


def counts(
    genotype: Genotype,
    *,
    network: str | None = None,
    num_cells: int | None = None,
    width: int | None = None,
    num_classes: int | None = None,
    image_size: int | None = None,
) -> dict[str, str | int]:
    """Counts the network of a genotype: cells that are stacked, or a chain of blocks.

    Args:
      genotype: two cells, or a chain.
      network: a key of the `PRESETS` of `common.networks.child` or, of a chain, `common.networks.mobile`; by
        default the one of the space that holds the genotype.
      num_cells: cells in all; this and the following by default those of the network.
      width: channels of the first cell.
      num_classes: classes.
      image_size: height and width of the images; by default that of the genotype, or 32, of ImageNet's networks 224.

    Returns:
      What was counted: the network and its settings, its parameters without and of its auxiliary head, and
      the multiply-adds of one image.

    Raises:
      ValueError: the genotype is of another kind, the network is unknown or cannot be built.
    """
    from common.networks import child, counting, mobile  # flax, which takes a second to import

    if isinstance(genotype, CellGenotype):
        module, presets, given = child, child.PRESETS, {"num_cells": num_cells, "width": width}
        name = network or _home(genotype, _OF_CELLS) or _OF_OTHER_CELLS
    elif isinstance(genotype, ChainGenotype):
        if num_cells is not None or width is not None:
            raise ValueError("--num_cells and --width are of networks of cells; a chain has those of its --network")
        module, presets, given = mobile, mobile.PRESETS, {}
        name = network or _home(genotype, _OF_CHAINS)
        if name is None:
            raise ValueError(f"no network is known for this chain; give --network, one of {', '.join(presets)}")
    else:
        raise ValueError(
            f"--count is of networks of cells and of chains of blocks; this is a {description.kind(genotype)}"
        )
    launch_flags.one_of("network", name, presets)
    given = {key: value for key, value in {**given, "num_classes": num_classes}.items() if value is not None}
    config = dataclasses.replace(presets[name], **given)
    size = _image_size(genotype, config) if image_size is None else image_size
    if size < 1:
        raise ValueError(f"--image_size must be at least 1; got {size}")
    made, shape = module.Network(genotype, config), (size, size, 3)
    params, auxiliary = counting.num_params(made, shape)
    settings = {"cells": config.num_cells, "width": config.width} if module is child else {}
    return {
        "network": name,
        **settings,
        "classes": config.num_classes,
        "pixels": size,
        "parameters": params,
        "of the auxiliary head": auxiliary,
        "multiply-adds": counting.num_multiply_adds(made, shape),
    }


def _home(genotype, networks):
    """The network of the first of the spaces that holds a genotype, or None."""
    for space, network in networks.items():
        try:
            formats.get(f"{space}_row").write(genotype)
        except ValueError:  # not of this space
            continue
        return network
    return None


def _image_size(genotype, config):
    if isinstance(genotype, ChainGenotype):
        return genotype.resolution or _IMAGENET_SIZE
    return _IMAGENET_SIZE if config.stem == "imagenet" else _CIFAR_SIZE
