"""Settings of training shared weights by name: ours, and the published ones.

Sources: the released programs of NAO with weight sharing in TensorFlow (arXiv:1808.07233) and PyTorch, of NAO-V2
(arXiv:1909.10815), and of one-shot LaNAS (arXiv:1906.06832). All four are for CIFAR-10.
"""

import dataclasses
from typing import Any, NamedTuple

from common import config as config_lib
from common.networks import elastic, mobile, mobile_elastic, of_space, supernet
from common.supernets import config
from common.training import augmentation
from common.training import config as configs


class Preset(NamedTuple):
    """Settings of training shared weights.

    Attributes:
      network: the network; None: a small one for the space, see `NETWORKS`.
      training: epochs, optimizer, loss.
      augmentation: of the training images.
      draws: sampling of the architecture of a step.
    """

    network: Any
    training: configs.Config
    augmentation: augmentation.Config
    draws: config.Sampling


_OF_SHARING = {"branch": "nao_v2", "edge": "lanas_oneshot"}
NETWORKS: dict[str, Any] = {
    **{
        space: dataclasses.replace(supernet.PRESETS[_OF_SHARING[sharing]], style=of_space.NETWORKS[space].style)
        for space, sharing in of_space.SHARING.items()
    },
    **{space: family.default or family.config() for space, family in elastic.FAMILIES.items()},
}

_TABLES = ("nasbench201", "nasbench_macro")  # for images of 32x32 pixels, as the presets of cells, which train them too
_ELASTIC_SAMPLINGS = ("sandwich", "sandwich_adaptive", "shrinking")
_STANDARD = augmentation.PRESETS["standard"]
_NAO_WS = configs.Config(
    num_epochs=150,
    batch_size=160,
    optimizer=configs.Optimizer(
        # Restarts at epochs 10, 30, 70 and 150.
        schedule=configs.Schedule(schedule="cosine_restarts", learning_rate=0.05, final_learning_rate=5e-4),
        nesterov=True,
        clip_norm=0.0,  # of 5, but a defect left it without effect
        weight_decay=1e-4,
        decay="square",
    ),
)
_NAO_V1 = configs.Config(
    num_epochs=150,
    batch_size=64,
    last_batch="keep",
    optimizer=configs.Optimizer(schedule=configs.Schedule(learning_rate=0.025, final_learning_rate=1e-3)),
)
_V2_EPOCHS = 50  # of each of four rounds, all alike
_NAO_V2 = dataclasses.replace(
    _NAO_V1,
    num_epochs=4 * _V2_EPOCHS,
    optimizer=configs.Optimizer(
        schedule=configs.Schedule(
            schedule="cosine_restarts",
            learning_rate=0.025,
            final_learning_rate=1e-3,
            restart_epochs=_V2_EPOCHS,
            restart_factor=1,
        )
    ),
    progress_epochs=_V2_EPOCHS,
    progress_restarts=True,
)
_LANAS = dataclasses.replace(_NAO_V1, num_epochs=300, batch_size=80)
_POOL = config.Sampling(pool_size=1000)

_DIGITS = Preset(
    None,
    configs.Config(
        num_epochs=60,
        batch_size=16,  # a weight is used by few steps: many small ones
        optimizer=configs.Optimizer(schedule=configs.Schedule(learning_rate=0.05)),
    ),
    augmentation.PRESETS["digits"],
    config.Sampling(),
)
_CLUTTERED = dataclasses.replace(
    _DIGITS.training,
    num_epochs=80,
    optimizer=configs.Optimizer(schedule=configs.Schedule(learning_rate=0.025), weight_decay=1e-4),
)

_ELASTIC = Preset(
    None,
    configs.Config(
        num_epochs=60,
        batch_size=64,
        optimizer=configs.Optimizer(
            schedule=configs.Schedule(learning_rate=0.05, schedule_unit="step"), nesterov=True, weight_decay=5e-4
        ),
    ),
    augmentation.Config(crop_padding=2, cutout="none"),
    config.Sampling(sampling="sandwich"),
)

PRESETS: dict[str, Preset] = {
    # Ours, for the small digits that come with the package.
    "digits": _DIGITS,
    "cluttered_digits": _DIGITS._replace(training=_CLUTTERED, draws=config.Sampling(sampling="growing")),
    # Ours, for `small_images`, `convnet` and `ofa_mobile`; and for `ofa_mobile` on images of 32x32 pixels.
    "elastic": _ELASTIC,
    "ofa_mobile_cifar": _ELASTIC._replace(
        network=mobile_elastic.elastic(mobile.PRESETS["once_for_all_cifar"]),
        augmentation=augmentation.Config(cutout="none"),
    ),
    "nao_ws": Preset(supernet.PRESETS["nao_ws_tf"], _NAO_WS, _STANDARD, _POOL),
    "nao_v1": Preset(supernet.PRESETS["nao_v1"], _NAO_V1, _STANDARD, dataclasses.replace(_POOL, pool_size=600)),
    "nao_v2": Preset(supernet.PRESETS["nao_v2"], _NAO_V2, _STANDARD, dataclasses.replace(_POOL, sampling="num_params")),
    "lanas_oneshot": Preset(supernet.PRESETS["lanas_oneshot"], _LANAS, _STANDARD, config.Sampling()),
}


