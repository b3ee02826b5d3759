"""Searches a recurrent cell for language models, with any algorithm of `launch.study`.

python -m launch.search_recurrent
python -m launch.search_recurrent --algorithm=lanas --budget=100
python -m launch.search_recurrent --measure=training --budget=20
python -m launch.search_recurrent --schedule=topics --rerank=3
python -m launch.search_recurrent --flagfile=launch/flagfiles/search_recurrent_nao_ws.cfg --data_dir=data

Cells are measured on shared weights (--measure=supernet), which are trained first, or, with --schedule, on a pool of
cells that is renewed between blocks of training; or each is trained by itself (--measure=training). The best one is
written to best.json, for launch.train_language --genotype=.../best.json. Started again on its workdir, it goes on
where it was.
"""

import dataclasses
import functools
import sys
from collections.abc import Sequence

import jax
import numpy as np
from absl import flags

import lanas_jax.config
import lanas_jax.search
import nao_jax.presets
import nao_jax.search
from common import spaces
from common.datasets import text
from common.genotypes import conversion, json_text
from common.language import config as configs
from common.language import evaluators
from common.language import training as language
from common.records import locks, run_dir
from common.training import checkpoints
from launch import algorithms, recurrent_finalists, recurrent_pools, single, train_language
from launch import flags as launch_flags

BEST, SUPERNET, _LOCK = "best.json", recurrent_pools.SUPERNET, "lock"
MEASURES = {"supernet": "topics_supernet", "training": "topics_search"}  # and their default settings
BUDGET = 60


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return launch_flags.run_main("search_recurrent", __doc__, define, run, argv)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a search is, beside its algorithm, for the record of the run."""

    measure: str
    corpus: str
    vocabulary: str
    score: str
    training: configs.Config


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""

    def define(name, default, text, of=flags.DEFINE_string):
        of(name, default, text, flag_values=values)

    scores = "; ".join(f"{name}: {what}" for name, what in evaluators.SCORES.items())
    define("algorithm", "nao", f"one of {', '.join(algorithms.ALGORITHMS)}")
    define("measure", "supernet", f"how cells are measured: {', '.join(MEASURES)}")
    define("score", "all", f"on shared weights, what of the validation text is looked at; {scores}")
    train_language.define_corpus(values)
    define("preset", None, f"of training, settings to start from: {', '.join(configs.PRESETS)}; by default topics_...")
    define("budget", BUDGET, "cells to measure", flags.DEFINE_integer)
    define("seed", 0, "decides everything random", flags.DEFINE_integer)
    define("workdir", None, "folder of the run, to start or to go on with; by default a fresh one under runs/")
    define("checkpoint_seconds", 300.0, "least seconds between checkpoints within an epoch", flags.DEFINE_float)
    define("compilation_cache_dir", None, "where compiled programs are kept; empty: nowhere")
    recurrent_pools.define(values)
    recurrent_finalists.define(values)
    launch_flags.define_executor(values)
    launch_flags.define_config(values, configs.PRESETS[MEASURES["supernet"]])


def run(values: flags.FlagValues) -> None:
    """Trains shared weights where they are needed, searches, and writes the files of the run."""
    algorithms.get(values.algorithm)
    launch_flags.one_of("measure", values.measure, MEASURES)
    launch_flags.one_of("score", values.score, evaluators.SCORES)
    preset = values.preset or MEASURES[values.measure]
    launch_flags.one_of("preset", preset, configs.PRESETS)
    launch_flags.check_search(values)
    if values.measure == "supernet" and values.executor != "inline":
        raise ValueError("shared weights are in this process; measure with --executor=inline")
    single.prepare(values)
    config = launch_flags.config_of(values, configs.PRESETS[preset])
    recurrent_finalists.check(values)
    schedule = recurrent_pools.schedule(values, config)
    make_searcher = _make_searcher(values.algorithm, schedule)
    corpus = text.load(values.corpus, values.data_dir, vocabulary=values.vocabulary)
    folder = run_dir.create(values.workdir, command="search_recurrent", benchmark=values.corpus)
    print(f"workdir: {folder}", flush=True)
    if schedule is not None:
        result = _search_pools(values, corpus, config, folder, schedule, make_searcher)
    else:
        result = _search(values, corpus, config, folder, make_searcher)
    if result["best"] is not None:
        _tell_best(values, folder, result["best"], len(corpus.vocabulary))
        print(f"workdir: {folder}", flush=True)


def _make_searcher(algorithm, schedule):
    """Returns space -> searcher. LaNAS finds candidates by a walk, as this space is too large to list."""
    rounds = {}
    if schedule is not None:  # it learns at every renewal
        rounds = {"num_initial": schedule.num_initial, "count": schedule.num_new}
    if algorithm in lanas_jax.config.PRESETS:
        rounds |= {} if schedule is None else {"num_select": schedule.num_new}
        config = dataclasses.replace(lanas_jax.config.PRESETS[algorithm], sampler="walk", **rounds)
        return functools.partial(lanas_jax.search.searcher, config=config, name=algorithm)
    if algorithm in nao_jax.presets.PRESETS and schedule is not None:
        rounds |= {"num_new": schedule.num_new, "num_random": 0}
        config = dataclasses.replace(nao_jax.presets.PRESETS[algorithm], **rounds)
        return functools.partial(nao_jax.search.searcher, config=config, name=algorithm)
    return algorithms.factory(algorithms.get(algorithm))


def _search(values, corpus, config, folder, make_searcher):
    """Searches with a fitness that does not change; returns what result.json says."""
    if values.measure == SUPERNET:
        evaluator = _on_shared_weights(values, corpus, config, folder)
    else:
        evaluator = evaluators.from_scratch(
            values.corpus, data_dir=values.data_dir, vocabulary=values.vocabulary, config=config
        )
    return single.search_with(
        values,
        evaluator,
        folder=folder,
        command="search_recurrent",
        algorithm=values.algorithm,
        config=Settings(values.measure, values.corpus, values.vocabulary, values.score, config),
        make_searcher=make_searcher,
        told={"vocabulary_size": len(corpus.vocabulary)},
    )


def _search_pools(values, corpus, config, folder, schedule, make_searcher):
    """Searches while shared weights are trained; returns what result.json says."""
    searcher = make_searcher(spaces.get("nao_rnn"))
    about = {**_about(values, corpus, config), "schedule": dataclasses.asdict(schedule)}
    record = {"command": "search_recurrent", "algorithm": values.algorithm, "score": values.score, **about}
    with locks.hold(folder / _LOCK, what=str(folder)), checkpoints.Checkpoints(folder / SUPERNET, about) as saved:
        told = {**record, "flags": values.flag_values_dict(), **run_dir.environment()}
        run_dir.write_json(folder / run_dir.CONFIG, told)
        return recurrent_pools.run(values, corpus, config, saved, folder, searcher=searcher, schedule=schedule)


def _about(values, corpus, config):
    """What is said of the shared weights' checkpoints."""
    return {
        "network": "recurrent_supernet",
        "corpus": values.corpus,
        "vocabulary_size": len(corpus.vocabulary),
        "config": dataclasses.asdict(config),
        "seed": values.seed,
    }


