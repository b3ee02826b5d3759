"""Stages of `search_images` up to its finalists: compiling, candidates that are proposed, the best that continue."""

import functools
import math
import threading
import time
from concurrent import futures

import jax
import numpy as np

from common import in_turn, types, warm_up
from common import search as search_lib
from common.records import journal as journals
from common.records import run_dir
from common.runs import halving, image_plan, image_run, image_trainings
from common.runs.halving import Row
from common.spaces import cost_features
from common.spaces import small_images as spaces
from common.training import loop

BASELINES = ("three_convolutions", "resnet")
_NUM_TIMED = 3  # networks whose speed is measured before the plan
_LATE = 1.1  # of the seconds of the search, after which no candidate trains on


class _TooSlowError(Exception):
    """A candidate is too slow to be trained to the end."""


def prepare(run: image_run.Run) -> tuple[image_trainings.Candidates, image_plan.Plan]:
    """Compiles the program of the candidates, measures its speed, and returns it with the plan."""
    timed = [spaces.MEMBERS[name] for name in BASELINES]
    timed += np.asarray(run.space.sample(jax.random.key(run.about["seed"]), _NUM_TIMED)).tolist()
    with image_run.Live("preparing", 1, "programs", run.deadline) as live:
        made = image_trainings.candidates(run.made)
        length = made.task.most or made.task.steps_per_epoch  # that of the trainings, so that no other one is compiled
        path = run.folder / image_run.STATES / "timing"
        state = image_trainings.train(made.task, path, stop=length, arch=np.array(timed[0], np.int32))
        image_trainings.validate(made, state, np.array(timed[0], np.int32))
        path.unlink()
        live.note("measuring the speed")
        if (planned := run.events.last("plan")) is None:
            seconds = [_time(run, made, np.array(arch, np.int32), length) for arch in timed]
            epochs = made.task.steps_per_epoch / length * np.array(seconds)
            plan = image_plan.make(
                run.deadline - time.monotonic(),
                float(np.mean(epochs[len(BASELINES) :])),
                minutes=run.about["minutes"],
                steps_per_epoch=made.task.steps_per_epoch,
                num_threads=run.num_threads,
                num_images=len(run.dataset.train),
                batch_size=made.task.config.batch_size,
            )
            epoch_seconds = dict(zip(BASELINES, epochs.tolist()))
            found = {"epoch_seconds": epoch_seconds, "slowest": plan.slowest(epoch_seconds["resnet"])}
            run.record(event="plan", **plan._asdict(), **found)
            planned = run.events.last("plan")
    plan = image_plan.Plan(**{name: planned[name] for name in image_plan.Plan._fields if name in planned})
    (num, first), *later = zip(plan.counts, plan.epochs)
    stages = f"{num} candidates to epoch {first}" + "".join(f", the best {num} to {stop}" for num, stop in later)
    print(
        f"plan: after {planned['seconds']:.0f} s of compiling, {plan.search_seconds:.0f} s of search by "
        f"{run.algorithm.name}: {stages}; then {plan.final_seconds:.0f} s to train the best to the end, beside "
        f"{' and '.join(BASELINES)}",
        flush=True,
    )
    return made, plan


