"""Training of language models in a run folder, with checkpoints, metrics and result; resumable."""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import chex
import jax

from common import compilation
from common import config as configs
from common.datasets import text
from common.genotypes import json_text
from common.genotypes.genotype import RecurrentGenotype
from common.language import config as language_config
from common.language import recurrent, segments, training
from common.language import step as steps
from common.records import json_files, locks, metrics_log, run_dir
from common.training import checkpoints, sharding

CheckpointSeconds = Annotated[float, "minimum seconds between checkpoints within an epoch", configs.Range(at_least=0)]


@configs.dataclass
class Corpus:
    """Text corpus."""

    corpus: Annotated[Literal[text.CORPORA], "text; topics comes with Python"] = "topics"
    vocabulary: Annotated[Literal[text.VOCABULARIES], "splits whose words are in the vocabulary"] = "all"
    data_dir: Annotated[str | None, "folder of the corpus; else $NAS_DATA_DIR"] = None

    def load(self) -> text.Corpus:
        """Returns the corpus; raises a `ValueError` if it cannot be read."""
        return text.load(self.corpus, self.data_dir, vocabulary=self.vocabulary)


@configs.dataclass
class Options:
    """Settings of a training run."""

    seed: configs.Seed = 0
    workdir: Annotated[str | None, "folder of the run, to start or to resume; by default a fresh one under runs/"] = (
        None
    )
    checkpoint_seconds: CheckpointSeconds = 300.0
    num_devices: Annotated[int, "devices to split batches over; 0: all", configs.Range(at_least=0)] = 1
    corpus: Annotated[Corpus, "text"] = Corpus()
    training: Annotated[language_config.Config, "training settings"] = language_config.PRESETS["topics"]


