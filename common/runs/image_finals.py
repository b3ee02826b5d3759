"""Last stage of `search_images`: the best candidate and networks without a search are trained from scratch."""

import math
import time
from concurrent import futures
from typing import Any

import numpy as np

from common.report import own_images as pages
from common.runs import halving, image_examples, image_plan, image_run, image_stages, image_trainings
from common.spaces import small_images as spaces
from common.training import export, program
from common.training import state as states

MODEL, PROGRAM = "model.safetensors", "model.stablehlo"
BEST = "best"
_FEW = 0.2  # of the epochs up to which the error is expected to fall
_MEASURED = 2  # epochs by which the speed is measured, those of the warm-up
_RESERVE = 10.0, 60.0  # seconds that tests and export take at least, and at most
_RESERVED = 0.02  # of the minutes, else
_SECONDS_BETWEEN_PAGES = 30.0  # drawing one takes a second or two from the trainings
_BATCH_SIZE = 250  # test images classified at a time


def train(
    run: image_run.Run,
    candidates: image_trainings.Candidates,
    plan: image_plan.Plan,
    stages: list[tuple[int, dict[halving.Row, float]]],
) -> tuple[list[dict[str, Any]], list[str]]:
    """Trains the best candidate to the end, and the baselines as far as there is time.

    Args:
      candidates: the program that has trained the candidates.
      stages: of the candidates, see `image_stages.search`.

    Returns:
      (the events of the networks trained, the best candidate first; names of those for which there was no time).
    """
    planned, (last_epochs, expected) = run.events.last("finals"), stages[-1]
    num_images = len(run.made.parts["validation"].labels)
    best = tuple(planned["best"]) if planned else image_plan.chosen(expected, num_images)
    if expected.get(best, math.inf) < max(expected.values()):
        print(
            f"chosen: {run.words(best)}, a published network, expected {100 * expected[best]:.1f} %: within a standard "
            f"error of the best candidate, {100 * max(expected.values()):.1f} %",
            flush=True,
        )
    if same := [name for name, arch in spaces.MEMBERS.items() if arch == best]:
        print(f"the network chosen is {same[0]}", flush=True)
    archs = {BEST: best} | {name: arch for name in image_stages.BASELINES if (arch := spaces.MEMBERS[name]) != best}
    made: dict[str, image_trainings.Final] = {}  # as far as they are compiled
    if planned is None:
        planned = _planned(run, archs, made, plan, last_epochs)
        run.write_page()
    missing = [name for name in archs if name not in planned["names"]]
    text = f"; no time for {' and '.join(missing)}" if missing else ""
    print(f"{', '.join(planned['names'])}: {planned['epochs']} epochs from scratch on all images{text}", flush=True)
    if planned["continued"]:
        num = planned["epochs"] - _MEASURED
        print(f"best: continues for {num} epochs from its parameters as a candidate, after {last_epochs}", flush=True)
    if planned["epochs"] < (few := _FEW * plan.enough_epochs):
        print(f"fewer than {few:g} epochs are too few for a useful network; give more minutes", flush=True)
    found = {one["name"]: one for one in run.events.all("final")}
    title = f"last training to epoch {planned['epochs']}"
    epochs: dict[str, float] = {}  # done so far, for the page
    with image_run.Live(title, len(planned["names"]), "trained", run.deadline) as live:

        def on_epoch(name, epoch):
            epochs[name] = epoch
            live.note(f"{name}, epoch {epoch:.1f} of {planned['epochs']}")

        settings = {"num_epochs": planned["epochs"], "known": made, "on_epoch": on_epoch}
        settings["candidates"] = candidates if planned["continued"] else None
        training = {
            run.pool.submit(image_trainings.in_32_bits, _final, run, name, archs[name], **settings)
            for name in planned["names"]
            if name not in found
        }
        wait = _SECONDS_BETWEEN_PAGES
        while training:
            finished, training = futures.wait(training, wait, futures.FIRST_COMPLETED)
            wait = pages.RELOAD_SECONDS if finished else _SECONDS_BETWEEN_PAGES  # a page just written is not replaced
            for one in finished:
                found[one.result()["name"]] = run.record(event="final", **one.result())
                live.note("tested", done=len(found))
            run.write_page(epochs=dict(epochs))
    return [found[name] for name in planned["names"]], missing


