"""The sizes and variants of NAO's networks, their meaning and the published ones.

Papers: NAO (arXiv:1808.07233), its balanced weight-sharing variant (arXiv:1909.10815) and SemiNAS
(arXiv:2002.10389). `MODELS` follows what was released with them, where that differs from the papers.
The settings of a whole search are in `nao_jax.presets`.
"""

import dataclasses
from typing import Annotated

DROPOUT_PLACES = ("embeddings", "outputs")
PREDICTORS = ("mlp", "residual")
ATTENTIONS = ("additive", "dot", "general")
DECODERS = ("plain", "residual")
INITIALIZERS = ("uniform", "orthogonal", "torch")


@dataclasses.dataclass(frozen=True)
class Model:
    """Sizes and variants of encoder, predictor and decoder."""

    embedding_size: Annotated[int, "size of the encoder's token embeddings"] = 64
    hidden_size: Annotated[int, "hidden units of encoder and decoder, and size of the decoder's embeddings"] = 64
    tokens_per_step: Annotated[int, "tokens that the encoder reads at once, such as those of a branch"] = 1
    is_bidirectional: Annotated[bool, "whether the encoder reads both ways, with a skip around it"] = True
    has_features: Annotated[bool, "whether the encoder reads the space's features besides the tokens"] = False
    encoder_dropout: Annotated[float, "share of the encoder's units dropped in training"] = 0.1
    encoder_dropout_place: Annotated[str, f"which units: {', '.join(DROPOUT_PLACES)}"] = "embeddings"
    predictor: Annotated[str, f"hidden layers one after another, or two with a skip: {', '.join(PREDICTORS)}"] = (
        "residual"
    )
    predictor_layers: Annotated[int, "hidden layers of the 'mlp' predictor"] = 2
    predictor_size: Annotated[int, "units of its hidden layers; of the inner one where 'residual'"] = 16
    predictor_dropout: Annotated[float, "share of its units dropped in training"] = 0.1
    predictor_weight_range: Annotated[float, "its first weights are uniform within +- this; 0: as all others"] = 0.0
    has_sigmoid: Annotated[bool, "whether predictions are squashed into (0, 1)"] = False
    decoder: Annotated[str, f"with skips around its parts or without: {', '.join(DECODERS)}"] = "residual"
    decoder_dropout: Annotated[float, "share of the decoder's embeddings dropped in training"] = 0.1
    attention: Annotated[str, f"how the decoder looks at the latent: {', '.join(ATTENTIONS)}"] = "general"
    has_attention_bias: Annotated[bool, "whether the layer that mixes context and state has a bias"] = False
    initializer: Annotated[str, f"how first parameters are drawn: {', '.join(INITIALIZERS)}"] = "torch"
    forget_bias: Annotated[float, "constant added to forget gates before activation"] = 0.0


_TENSORFLOW = Model(
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

# The dropout that the released predictors of nao_cnn and nao_ws_cnn list was never switched on: here it is 0.
MODELS: dict[str, Model] = {
    "nao_cnn": dataclasses.replace(_TENSORFLOW, embedding_size=32, tokens_per_step=3),
    "nao_rnn": dataclasses.replace(
        _TENSORFLOW,
        embedding_size=96,
        predictor_layers=3,
        predictor_size=200,
        predictor_dropout=0.1,
        initializer="uniform",
    ),
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
    "seminas_nasbench101": Model(),
    "seminas_imagenet": Model(embedding_size=16, hidden_size=16, predictor_size=64, has_sigmoid=True),
}


def validate_model(model: Model) -> None:
    """Raises a `ValueError` that names the first field that is out of range."""
    for field, allowed in (
        ("encoder_dropout_place", DROPOUT_PLACES),
        ("predictor", PREDICTORS),
        ("decoder", DECODERS),
        ("attention", ATTENTIONS),
        ("initializer", INITIALIZERS),
    ):
        value = getattr(model, field)
        if value not in allowed:
            raise ValueError(f"{field} is {value!r}; choose one of {', '.join(allowed)}")
    for field, low in (
        ("embedding_size", 1),
        ("hidden_size", 1),
        ("tokens_per_step", 1),
        ("predictor_layers", 0),
        ("predictor_size", 1),
        ("predictor_weight_range", 0),
    ):
        value = getattr(model, field)
        if not value >= low:
            raise ValueError(f"{field} is {value}; it must be at least {low}")
    for field in ("encoder_dropout", "predictor_dropout", "decoder_dropout"):
        value = getattr(model, field)
        if not 0 <= value < 1:
            raise ValueError(f"{field} is {value}; it must be at least 0 and below 1")
    step_size = model.tokens_per_step * model.embedding_size
    if model.is_bidirectional and step_size != model.hidden_size:
        raise ValueError(
            "a bidirectional encoder adds what it reads to what it finds: tokens_per_step x embedding_size, "
            f"{model.tokens_per_step} x {model.embedding_size}, must be hidden_size, {model.hidden_size}"
        )
    if model.decoder == "residual" and model.attention == "additive":
        raise ValueError("the residual decoder needs attention 'dot' or 'general'; got 'additive'")
