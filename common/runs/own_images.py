"""A network for images of one's own, in given minutes, within limits: search, training, comparison and export.

1. Candidates that a search algorithm proposes are trained for a few epochs each, by one program.      journal.jsonl
2. A third of them continues, three times as long, and a third of those again.                       trainings.jsonl
3. The best one trains from scratch on all training images, and so do networks without a search.      trainings.jsonl
4. The results: result.json, best.json (genotype), model.safetensors, model.stablehlo, report.html.

Everything resumes; the minutes count over all starts.
"""

import contextlib
import math
import os
import pathlib
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent import futures
from typing import Any

import jax
import numpy as np

from common import compilation, fronts, plugins, types
from common import search as search_lib
from common.datasets import images, records
from common.genotypes import conversion, json_text
from common.records import journal as journals
from common.records import json_lines, run_dir
from common.report import own_images as pages
from common.runs import finalists, image_plan, image_trainings
from common.spaces import limits
from common.spaces import small_images as spaces
from common.training import export, loop, program
from common.training import state as states

COMMAND = "search_images"
TRAININGS, BEST, MODEL, PROGRAM, PAGE = (
    "trainings.jsonl",
    "best.json",
    "model.safetensors",
    "model.stablehlo",
    "report.html",
)
BASELINES = ("three_convolutions", "resnet")
ALGORITHM = "lanas_jax:ALGORITHM"
_NUM_TIMED = 3  # networks whose speed is measured before the plan


def search_images(
    x: np.ndarray | str,
    y: np.ndarray | None = None,
    *,
    minutes: float = 15.0,
    limit: str | Sequence[str] = (),
    workdir: str | os.PathLike | None = None,
    algorithm: str | types.Algorithm = ALGORITHM,
    seed: int = 0,
    data_dir: str | None = None,
) -> dict[str, Any]:
    """Returns the content of result.json of a search for a network for some images, run or resumed.

    Args:
      x: uint8[N, H, W] or uint8[N, H, W, C]; or a dataset's name, an npz file or a folder, see `images.load`.
      y: integers [N], the classes; None where `x` is a name. A fifth of the images is held out for the test.
      minutes: for everything, compiling included.
      limit: such as "macs<=5e6", or several.
      workdir: folder of the run, to start or to resume; None: a fresh one under runs/.
      algorithm: proposes candidates: package.module:name of a `types.Algorithm`, or one.
      seed: determines all random numbers.
      data_dir: folder of prepared datasets.

    Raises:
      ValueError: the images or limits are not allowed, the minutes are too few, or the folder is of another run.
    """
    if isinstance(x, str | os.PathLike):
        dataset = images.load(os.fspath(x), data_dir)
    else:
        dataset = records.make("images", (x, y), None, source="x, y")
    if isinstance(algorithm, str):
        algorithm = plugins.load(algorithm)
    texts = (limit,) if isinstance(limit, str) else tuple(limit)
    with _Run(dataset, str(x) if isinstance(x, str | os.PathLike) else "", minutes, texts, algorithm, seed) as run:
        return run(workdir)


