"""Settings of training language models: published ones, and small ones for the text that comes with Python."""

import dataclasses

from common.language.config import Chunks, Config, Optimizer
from common.language.recurrent import Dropout

_NAO = Config()
_LIGHT = Dropout(dropout_output=0.3, dropout_hidden=0.1, dropout_cell_input=0.2, dropout_input=0.1, dropout_word=0.0)

PRESETS: dict[str, Config] = {
    # NAO's final training; the paper has 2,000 epochs where the released script has 4,000.
    "nao_ptb": _NAO,
    "nao_wikitext2": dataclasses.replace(
        _NAO,
        width=700,
        num_epochs=2000,
        dropout=Dropout(dropout_hidden=0.15),
        optimizer=Optimizer(weight_decay=5e-7),
    ),
    # NAO's measurement of an architecture: the whole network, not as long.
    "nao_search": dataclasses.replace(_NAO, num_epochs=600),
    # Shared weights of NAO-WS, 1,000 epochs in all.
    "nao_ws_search": Config(
        width=300,
        num_epochs=1000,
        batch_size=256,
        valid_batch_size=256,
        chunks=Chunks(bptt_deviation=0.0),
        optimizer=Optimizer(learning_rate=0.25, clip_norm=10.0, weight_decay=5e-7, patience=0),
    ),
    # Minutes on a processor.
    "topics": Config(
        width=64,
        num_epochs=20,
        batch_size=16,
        test_batch_size=10,
        dropout=_LIGHT,
        optimizer=Optimizer(learning_rate=10.0, weight_decay=1e-6),
    ),
    "topics_supernet": Config(
        width=48,
        num_epochs=25,
        batch_size=16,
        test_batch_size=10,
        chunks=Chunks(bptt_deviation=0.0),
        dropout=_LIGHT,
        optimizer=Optimizer(learning_rate=10.0, weight_decay=1e-6, patience=0),
    ),
    "topics_search": Config(
        width=48,
        num_epochs=2,
        batch_size=16,
        test_batch_size=10,
        chunks=Chunks(bptt_deviation=0.0),
        dropout=_LIGHT,
        optimizer=Optimizer(learning_rate=10.0, weight_decay=1e-6),
    ),
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
