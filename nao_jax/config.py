"""Settings of NAO and SemiNAS: of the networks and of a search. The published ones are in `nao_jax.presets`."""

import dataclasses
from typing import Annotated, Literal

from common import config as configs
from common import regression_targets as targets

_AT_LEAST_0, _AT_LEAST_1 = configs.Range(at_least=0), configs.Range(at_least=1)
_POSITIVE = configs.Range(above=0)
_FRACTION = configs.Range(at_least=0, at_most=1)
_RATE = configs.Range(at_least=0, below=1)


@dataclasses.dataclass(frozen=True)
class Model:
    """Sizes and variants of NAO's networks."""

    embedding_size: Annotated[int, "size of the encoder's token embeddings", _AT_LEAST_1] = 64
    hidden_size: Annotated[
        int, "hidden units of encoder and decoder, and size of the decoder's embeddings", _AT_LEAST_1
    ] = 64
    tokens_per_step: Annotated[int, "tokens read by the encoder per step, such as those of a branch", _AT_LEAST_1] = 1
    is_bidirectional: Annotated[bool, "whether the encoder is bidirectional, with a residual connection"] = True
    has_features: Annotated[bool, "whether the encoder reads the space's features besides the tokens"] = False
    encoder_dropout: Annotated[float, "dropout rate of the encoder", _RATE] = 0.1
    encoder_dropout_place: Annotated[Literal["embeddings", "outputs"], "where encoder_dropout is applied"] = (
        "embeddings"
    )
    predictor: Annotated[Literal["mlp", "residual"], "plain hidden layers, or two with a residual connection"] = (
        "residual"
    )
    predictor_layers: Annotated[int, "hidden layers of the mlp predictor", _AT_LEAST_0] = 2
    predictor_size: Annotated[int, "units of its hidden layers; of the inner one if residual", _AT_LEAST_1] = 16
    predictor_dropout: Annotated[float, "dropout rate of the predictor", _RATE] = 0.1
    predictor_weight_range: Annotated[
        float, "bound of the uniform initial weights of the predictor; 0: as in the other networks", _AT_LEAST_0
    ] = 0.0
    has_sigmoid: Annotated[bool, "whether predictions pass through a sigmoid"] = False
    decoder: Annotated[Literal["plain", "residual"], "decoder without or with residual connections"] = "residual"
    decoder_dropout: Annotated[float, "dropout rate of the decoder's embeddings", _RATE] = 0.1
    attention: Annotated[Literal["additive", "dot", "general"], "attention of the decoder over the latent"] = "general"
    has_attention_bias: Annotated[bool, "whether the layer that mixes context and state has a bias"] = False
    initializer: Annotated[Literal["uniform", "orthogonal", "torch"], "distribution of the initial parameters"] = (
        "torch"
    )
    forget_bias: Annotated[float, "constant added to forget gates before activation"] = 0.0

    def __post_init__(self):
        configs.validate(self)
        configs.require(
            (
                not self.is_bidirectional or self.tokens_per_step * self.embedding_size == self.hidden_size,
                "hidden_size must be tokens_per_step x embedding_size in a bidirectional encoder; got "
                f"{self.hidden_size}, not {self.tokens_per_step} x {self.embedding_size}",
            ),
            (
                self.decoder != "residual" or self.attention != "additive",
                "decoder 'residual' requires attention 'dot' or 'general'; got 'additive'",
            ),
        )


