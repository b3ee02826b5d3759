"""A training run, from its settings to the files of its folder: what `launch.train` does.

config.json   metrics.jsonl (a line a chunk of steps)   result.json
checkpoints/ (see `common.training.checkpoints`)   events/ (for TensorBoard)
"""

import contextlib
import dataclasses
import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import rich.console
import rich.table
import rich.text
from absl import flags

from common.datasets import images
from common.genotypes import published
from common.networks import counting
from common.records import locks, run_dir
from common.training import augmentation as augmentations
from common.training import checkpoints, export, loop, models, sharding, training_log
from common.training import config as configs
from common.training import state as states
from launch import compilation, training_devices, training_run, training_stream

CHECKPOINTS = ("latest", "best")
_CHECKPOINTS, _LOCK = "checkpoints", "lock"


def train(
    values: flags.FlagValues,
    *,
    network: Any,
    given: Mapping[str, Any],
    config: configs.Config,
    augmentation: augmentations.Config,
) -> None:
    """Trains, goes on with an earlier start of the same run, writes the files of the run and says what came out.

    Args:
      values: the flags.
      network: settings of the network, before what is in `given`.
      given: settings of the network on the command line.
      config: how it is trained.
      augmentation: how its images are changed.

    Raises:
      ValueError: the flags do not suit each other, the folder is of another run, or training diverged.
    """
    sharding.connect(values.coordinator, num_processes=values.num_processes, process_id=values.process_id)
    if jax.process_count() > 1 and not values.workdir:
        raise ValueError("on several hosts give --workdir, a folder that all of them see")
    compilation.enable_cache(values.compilation_cache_dir)
    about = {"dataset": values.dataset, "held_out": values.held_out, "seed": values.seed}
    if values.stream:
        about["stream"] = dataclasses.asdict(training_stream.config(values.stream, image_size=values.image_size))
        num_classes = training_run.open_stream(about, values.data_dir)[0].num_classes
    else:
        num_classes = images.load(values.dataset, values.data_dir).num_classes
    for name in given:
        if not hasattr(network, name):
            raise ValueError(f"--{name} is not a setting of the networks of --preset={values.preset}; leave it out")
    settings = dataclasses.replace(network, num_classes=num_classes, **given)
    about = {
        **models.to_dict(models.network(published.get(values.genotype), settings)),
        "training": dataclasses.asdict(config),
        "augmentation": dataclasses.asdict(augmentation),
        **about,
    }
    run = training_run.build(json.loads(json.dumps(about)), values.data_dir)
    split = training_devices.split(values, run)
    folder = run_dir.create(values.workdir, command="train", benchmark=pathlib.Path(values.dataset).stem)
    with contextlib.ExitStack() as stack:
        log = None
        if jax.process_index() == 0:  # of several processes one writes; checkpoints they write together
            print(f"workdir: {folder}", flush=True)
            stack.enter_context(locks.hold(folder / _LOCK, what=str(folder)))
        saved = stack.enter_context(checkpoints.Checkpoints(folder / _CHECKPOINTS, run.about))
        state = saved.latest(run.template(split))
        if jax.process_index() == 0:
            config_json = {"command": "train", "flags": values.flag_values_dict(), **run.about, **run_dir.environment()}
            run_dir.write_json(folder / run_dir.CONFIG, config_json)
            start = 0 if state is None else int(state.step)
            if start:
                print(f"going on from step {start} of {run.num_steps}", flush=True)
            log = stack.enter_context(training_log.TrainingLog(folder, total=run.num_steps, start=start))
        _train(values, run, state, saved, split=split, log=log)
        result = _result(values, run, saved, split=split)
    if log is not None:
        result |= {"seconds": round(log.seconds, 3), "images_per_second": log.images_per_second}
        run_dir.write_json(folder / run_dir.RESULT, result)
        _print_result(result, values.genotype)
        print(f"workdir: {folder}", flush=True)


def evaluate(values: flags.FlagValues) -> None:
    """Evaluates a checkpoint of a folder on the test images (and those held out), and exports it if asked to.

    Raises:
      ValueError: there is no such checkpoint, or its dataset is not there.
    """
    if not values.workdir:
        raise ValueError("--evaluate needs --workdir, the folder of a training run")
    compilation.enable_cache(values.compilation_cache_dir)
    folder = pathlib.Path(values.workdir)
    run = training_run.build(checkpoints.read_about(folder / _CHECKPOINTS), values.data_dir)
    with checkpoints.Checkpoints(folder / _CHECKPOINTS, run.about) as saved:
        scored = _scored(values, run, saved, values.checkpoint)
    if values.export:
        _export(values.export, run, scored)
    table = rich.table.Table(title=f"{values.checkpoint} checkpoint, step {scored.step}")
    for name in ("images", "top-1", "top-5", "loss"):
        table.add_column(name)
    for part, score in scored.scores.items():
        table.add_row(part, _percent(score["top1"]), _percent(score["top5"]), f"{score['loss']:.4f}")
    rich.console.Console().print(table)