def search(
    run: image_run.Run, made: image_trainings.Candidates, plan: image_plan.Plan
) -> list[tuple[int, dict[Row, float]]]:
    """Returns the stages: for each the epochs, and {row: `Plan.expected` accuracy} of its candidates."""
    first, epoch_seconds = _proposed(run, made, plan)
    planned = run.begun + run.events.last("plan")["seconds"] + plan.search_seconds
    until = planned + (_LATE - 1) * plan.search_seconds
    known = {(tuple(one["arch"]), one["epochs"]): one["expected"] for one in run.events.all("trained")}

    def measure(chosen, epochs):
        stage = plan.epochs.index(epochs)
        if stage not in (nums := {one["stage"]: one["num"] for one in run.events.all("stage")}):
            each = [epoch_seconds[arch] * (epochs - plan.epochs[stage - 1]) for arch in chosen]
            left = (planned - time.monotonic()) / (len(plan.epochs) - stage)  # the same for all stages to come
            nums[stage] = image_plan.num_in_time(each, left, num_threads=run.num_threads)
            run.record(event="stage", stage=stage, epochs=epochs, num=nums[stage])
        if not nums[stage]:
            print(f"no time to train several candidates to epoch {epochs}", flush=True)
            return {}
        chosen = chosen[: nums[stage]]
        run.keep(chosen)
        found = {arch: known[arch, epochs] for arch in chosen if (arch, epochs) in known}
        title = f"{len(chosen)} best candidates to epoch {epochs}"
        with image_run.Live(title, len(chosen), "trained", run.deadline) as live:
            left = [arch for arch in chosen if arch not in found and time.monotonic() < until]
            for one in futures.as_completed(_submitted(run, made, left, epochs, live, until=until)):
                arch, accuracy, seconds = one.result()
                if accuracy is None:
                    run.record(event="stopped", stage=stage, arch=list(arch), epochs=epochs)
                    continue
                found[arch] = _record(run, plan, arch, epochs, accuracy, epoch_seconds[arch], cost=seconds)
                live.note(_best(found.values()), done=len(found))
                run.write_page()
        if len(found) < len(chosen):
            print(f"no time to train more than {len(found)} of {len(chosen)} candidates to epoch {epochs}", flush=True)
            return {}
        return found

    return halving.successive_halving(first, plan.epochs, measure)