class _Run(contextlib.ExitStack):
    """One start of a run. What it checks first needs no compiling."""

    def __init__(self, dataset, path, minutes, texts, algorithm, seed):
        super().__init__()
        self.begun = time.monotonic()
        self.dataset, self.path, self.minutes, self.algorithm, self.seed = dataset, path, minutes, algorithm, seed
        if dataset.num_classes < 2:
            raise ValueError(f"{dataset.name}: all images are of one class; a classifier needs two or more")
        height, width, _ = shape = dataset.train.images.shape[1:]
        if height != width or not 8 <= height <= 96:
            raise ValueError(f"{dataset.name}: images are {height}x{width}; want squares of 8 to 96 pixels")
        if len(dataset.train) < 40:
            raise ValueError(f"{dataset.name}: {len(dataset.train)} training images are too few; want 40 or more")
        self.num_threads = finalists.default_num_threads()
        self.made = image_trainings.run_of(dataset, seed=seed)
        self.limits = limits.texts(texts)
        parsed = limits.parse(texts)
        limits.split(parsed, self.made.costs)
        self.space = limits.part(self.made.space, parsed, self.made.costs) if parsed else self.made.space
        sampled = np.asarray(self.space.sample(jax.random.key(0), 64), np.int32)
        settings = {"platform": jax.default_backend(), "num_threads": self.num_threads}
        least = image_plan.least_minutes(len(dataset.train), float(np.mean(self.cost("macs", sampled))), **settings)
        image_plan.check(minutes, least, shape)

    def cost(self, name, archs):
        """Returns float[B], costs of int32[B, L]."""
        return np.asarray(self.made.costs[name](np.asarray(archs, np.int32)))

    @compilation.in_32_bits
    def __call__(self, workdir):
        """Runs all stages and returns the content of result.json."""
        workdir = None if workdir is None else os.fspath(workdir)
        self.folder = run_dir.create(workdir, command=COMMAND, benchmark=pathlib.Path(self.dataset.name).stem)
        run_dir.check_command(self.folder, COMMAND)
        split = self.dataset.train
        about = {
            "space": image_trainings.SPACE,
            "dataset": self.path or self.dataset.name,
            "images": zlib.crc32(split.labels.tobytes(), zlib.crc32(split.images.tobytes())),
            "minutes": self.minutes,
            "limit": list(self.limits),
            "algorithm": self.algorithm.name,
            "seed": self.seed,
        }
        (self.folder / "states").mkdir(exist_ok=True)
        self.events = _Events()
        self.enter_context(json_lines.opened(self.folder / TRAININGS, about, self.events.take))
        self.begun -= max([event["seconds"] for event in self.events.lines], default=0.0)
        self.about = about | {"command": COMMAND, "classes": self.dataset.num_classes}
        run_dir.write_config(self.folder, self.about)
        self.pool = self.enter_context(futures.ThreadPoolExecutor(self.num_threads))
        self.deadline = self.begun + 60 * self.minutes
        images.tell(self.dataset)
        held_out = len(self.made.parts["validation"])
        print(f"candidates train on {len(self.made.parts['train']):,} images; {held_out:,} others compare them")
        self.write_page()
        candidates, plan = self.prepare()
        rungs = self.search(candidates, plan)
        self.write_page()
        return self.finish(rungs, candidates)

    @property
    def spent(self):
        """Seconds since the beginning, earlier starts included."""
        return time.monotonic() - self.begun

    def record(self, **event):
        """Appends an event to the journal of trainings."""
        self.events.append(event | {"seconds": round(self.spent, 2)})

    def write_page(self):
        """Writes the page, which can be opened while the search runs."""
        pages.write(self.folder, self.folder / PAGE)

    def prepare(self):
        """Compiles the program of the candidates, measures its speed, and returns it with the plan."""
        timed = [spaces.MEMBERS[name] for name in BASELINES]
        timed += np.asarray(self.space.sample(jax.random.key(self.seed), _NUM_TIMED)).tolist()
        with image_trainings.Live("compiling", 1, "programs", self.deadline) as live:
            made = image_trainings.candidates(self.made)
            length = min(made.task.steps_per_epoch, 32)
            path = self.folder / "states" / "timing"
            state = image_trainings.train(made.task, path, stop=length, arch=np.array(timed[0], np.int32))
            image_trainings.validate(made, state, np.array(timed[0], np.int32))
            path.unlink()
            live.note("measuring the speed")
            if (planned := self.events.last("plan")) is None:
                seconds = [self.time(made, np.array(arch, np.int32), length) for arch in timed]
                epochs = made.task.steps_per_epoch / length * np.array(seconds)
                plan = image_plan.make(
                    self.deadline - time.monotonic(),
                    float(np.mean(epochs[len(BASELINES) :])),
                    num_threads=self.num_threads,
                )
                found = {"epoch_seconds": dict(zip(BASELINES, epochs.tolist()))}
                self.record(event="plan", **plan._asdict(), **found)
                planned = self.events.last("plan")
            live.note("done", done=1)
        plan = image_plan.Plan(*(planned[name] for name in image_plan.Plan._fields))
        stages = ", then ".join(f"{num} for {num_epochs}" for num, num_epochs in zip(plan.counts, plan.epochs))
        print(
            f"plan: {planned['seconds']:.0f} s of compiling are over; {plan.search_seconds:.0f} s of search by "
            f"{self.algorithm.name}: candidates trained for a number of epochs, {stages}; then "
            f"{plan.final_seconds:.0f} s to train the best to the end beside {' and '.join(BASELINES)}",
            flush=True,
        )
        return made, plan

    def time(self, made, arch, length):
        """Returns the seconds of `length` steps of a candidate."""
        path = self.folder / "states" / "timing"
        start = time.perf_counter()
        image_trainings.train(made.task, path, stop=length, arch=arch)
        path.unlink()
        return time.perf_counter() - start

    def search(self, made, plan):
        """Returns the stages: for each the epochs, and {row: accuracy} of the candidates of which it consists."""
        first = self.proposed(made, plan)
        rungs = [(plan.epochs[0], first)]
        known = {(tuple(one["arch"]), one["epochs"]): one for one in self.events.all("trained")}
        for stage, epochs in enumerate(plan.epochs[1:], start=1):
            count = math.ceil(len(first) / image_plan.FACTOR**stage)
            chosen = sorted(rungs[-1][1], key=rungs[-1][1].get, reverse=True)[:count]
            self.keep(chosen)
            found = {arch: known[arch, epochs]["fitness"] for arch in chosen if (arch, epochs) in known}
            title = f"{count} best candidates to epoch {epochs}"
            with image_trainings.Live(title, count, "trained", self.deadline) as live:
                left = [arch for arch in chosen if arch not in found]
                for arch, fitness, seconds in self.trained(made, left, epochs, live, len(found)):
                    found[arch] = fitness
                    self.record(
                        event="trained", stage=stage, arch=list(arch), epochs=epochs, fitness=fitness, cost=seconds
                    )
                    live.note(f"best {100 * max(found.values()):.1f} %", done=len(found))
            rungs.append((epochs, found))
            self.write_page()
        return rungs

    def proposed(self, made, plan):
        """Returns {row: accuracy} of the candidates that the search algorithm proposes."""
        config = self.algorithm.config
        if config is not None:
            config = self.algorithm.for_space(self.space, config)
        searcher = self.algorithm.searcher(self.space, config, name=self.algorithm.name)
        header = {name: self.about[name] for name in ("space", "images", "limit", "algorithm", "seed")}
        journal = self.enter_context(journals.open_journal(self.folder / run_dir.JOURNAL, header))
        key = jax.random.key(self.seed)
        search = search_lib.Search(key, searcher, self.space, budget=plan.num_candidates, journal=journal)
        title = f"candidates of {self.algorithm.name} to epoch {plan.epochs[0]}"
        last = self.events.last("searched")
        limit = self.begun + self.events.last("plan")["seconds"] + 0.6 * plan.search_seconds
        with image_trainings.Live(title, plan.num_candidates, "trained", self.deadline) as live:
            while not search.is_spent and not (last and int(search.history.size) >= last["num"]):
                archs = search.ask()
                for arch, fitness, seconds in self.trained(made, map(tuple, archs.tolist()), plan.epochs[0], live, 0):
                    search.tell(np.array([arch], np.int32), [fitness], [seconds])
                    done = int(np.sum(np.asarray(search.history.status) == types.MEASURED))
                    live.note(f"best {100 * search.best[1]:.1f} %", done=done)
                self.write_page()
                if time.monotonic() > limit and len(archs) and int(search.history.size) >= 4:
                    break
            if not last:
                self.record(event="searched", num=int(search.history.size))
        run_dir.write_history(self.folder / run_dir.HISTORY, search.history)
        rows = np.asarray(search.history.archs)[: int(search.history.size)].tolist()
        return dict(zip(map(tuple, rows), np.asarray(search.history.fitness)[: len(rows)].tolist()))

    def trained(self, made, archs, epochs, live, done):
        """Yields (row, accuracy, seconds) of rows trained to an epoch, as they are finished."""
        per_epoch = made.task.steps_per_epoch

        def one(arch):
            start, row = time.monotonic(), np.array(arch, np.int32)

            def on_step(step):
                live.note(f"candidate {''.join(map(str, arch))}, epoch {step / per_epoch:.1f} of {epochs}")

            try:
                state = image_trainings.train(
                    made.task, self.state_path(arch), stop=epochs * per_epoch, arch=row, on_step=on_step
                )
            except loop.DivergedError:
                return arch, 0.0, time.monotonic() - start
            return arch, image_trainings.validate(made, state, row), time.monotonic() - start

        each = [self.pool.submit(image_trainings.in_32_bits, one, arch) for arch in archs]
        for finished in futures.as_completed(each):
            yield finished.result()

    def state_path(self, arch):
        """Returns the file of the state of a candidate."""
        return self.folder / "states" / "".join(map(str, arch))

    def keep(self, archs: Iterable[tuple[int, ...]]) -> None:
        """Deletes the states of other candidates."""
        kept = {self.state_path(arch).name for arch in archs}
        for path in (self.folder / "states").iterdir():
            if path.name not in kept:
                path.unlink()

    def finish(self, rungs, made):
        """Trains the best candidate to the end, and the baselines, and writes the files of the result."""
        last = rungs[-1][1]
        best = max(last, key=last.get)
        archs = {"best": best} | {name: spaces.MEMBERS[name] for name in BASELINES}
        if (planned := self.events.last("finals")) is None:
            scale = len(self.dataset.train) / len(made.task.data.labels)
            of = {"best": self.epoch_seconds(rungs, best)} | self.events.last("plan")["epoch_seconds"]
            seconds = self.deadline - time.monotonic() - min(20 + 0.02 * 60 * self.minutes, 60)
            num_epochs, names = image_plan.finals(
                seconds, {name: scale * of[name] for name in archs}, num_threads=self.num_threads
            )
            self.record(event="finals", epochs=num_epochs, names=list(names))
            planned = self.events.last("finals")
        missing = [name for name in archs if name not in planned["names"]]
        text = f"; no time for {' and '.join(missing)}" if missing else ""
        print(f"{', '.join(planned['names'])}: {planned['epochs']} epochs from scratch on all images{text}", flush=True)
        found = {one["name"]: one for one in self.events.all("final")}
        title = f"{len(planned['names'])} networks to epoch {planned['epochs']}"
        with image_trainings.Live(title, len(planned["names"]), "trained", self.deadline) as live:
            left = [name for name in planned["names"] if name not in found]
            each = [
                self.pool.submit(image_trainings.in_32_bits, self.final, name, archs[name], planned["epochs"], live)
                for name in left
            ]
            for one in futures.as_completed(each):
                found[one.result()["name"]] = one.result()
                self.record(event="final", **one.result())
                live.note("tested", done=len(found))
        return self.write_result(rungs, best, [found[name] for name in planned["names"]], missing)

    def epoch_seconds(self, rungs, arch):
        """Returns the seconds of an epoch of the best candidate, from its last training."""
        if len(rungs) > 1:
            events = [one for one in self.events.all("trained") if tuple(one["arch"]) == arch]
            return events[-1]["cost"] / (rungs[-1][0] - rungs[-2][0])
        return float(np.max(list(self.events.last("plan")["epoch_seconds"].values())))

    def final(self, name, arch, num_epochs, live):
        """Trains and tests one network; returns its event."""
        start = time.monotonic()
        network = self.made.stand_alone(np.array(arch, np.int32))
        made = image_trainings.final(self.dataset, network, num_epochs=num_epochs, seed=self.seed)
        per_epoch, stop = made.task.steps_per_epoch, num_epochs * made.task.steps_per_epoch

        def on_step(step):
            live.note(f"{name}, epoch {step / per_epoch:.1f} of {num_epochs}")

        deadline = self.deadline + (image_plan.LATE - 1) * 60 * self.minutes
        path = self.folder / "states" / f"final_{name}"
        state = image_trainings.train(made.task, path, stop=stop, on_step=on_step, deadline=deadline)
        done = int(state.step) / per_epoch
        where = self.folder / (MODEL if name == "best" else f"{name}.safetensors")
        about = {"dataset": self.dataset.name, "seed": self.seed, "epochs": done}
        export.save(where, network, states.averaged(state), made.images, about=about)
        model = export.load(where)
        if name == "best":
            program.save(self.folder / PROGRAM, model.logits, made.images.shape)
        predicted = image_trainings.predictions(model, self.dataset.test.images)
        table = np.zeros((self.dataset.num_classes,) * 2, int)
        np.add.at(table, (self.dataset.test.labels, predicted), 1)
        return {
            "name": name,
            "arch": list(map(int, arch)),
            "test": float(np.mean(predicted == self.dataset.test.labels)),
            "epochs": done,
            "confusion": table.tolist(),
            "cost": time.monotonic() - start,
        }

    def write_result(self, rungs, best, found, missing):
        """Writes and returns the content of result.json, and the other files of the result."""
        genotype = conversion.from_arch(image_trainings.SPACE, best)
        run_dir.write_text(self.folder / BEST, json_text.to_text(genotype))
        networks = [self.described(one) for one in found]
        archs = np.array(list(rungs[0][1]), np.int32)
        fitness = np.array(list(rungs[0][1].values()))
        on_front = fronts.non_dominated(np.stack([fitness, -self.cost("macs", archs)], axis=1))
        front = [
            {
                "arch": arch.tolist(),
                "description": self.space.describe(arch),
                "fitness": float(value),
                "costs": {name: float(self.cost(name, arch[None])[0]) for name in ("params", "macs")},
            }
            for arch, value in sorted(zip(archs[on_front], fitness[on_front]), key=lambda one: -one[1])
        ]
        result = {
            "protocol": "validation",
            "benchmark": image_trainings.SPACE,
            "dataset": self.about["dataset"],
            "seed": self.seed,
            "queries": len(archs),
            "seconds": round(self.spent, 1),
            "minutes": self.minutes,
            "best": networks[0] | {"fitness": rungs[-1][1][best]},
            "baselines": networks[1:],
            "left_out": missing,
            "stages": [{"epochs": epochs, "candidates": len(each)} for epochs, each in rungs],
            "front": front,
            "workdir": str(self.folder),
        }
        run_dir.write_json(self.folder / run_dir.RESULT, result)
        self.keep(())
        self.write_page()
        return result

    def described(self, one):
        """Returns the entry of a trained network in result.json."""
        arch = np.array(one["arch"], np.int32)
        costs = {name: float(self.cost(name, arch[None])[0]) for name in ("params", "macs")}
        return {**one, "description": self.space.describe(arch), "costs": costs}