def _train(values, run, state, saved, *, split, log):
    """Trains from a state (None: from the start) to the end; the last state is a checkpoint then."""
    if state is None:
        state = run.steps.init(run.keys.init, run.images.shape)
    if int(state.step) == run.num_steps:
        return
    state, keys = training_devices.placed((state, run.keys), split)
    score = _scorer(values, run, [run.watched], split)
    if run.stream:
        chunks = training_stream.train(run, state, keys, most=values.steps_per_chunk, sharding=split)
    else:
        data = training_devices.placed(training_devices.data(run.parts["train"]), split)
        chunks = loop.train(run.steps, state, keys, data, run.config, most=values.steps_per_chunk, sharding=split)
    last_saved = time.monotonic()
    try:
        for current, chunk in chunks:
            epoch, within = divmod(chunk.step, run.steps_per_epoch)
            scores = None
            if chunk.step == run.num_steps or (not within and epoch % values.evaluate_every == 0):
                scores = score(states.averaged(current))[run.watched]
            if log is not None:
                log.add_chunk(chunk, epoch=chunk.step / run.steps_per_epoch, part=run.watched, scores=scores)
            if scores or sharding.agreed(time.monotonic() - last_saved >= values.checkpoint_seconds):
                saved.save(current, score=scores and scores["top1"])
                last_saved = time.monotonic()
    except loop.DivergedError as error:
        saved.wait()
        kept = f"; the checkpoint of step {saved.steps()[-1]} is kept" if saved.steps() else ""
        raise ValueError(f"{error}{kept}") from error
    saved.wait()


class _Scored(NamedTuple):
    """A checkpoint and how good it is."""

    step: int
    variables: Any
    scores: dict[str, dict[str, float]]  # "validation" (where images are held out) and "test"


def _scored(values, run, saved, which, *, split=None):
    """Returns the latest or the best checkpoint, evaluated."""
    template = run.template(split)
    state = saved.latest(template) if which == "latest" else saved.best(template)
    if state is None:
        raise ValueError("there is no checkpoint yet")
    parts = [part for part in ("validation", "test") if part in run.parts] or ["test"]
    variables = states.averaged(state)
    return _Scored(int(state.step), variables, _scorer(values, run, parts, split)(variables))


def _scorer(values, run, parts, split):
    """Returns variables -> the scores of each of the parts."""
    if run.stream:
        streamed = training_stream.evaluator(run, batch_size=values.evaluation_batch_size)
        return lambda variables: {"test": streamed(variables)}
    score = loop.evaluator(run.steps, batch_size=values.evaluation_batch_size, sharding=split)
    data = {part: training_devices.placed(training_devices.data(run.parts[part]), split) for part in parts}
    return lambda variables: {part: score(variables, data[part]) for part in parts}


def _result(values, run, saved, *, split):
    """Returns what result.json says, and exports the network if asked to."""
    scored = {which: _scored(values, run, saved, which, split=split) for which in CHECKPOINTS}
    if values.export and jax.process_index() == 0:
        _export(values.export, run, scored[values.checkpoint])
    num_params, num_auxiliary = counting.num_params(run.network, run.images.shape)
    return {
        "protocol": run.watched,
        "dataset": run.about["dataset"],
        "seed": run.about["seed"],
        "genotype": values.genotype,
        "parameters": num_params,
        "auxiliary_parameters": num_auxiliary,
        "multiply_adds": counting.num_multiply_adds(run.network, run.images.shape),
        "epochs": run.config.num_epochs,
        **{which: {"step": one.step, **one.scores} for which, one in scored.items()},
    }


def _export(path, run, scored):
    about = {
        "dataset": run.about["dataset"],
        "seed": run.about["seed"],
        "step": scored.step,
        "is_averaged": run.config.average_decay > 0,
        "scores": scored.scores,
    }
    export.save(path, run.network, scored.variables, run.images, about=about)
    print(f"exported: {path}", flush=True)


def _percent(fraction):
    return f"{100 * fraction:.2f} %"


def _print_result(result, genotype):
    table = rich.table.Table(title=f"{genotype} on {result['dataset']}", show_header=False)
    last, best = result["latest"], result["best"]
    rows = {
        "test top-1": _percent(last["test"]["top1"]),
        "test top-5": _percent(last["test"]["top5"]),
        f"best on {result['protocol']}": f"{_percent(best[result['protocol']]['top1'])} at step {best['step']}",
        "parameters": f"{result['parameters']:,}",
        "multiply-adds": f"{result['multiply_adds']:,} an image",
        "seconds": f"{result['seconds']:.1f}, compiling included",
        "images a second": f"{result['images_per_second']:,.0f}",
    }
    if "validation" in last:
        rows["test top-1 of the best"] = _percent(best["test"]["top1"])
    for name, text in rows.items():
        table.add_row(name, rich.text.Text(text))
    rich.console.Console().print(table)
