"""The settings of a search by NAO or SemiNAS, their meaning, ours and the published ones.

Papers: NAO (arXiv:1808.07233), its balanced weight-sharing variant (arXiv:1909.10815) and SemiNAS
(arXiv:2002.10389). Where a paper and what was released with it disagree, `PRESETS` has both.
"""

import dataclasses
from typing import Annotated

from common import regression_targets as targets
from nao_jax import augmentation as augmentations
from nao_jax import config as configs

DECAYS = ("loss", "gradient", "decoupled")
FIT_UNITS = ("epochs", "minibatches")
SEEDS = ("measured", "both", "union")
ORDERS = ("step_size", "prediction")

_COMPACT = configs.Model(
    embedding_size=32,
    hidden_size=32,
    is_bidirectional=False,
    has_features=True,
    encoder_dropout=0.0,
    predictor="mlp",
    predictor_layers=0,
    predictor_dropout=0.0,
    decoder="plain",
    decoder_dropout=0.0,
    forget_bias=1.0,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a search by NAO."""

    model: Annotated[configs.Model, "the networks"] = _COMPACT
    num_members: Annotated[int, "networks that are fitted side by side and whose predictions are averaged"] = 1
    num_folds: Annotated[
        int, "a network m leaves out measured rows m, m + num_folds, ...: held-out figures; 0: none"
    ] = 0
    # The rounds.
    num_initial: Annotated[int, "architectures drawn at random before the first fit"] = 10
    num_new: Annotated[int, "new architectures between two fits"] = 5
    count: Annotated[int, "architectures proposed a round; at most num_new"] = 5
    num_random: Annotated[int, "of these, how many are drawn at random"] = 0
    # The fit.
    target: Annotated[str, f"what is predicted, scores of ranks or scaled fitness: {', '.join(targets.TARGETS)}"] = (
        "exponential_scores"
    )
    mse_weight: Annotated[float, "weight of the predictor's loss, lambda; that of the decoder's is 1 - lambda"] = 0.8
    learning_rate: Annotated[float, "of Adam"] = 3e-3
    weight_decay: Annotated[float, "L2 penalty on all parameters"] = 0.3
    decay: Annotated[str, f"where it enters: {', '.join(DECAYS)}"] = "decoupled"
    clip_norm: Annotated[float, "largest norm of a gradient"] = 5.0
    batch_size: Annotated[int, "examples of a minibatch"] = 32
    fit_unit: Annotated[str, f"what the lengths of fits count: {', '.join(FIT_UNITS)}"] = "minibatches"
    fit_first: Annotated[int, "length of the first fit"] = 200
    fit_later: Annotated[int, "length of later fits"] = 20
    is_warm: Annotated[bool, "whether a fit starts from the last one's parameters"] = True
    keeps_moments: Annotated[bool, "whether it also starts from Adam's last moments"] = True
    augmentation: Annotated[
        str, f"how architectures are rewritten in training: {', '.join(augmentations.AUGMENTATIONS)}"
    ] = "orbit"
    num_copies: Annotated[int, "how often measured ones come up in an epoch; 0: as often as unlabelled ones"] = 0
    num_unlabelled: Annotated[int, "architectures nobody measured, drawn for each fit"] = 500
    num_mutated: Annotated[int, "of these, how many are one decision away from one of the num_seeds best"] = 250
    reconstructs_unlabelled: Annotated[bool, "whether these teach encoder and decoder to write them back"] = True
    fit_synthetic: Annotated[int, "length of a further fit, to the predictor's own labels of these; 0: none"] = 0
    # The climb.
    seeds: Annotated[
        str, f"where climbs start: best measured, also best predicted, best of all: {', '.join(SEEDS)}"
    ] = "both"
    num_seeds: Annotated[int, "starting points, of each kind where 'both'"] = 20
    step_size: Annotated[float, "the smallest step along the gradient, eta"] = 0.5
    num_steps: Annotated[int, "step sizes tried, from step_size to num_steps x step_size"] = 4
    has_unit_gradient: Annotated[bool, "whether the gradient is scaled to an average length of 1 a step"] = True
    num_climbs: Annotated[int, "climbs on end, each from the best predicted of what the last one decoded"] = 2
    beam_width: Annotated[int, "architectures decoded from one latent by beam search; 1: greedily"] = 1
    temperature: Annotated[
        float, "of the noise on predictions by which new ones are ordered, in standard deviations"
    ] = 0.25
    order: Annotated[str, f"which new architectures are taken first: {', '.join(ORDERS)}"] = "prediction"


def _published(model: str, **fields) -> Config:
    """What all released codes have in common."""
    common = {
        "target": "min_max",
        "learning_rate": 1e-3,
        "weight_decay": 1e-4,
        "decay": "gradient",
        "batch_size": 100,
        "fit_unit": "epochs",
        "fit_first": 1000,
        "fit_later": 1000,
        "keeps_moments": False,
        "augmentation": "none",
        "num_copies": 1,
        "num_unlabelled": 0,
        "num_mutated": 0,
        "seeds": "measured",
        "num_seeds": 100,
        "step_size": 1.0,
        "has_unit_gradient": False,
        "num_climbs": 1,
        "temperature": 0.0,
        "order": "step_size",
    }
    return Config(model=configs.MODELS[model], **(common | fields))


def _rounds(num_initial: int, num_new: int) -> dict[str, int]:
    return {"num_initial": num_initial, "num_new": num_new, "count": num_new}


_SEMINAS = _published(
    "seminas_nasbench101",
    **_rounds(1100, 300),
    target="z_score",
    num_copies=10,
    num_unlabelled=10_000,
    reconstructs_unlabelled=False,
    fit_synthetic=500,
    seeds="union",
    num_steps=100,
)

PRESETS: dict[str, Config] = {
    "nao": Config(),
    "seminas": Config(fit_synthetic=10),
    "nao_paper": _published(
        "nao_cnn", **_rounds(600, 200), mse_weight=0.9, batch_size=50, decay="loss", step_size=10.0, num_steps=1
    ),
    "nao_cnn": _published("nao_cnn", **_rounds(600, 300), batch_size=50, decay="loss", step_size=10.0, num_steps=3),
    "nao_rnn": _published("nao_rnn", **_rounds(600, 300), batch_size=50, decay="loss", step_size=10.0, num_steps=3),
    "nao_ws_cnn": _published(
        "nao_ws_cnn", **_rounds(1000, 550), num_random=50, decay="loss", augmentation="swap", num_steps=100
    ),
    "nao_ws_rnn": _published("nao_ws_rnn", **_rounds(1000, 350), num_random=50, num_steps=30),
    "nao_pytorch_v1": _published("nao_pytorch_v1", **_rounds(600, 300), augmentation="swap", num_steps=50),
    "nao_pytorch_v2": _published(
        "nao_pytorch_v2",
        **_rounds(1000, 300),
        weight_decay=0.0,
        augmentation="expand",
        num_copies=10,
        num_folds=10,
        num_steps=50,
    ),
    "nao_nasbench101": _published("seminas_nasbench101", **_rounds(1100, 300), target="z_score", num_steps=100),
    "seminas_nasbench101": _SEMINAS,
    "seminas_nasbench101_300": dataclasses.replace(_SEMINAS, **_rounds(100, 100), num_copies=100),
    "seminas_imagenet": dataclasses.replace(
        _SEMINAS,
        model=configs.MODELS["seminas_imagenet"],
        **_rounds(100, 100),
        target="min_max",
        fit_first=10_000,
        fit_later=10_000,
        fit_synthetic=1000,
        num_copies=1,
        num_unlabelled=4000,
        step_size=0.1,
        num_steps=1000,
    ),
}


def validate(config: Config) -> None:
    """Raises a `ValueError` that names the first field that is out of range."""
    configs.validate_model(config.model)
    for field, allowed in (
        ("target", targets.TARGETS),
        ("decay", DECAYS),
        ("fit_unit", FIT_UNITS),
        ("augmentation", augmentations.AUGMENTATIONS),
        ("seeds", SEEDS),
        ("order", ORDERS),
    ):
        value = getattr(config, field)
        if value not in allowed:
            raise ValueError(f"{field} is {value!r}; choose one of {', '.join(allowed)}")
    for field, low in (
        ("num_members", 1),
        ("num_folds", 0),
        ("num_initial", 1),
        ("num_new", 1),
        ("count", 1),
        ("num_random", 0),
        ("batch_size", 1),
        ("fit_first", 1),
        ("fit_later", 1),
        ("num_copies", 0),
        ("num_unlabelled", 0),
        ("num_mutated", 0),
        ("fit_synthetic", 0),
        ("num_seeds", 1),
        ("num_steps", 1),
        ("num_climbs", 1),
        ("beam_width", 1),
        ("weight_decay", 0),
        ("temperature", 0),
    ):
        value = getattr(config, field)
        if not value >= low:
            raise ValueError(f"{field} is {value}; it must be at least {low}")
    for field in ("learning_rate", "clip_norm", "step_size"):
        value = getattr(config, field)
        if not value > 0:
            raise ValueError(f"{field} is {value}; it must be above 0")
    if not 0 <= config.mse_weight <= 1:
        raise ValueError(f"mse_weight is {config.mse_weight}; it must be from 0 to 1")
    _check_together(config)


def _check_together(config):
    """Raises a `ValueError` for fields that do not suit each other."""
    if config.count > config.num_new:
        raise ValueError(
            f"count is {config.count}, above num_new, {config.num_new}; a round cannot outlast the fit it draws from: "
            "lower count or raise num_new"
        )
    if config.num_random > config.count:
        raise ValueError(f"num_random is {config.num_random}; it must be at most count, {config.count}")
    if config.num_mutated > config.num_unlabelled:
        raise ValueError(
            f"num_mutated is {config.num_mutated}; it must be at most num_unlabelled, {config.num_unlabelled}"
        )
    if config.model.initializer == "orthogonal" and not config.is_warm:
        raise ValueError(
            "initializer 'orthogonal' decomposes a matrix, which can hang in a compiled search that begins each fit "
            "anew: set is_warm, or take another initializer"
        )
    if config.num_folds == 1:
        raise ValueError("num_folds is 1, so the first network would see nothing; take 0 or at least 2")
    if config.model.has_sigmoid and config.target != "min_max":
        raise ValueError(f"with has_sigmoid predictions are in (0, 1): target must be 'min_max'; got {config.target!r}")
    if config.num_unlabelled == 0 and (config.seeds != "measured" or config.fit_synthetic or config.num_copies == 0):
        raise ValueError(
            "num_unlabelled is 0: seeds must then be 'measured', fit_synthetic 0 and num_copies at least 1; got "
            f"{config.seeds!r}, {config.fit_synthetic} and {config.num_copies}"
        )
    if config.augmentation == "expand" and config.num_copies < 2:
        raise ValueError(
            f"augmentation 'expand' rewrites copies: num_copies must be at least 2; got {config.num_copies}"
        )
