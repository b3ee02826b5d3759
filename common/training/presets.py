"""Presets of training runs: our own, and the published ones of NAO and LaNAS.

Sources: the released programs of NAO (arXiv:1808.07233), of its balanced variant (arXiv:1909.10815), of SemiNAS
(arXiv:2002.10389) and of LaNAS (arXiv:1906.06832). A preset has width and depth of the network, but no architecture.
"""

import dataclasses
from typing import NamedTuple

from common.networks import child, mobile, nasbench201, nasbench_macro, of_space
from common.training import augmentation
from common.training import config as configs


class Preset(NamedTuple):
    """Settings of a training run."""

    network: of_space.Config  # settings of the network of a genotype
    training: configs.Config  # settings of the training
    augmentation: augmentation.Config  # augmentation of training images


def _training(*, rate: float, decay: float = 5e-4, **fields) -> configs.Config:
    """Returns settings with one cosine to 0 and L2 in the gradient."""
    schedule = configs.Schedule(learning_rate=rate)
    return configs.Config(optimizer=configs.Optimizer(schedule=schedule, weight_decay=decay), **fields)


def _optimizer(training: configs.Config, **fields) -> configs.Config:
    return dataclasses.replace(training, optimizer=dataclasses.replace(training.optimizer, **fields))


_NETWORKS, _AUGMENTATIONS = child.PRESETS, augmentation.PRESETS

_NAONET_TF = _optimizer(_training(rate=0.024), decay="half_square")
_NAO_WS_TF = _optimizer(
    _training(rate=0.05, decay=2e-4, num_epochs=630, batch_size=144),
    schedule=configs.Schedule(schedule="cosine_restarts", learning_rate=0.05, final_learning_rate=1e-4),
    nesterov=True,
    clip_norm=0.0,  # published as 5, but a defect leaves it without effect
    decay="square",
)


def _rerank(decay):
    """Returns ten epochs at the size of the search, without cutout."""
    optimizer = configs.Optimizer(
        schedule=configs.Schedule(learning_rate=0.025, final_learning_rate=1e-3), weight_decay=decay
    )
    return Preset(
        dataclasses.replace(_NETWORKS["nao_pytorch"], num_cells=11, width=20),
        configs.Config(num_epochs=10, batch_size=64, last_batch="keep", optimizer=optimizer),
        dataclasses.replace(_AUGMENTATIONS["naonet"], cutout="none"),
    )


_IMAGENET = {"last_batch": "keep", "loss": configs.Loss(label_smoothing=0.1)}
_NAO_IMAGENET = _optimizer(
    _training(rate=0.4, decay=3e-5, num_epochs=250, batch_size=512, **_IMAGENET),
    schedule=configs.Schedule(schedule="step", learning_rate=0.4, decay_epochs=1, decay_factor=0.97),
)
_SEMINASNET = _optimizer(
    _training(rate=0.05, decay=4e-5, num_epochs=300, batch_size=256, **_IMAGENET),
    schedule=configs.Schedule(learning_rate=0.05, schedule_unit="step"),
    nesterov=True,
    clip_norm=0.0,
    decay_batch_norm=False,
)
_SMALL_IMAGES = _optimizer(
    _training(rate=0.2, num_epochs=60, batch_size=64),
    schedule=configs.Schedule(learning_rate=0.2, schedule_unit="step", warmup_epochs=2),
    nesterov=True,
)
_LANET = configs.Config(num_epochs=1500, batch_size=32, last_batch="keep", progress_unit="epoch", average_decay=0.9999)

