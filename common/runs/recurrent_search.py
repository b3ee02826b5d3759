"""Search of recurrent cells in a run folder: on shared weights, on a renewed pool, or by training from scratch.

Beside the files of a search: supernet/ (checkpoints of the shared weights) and supernet.jsonl (their metrics),
pools.jsonl (pools and scores), finalists.jsonl (best cells trained from scratch), best.json (the cell found).
"""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import jax
import numpy as np

from common import compilation, spaces, types
from common import config as configs
from common.datasets import text
from common.genotypes import conversion, json_text
from common.language import config as language_config
from common.language import evaluators, training
from common.records import locks, run_dir
from common.runs import finalists as finalists_lib
from common.runs import language, population, weight_sharing
from common.runs import search as searches
from common.training import checkpoints

SUPERNET = "supernet"
PRESETS = {"supernet": "topics_supernet", "training": "topics_search"}  # of training, by measure


@configs.dataclass
class Settings:
    """Evaluation of recurrent cells."""

    measure: Annotated[
        Literal[tuple(PRESETS)], "evaluate cells on shared weights (supernet) or train each from scratch (training)"
    ] = "supernet"
    score: Annotated[
        evaluators.Score,
        "part of the validation text that is evaluated on shared weights; "
        + "; ".join(f"{name}: {meaning}" for name, meaning in evaluators.SCORES.items()),
        configs.Needs("measure", ("supernet",)),
    ] = "all"
    rerank: Annotated[int, "number of best cells to train from scratch at the end", configs.Range(at_least=0)] = 0
    rerank_preset: Annotated[
        Literal[tuple(language_config.PRESETS)], "settings of this training", configs.Needs("rerank")
    ] = "topics_search"
    rerank_num_epochs: Annotated[
        int | None,
        "epochs of this training; by default those of its preset",
        configs.Range(at_least=1),
        configs.Needs("rerank"),
    ] = None
    checkpoint_seconds: language.CheckpointSeconds = 300.0
    corpus: Annotated[language.Corpus, "text"] = language.Corpus()
    training: Annotated[language_config.Config, "training settings"] = language_config.PRESETS["topics_supernet"]

    @property
    def final_training(self) -> language_config.Config:
        """Settings of training the best cells from scratch."""
        config = language_config.PRESETS[self.rerank_preset]
        return dataclasses.replace(config, num_epochs=self.rerank_num_epochs or config.num_epochs)


class Found(NamedTuple):
    """Result of a search.

    Attributes:
      result: the content of result.json.
      folder: of the run.
      vocabulary_size: V, for `text.perplexity`.
      finalists: the best cells, best of the search first, if they were trained from scratch.
      best: file of the genotype found; None if nothing could be evaluated.
    """

    result: dict[str, Any]
    folder: pathlib.Path
    vocabulary_size: int
    finalists: list[finalists_lib.Finalist]
    best: pathlib.Path | None