def of_space_named(space: str) -> list[str]:
    """Returns the names of the presets for a key of `NETWORKS`: of no network of their own, or of one like its own."""
    own, is_elastic = NETWORKS[space], space in elastic.FAMILIES

    def is_fit(preset):
        if preset.network is None:
            return is_elastic or preset.draws.sampling not in _ELASTIC_SAMPLINGS
        if not isinstance(preset.network, supernet.Config):
            return isinstance(preset.network, type(own))
        return space in _TABLES or (isinstance(own, supernet.Config) and preset.network.output == own.output)

    return [name for name, preset in PRESETS.items() if is_fit(preset)]


def get(name: str, space: str, **network: Any) -> Preset:
    """Returns a preset with a network for a space.

    Args:
      name: a key of `PRESETS`.
      space: a key of `NETWORKS`.
      **network: fields of the network that differ, such as `num_classes`.

    Raises:
      ValueError: there is no such preset, it is of other networks, the space has no network with shared weights, or a
        setting is not allowed.
    """
    config_lib.one_of("preset", name, PRESETS)
    if space not in NETWORKS:
        raise ValueError(f"space {space!r} has no network with shared weights; choose one of {', '.join(NETWORKS)}")
    if name not in (fit := of_space_named(space)):
        raise ValueError(f"preset {name!r} is not for networks of {space}; choose one of {', '.join(fit)}")
    preset = PRESETS[name]
    found = preset.network
    if space in elastic.FAMILIES and not isinstance(found, elastic.FAMILIES[space].config):
        found = NETWORKS[space]
    elif found is None:  # small enough for two processor cores, and for images of 8x8 pixels
        found = dataclasses.replace(
            NETWORKS[space], num_cells=3, width=8, auxiliary=False, drop_path_keep=1.0, dropout_keep=1.0
        )
    if isinstance(found, mobile.Config) and "width" in network:
        found = mobile.scaled(found, network.pop("width"))
    if unknown := sorted(set(network) - {field.name for field in dataclasses.fields(found)}):
        raise ValueError(f"{', '.join(unknown)} is not a setting of the networks of {space}; leave it out")
    return preset._replace(network=dataclasses.replace(found, **network))


def adapted(
    changes: config.Training,
    space: str,
    *,
    num_classes: int,
    pool_size: int | None = None,
    num_blocks: int = 1,
    restarts: bool = False,
) -> Preset:
    """Returns the preset that `changes` names, with the settings that differ.

    Args:
      changes: the settings that differ.
      space: a key of `NETWORKS`.
      pool_size: of a search that provides a pool; None: that of the preset.
      num_blocks: equal blocks of training, between which a search renews the pool.
      restarts: whether learning rate and drop-path ramp start again in each block (NAO-V2).

    Raises:
      ValueError: as `get`; or the epochs cannot be divided into such blocks, or a learning rate that restarts is not a
        cosine.
    """
    preset = get(changes.preset, space, num_classes=num_classes, **changes.given("num_cells", "width", "dtype"))
    values = changes.given("num_epochs", "batch_size", "learning_rate")
    num_epochs = values.get("num_epochs", preset.training.num_epochs)
    if num_epochs % num_blocks:
        raise ValueError(
            f"num_epochs = {num_epochs} cannot be divided into {num_blocks} equal blocks; choose a multiple"
        )
    if restarts:
        schedule, length = preset.training.optimizer.schedule.schedule, num_epochs // num_blocks
        if not schedule.startswith("cosine"):
            raise ValueError(f"blocks of training that restart need a cosine schedule; got schedule = {schedule!r}")
        values |= {"schedule": "cosine_restarts", "period_epochs": 0, "restart_epochs": length, "restart_factor": 1}
        values |= {"progress_epochs": length, "progress_restarts": True}
    sampling = changes.sampling or preset.draws.sampling
    if pool_size is None:
        size = preset.draws.pool_size
        pool_size = {"fair": 0, "num_params": size or _POOL.pool_size}.get(sampling, size)
    draws = dataclasses.replace(preset.draws, sampling=sampling, pool_size=pool_size)
    return preset._replace(training=config_lib.replace(preset.training, values), draws=draws)