PRESETS: dict[str, Preset] = {
    # Our own, for digits: about 90 processor seconds, half of them compilation.
    "digits": Preset(
        dataclasses.replace(_NETWORKS["lanas"], num_cells=3, width=8, auxiliary=False, drop_path_keep=1.0),
        _training(rate=0.1, num_epochs=20, batch_size=64),
        _AUGMENTATIONS["digits"],
    ),
    # Our own, for `small_images`: chosen on subsets of CIFAR-10, see docs/experiments/supernet.md.
    "small_images": Preset(
        of_space.NETWORKS["small_images"], _SMALL_IMAGES, augmentation.Config(crop_padding=2, cutout="none")
    ),
    # Our own, for `ofa_mobile` on images of 32x32 pixels.
    "ofa_mobile_cifar": Preset(mobile.PRESETS["once_for_all_cifar"], _SMALL_IMAGES, augmentation.Config(cutout="none")),
    # The same on ImageNet, of width 1.2: the training of SemiNASNet with RandAugment, averaged weights and drop path,
    # which the readme of LaNAS lists without settings.
    "ofa_mobile_imagenet": Preset(
        dataclasses.replace(mobile.PRESETS["once_for_all_1.2"], drop_path_keep=0.8),
        dataclasses.replace(_SEMINASNET, average_decay=0.9999),
        dataclasses.replace(_AUGMENTATIONS["none"], randaugment=2),
    ),
    # The trainings of the published tables.
    "nasbench201": Preset(
        nasbench201.Config(),
        _optimizer(
            _training(rate=0.1, num_epochs=200, batch_size=256, last_batch="keep"), nesterov=True, clip_norm=0.0
        ),
        _AUGMENTATIONS["standard"],
    ),
    "nasbench_macro": Preset(
        nasbench_macro.Config(),
        _optimizer(_training(rate=0.1, num_epochs=50, batch_size=256, last_batch="keep"), clip_norm=0.0),
        _AUGMENTATIONS["standard"],
    ),
    "naonet_tf": Preset(_NETWORKS["nao_tf"], _NAONET_TF, _AUGMENTATIONS["naonet_tensorflow"]),
    "nao_proxy_tf": Preset(
        _NETWORKS["nao_tf_proxy"],
        dataclasses.replace(
            _optimizer(_NAONET_TF, schedule=configs.Schedule(learning_rate=0.024, period_epochs=100)), num_epochs=25
        ),
        dataclasses.replace(_AUGMENTATIONS["naonet_tensorflow"], cutout="none"),
    ),
    "nao_ws_tf": Preset(_NETWORKS["nao_ws_tf"], _NAO_WS_TF, _AUGMENTATIONS["standard"]),
    "naonet_a_36": Preset(
        _NETWORKS["nao_pytorch_large"], _training(rate=0.025, decay=3e-4, last_batch="keep"), _AUGMENTATIONS["naonet"]
    ),
    "naonet_a_128": Preset(
        dataclasses.replace(_NETWORKS["nao_pytorch_large"], width=128, drop_path_keep=0.7),
        _training(rate=0.025, last_batch="keep"),
        _AUGMENTATIONS["naonet"],
    ),
    "naonet_b_36": Preset(
        _NETWORKS["nao_pytorch"], _training(rate=0.025, decay=3e-4, last_batch="keep"), _AUGMENTATIONS["naonet"]
    ),
    "naonet_v2_36": Preset(
        _NETWORKS["nao_pytorch"], _training(rate=0.025, last_batch="keep"), _AUGMENTATIONS["naonet"]
    ),
    # The trainings by which NAO in PyTorch ranks the five best of a search on shared weights.
    "nao_v1_rerank": _rerank(decay=3e-4),
    "nao_v2_rerank": _rerank(decay=5e-4),
    "naonet_a_imagenet": Preset(_NETWORKS["nao_pytorch_large_imagenet"], _NAO_IMAGENET, _AUGMENTATIONS["none"]),
    "naonet_v2_imagenet": Preset(_NETWORKS["nao_pytorch_imagenet"], _NAO_IMAGENET, _AUGMENTATIONS["none"]),
    # LaNAS' paper gives the size only; these are the settings of DARTS, which are also NAO's.
    "lanet_imagenet": Preset(_NETWORKS["lanas_imagenet"], _NAO_IMAGENET, _AUGMENTATIONS["none"]),
    "seminasnet": Preset(of_space.NETWORKS["seminas_mobile"], _SEMINASNET, _AUGMENTATIONS["none"]),
    "naonet_v2_36_autoaugment": Preset(
        _NETWORKS["nao_pytorch"], _training(rate=0.025, last_batch="keep"), _AUGMENTATIONS["naonet_autoaugment"]
    ),
    "lanet": Preset(_NETWORKS["lanas"], _LANET, _AUGMENTATIONS["lanet"]),
    # The trainings of LaNAS's distributed search, 101 epochs of 600.
    "lanas_proxy": Preset(
        _NETWORKS["lanas_proxy"],
        dataclasses.replace(
            _optimizer(_LANET, schedule=configs.Schedule(period_epochs=600)),
            num_epochs=101,
            batch_size=200,
            progress_epochs=600,
            average_decay=0.0,
        ),
        _AUGMENTATIONS["naonet"],
    ),
    "lanas_oneshot_retrain": Preset(
        _NETWORKS["lanas_oneshot_retrain"],
        dataclasses.replace(_LANET, num_epochs=600, batch_size=64, average_decay=0.0),
        _AUGMENTATIONS["naonet"],
    ),
}
