"""Settings of training shared weights by name: ours, and the published ones.

Sources: the released programs of NAO with weight sharing in TensorFlow (arXiv:1808.07233) and PyTorch, of NAO-V2
(arXiv:1909.10815), and of one-shot LaNAS (arXiv:1906.06832). All four are of CIFAR-10.
"""

import dataclasses
from typing import NamedTuple

from common.networks import styles, supernet
from common.supernets import config
from common.training import augmentation
from common.training import config as configs


class Preset(NamedTuple):
    """Settings of training shared weights.

    Attributes:
      network: the network; None: that of the space, see `NETWORKS`, made small.
      training: how it is trained.
      augmentation: how its images are changed.
      draws: which architecture a step takes.
    """

    network: supernet.Config | None
    training: configs.Config
    augmentation: augmentation.Config
    draws: config.Sampling


NETWORKS: dict[str, supernet.Config] = {  # of each space
    "nao_small": supernet.PRESETS["nao_v2"],
    "nao_middle": supernet.PRESETS["nao_v2"],
    "nao_large": dataclasses.replace(supernet.PRESETS["nao_v2"], style=styles.NAO_PYTORCH_LARGE),
    "lanas_oneshot": supernet.PRESETS["lanas_oneshot"],
}

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

PRESETS: dict[str, Preset] = {
    # Ours, for the small digits that come with the package.
    "digits": _DIGITS,
    "cluttered_digits": _DIGITS._replace(training=_CLUTTERED, draws=config.Sampling(sampling="growing")),
    "nao_ws": Preset(supernet.PRESETS["nao_ws_tf"], _NAO_WS, _STANDARD, _POOL),
    "nao_v1": Preset(supernet.PRESETS["nao_v1"], _NAO_V1, _STANDARD, dataclasses.replace(_POOL, pool_size=600)),
    "nao_v2": Preset(supernet.PRESETS["nao_v2"], _NAO_V2, _STANDARD, dataclasses.replace(_POOL, sampling="num_params")),
    "lanas_oneshot": Preset(supernet.PRESETS["lanas_oneshot"], _LANAS, _STANDARD, config.Sampling()),
}


def network(preset: Preset, space: str) -> supernet.Config:
    """Returns the network of a preset for a space.

    Raises:
      ValueError: the space has no network with shared weights.
    """
    if space not in NETWORKS:
        raise ValueError(f"space {space!r} has no network with shared weights; choose one of {', '.join(NETWORKS)}")
    if preset.network is not None:
        return preset.network
    # For two processor cores, and for images of 8x8 pixels.
    return dataclasses.replace(
        NETWORKS[space], num_cells=3, width=8, auxiliary=False, drop_path_keep=1.0, dropout_keep=1.0
    )