@compilation.in_32_bits
def search(
    searcher: types.Searcher,
    settings: Settings,
    options: searches.Options,
    *,
    algorithm: str,
    schedule: weight_sharing.Schedule | None = None,
    schedule_name: str | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Found:
    """Searches a recurrent cell, or resumes the search, and writes the files of the run.

    Args:
      searcher: the search algorithm, on the space `nao_rnn`.
      options: of the run; with a schedule only its seed and folder are used.
      algorithm: name of the algorithm, in the headers of the run's files.
      schedule: of a pool on which the shared weights train, renewed by the searcher, see `population.renewing`; by
        default they are trained first, on the whole space.
      flags: all settings by flag name, for config.json; by default those of `options`.

    Raises:
      ValueError: the settings do not fit together, the corpus cannot be read, training diverged, or the folder
        belongs to another search or is in use.
    """
    if settings.measure == "supernet" and options.executor != "inline":
        raise ValueError("shared weights are in this process; use executor inline (--executor=inline)")
    if schedule is not None:
        _check_schedule(settings, schedule)
    else:
        searches.check(options, searcher, spaces.get("nao_rnn"), folder=options.workdir)
    corpus = settings.corpus.load()
    text.report(corpus)
    for config in (settings.training, *([settings.final_training] if settings.rerank else [])):
        language.check_lengths(corpus, config)
    folder = run_dir.create(options.workdir, command="search_recurrent", benchmark=settings.corpus.corpus)
    run_dir.check_command(folder, "search_recurrent")
    run = functools.partial(_search_fixed, options=options)
    if schedule is not None:
        run = functools.partial(_search_pool, seed=options.seed, schedule=schedule, name=schedule_name)
    flags = configs.to_json(options) if flags is None else dict(flags)
    result = run(searcher, settings, corpus, folder, algorithm=algorithm, flags=flags)
    if result["best"] is None:
        return Found(result, folder, len(corpus.vocabulary), [], None)
    cells = _rerank(settings, folder, seed=options.seed)
    arch = finalists_lib.best(cells) if cells else result["best"]["arch"]
    path = folder / run_dir.BEST
    run_dir.write_text(path, json_text.to_text(conversion.from_arch("nao_rnn", arch)))
    return Found(result, folder, len(corpus.vocabulary), cells, path)


def _check_schedule(settings, schedule):
    if settings.measure != "supernet":
        raise ValueError("a schedule is for shared weights; choose measure supernet (--measure=supernet)")
    if settings.training.num_epochs % schedule.num_blocks:
        found = f"num_epochs = {settings.training.num_epochs} is not a multiple of num_blocks = {schedule.num_blocks}"
        raise ValueError(f"{found}; a block is num_epochs / num_blocks epochs")


def _search_fixed(searcher, settings, corpus, folder, *, options, algorithm, flags):
    """Returns the content of result.json of a search whose fitness does not change."""
    if settings.measure == "training":
        evaluator = _from_scratch(settings, settings.training)
    else:
        searches.check_folder(folder, "search_recurrent", weights=folder / SUPERNET)  # before anything is trained
        learner = evaluators.supernet_learner(corpus, settings.training)
        about = _about(settings, corpus, options.seed)
        with checkpoints.Checkpoints(folder / SUPERNET, about, corpus.checksum) as saved:
            key = jax.random.key(options.seed)
            state = _train(settings, learner, corpus, folder, saved, key=key, title="shared weights")
        evaluator = evaluators.on_shared_weights(corpus, learner, training.evaluated(state), score=settings.score)
    config = {
        "measure": settings.measure,
        "corpus": settings.corpus.corpus,
        "vocabulary": settings.corpus.vocabulary,
        "score": settings.score,
        "training": configs.to_json(settings.training),
    }
    return searches.run(
        evaluator,
        searcher,
        options,
        command="search_recurrent",
        algorithm=algorithm,
        config=config,
        folder=folder,
        notes={"vocabulary_size": len(corpus.vocabulary)},
        flags=flags,
    )


def _search_pool(searcher, settings, corpus, folder, *, seed, schedule, name, algorithm, flags):
    """Returns the content of result.json of a search whose shared weights train on a pool that it renews."""
    population.check_folder(folder, "search_recurrent")
    config, learner = settings.training, evaluators.supernet_learner(corpus, settings.training)
    about = {**_about(settings, corpus, seed), "schedule": configs.to_json(schedule)}

    def train(key, _, archs, block):
        title = f"shared weights, block {block + 1} of {schedule.num_blocks}"
        num_epochs = (block + 1) * config.num_epochs // schedule.num_blocks
        on_pool = evaluators.supernet_learner(corpus, config, archs)
        return _train(settings, on_pool, corpus, folder, saved, key=key, title=title, num_epochs=num_epochs)

    def evaluator(state):
        return evaluators.on_shared_weights(corpus, learner, training.evaluated(state), score=settings.score)

    record = {"command": "search_recurrent", "algorithm": algorithm, "score": settings.score, **about, "flags": flags}
    with (
        locks.hold(folder / run_dir.LOCK, what=str(folder)),
        checkpoints.Checkpoints(folder / SUPERNET, about, corpus.checksum) as saved,
    ):
        state, space = saved.latest(language.template(learner)), spaces.get("nao_rnn")
        run = functools.partial(population.run, space, searcher, train, evaluator, state, schedule, folder, record)
        result, _ = run(seed=seed, name=name)
    return result


def _train(settings, learner, corpus, folder, saved, *, key, title, num_epochs=None):
    """Returns the state of shared weights after training them up to an epoch."""
    return language.train_in(
        folder,
        learner,
        corpus,
        saved,
        key=key,
        save_seconds=settings.checkpoint_seconds,
        title=title,
        metrics=f"{SUPERNET}.jsonl",
        num_epochs=num_epochs,
    )


def _from_scratch(settings, config):
    """Returns the evaluator that trains each cell."""
    corpus = settings.corpus
    return evaluators.from_scratch(corpus.corpus, data_dir=corpus.data_dir, vocabulary=corpus.vocabulary, config=config)


def _about(settings, corpus, seed):
    """Returns the record of the shared weights' checkpoints."""
    return {
        "network": "recurrent_supernet",
        "corpus": settings.corpus.corpus,
        "vocabulary_size": len(corpus.vocabulary),
        "config": configs.to_json(settings.training),
        "seed": seed,
    }


def _rerank(settings, folder, *, seed):
    """Returns the best cells of a search, trained from scratch for a short time, those of earlier starts included."""
    if not settings.rerank and not (folder / finalists_lib.FINALISTS_JOURNAL).exists():
        return []
    archs, fitness = searches.ranked(folder)
    corpus, config = settings.corpus, settings.final_training
    header = {"corpus": corpus.corpus, "vocabulary": corpus.vocabulary, "seed": seed, "config": configs.to_json(config)}
    evaluator = _from_scratch(settings, config)
    results = finalists_lib.rerank_journaled(evaluator, archs[: settings.rerank], folder, header=header, seed=seed)
    found = dict(zip(map(tuple, archs.tolist()), fitness.tolist(), strict=True))
    return [finalists_lib.Finalist(arch, found.get(arch, np.nan), one) for arch, one in results.items()]
