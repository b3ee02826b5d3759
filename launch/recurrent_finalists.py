"""The best few cells of a search, each trained alone for a while, and the one that is best then (NAO-WS)."""

import dataclasses
import pathlib

import jax
import numpy as np
from absl import flags

from common import one_round, types
from common.datasets import text
from common.executors import measuring
from common.language import config as configs
from common.language import evaluators
from common.records import journal as journal_lib
from common.records import progress, run_dir
from launch import flags as launch_flags

FINALISTS = "finalists.jsonl"


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    flags.DEFINE_integer("rerank", 0, "how many of the best cells are trained alone in the end", flag_values=values)
    help_text = f"settings of that training: {', '.join(configs.PRESETS)}"
    flags.DEFINE_string("rerank_preset", "topics_search", help_text, flag_values=values)
    flags.DEFINE_integer("rerank_num_epochs", None, "its epochs; by default those of its preset", flag_values=values)


def check(values: flags.FlagValues) -> None:
    """Raises a `ValueError` for a flag that makes no sense."""
    launch_flags.one_of("rerank_preset", values.rerank_preset, configs.PRESETS)
    if values.rerank < 0:
        raise ValueError(f"--rerank must be at least 0; got {values.rerank}")
    _config(values)


def best(values: flags.FlagValues, folder: pathlib.Path, vocabulary_size: int) -> np.ndarray:
    """Trains the best --rerank cells of the search in a folder, and returns the best of them, int32[L].

    What an earlier start trained is not trained again.

    Raises:
      ValueError: the folder's finalists were trained otherwise.
    """
    history, _ = run_dir.read_history(folder / run_dir.HISTORY)
    fitness = np.where(history.status == types.MEASURED, history.fitness, -np.inf)
    order = [at for at in np.argsort(-fitness, kind="stable") if np.isfinite(fitness[at])][: values.rerank]
    archs = np.asarray(history.archs[order], np.int32)
    found = _trained(values, folder, archs)
    print(f"trained alone for {_config(values).num_epochs} epochs, perplexity on validation text:")
    for arch_at, one in enumerate(found):
        told = f"{text.perplexity(one.fitness, vocabulary_size):.2f}" if one.ok else f"none ({one.reason})"
        shared = text.perplexity(float(fitness[order[arch_at]]), vocabulary_size)
        print(f"  {arch_at + 1}. {told} (on shared weights {shared:.2f})")
    return archs[int(np.argmax([one.fitness if one.ok else -1.0 for one in found]))]


def _trained(values, folder, archs):
    """Returns the result of each, in order, as the journal has it."""
    config = _config(values)
    header = {"corpus": values.corpus, "vocabulary": values.vocabulary, "seed": values.seed}
    header |= {"config": dataclasses.asdict(config)}
    evaluator = evaluators.from_scratch(
        values.corpus, data_dir=values.data_dir, vocabulary=values.vocabulary, config=config
    )
    key = jax.random.key(values.seed)
    words, impl = np.asarray(jax.random.key_data(one_round.candidate_keys(key, archs))), str(jax.random.key_impl(key))
    with (
        journal_lib.open_journal(folder / FINALISTS, header) as journal,
        progress.Progress("finalists", total=len(archs), unit="cells") as live,
    ):
        journal.agree(0, archs)
        for at, arch in enumerate(archs.tolist()):
            if at not in journal.measured:
                candidate = types.Candidate(at=at, arch=tuple(arch), key=tuple(words[at].tolist()), impl=impl)
                journal.write_measured([measuring.measure_on_host(evaluator.evaluate, candidate)])
            live.update(at + 1, f"fitness {100 * journal.measured[at].fitness:.2f} %")
        return [journal.measured[at] for at in range(len(archs))]


def _config(values):
    config = configs.PRESETS[values.rerank_preset]
    if values.rerank_num_epochs is None:
        return config
    return dataclasses.replace(config, num_epochs=values.rerank_num_epochs)