def title(result: Mapping[str, Any]) -> str:
    """Returns the title of the table of a result.json."""
    return f"{result['queries']} candidates on {result['dataset']}, {result['seconds'] / 60:.1f} minutes"


def table(result: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Returns (names of the columns, rows) of the table of a result.json."""
    rows = [
        (
            one["name"],
            f"{100 * one['test']:.2f} %",
            f"{one['costs']['params']:,.0f}",
            f"{one['costs']['macs']:,.0f}",
            f"{one['epochs']:.0f}",
            one["description"],
        )
        for one in (result["best"], *result["baselines"])
    ]
    return ("network", "test accuracy", "parameters", "multiply-adds", "epochs", "architecture"), rows


def next_steps(result: Mapping[str, Any]) -> str:
    """Returns the files of a result.json, and commands that continue from them."""
    folder = pathlib.Path(result["workdir"])
    return "\n".join(
        [
            f"genotype: {folder / BEST}",
            f"weights: {folder / MODEL} (common.training.export.load)",
            f"program: {folder / PROGRAM} (jax.export.deserialize)",
            f"page: {folder / PAGE}",
            f"draw it:    python -m launch.genotype --genotype={folder / BEST} --output={folder / 'best.svg'}",
            f"train more: python -m launch.train --genotype={folder / BEST} --preset=small_images "
            f"--dataset={result['dataset']} --num_epochs={3 * max(1, round(result['best']['epochs']))}",
        ]
    )


class _Events:
    """The journal of trainings: a list of events, each with its "event" and "seconds"."""

    def __init__(self):
        self.lines: list[dict[str, Any]] = []

    def take(self, file, lines):
        self._file, self.lines = file, list(lines)
        return self

    def append(self, event: Mapping[str, Any]) -> None:
        """Writes an event."""
        json_lines.append(self._file, [event])
        self.lines.append(dict(event))

    def all(self, name: str) -> list[dict[str, Any]]:
        """Returns the events of a name."""
        return [line for line in self.lines if line["event"] == name]

    def last(self, name: str) -> dict[str, Any] | None:
        """Returns the last event of a name, if there is one."""
        return next(reversed(self.all(name)), None)
