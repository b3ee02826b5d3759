"""Trains the language model of one recurrent cell: a published one by its name, or a genotype in a JSON file.

python -m launch.train_language
python -m launch.train_language --genotype=nao_ptb --corpus=ptb --data_dir=data --preset=nao_ptb --workdir=runs/ptb

Started again on its workdir, training goes on where it was, to the bit. Defaults of the settings are those of
--preset, and the help shows those of --preset=topics.
"""

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Any

import chex
import jax
import rich.console
import rich.table
import rich.text
from absl import flags

from common.datasets import text
from common.genotypes import json_text, published
from common.genotypes.genotype import RecurrentGenotype
from common.language import config as configs
from common.language import recurrent, segments
from common.language import training as language
from common.records import locks, progress, run_dir
from common.training import checkpoints
from launch import compilation
from launch import flags as launch_flags

_CHECKPOINTS, _LOCK = "checkpoints", "lock"
_GENOTYPE = re.compile(r"--?genotype(=|$)")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return launch_flags.run_main("train_language", __doc__, define, run, argv)


def is_asked_for(argv: Sequence[str]) -> bool:
    """Returns whether the last --genotype of a command line, flag files included, is a recurrent cell's.

    So that `launch.train`, which trains all others, can hand over. What makes no sense is left to it.
    """
    try:
        words = flags.FlagValues().read_flags_from_files(list(argv))
        pairs = zip(words, [*words[1:], ""], strict=True)
        found = [word.partition("=")[2] or following for word, following in pairs if _GENOTYPE.match(word)]
        return bool(found) and isinstance(published.get(found[-1]), RecurrentGenotype)
    except (flags.Error, ValueError, OSError):
        return False


def define_corpus(values: flags.FlagValues) -> None:
    """Defines the flags of commands that read a corpus."""

    def define(name, default, text):
        flags.DEFINE_string(name, default, text, flag_values=values)

    define("corpus", "topics", f"one of {', '.join(text.CORPORA)}; topics comes with Python")
    define("vocabulary", "all", f"whose words are known: {', '.join(text.VOCABULARIES)}")
    if "data_dir" not in values:
        define("data_dir", os.environ.get("NAS_DATA_DIR"), "folder of the corpus; else $NAS_DATA_DIR")


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""

    def define(name, default, text, of=flags.DEFINE_string):
        of(name, default, text, flag_values=values)

    define("genotype", "nao_ptb", "a published recurrent cell (launch.genotype lists them) or a JSON file")
    define_corpus(values)
    define("preset", "topics", f"settings to start from: {', '.join(configs.PRESETS)}")
    define("seed", 0, "decides everything random", flags.DEFINE_integer)
    define("workdir", None, "folder of the run, to start or to go on with; by default a fresh one under runs/")
    define("checkpoint_seconds", 300.0, "least seconds between checkpoints within an epoch", flags.DEFINE_float)
    define("compilation_cache_dir", None, "where compiled programs are kept; empty: nowhere")
    launch_flags.define_config(values, configs.PRESETS["topics"])


def run(values: flags.FlagValues) -> None:
    """Trains, goes on with an earlier start of the same run, and writes the files of the run."""
    launch_flags.one_of("preset", values.preset, configs.PRESETS)
    if not 0 <= values.seed <= launch_flags.MAX_SEED:
        raise ValueError(f"--seed must be from 0 to {launch_flags.MAX_SEED}; got {values.seed}")
    compilation.enable_cache(values.compilation_cache_dir)
    config = launch_flags.config_of(values, configs.PRESETS[values.preset])
    genotype = published.get(values.genotype)
    if not isinstance(genotype, RecurrentGenotype):
        raise ValueError(f"{values.genotype} is no recurrent cell; train it with launch.train")
    corpus = text.load(values.corpus, values.data_dir, vocabulary=values.vocabulary)
    size = len(corpus.vocabulary)
    network = recurrent.language_model(genotype, vocabulary_size=size, width=config.width, dropout=config.dropout)
    learner = language.Learner(network, config, language.NO_ARCH)
    about = {
        "genotype": json.loads(json_text.to_text(genotype)),
        "corpus": values.corpus,
        "vocabulary_size": size,
        "config": dataclasses.asdict(config),
        "seed": values.seed,
    }
    folder = run_dir.create(values.workdir, command="train_language", benchmark=values.corpus)
    print(f"workdir: {folder}", flush=True)
    with locks.hold(folder / _LOCK, what=str(folder)):
        flat = {"command": "train_language", "flags": values.flag_values_dict(), **about, **run_dir.environment()}
        with checkpoints.Checkpoints(folder / _CHECKPOINTS, about) as saved:
            run_dir.write_json(folder / run_dir.CONFIG, flat)
            key = jax.random.key(values.seed)
            best = train(learner, corpus, folder, saved, key=key, save_seconds=values.checkpoint_seconds, name="epochs")
            result = _result(learner, corpus, folder, best, values)
        run_dir.write_json(folder / run_dir.RESULT, result)
    _print_result(result)
    print(f"workdir: {folder}", flush=True)