def _planned(run, archs, made, plan, last_epochs):
    """Records and returns the plan of the trainings, as long as there is time for."""
    reserve = float(np.clip(_RESERVED * 60 * run.about["minutes"], *_RESERVE))

    def finals(seconds):
        left = run.deadline - reserve - time.monotonic()
        return image_plan.finals(left, seconds, num_threads=run.num_threads)

    if run.num_threads > 1:
        seconds = _epoch_seconds(run, archs, made)
    else:  # others would take their first epochs from the best: only those for which there will be time
        seconds = _epoch_seconds(run, {BEST: archs[BEST]}, made)
        macs = run.cost("macs", list(archs.values()))
        _, names = finals(dict(zip(archs, (seconds[BEST] * macs / macs[0]).tolist())))
        if others := {name: archs[name] for name in names if name != BEST}:
            seconds |= _epoch_seconds(run, others, made)
    more, names = finals(seconds)
    epochs = _MEASURED + max(more, 1)
    return run.record(
        event="finals",
        epochs=epochs,
        names=list(names),
        best=list(archs[BEST]),
        epoch_seconds=seconds,
        continued=epochs * plan.scale <= last_epochs,  # in epochs of candidates
    )


def _epoch_seconds(run, archs, made):
    """Returns {name: seconds of an epoch} of {name: row}, by the first epochs of trainings, which `made` gets."""
    with image_run.Live("preparing the end", len(archs), "programs", run.deadline) as live:

        def measure(name):
            made[name] = _made(run, archs[name])
            task, path, times, steps = made[name].task, _state_path(run, name), [], []

            def on_step(step):
                run.check()
                times.append(time.monotonic())
                steps.append(step)

            path.unlink(missing_ok=True)
            stop = _MEASURED * task.steps_per_epoch
            image_trainings.train(task, path, stop=stop, num_epochs=_MEASURED, on_step=on_step)
            live.note("measuring the speed")
            return name, (times[-1] - times[0]) / (steps[-1] - steps[0]) * task.steps_per_epoch

        each = [run.pool.submit(image_trainings.in_32_bits, measure, name) for name in archs]
        return dict(one.result() for one in each)


def _made(run, arch):
    """Returns the training of a network."""
    network = run.made.stand_alone(np.array(arch, np.int32))
    return image_trainings.final(run.dataset, network, seed=run.about["seed"], macs=float(run.cost("macs", [arch])[0]))


def _state_path(run, name):
    """Returns the file of the state of a training."""
    return run.folder / image_run.STATES / f"{image_run.FINAL}{name}"


def _final(run, name, arch, *, num_epochs, known, on_epoch, candidates):
    """Trains and tests one network; returns its event. `on_epoch` is called with the name and the epochs done.

    With `candidates` the best one continues from its parameters as a candidate.
    """
    start, path, skipped = time.monotonic(), _state_path(run, name), 0
    made = known.get(name) or _made(run, arch)
    if name == BEST and candidates is not None:
        row, skipped = np.array(arch, np.int32), _MEASURED
        made = image_trainings.continued(made, candidates, run.state_path(arch), row, epochs=skipped)
        path = _state_path(run, f"{name}_continued")
    per_epoch, stop = made.task.steps_per_epoch, num_epochs * made.task.steps_per_epoch

    def on_step(step):
        run.check()
        on_epoch(name, step / per_epoch)

    deadline = run.deadline + (image_plan.LATE - 1) * 60 * run.about["minutes"]
    settings = {"stop": stop, "num_epochs": num_epochs, "on_step": on_step, "deadline": deadline}
    state = image_trainings.train(made.task, path, **settings)
    done = int(state.step) / per_epoch - skipped
    where = run.folder / (MODEL if name == BEST else f"{name}.safetensors")
    about = {"dataset": run.dataset.name, "seed": run.about["seed"], "epochs": done}
    export.save(where, made.network, states.averaged(state), made.images, about=about)
    model = export.load(where)
    predicted = _predictions(model, run.dataset.test.images)
    if name == BEST:
        program.save(run.folder / PROGRAM, model.logits, made.images.shape)
        image_examples.write_mistakes(run.folder, run.dataset, predicted)
    confusion = np.zeros((run.dataset.num_classes,) * 2, int)
    np.add.at(confusion, (run.dataset.test.labels, predicted), 1)
    return {
        "name": name,
        "arch": list(map(int, arch)),
        "test": float(np.mean(predicted == run.dataset.test.labels)),
        "epochs": done,
        "confusion": confusion.tolist(),
        "cost": time.monotonic() - start,
    }


def _predictions(model, images):
    """Returns int32[N], the classes of uint8[N, H, W, C]."""
    size = min(_BATCH_SIZE, len(images))
    padded = np.concatenate([images, images[: -len(images) % size]])
    found = [np.asarray(model.logits(padded[at : at + size])).argmax(axis=1) for at in range(0, len(padded), size)]
    return np.concatenate(found)[: len(images)].astype(np.int32)