@compilation.in_32_bits
def train(
    genotype: RecurrentGenotype, options: Options, *, name: str, flags: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Trains the language model of one cell, or resumes, writes the files, and returns result.json and `workdir`.

    Args:
      name: of the genotype, for result.json.
      flags: all settings by flag name, for config.json; by default those of `options`.

    Raises:
      ValueError: the corpus cannot be read, training diverged, or the folder belongs to another run or is in use.
    """
    corpus, config = options.corpus.load(), options.training
    text.report(corpus)
    check_lengths(corpus, config)
    batches = sharding.over(options.num_devices)
    if batches is not None:
        sharding.check_batch(config.batch_size, batches.mesh)
    size = len(corpus.vocabulary)
    sizes = {"vocabulary_size": size, "width": config.width}
    network = recurrent.language_model(genotype, **sizes, dropout=config.dropout, dtype=config.dtype)
    learner = training.Learner(network, config, training.NO_ARCH)
    about = {
        "genotype": json.loads(json_text.to_text(genotype)),
        "corpus": options.corpus.corpus,
        "vocabulary_size": size,
        "config": configs.to_json(config),
        "seed": options.seed,
    }
    folder = run_dir.create(options.workdir, command="train_language", benchmark=options.corpus.corpus)
    run_dir.check_command(folder, "train_language")
    with (
        locks.hold(folder / run_dir.LOCK, what=str(folder)),
        checkpoints.Checkpoints(folder / run_dir.CHECKPOINTS, about, corpus.checksum) as saved,
    ):
        flags = configs.to_json(options) if flags is None else dict(flags)
        record = {"command": "train_language", "flags": flags, **about}
        run_dir.write_config(folder, record)
        train_in(
            folder,
            learner,
            corpus,
            saved,
            key=jax.random.key(options.seed),
            save_seconds=options.checkpoint_seconds,
            title="epochs",
            batches=batches,
        )
        result = _result(folder, learner, corpus, saved)
        result = {"protocol": "validation", "corpus": corpus.name, "seed": options.seed, "genotype": name, **result}
        run_dir.write_json(folder / run_dir.RESULT, result)
    return {**result, "workdir": str(folder)}


def train_in(
    folder: pathlib.Path,
    learner: training.Learner,
    corpus: text.Corpus,
    saved: checkpoints.Checkpoints,
    *,
    key: chex.PRNGKey,
    save_seconds: float,
    title: str,
    metrics: str = run_dir.METRICS,
    num_epochs: int | None = None,
    batches: jax.sharding.NamedSharding | None = None,
) -> steps.State:
    """Trains from the latest checkpoint, with one line of metrics per epoch; returns the state after the last epoch.

    Args:
      corpus: its training and validation texts are read.
      saved: checkpoints of the run.
      key: determines all random numbers.
      save_seconds: minimum time between two checkpoints within an epoch.
      num_epochs: epoch to stop at; by default that of the settings.
      batches: sharding of batches over devices; by default one device.
    """
    config, keys = learner.config, training.keys(key)
    data = segments.prepare(corpus.train, config.batch_size, config.chunks)
    valid = segments.prepare(corpus.valid, config.valid_batch_size, config.chunks)
    state = saved.latest(template(learner)) or training.create(learner, keys)
    state, data = shard(state, data, batches)
    log = metrics_log.MetricsLog(
        folder / metrics, title=title, total=config.num_epochs, unit="epochs", start=int(state.epoch), key="epoch"
    )
    with log:
        trained = training.train(
            learner, state, keys, data, valid, checkpoints=saved, save_seconds=save_seconds, num_epochs=num_epochs
        )
        for state, epoch in trained:  # noqa: B007  the last one is returned
            perplexities = {
                "train_perplexity": _perplexity(epoch.train_loss),
                "valid_perplexity": _perplexity(epoch.valid_loss),
            }
            note = f"validation perplexity {perplexities['valid_perplexity']:.2f}"
            log.add({**epoch._asdict(), **perplexities}, note=note)
    saved.wait()
    return state


def shard(
    state: steps.State, data: segments.Text, batches: jax.sharding.NamedSharding | None
) -> tuple[steps.State, segments.Text]:
    """Returns a state and a text whose sequences are split over the devices of `batches`; None: as they are.

    Each device then computes its sequences, and the gradient is the sum over devices.
    """
    if batches is None:
        return state, data
    by_column = jax.sharding.NamedSharding(batches.mesh, jax.sharding.PartitionSpec(None, *batches.spec))
    tokens, hidden = jax.device_put(data.tokens, by_column), jax.device_put(state.hidden, batches)
    return sharding.replicate(state, batches.mesh).replace(hidden=hidden), data._replace(tokens=tokens)


def check_lengths(corpus: text.Corpus, config: language_config.Config) -> None:
    """Raises a `ValueError` if a split of a corpus is too short for its batches."""
    splits = {"batch_size": corpus.train, "valid_batch_size": corpus.valid, "test_batch_size": corpus.test}
    for name, split in splits.items():
        text.batchify(split, getattr(config, name), name=name)


def template(learner: training.Learner) -> steps.State:
    """Returns the shapes of a train state, for reading checkpoints."""
    state = jax.eval_shape(lambda: training.create(learner, training.keys(jax.random.key(0))))
    return sharding.template(state, None)


def _perplexity(loss):
    """Returns the perplexity of a loss in nats per word, at most e^100: beyond e^709 it is no number."""
    return math.exp(min(loss, 100.0))


def _result(folder, learner, corpus, saved):
    """Returns the entries of result.json about the state with the lowest validation loss."""
    best = saved.best(template(learner))
    test = segments.prepare(corpus.test, learner.config.test_batch_size, learner.config.chunks)
    test_loss = training.evaluate(learner, training.evaluated(best), test)
    valid_loss = float(best.valid_losses[int(best.epoch) - 1])
    lines = json_files.read_lines(folder / run_dir.METRICS)
    return {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(best.params)),
        "epochs": learner.config.num_epochs,
        "seconds": round(sum(line["seconds"] for line in lines), 3),
        "best": {
            "epoch": int(best.epoch),
            "is_averaged": bool(best.num_averaged > 0),
            "valid_loss": valid_loss,
            "valid_perplexity": _perplexity(valid_loss),
            "test_loss": test_loss,
            "test_perplexity": _perplexity(test_loss),
        },
        "unigram_perplexity": {split: text.unigram_perplexity(corpus, split) for split in ("valid", "test")},
    }
