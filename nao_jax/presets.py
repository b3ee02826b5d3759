"""Published settings of NAO and SemiNAS, and ours.

Papers: NAO (arXiv:1808.07233), its balanced weight-sharing variant (arXiv:1909.10815) and SemiNAS
(arXiv:2002.10389). `MODELS` follows the released code where it differs from the papers; where a paper and its
code disagree on a search, `PRESETS` has both.
"""

import dataclasses

from nao_jax import config as configs

_TENSORFLOW = configs.Model(
    hidden_size=96,
    is_bidirectional=False,
    encoder_dropout_place="outputs",
    predictor="mlp",
    predictor_layers=0,
    predictor_dropout=0.0,
    has_sigmoid=True,
    decoder="plain",
    decoder_dropout=0.0,
    attention="additive",
    initializer="orthogonal",
    forget_bias=1.0,
)

_PYTORCH = dataclasses.replace(
    _TENSORFLOW,
    embedding_size=48,
    tokens_per_step=2,
    encoder_dropout=0.0,
    encoder_dropout_place="embeddings",
    predictor_size=200,
    attention="general",
    initializer="torch",
    forget_bias=0.0,
)

_RECURRENT = dataclasses.replace(
    _TENSORFLOW,
    embedding_size=96,
    predictor_layers=3,
    predictor_size=200,
    predictor_dropout=0.1,
    initializer="uniform",
)

# The dropout that the released predictors of nao_cnn and nao_ws_cnn list was never switched on: here it is 0.
MODELS: dict[str, configs.Model] = {
    "nao_cnn": dataclasses.replace(_TENSORFLOW, embedding_size=32, tokens_per_step=3),
    "nao_rnn": _RECURRENT,
    "nao_rnn_paper": dataclasses.replace(_RECURRENT, embedding_size=64, hidden_size=128, predictor_layers=1),
    "nao_ws_cnn": dataclasses.replace(
        _TENSORFLOW, embedding_size=48, tokens_per_step=2, predictor_layers=3, predictor_size=100
    ),
    "nao_ws_rnn": dataclasses.replace(
        _PYTORCH,
        encoder_dropout=0.1,
        predictor_layers=4,
        predictor_weight_range=0.04,
        attention="dot",
        has_attention_bias=True,
    ),
    "nao_pytorch_v1": dataclasses.replace(_PYTORCH, predictor_layers=3, predictor_dropout=0.1),
    "nao_pytorch_v2": dataclasses.replace(_PYTORCH, embedding_size=32, hidden_size=64),
    "seminas_nasbench101": configs.Model(),
    "seminas_imagenet": configs.Model(embedding_size=16, hidden_size=16, predictor_size=64, has_sigmoid=True),
}


def _published(model: str, **fields) -> configs.Config:
    """Returns the settings that all released codes share, with changes."""
    common = {
        "target": "min_max",
        "failures": "none",
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
    return configs.Config(model=MODELS[model], **(common | fields))


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

PRESETS: dict[str, configs.Config] = {
    "nao": configs.Config(),
    "seminas": configs.Config(fit_synthetic=10),
    "nao_paper": _published(
        "nao_cnn", **_rounds(600, 200), mse_weight=0.9, batch_size=50, decay="loss", step_size=10.0, num_steps=1
    ),
    "nao_cnn": _published("nao_cnn", **_rounds(600, 300), batch_size=50, decay="loss", step_size=10.0, num_steps=3),
    "nao_rnn": _published("nao_rnn", **_rounds(600, 300), batch_size=50, decay="loss", step_size=10.0, num_steps=3),
    "nao_rnn_paper": _published(
        "nao_rnn_paper", **_rounds(600, 200), batch_size=50, decay="loss", step_size=10.0, num_steps=1
    ),
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
        model=MODELS["seminas_imagenet"],
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

# Presets whose encoder reads the tokens of a branch at once: the space that they were published with.
SPACES: dict[str, str] = {
    "nao_paper": "nao_large",
    "nao_cnn": "nao_large",
    "nao_ws_cnn": "nao_small",
    "nao_ws_rnn": "nao_rnn",
    "nao_pytorch_v1": "nao_small",
    "nao_pytorch_v2": "nao_small",
}
