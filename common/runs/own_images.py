"""A network for images of one's own, in given minutes, within limits: search, training, comparison and export.

1. Candidates that a search algorithm proposes are trained for a few epochs each, by one program.      journal.jsonl
2. A third of them continues, three times as long, and a third of those again.                       trainings.jsonl
3. The best one trains from scratch on all training images, and so do networks without a search.      trainings.jsonl
4. The results: result.json, best.json (genotype), model.safetensors, model.stablehlo, report.html.

Everything resumes; the minutes count over all starts.
"""

import contextlib
import os
import pathlib
import threading
import time
from collections.abc import Sequence
from concurrent import futures
from typing import Any

import jax
import numpy as np

from common import baselines, compilation, plugins, types
from common import config as configs
from common.datasets import images, records
from common.records import json_files, json_lines, run_dir
from common.report import image_search
from common.report import own_images as pages
from common.runs import (
    image_events,
    image_examples,
    image_finals,
    image_plan,
    image_result,
    image_run,
    image_stages,
    image_trainings,
    training_queue,
)
from common.spaces import limits
from common.supernets import training as shared

COMMAND = "search_images"
_SYSTEMS = {"lanas": "lanas_jax:ALGORITHM", "nao": "nao_jax:ALGORITHM"}  # packages that this one does not import
_SIDES, _MIN_IMAGES = (8, 96), 40


@compilation.in_32_bits
def search_images(
    x: np.ndarray | str | os.PathLike,
    y: np.ndarray | None = None,
    *,
    minutes: float = 15.0,
    limit: str | Sequence[str] = (),
    workdir: str | os.PathLike | None = None,
    algorithm: str | types.Algorithm = "lanas",
    known_networks: bool = True,
    seed: int = 0,
    data_dir: str | None = None,
) -> dict[str, Any]:
    """Returns the content of result.json of a search for a network for some images, run or resumed.

    Args:
      x: uint8[N, H, W] or uint8[N, H, W, C]; or a dataset's name, an npz file or a folder, see `images.load`.
      y: integers [N], the classes; None where `x` is a name. A fifth of the images is held out for the test.
      minutes: for everything, compiling included.
      limit: such as "macs<=5e6", or several, in a list or separated by commas.
      workdir: folder of the run, to start or to resume; None: a fresh one under runs/.
      algorithm: proposes candidates: "lanas", "nao", a baseline's name, or a `types.Algorithm` or its
        package.module:name.
      known_networks: whether the first candidates are known networks, of which one is returned if none is better for
        sure (`image_plan.chosen`).
      seed: determines all random numbers.

    Raises:
      ValueError: the images, limits or seed are not allowed, the minutes are too few, or the folder is of another run.
    """
    begun = time.monotonic()
    configs.check(configs.Field("minutes", float, "for everything"), minutes)
    dataset = _dataset(x, y, data_dir)
    algorithm = _algorithm(algorithm) if isinstance(algorithm, str) else algorithm
    if not 0 <= seed <= configs.MAX_SEED:
        raise ValueError(f"seed must be from 0 to {configs.MAX_SEED}; got {seed}")
    texts = limits.texts(limit.split(",") if isinstance(limit, str) else tuple(limit))
    about = {
        "space": image_trainings.SPACE,
        "dataset": os.fspath(x) if isinstance(x, str | os.PathLike) else dataset.name,
        "images": records.checksum([dataset.train]),
        "minutes": minutes,
        "limit": list(texts),
        "algorithm": algorithm.name,
        "fitness": "expected accuracy",
        "seed": seed,
    }
    if not known_networks:  # as in folders of earlier versions otherwise, which resume
        about["known_networks"] = False
    made = image_trainings.run_of(dataset, seed=seed)
    space = limits.part(made.space, limits.parse(texts), made.costs)
    num_threads = training_queue.default_num_threads()
    _check_minutes(minutes, dataset, made, space, num_threads)
    folder = run_dir.create(workdir, command=COMMAND, benchmark=pathlib.Path(dataset.name).stem)
    run_dir.check_command(folder, COMMAND)
    if image_search.is_one(folder, json_files.read(folder / run_dir.CONFIG)):
        raise ValueError(f"{folder} is the folder of a run of benchmarks.shared_searches; choose another workdir")
    (folder / image_run.STATES).mkdir(exist_ok=True)
    with contextlib.ExitStack() as resources:
        events = resources.enter_context(json_lines.opened(folder / pages.TRAININGS, about, image_events.Events))
        shown = image_examples.write_examples(folder, dataset) | {"width": made.network.config.width}
        run_dir.write_config(folder, about | {"command": COMMAND} | shown)
        begun -= max([event["seconds"] for event in events.lines], default=0.0)
        pool, stopped = resources.enter_context(futures.ThreadPoolExecutor(num_threads)), threading.Event()
        resources.callback(stopped.set)  # before the pool waits for its trainings
        started = image_run.Run(
            dataset=dataset,
            made=made,
            space=space,
            algorithm=algorithm,
            about=about,
            folder=folder,
            events=events,
            resources=resources,
            pool=pool,
            num_threads=num_threads,
            begun=begun,
            stopped=stopped,
        )
        try:
            return _run(started)
        except (KeyboardInterrupt, ValueError) as error:
            if isinstance(error, ValueError):
                started.record(event="failed", message=str(error))
            started.write_page(is_running=False)
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run(run):
    """Runs all stages and returns the content of result.json."""
    images.report(run.dataset)
    num, held_out = (len(run.made.parts[part]) for part in ("train", "validation"))
    print(
        f"{run.dataset.name}: candidates train on {num:,} images and are compared on {held_out:,} others; the page "
        f"{run.folder / image_run.PAGE} can be opened while the search runs",
        flush=True,
    )
    run.write_page()
    made, plan = image_stages.prepare(run)
    stages = image_stages.search(run, made, plan)
    run.write_page()
    return image_result.write(run, stages, *image_finals.train(run, made, plan, stages))


