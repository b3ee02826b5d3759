"""Training of one architecture in a run folder; started again on its folder, it resumes bit-exactly.

  from common.runs import training
  from common.training import presets

  result = training.train("lanet", presets.PRESETS["digits"], "digits", training.Options(seed=1), folder="runs/first")

config.json   metrics.jsonl (a line per chunk of steps)   result.json
checkpoints/ (see `common.training.checkpoints`)   events/ (for TensorBoard)
"""

import contextlib
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import jax

from common import compilation
from common import config as configs
from common.config import Range
from common.datasets import streams
from common.genotypes import genotype as genotypes
from common.genotypes import published
from common.networks import counting
from common.records import locks, run_dir
from common.runs import initial_weights, longer, teachers, training_data, training_run
from common.training import checkpoints, export, loop, presets, sharding, training_log
from common.training import state as states

CHECKPOINTS = ("latest", "best")
_TAUGHT = configs.Needs("teacher")


@configs.dataclass
class Options:
    """Settings of a training run."""

    seed: configs.Seed = 0
    held_out: Annotated[
        int,
        "training images to hold out, which determine the best checkpoint; 0: the test images do",
        Range(at_least=0),
    ] = 0
    init_from: Annotated[
        str | None, "exported network (--export) whose weights are the initial ones; None: random ones"
    ] = None
    teacher: Annotated[
        str | None, "exported network, or folder of a training run, whose outputs are learned too; None: labels only"
    ] = None
    teacher_weight: Annotated[
        float, "weight of the teacher's outputs; the labels have 1 - teacher_weight", Range(above=0, at_most=1), _TAUGHT
    ] = 0.9
    teacher_temperature: Annotated[float, "by which the logits of both are divided", Range(above=0), _TAUGHT] = 4.0
    checkpoint: Annotated[Literal[CHECKPOINTS], "checkpoint to evaluate or export"] = "latest"
    export: Annotated[str | None, "file to write the trained network to, such as model.safetensors"] = None
    evaluate_every: Annotated[int, "epochs between evaluations", Range(at_least=1)] = 5
    evaluation_batch_size: Annotated[int, "images per evaluation batch", Range(at_least=1)] = 256
    steps_per_chunk: Annotated[
        int, "maximum steps per compiled chunk; 0: an epoch, or 8 of a stream", Range(at_least=0)
    ] = 0
    checkpoint_seconds: Annotated[float, "minimum seconds between checkpoints in an epoch", Range(at_least=0)] = 300.0
    num_devices: Annotated[int, "devices to split batches over; 0: all", Range(at_least=0)] = 0


class Scored(NamedTuple):
    """Scores of a checkpoint."""

    step: int  # of the checkpoint
    variables: Any  # parameters and statistics of the network
    scores: dict[str, training_data.Scores]  # by part: "validation", if images are held out, and "test"