_COMPACT = Model(
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

    model: Annotated[Model, "the networks"] = _COMPACT
    num_members: Annotated[int, "networks of the ensemble, whose predictions are averaged", _AT_LEAST_1] = 1
    num_folds: Annotated[
        int,
        "network m is not fitted to measured rows m, m + num_folds, ..., for held-out diagnostics; 0: fitted to all",
        _AT_LEAST_0,
    ] = 0
    # Rounds.
    num_initial: Annotated[int, "random architectures before the first fit", _AT_LEAST_1] = 10
    num_new: Annotated[int, "new architectures between two fits", _AT_LEAST_1] = 5
    count: Annotated[int, "architectures proposed per round; at most num_new", _AT_LEAST_1] = 5
    num_random: Annotated[int, "random architectures among them", _AT_LEAST_0] = 0
    # Fits.
    target: Annotated[
        Literal[tuple(targets.TARGETS)], "regression target: scores of the ranks of fitness, or scaled fitness"
    ] = "exponential_scores"
    failures: Annotated[
        Literal["worst", "none"] | None,
        "regression target of an infeasible architecture: the worst fitness so far, or none, as in the released code; "
        "None: worst",
    ] = None
    mse_weight: Annotated[
        float, "weight lambda of the predictor's loss; the decoder's has weight 1 - lambda", _FRACTION
    ] = 0.8
    loss_weights: Annotated[
        Literal["equal", "softmax"] | None,
        "weights of the predictor's squared errors in a minibatch: equal, or the softmax of the targets, in favour of "
        "good architectures (an option of NAO's program for recurrent cells); None: equal",
    ] = None
    controller_dtype: Annotated[
        Literal["float32", "bfloat16"] | None,
        "type of activations of encoder and decoder in fits; parameters and losses are float32; None: float32",
    ] = None
    learning_rate: Annotated[float, "learning rate of Adam", _POSITIVE] = 3e-3
    weight_decay: Annotated[float, "L2 penalty on all parameters", _AT_LEAST_0] = 0.3
    decay: Annotated[
        Literal["loss", "gradient", "decoupled"], "where weight_decay enters: before clipping, after it, or as in AdamW"
    ] = "decoupled"
    clip_norm: Annotated[float, "maximum global norm of a gradient", _POSITIVE] = 5.0
    batch_size: Annotated[int, "examples per minibatch", _AT_LEAST_1] = 32
    fit_unit: Annotated[Literal["epochs", "minibatches"], "unit of fit_first, fit_later and fit_synthetic"] = (
        "minibatches"
    )
    fit_first: Annotated[int, "length of the first fit", _AT_LEAST_1] = 200
    fit_later: Annotated[int, "length of later fits", _AT_LEAST_1] = 20
    is_warm: Annotated[bool, "whether a fit starts from the parameters of the last one"] = True
    keeps_moments: Annotated[bool, "whether it also starts from Adam's last moments", configs.Needs("is_warm")] = True
    augmentation: Annotated[
        Literal["none", "swap", "expand", "orbit"], "replacement of token sequences by equivalent ones in training"
    ] = "orbit"
    num_copies: Annotated[
        int, "copies of each measured architecture per epoch; 0: as many in all as unlabelled ones", _AT_LEAST_0
    ] = 0
    num_unlabelled: Annotated[int, "unmeasured architectures sampled for each fit", _AT_LEAST_0] = 500
    num_mutated: Annotated[int, "of these, mutations of the num_seeds best", _AT_LEAST_0] = 250
    reconstructs_unlabelled: Annotated[bool, "whether encoder and decoder are trained to reconstruct these"] = True
    fit_synthetic: Annotated[
        int, "length of a second fit, to the predictor's labels of these (SemiNAS); 0: none", _AT_LEAST_0
    ] = 0
    # Gradient ascent.
    seeds: Annotated[
        Literal["measured", "both", "union"],
        "starting points of the ascent: best measured, also best predicted, or best of all",
    ] = "both"
    num_seeds: Annotated[int, "starting points, of each kind with 'both'", _AT_LEAST_1] = 20
    step_size: Annotated[float, "smallest step size eta along the gradient", _POSITIVE] = 0.5
    num_steps: Annotated[int, "step sizes tried, from step_size to num_steps x step_size", _AT_LEAST_1] = 4
    has_unit_gradient: Annotated[bool, "whether the gradient is scaled to a mean length of 1 per step"] = True
    num_climbs: Annotated[
        int, "ascents in sequence, each from the best predicted decoded by the last one", _AT_LEAST_1
    ] = 2
    beam_width: Annotated[int, "architectures decoded per latent by beam search; 1: greedily", _AT_LEAST_1] = 1
    temperature: Annotated[
        float, "scale of the Gumbel noise on predictions that rank new ones, in standard deviations", _AT_LEAST_0
    ] = 0.25
    order: Annotated[Literal["step_size", "prediction"], "order in which new architectures are proposed"] = "prediction"

    def __post_init__(self):
        configs.validate(self)
        is_supervised = self.seeds == "measured" and not self.fit_synthetic and self.num_copies > 0
        configs.require(
            (
                self.count <= self.num_new,
                f"count must be at most num_new ({self.num_new}), as a fit serves whole rounds; got {self.count}",
            ),
            (
                self.num_random <= self.count,
                f"num_random must be at most count ({self.count}); got {self.num_random}",
            ),
            (
                self.num_mutated <= self.num_unlabelled,
                f"num_mutated must be at most num_unlabelled ({self.num_unlabelled}); got {self.num_mutated}",
            ),
            (
                self.num_folds != 1,
                "num_folds must be 0 or at least 2; got 1, which leaves nothing to the first network",
            ),
            (
                self.model.initializer != "orthogonal" or self.is_warm,
                "is_warm must be set with initializer 'orthogonal', whose decomposition can hang in a compiled search",
            ),
            (
                not self.model.has_sigmoid or self.target == "min_max",
                f"target must be 'min_max' with has_sigmoid; got {self.target!r}",
            ),
            (
                self.num_unlabelled > 0 or is_supervised,
                "num_unlabelled 0 requires seeds 'measured', fit_synthetic 0 and num_copies of at least 1; got "
                f"{self.seeds!r}, {self.fit_synthetic} and {self.num_copies}",
            ),
            (
                self.augmentation != "expand" or self.num_copies >= 2,
                f"num_copies must be at least 2 with augmentation 'expand'; got {self.num_copies}",
            ),
        )