def _dataset(x, y, data_dir):
    """Returns the dataset of the arguments of `search_images`; raises a `ValueError` unless it can be searched on."""
    if isinstance(x, str | os.PathLike):
        if y is not None:
            raise ValueError(f"{os.fspath(x)!r} has classes of its own; leave y out, or give its images as an array x")
        dataset = images.load(os.fspath(x), data_dir)
    elif y is None:
        raise ValueError("images as an array need their classes; give y, integers [N]")
    else:
        dataset = records.make("images", (x, y), None, source="x, y")
    if dataset.num_classes < 2:
        raise ValueError(f"{dataset.name}: all images are of one class; a classifier needs two or more")
    height, width, _ = dataset.train.images.shape[1:]
    if height != width or not _SIDES[0] <= height <= _SIDES[1]:
        raise ValueError(
            f"{dataset.name}: images are {height}x{width}; want squares of {_SIDES[0]} to {_SIDES[1]} pixels; resize "
            "them, a folder by `python -m launch.prepare_data --dataset=NAME --source=FOLDER --image_size=32 "
            "--data_dir=DATA_DIR`"
        )
    if (num := len(dataset.train)) < _MIN_IMAGES:
        given = f"{num + len(dataset.test)} images, of which {len(dataset.test)} are for the test"
        raise ValueError(f"{dataset.name}: {given}, leave {num} to train on; want {_MIN_IMAGES} or more")
    return dataset


def _algorithm(name):
    if not plugins.is_path(name):
        configs.one_of("algorithm", name, (*_SYSTEMS, *baselines.ALGORITHMS, "package.module:name"))
    return baselines.ALGORITHMS.get(name) or plugins.made(_SYSTEMS.get(name, name), types.Algorithm)


def _check_minutes(minutes: float, dataset: images.Dataset, made: shared.Run, space: Any, num_threads: int) -> None:
    """Raises a `ValueError` if a search takes more than the minutes given."""
    archs = np.asarray(space.sample(jax.random.key(0), 64), np.int32)
    macs = float(np.mean(np.asarray(made.costs["macs"](archs))))
    settings = {"platform": jax.default_backend(), "num_threads": num_threads, "batch_size": made.config.batch_size}
    least = image_plan.least_minutes(len(dataset.train), macs, **settings)
    image_plan.check_minutes(minutes, least, dataset.train.images.shape[1:])
