"""Default networks of the search spaces: trained from scratch, and with shared weights."""

from common.networks import child, mobile, nasbench201, nasbench_macro, small_images

PRESETS: dict[str, str] = {  # a key of `child.PRESETS` or `mobile.PRESETS` for each space whose networks can be trained
    "nao_small": "nao_pytorch",
    "nao_middle": "nao_pytorch",
    "nao_large": "nao_pytorch_large",
    "lanas_cell": "lanas",
    "lanas_oneshot": "lanas_oneshot_retrain",
    "seminas_mobile": "seminas",
    "ofa_mobile": "once_for_all",
}
Config = child.Config | mobile.Config | small_images.Config | nasbench201.Config | nasbench_macro.Config
NETWORKS: dict[str, Config] = {
    **{space: {**child.PRESETS, **mobile.PRESETS}[name] for space, name in PRESETS.items()},
    "small_images": small_images.Config(),
    "nasbench201": nasbench201.Config(),
    "nasbench_macro": nasbench_macro.Config(),
}
# The spaces with a network of shared weights (`supernet.Network`): "branch" has weights for each branch, operation and
# input; with "edge" both branches of a node share those of an operation and input.
SHARING: dict[str, str] = {
    "nao_small": "branch",
    "nao_middle": "branch",
    "nao_large": "branch",
    "lanas_oneshot": "edge",
}
