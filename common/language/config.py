"""Settings of language model training: dataclasses and presets.

The defaults are NAO's published settings on Penn Treebank (arXiv:1808.07233, as released).
"""

import dataclasses
from typing import Annotated, Literal

from common import config as configs

_POSITIVE = configs.Range(above=0)
_NOT_NEGATIVE = configs.Range(at_least=0)
_AT_LEAST_ONE = configs.Range(at_least=1)
_RATE = configs.Range(at_least=0, below=1)


@configs.dataclass
class Chunks:
    """Segment lengths: the words that a step reads and backpropagates through (arXiv:1708.02182)."""

    bptt: Annotated[int, "mean segment length, in words", _AT_LEAST_ONE] = 35
    short_share: Annotated[
        float, "fraction of segments whose mean length is bptt / 2", configs.Range(at_least=0, at_most=1)
    ] = 0.05
    bptt_deviation: Annotated[float, "standard deviation of segment lengths, in words", _NOT_NEGATIVE] = 5.0
    bptt_min: Annotated[int, "minimum segment length, in words", _AT_LEAST_ONE] = 5
    bptt_max: Annotated[int, "maximum segment length, in words", _AT_LEAST_ONE] = 55

    def __post_init__(self):
        if not self.bptt_min <= self.bptt <= self.bptt_max:
            raise ValueError(
                f"bptt must be from bptt_min to bptt_max; got bptt_min={self.bptt_min}, bptt={self.bptt}, "
                f"bptt_max={self.bptt_max}"
            )


@configs.dataclass
class Dropout:
    """Dropout rates of a language model."""

    dropout_output: Annotated[float, "dropout rate of the cell's outputs", _RATE] = 0.75
    dropout_hidden: Annotated[float, "dropout rate of states, before each matrix product of the cell", _RATE] = 0.25
    dropout_cell_input: Annotated[float, "dropout rate of the cell's inputs", _RATE] = 0.75
    dropout_input: Annotated[float, "dropout rate of word embeddings, before dropout_cell_input", _RATE] = 0.2
    dropout_word: Annotated[float, "fraction of the vocabulary whose embeddings are dropped", _RATE] = 0.0
    dropout_node: Annotated[float, "fraction of the cell's nodes whose weights a step does not update", _RATE] = 0.0


@configs.dataclass
class Optimizer:
    """SGD whose weights are averaged once the validation loss stops falling (ASGD)."""

    learning_rate: Annotated[
        float, "learning rate of a segment of bptt words; scaled by segment length / bptt", _POSITIVE
    ] = 20.0
    clip_norm: Annotated[float, "maximum global norm of the gradient", _POSITIVE] = 0.25
    weight_decay: Annotated[float, "L2 penalty, added to the clipped gradient", _NOT_NEGATIVE] = 8e-7
    patience: Annotated[
        int,
        "averaging starts when the validation loss exceeds the minimum up to this many epochs ago; 0: never",
        _NOT_NEGATIVE,
    ] = 5
    activation_penalty: Annotated[float, "activation regularization (AR), alpha", _NOT_NEGATIVE] = 0.0
    change_penalty: Annotated[float, "temporal activation regularization (TAR), beta", _NOT_NEGATIVE] = 1e-3


@configs.dataclass
class Config:
    """Training of a language model."""

    width: Annotated[int, "size of word embeddings and hidden states", _AT_LEAST_ONE] = 850
    num_epochs: Annotated[int, "passes over the training text", _AT_LEAST_ONE] = 4000
    batch_size: Annotated[int, "training sequences per batch", _AT_LEAST_ONE] = 64
    valid_batch_size: Annotated[int, "sequences that the validation text is split into", _AT_LEAST_ONE] = 10
    test_batch_size: Annotated[int, "sequences that the test text is split into", _AT_LEAST_ONE] = 1
    chunks: Annotated[Chunks, "segment lengths"] = Chunks()
    dropout: Annotated[Dropout, "dropout rates"] = Dropout()
    optimizer: Annotated[Optimizer, "optimizer"] = Optimizer()
    dtype: Annotated[
        Literal["float32", "bfloat16"] | None,
        "type of the factors of matrix products, float32 or bfloat16 (all else is float32); None: float32",
    ] = None
    max_rollbacks: Annotated[
        int, "how often training returns to its best state when the loss is not finite", _NOT_NEGATIVE
    ] = 10


_LIGHT = Dropout(dropout_output=0.3, dropout_hidden=0.1, dropout_cell_input=0.2, dropout_input=0.1, dropout_word=0.0)
_TOPICS = Config(
    width=48,
    num_epochs=2,
    batch_size=16,
    test_batch_size=10,
    chunks=Chunks(bptt_deviation=0.0),
    dropout=_LIGHT,
    optimizer=Optimizer(learning_rate=10.0, weight_decay=1e-6),
)

PRESETS: dict[str, Config] = {
    # Final training of NAO's cell; 2,000 epochs in the paper, 4,000 in the released script.
    "nao_ptb": Config(),
    "nao_wikitext2": Config(
        width=700, num_epochs=2000, dropout=Dropout(dropout_hidden=0.15), optimizer=Optimizer(weight_decay=5e-7)
    ),
    # Evaluation of an architecture in NAO's search: the full network, fewer epochs.
    "nao_search": Config(num_epochs=600),
    # Shared weights of NAO-WS, 1,000 epochs in all.
    "nao_ws_search": Config(
        width=300,
        num_epochs=1000,
        batch_size=256,
        valid_batch_size=256,
        chunks=Chunks(bptt_deviation=0.0),
        optimizer=Optimizer(learning_rate=0.25, clip_norm=10.0, weight_decay=5e-7, patience=0),
    ),
    # The corpus that comes with Python; minutes on a CPU.
    "topics": dataclasses.replace(_TOPICS, width=64, num_epochs=20, chunks=Chunks()),
    "topics_supernet": dataclasses.replace(
        _TOPICS, num_epochs=25, optimizer=dataclasses.replace(_TOPICS.optimizer, patience=0)
    ),
    "topics_search": _TOPICS,
    "ptb_small": Config(
        width=64,
        num_epochs=2,
        batch_size=32,
        valid_batch_size=32,
        test_batch_size=32,
        dropout=Dropout(0.0, 0.0, 0.0, 0.0, 0.0),
        optimizer=Optimizer(weight_decay=0.0),
    ),
}
