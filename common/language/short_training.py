"""Fitness of recurrent cells by training each alone, for less long than in the end (NAO).

The cell is data, so one program trains all architectures. The fitness is that of the best validation loss of all
epochs, as the released programs collect it.
"""

import dataclasses
import functools
import math
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from common import spaces, types
from common.datasets import text
from common.executors import measuring
from common.language import config as configs
from common.language import epoch as language_epoch
from common.language import recurrent
from common.language import scoring as recurrent_supernet
from common.language import training as language


def evaluator(
    corpus: str,
    *,
    data_dir: str | os.PathLike | None = None,
    vocabulary: str = "all",
    config: configs.Config | Mapping[str, Any] | None = None,
) -> types.Evaluator:
    """Returns the evaluator. For the test fitness it trains again, with the key it is given.

    Args:
      corpus: see `text.load`.
      data_dir: likewise.
      vocabulary: likewise.
      config: of the training of each architecture, also as `dataclasses.asdict` makes it.

    Raises:
      ValueError: the corpus cannot be loaded, or a text is too short for the batch size.
    """
    config = configs.Config() if config is None else config
    config = config if isinstance(config, configs.Config) else configs.from_dict(config)
    found = text.load(corpus, data_dir, vocabulary=vocabulary)
    data = language.prepare(found.train, config.batch_size, config)
    valid = language.prepare(found.valid, config.valid_batch_size, config)
    test = language.prepare(found.test, config.test_batch_size, config)
    size = len(found.vocabulary)
    network = recurrent.LanguageModel(size, config.width, recurrent.AnyCell(config.width), config.dropout)

    def train(key, arch, is_tested):
        """Returns (the best validation loss, or the test loss where that was; why it is NaN)."""
        learner = language.Learner(network, config, language.one_arch(arch))
        keys, best, tested = language.keys(key), math.inf, math.nan
        try:
            for state, epoch in language.train(learner, language.create(learner, keys), keys, data, valid):
                if epoch.valid_loss < best:
                    best = epoch.valid_loss
                    tested = (
                        language.evaluate(learner, language.evaluated(state), test, arch=arch) if is_tested else best
                    )
        except (language_epoch.DivergedError, MemoryError, jax.errors.JaxRuntimeError) as error:
            if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            return math.nan, measuring.reason_of(error)
        return tested, "" if math.isfinite(tested) else f"diverged: its loss is {tested}"

    def measure(is_tested, key, archs):
        start = time.perf_counter()
        keys = jax.random.split(key, len(archs))
        found = [train(own, np.asarray(arch, np.int32), is_tested) for own, arch in zip(keys, archs, strict=True)]
        losses, reasons = zip(*found, strict=True)
        cost = (time.perf_counter() - start) / len(losses)
        return recurrent_supernet.evaluation(losses, size, cost, reasons)

    settings = {
        "corpus": corpus,
        "data_dir": None if data_dir is None else str(pathlib.Path(data_dir).absolute()),
        "vocabulary": vocabulary,
        "config": dataclasses.asdict(config),
    }
    return types.Evaluator(
        name=f"recurrent_training/{corpus}",
        space=spaces.get("nao_rnn"),
        protocol="validation",
        evaluate=functools.partial(measure, False),
        test=functools.partial(measure, True),
        optimum=None,
        num_archs=None,
        is_traceable=False,
        recipe=types.Recipe(f"{__name__}.evaluator", settings),
    )