def _on_shared_weights(values, corpus, config, folder):
    """Returns the evaluator on shared weights, trained or taken from where they were trained."""
    learner = evaluators.supernet_learner(corpus, config)
    with checkpoints.Checkpoints(folder / SUPERNET, _about(values, corpus, config)) as saved:
        state = train_language.train(
            learner,
            corpus,
            folder,
            saved,
            key=jax.random.key(values.seed),
            save_seconds=values.checkpoint_seconds,
            metrics=f"{SUPERNET}.jsonl",
            is_best=False,
            name="shared weights",
        )
    return evaluators.on_shared_weights(corpus, learner, language.evaluated(state), score=values.score)


def _tell_best(values, folder, best, vocabulary_size):
    """Says the perplexities of the best cell, and writes it, or the best of the finalists, as a genotype."""
    told = {name: best[name] for name in ("fitness", "test") if best[name] is not None}
    numbers = ", ".join(f"{name} {text.perplexity(value, vocabulary_size):.2f}" for name, value in told.items())
    print(f"perplexity: {numbers.replace('fitness', 'validation')}", flush=True)
    arch = np.array(best["arch"], np.int32)
    if values.rerank:
        arch = recurrent_finalists.best(values, folder, vocabulary_size)
    run_dir.write_text(folder / BEST, json_text.to_text(conversion.from_arch("nao_rnn", arch)))
    print(f"best cell: {folder / BEST}; train it with launch.train_language --genotype={folder / BEST}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