@compilation.in_32_bits
def train(
    genotype: str | genotypes.Genotype,
    preset: presets.Preset,
    dataset: str = "digits",
    options: Options | None = None,
    *,
    folder: str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
    stream: streams.Config | None = None,
    flags: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Trains an architecture, or resumes its training, and writes the files of the run.

    Args:
      genotype: cells or a chain of blocks; or the name of a published one, or a JSON file.
      preset: settings of network, training and augmentation; the number of classes is that of the dataset.
      dataset: see `common.datasets.images.load`; of a stream, the name of a prepared dataset.
      folder: of the run; None: a fresh one under runs/.
      stream: preprocessing of images that are streamed during training; None: they are loaded into memory.
      flags: all settings by flag name, for config.json; by default those of `options`.

    Returns:
      The content of result.json, and `workdir`, the folder. Of several processes, the first has all of it.

    Raises:
      ValueError: settings do not fit each other, the folder belongs to another run, or training diverged.
    """
    options = options or Options()
    if jax.process_count() > 1 and not folder:
        raise ValueError("on several hosts give --workdir, a folder that all of them see")
    name = genotype if isinstance(genotype, str) else type(genotype).__name__
    genotype = published.get(genotype) if isinstance(genotype, str) else genotype
    run = training_run.new(
        genotype, preset, dataset, data_dir, stream=stream, held_out=options.held_out, seed=options.seed
    )
    run, given = initial_weights.read(options.init_from, run) if options.init_from else (run, {})
    if options.teacher:
        settings = {"weight": options.teacher_weight, "temperature": options.teacher_temperature}
        run = teachers.read(options.teacher, run, data_dir, **settings)
    if options.export:
        export.check_replaceable(options.export, run.network, _identity(run), folder=folder)
    batches = training_run.split(run, options.num_devices, evaluation_batch_size=options.evaluation_batch_size)
    folder = run_dir.create(folder, command="train", benchmark=pathlib.Path(dataset).stem)
    is_first = jax.process_index() == 0  # of several processes; checkpoints they write together
    with contextlib.ExitStack() as stack:
        log = None
        if is_first:
            run_dir.check_command(folder, "train")
            stack.enter_context(locks.hold(folder / run_dir.LOCK, what=str(folder)))
            longer.extend(folder / run_dir.CHECKPOINTS, run)
        sharding.agreed(is_first)  # the other processes wait for that
        saved = stack.enter_context(
            checkpoints.Checkpoints(folder / run_dir.CHECKPOINTS, run.about, run.images.checksum)
        )
        state = saved.latest(run.template(batches))
        if is_first:
            flags = configs.to_json(options) if flags is None else dict(flags)
            config = {"command": "train", "flags": flags, **run.about}
            run_dir.write_config(folder, config)
            start = 0 if state is None else int(state.step)
            if start:
                print(f"resuming from step {start} of {run.num_steps}", flush=True)
            log = stack.enter_context(training_log.TrainingLog(folder, total=run.num_steps, start=start))
        state = initial_weights.init(run, given) if state is None else state
        _train(run, options, state, saved, batches=batches, log=log)
        result = _result(run, options, saved, name=name, batches=batches)
    if is_first:
        result |= {"seconds": round(log.seconds, 3), "images_per_second": log.images_per_second}
        run_dir.write_json(folder / run_dir.RESULT, result)
    return {**result, "workdir": str(folder)}


@compilation.in_32_bits
def evaluate(
    folder: str | os.PathLike, options: Options | None = None, *, data_dir: str | os.PathLike | None = None
) -> Scored:
    """Returns loss and accuracies of a checkpoint on the test images (and those held out), and exports it if requested.

    Args:
      options: which checkpoint, and the file to export it to; by default the last one, without export.

    Raises:
      ValueError: there is no such checkpoint or dataset.
    """
    options, folder = options or Options(), pathlib.Path(folder) / run_dir.CHECKPOINTS
    run = training_run.build(checkpoints.read_about(folder), data_dir)
    if options.export:
        export.check_replaceable(options.export, run.network, _identity(run))
    with checkpoints.Checkpoints(folder, run.about) as saved:
        scored = _scored(run, options, saved, options.checkpoint)
    if options.export:
        _export(options.export, run, scored)
    return scored


def _train(run, options, state, saved, *, batches, log):
    """Trains from a state to the last step, and saves that."""
    if int(state.step) == run.num_steps:
        return
    state, keys, teacher = sharding.place((state, run.keys, run.teacher), batches)
    watched = run.images.watched
    score = run.images.scorer(run.steps, watched, batch_size=options.evaluation_batch_size, sharding=batches)
    settings = {"most": options.steps_per_chunk, "sharding": batches, "teacher": teacher}
    chunks = run.images.chunks(run.steps, state, keys, run.config, **settings)
    last_saved = time.monotonic()
    try:
        for current, chunk in chunks:
            epoch, within = divmod(chunk.step, run.steps_per_epoch)
            scores = None
            if chunk.step == run.num_steps or (not within and epoch % options.evaluate_every == 0):
                scores = score(states.averaged(current))
            if log is not None:
                log.add_chunk(chunk, epoch=chunk.step / run.steps_per_epoch, part=watched, scores=scores)
            if scores or sharding.agreed(time.monotonic() - last_saved >= options.checkpoint_seconds):
                saved.save(current, score=scores and scores["top1"])
                last_saved = time.monotonic()
    except loop.DivergedError as error:
        saved.wait()
        kept = f"; the checkpoint of step {saved.steps()[-1]} is kept" if saved.steps() else ""
        raise ValueError(f"{error}{kept}") from error
    saved.wait()


def _scored(run, options, saved, which, *, batches=None):
    template = run.template(batches)
    state = saved.latest(template) if which == "latest" else saved.best(template)
    if state is None:
        raise ValueError("there is no checkpoint yet")
    variables, scores = states.averaged(state), {}
    for part in ("validation", "test"):
        if part in run.images.sizes:
            score = run.images.scorer(run.steps, part, batch_size=options.evaluation_batch_size, sharding=batches)
            scores[part] = score(variables)
    return Scored(int(state.step), variables, scores)


def _result(run, options, saved, *, name, batches):
    """Returns the content of result.json but for the times; exports the network if asked to."""
    scored = {which: _scored(run, options, saved, which, batches=batches) for which in CHECKPOINTS}
    if options.export and jax.process_index() == 0:
        _export(options.export, run, scored[options.checkpoint])
    num_params, num_auxiliary = counting.num_params(run.network, run.images.shape)
    return {
        "protocol": run.images.watched,
        "dataset": run.about["dataset"],
        "seed": run.about["seed"],
        "genotype": name,
        "parameters": num_params,
        "auxiliary_parameters": num_auxiliary,
        "multiply_adds": counting.num_multiply_adds(run.network, run.images.shape),
        "epochs": run.config.num_epochs,
        **{which: {"step": one.step, **one.scores} for which, one in scored.items()},
    }


def _export(path, run, scored):
    about = {**_identity(run), "step": scored.step}
    about |= {"is_averaged": run.config.average_decay > 0, "scores": scored.scores}
    images = export.Images(run.images.shape, run.images.mean, run.images.std, run.normalization)
    export.save(path, run.network, scored.variables, images, about=about)


def _identity(run):
    """Returns the entries of an exported file that identify the training, beside those of its network."""
    return {name: run.about[name] for name in ("dataset", "seed")}