def _proposed(run, made, plan):
    """Returns ({row: expected accuracy}, {row: seconds of an epoch}) of the candidates that the algorithm proposes."""
    few = functools.partial(image_plan.for_few, num_candidates=plan.num_candidates)
    space = cost_features.with_costs(run.space, run.made.costs)
    searcher = in_turn.configured(run.algorithm, space, few)
    known = np.array(list(spaces.MEMBERS.values()), np.int32)
    known = known[np.asarray(run.space.is_valid(known))][: max(len(BASELINES), plan.num_candidates // 2)]
    if len(known) and run.about.get("known_networks", True):
        searcher = warm_up.first(searcher, known, len(known))
    header = {name: run.about[name] for name in ("space", "images", "limit", "algorithm", "seed")}
    journal = run.resources.enter_context(journals.open_journal(run.folder / run_dir.JOURNAL, header))
    key = jax.random.key(run.about["seed"])
    search = search_lib.Search(key, searcher, space, budget=plan.num_candidates, count=1, journal=journal)
    title = f"candidates of {run.algorithm.name} to epoch {plan.epochs[0]}"
    last = run.events.last("searched")
    limit = run.begun + run.events.last("plan")["seconds"] + plan.first_seconds
    slowest = run.events.last("plan").get("slowest", math.inf)
    training: set[futures.Future] = set()

    def measured():
        return np.asarray(search.history.status) == types.MEASURED

    def is_due():
        """Returns whether a further candidate is proposed: also the first ones, and those of earlier starts."""
        if search.is_spent or len(training) >= run.num_threads:
            return False
        num, is_earlier = int(search.history.size), search.num_rounds in journal.proposed
        return is_earlier or (not last and (num < image_plan.MIN_CANDIDATES or time.monotonic() < limit))

    with image_run.Live(title, plan.num_candidates, "trained", run.deadline) as live:
        while True:
            while is_due():
                archs = map(tuple, search.ask().tolist())
                most = slowest if measured().any() else math.inf
                training |= _submitted(run, made, archs, plan.epochs[0], live, slowest=most, is_first=True)
            if not training:
                break
            finished, training = futures.wait(training, return_when=futures.FIRST_COMPLETED)
            for arch, accuracy, seconds in (one.result() for one in finished):
                fitness = math.nan
                if accuracy is not None:
                    epoch = seconds / plan.epochs[0]
                    fitness = _record(run, plan, arch, plan.epochs[0], accuracy, epoch, cost=seconds)
                search.tell(np.array([arch], np.int32), [fitness], [seconds])
            best = _best([search.best[1]]) if measured().any() else "no result"
            live.note(best, done=int(measured().sum()))
            run.write_page()
        search.wait()  # takes the results of earlier starts
        if not last:
            run.record(event="searched", num=int(search.history.size))
    run_dir.write_history(run.folder / run_dir.HISTORY, search.history)
    if num_slow := int(np.sum(np.asarray(search.history.status) == types.INFEASIBLE)):
        print(f"too slow, more than {slowest:.2g} s an epoch: {num_slow} of the candidates", flush=True)
    rows = list(map(tuple, np.asarray(search.history.archs)[measured()].tolist()))
    seconds = np.asarray(search.history.cost)[measured()] / plan.epochs[0]
    return dict(zip(rows, np.asarray(search.history.fitness)[measured()].tolist())), dict(zip(rows, seconds.tolist()))


def _record(run, plan, arch, epochs, accuracy, epoch_seconds, *, cost):
    """Records a candidate that was trained, and returns its expected accuracy."""
    expected = plan.expected(accuracy, epochs, epoch_seconds)
    run.record(event="trained", arch=list(arch), epochs=epochs, fitness=accuracy, expected=expected, cost=cost)
    return expected


def _best(expected):
    """Returns a text of the best of some expected accuracies."""
    return f"best expected {100 * max(expected):.1f} %"


def _time(run, made, arch, length):
    """Returns the seconds of `length` steps of a candidate."""
    path = run.folder / image_run.STATES / f"timing_{threading.get_ident()}"
    path.unlink(missing_ok=True)
    start = time.perf_counter()
    image_trainings.train(made.task, path, stop=length, arch=arch)
    path.unlink()
    return time.perf_counter() - start


def _slowest_now(run, made):
    """Returns the seconds of an epoch above which a candidate is too slow, on a machine that may have become busy."""
    planned, length, resnet = run.events.last("plan"), made.task.most or made.task.steps_per_epoch, BASELINES[1]
    seconds = _time(run, made, np.array(spaces.MEMBERS[resnet], np.int32), length) / length * made.task.steps_per_epoch
    return planned["slowest"] * max(1.0, seconds / planned["epoch_seconds"][resnet])


def _submitted(run, made, archs, epochs, live, *, until=math.inf, slowest=math.inf, is_first=False):
    """Returns futures of (row, accuracy, seconds) of rows trained to an epoch.

    In the first stage the seconds are those of the whole training, also if an earlier start began it.
    The accuracy is None if they are not by `until`, or if the first epoch shows that one takes more than `slowest`
    and the ResNet does not take longer than it did for the plan.
    """
    per_epoch = made.task.steps_per_epoch

    def one(arch):
        start, row, is_fresh = time.monotonic(), np.array(arch, np.int32), not run.state_path(arch).exists()
        most = slowest

        def on_step(step):
            nonlocal start, most
            run.check()
            taken = time.monotonic() - start
            if is_fresh and step <= per_epoch and taken / step * per_epoch > most:
                most = _slowest_now(run, made)
                if taken / step * per_epoch > most:
                    raise _TooSlowError
                start = time.monotonic() - taken
            live.note(f"candidate {run.words(arch)}, epoch {step / per_epoch:.1f} of {epochs}")

        try:
            state = image_trainings.train(
                made.task, run.state_path(arch), stop=epochs * per_epoch, arch=row, on_step=on_step, deadline=until
            )
            if int(state.step) < epochs * per_epoch:
                return arch, None, time.monotonic() - start
        except _TooSlowError:
            return arch, None, time.monotonic() - start
        except loop.DivergedError:
            return arch, 0.0, time.monotonic() - start
        accuracy, seconds = image_trainings.validate(made, state, row), time.monotonic() - start
        if is_first and not is_fresh:
            length = made.task.most or per_epoch
            seconds = _time(run, made, row, length) / length * per_epoch * epochs
        return arch, accuracy, seconds

    return {run.pool.submit(image_trainings.in_32_bits, one, arch) for arch in archs}
