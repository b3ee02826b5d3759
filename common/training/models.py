"""Networks from genotype and settings, and as JSON records."""

import functools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from common import config as configs
from common.genotypes import description, genotype, json_text
from common.networks import child, mobile, nasbench201, nasbench_macro, small_images
from common.training import augmentation, presets
from common.training import step as step_lib


class Family(NamedTuple):
    """A family of networks."""

    genotype: type  # type of genotypes
    config: type  # dataclass of settings
    network: type  # (genotype, config) -> Linen module with these as attributes


# By name; families of one kind of genotype differ in their settings.
FAMILIES: dict[str, Family] = {
    "cell": Family(genotype.CellGenotype, child.Config, child.Network),
    "chain": Family(genotype.ChainGenotype, mobile.Config, mobile.Network),
    "small_images": Family(genotype.ChainGenotype, small_images.Config, small_images.Network),
    "nasbench201": Family(genotype.EdgeGenotype, nasbench201.Config, nasbench201.Network),
    "nasbench_macro": Family(genotype.ChainGenotype, nasbench_macro.Config, nasbench_macro.Network),
}


_MOBILE = f"{mobile.BLOCK.pattern}|identity"
_BLOCKS = {  # of chains
    **dict.fromkeys((mobile.Config, nasbench_macro.Config), _MOBILE),
    small_images.Config: f"{small_images.CONVOLUTION.pattern}|{small_images.BLOCK.pattern}",
}


def network(architecture: genotype.Genotype, config: Any) -> Any:
    """Returns the network of a genotype.

    Raises:
      ValueError: the genotype has no image classifier, or the settings are for another family.
    """
    families = _families(architecture)
    for family in families:
        if isinstance(config, family.config):
            return family.network(architecture, config)
    if families:
        kinds = tuple(family.config for family in families if _has_blocks(family.config, architecture))
        fit = [name for name, preset in presets.PRESETS.items() if isinstance(preset.network, kinds)]
        advice = f"choose another preset: {', '.join(fit)}" if fit else "no preset has networks of its blocks"
        taken = [description.KINDS[one.genotype] for one in FAMILIES.values() if isinstance(config, one.config)]
        raise ValueError(
            f"the genotype is of the kind {description.kind(architecture)}, but the preset's settings are for another "
            f"kind of network, {' or '.join(taken)}; {advice}"
        )
    raise ValueError(
        f"the genotype is of the kind {description.kind(architecture)}, which has no image classifier; "
        "give a genotype of the kind cells or chain, or one of NAS-Bench-201"
    )


def to_dict(made: Any) -> dict[str, Any]:
    """Returns genotype and settings of a network as JSON types; inverse of `from_dict`."""
    return {"genotype": json_text.to_dict(made.genotype), "network": configs.to_json(made.config)}


def from_dict(record: Mapping[str, Any]) -> Any:
    """Returns the network of a record of `to_dict`.

    Raises:
      ValueError: the record is invalid, or of a version with other settings.
    """
    try:
        settings, architecture = record["network"], json_text.from_dict(record["genotype"])
        families = _families(architecture)
        found = [one for one in families if {field.name for field in configs.fields(one.config)} == set(settings)]
        made = configs.from_json((found or families)[0].config, settings)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"not a network's genotype and settings, or of another version: {error!r}") from error
    return network(architecture, made)


def _has_blocks(config, architecture):
    """Returns whether networks with settings of the type `config` have the blocks of a genotype."""
    blocks = _BLOCKS.get(config)
    return blocks is None or all(re.fullmatch(blocks, name) for stage in architecture.stages for name in stage)


def _families(architecture):
    return [family for family in FAMILIES.values() if isinstance(architecture, family.genotype)]


def inputs(config: augmentation.Config, *, mean: tuple[float, ...], std: tuple[float, ...]) -> step_lib.Inputs:
    """Returns the preprocessing of images; mean and std as in `augmentation.normalize`."""
    mix = functools.partial(augmentation.mix, config=config)
    return step_lib.Inputs(
        augment=functools.partial(augmentation.augment, config=config, mean=mean, std=std),
        normalize=functools.partial(augmentation.normalize, mean=mean, std=std, normalization=config.normalization),
        mix=None if config.mixing == "none" else mix,
    )