def train(
    learner: language.Learner,
    corpus: text.Corpus,
    folder: pathlib.Path,
    saved: checkpoints.Checkpoints,
    *,
    key: chex.PRNGKey,
    save_seconds: float,
    metrics: str = run_dir.METRICS,
    is_best: bool = True,
    name: str = "epochs",
    num_epochs: int | None = None,
) -> Any:
    """Trains to the last epoch, from the last checkpoint on, with a line of `metrics` for every epoch.

    Args:
      learner: what is trained.
      corpus: on what.
      folder: of the run.
      saved: its checkpoints.
      key: decides everything random.
      save_seconds: time between two checkpoints within an epoch.
      metrics: name of the file.
      is_best: whether to return the best state, by validation loss, or the last.
      name: of what is trained, for the progress line.
      num_epochs: how many there are in the end; by default all of the settings.

    Returns:
      The state.
    """
    config = learner.config
    keys = language.keys(key)
    data = segments.prepare(corpus.train, config.batch_size, config.chunks)
    valid = segments.prepare(corpus.valid, config.valid_batch_size, config.chunks)
    template = jax.eval_shape(lambda keys: language.create(learner, keys), keys)
    state = saved.latest(template) or language.create(learner, keys)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(_kept(folder / metrics, int(state.epoch)))
        live = stack.enter_context(progress.Progress(name, total=config.num_epochs, unit="epochs"))
        trained = language.train(
            learner, state, keys, data, valid, checkpoints=saved, save_seconds=save_seconds, num_epochs=num_epochs
        )
        for last, epoch in trained:
            state = last
            line = {
                **epoch._asdict(),
                "train_perplexity": math.exp(epoch.train_loss),
                "valid_perplexity": math.exp(epoch.valid_loss),
            }
            file.write(json.dumps(line) + "\n")
            file.flush()
            live.update(epoch.epoch, f"validation perplexity {line['valid_perplexity']:.2f}")
    saved.wait()
    return (saved.best(template) if is_best else None) or state


@contextlib.contextmanager
def _kept(path, num_epochs):
    """Gives the file to go on with: of an earlier start, the lines of the epochs that the state has behind it."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    run_dir.write_text(path, "".join(line for line in lines if json.loads(line)["epoch"] <= num_epochs))
    with path.open("a") as file:
        yield file


def _result(learner, corpus, folder, best, values):
    """What result.json says: of the state with the least validation loss."""
    test = segments.prepare(corpus.test, learner.config.test_batch_size, learner.config.chunks)
    test_loss = language.evaluate(learner, language.evaluated(best), test)
    valid_loss = float(best.valid_losses[int(best.epoch) - 1])
    lines = [json.loads(line) for line in (folder / run_dir.METRICS).read_text().splitlines()]
    return {
        "protocol": "validation",
        "corpus": corpus.name,
        "seed": values.seed,
        "genotype": values.genotype,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(best.params)),
        "epochs": learner.config.num_epochs,
        "seconds": round(sum(line["seconds"] for line in lines), 3),
        "best": {
            "epoch": int(best.epoch),
            "is_averaged": bool(best.num_averaged > 0),
            "valid_loss": valid_loss,
            "valid_perplexity": math.exp(valid_loss),
            "test_loss": test_loss,
            "test_perplexity": math.exp(test_loss),
        },
        "unigram_perplexity": {split: text.unigram_perplexity(corpus, split) for split in ("valid", "test")},
    }


def _print_result(result):
    table = rich.table.Table(title=f"{result['genotype']} on {result['corpus']}", show_header=False)
    best, unigram = result["best"], result["unigram_perplexity"]
    rows = {
        "validation perplexity": f"{best['valid_perplexity']:.2f}, of single words {unigram['valid']:.2f}",
        "test perplexity": f"{best['test_perplexity']:.2f}, of single words {unigram['test']:.2f}",
        "best epoch": f"{best['epoch']} of {result['epochs']}{', averaged' if best['is_averaged'] else ''}",
        "parameters": f"{result['parameters']:,}",
        "seconds": f"{result['seconds']:.1f}, compiling included",
    }
    for name, value in rows.items():
        table.add_row(name, rich.text.Text(value))
    rich.console.Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
