"""The stages of `benchmarks.device`; each records its results as soon as it has them."""

import dataclasses
import functools
import importlib.util
import json
import os
import pathlib
import shutil
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs memory too

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import child_step, device_programs, nao_controller, supernet, unpack_cifar10
from common import compilation, compiled_search, spaces
from common.evaluators import benchmark
from common.networks import supernet as supernet_networks
from common.training import state as states
from launch import algorithms, nao

_TOY = {"num_cells": 1, "width": 4, "auxiliary": False}
Record = Callable[..., None]  # (name=value, ...) adds to the results of the stage
_TOY_NAO = "num_initial=6:num_new=2:count=2:embedding_size=4:hidden_size=4:fit_first=2:fit_later=1:num_unlabelled=6"
_TOY_NAO += ":num_mutated=3:num_seeds=2:num_steps=2:num_climbs=1:num_members=1"


def run(stage: str, output: pathlib.Path, seconds: float, *, is_dry: bool, cifar10: str | None) -> None:
    """Runs a stage within its time limit and writes its results to a JSON file; see `benchmarks.device`."""
    start, results = time.monotonic(), {}

    def record(**values):
        results.update(values)
        output.write_text(json.dumps(results))

    compilation.enable_cache(None)
    record(device=jax.devices()[0].device_kind, jax=jax.__version__)
    if stage in child_step.NETWORKS:
        return training(record, is_dry, name=stage)
    if stage == "nao_ws":
        return nao_ws(record, is_dry, cifar10=cifar10, folder=output.parent, end=start + seconds)
    others = {"values": values, "studies": studies, "controller": controller, "supernet": shared_weights}
    return others[stage](record, is_dry)


def seconds_of(run: Callable[[], Any], repeats: int) -> float:
    """Returns the median seconds of a call, after one that warms up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


def values(record: Record, is_dry: bool) -> None:
    """Largest relative difference of results on the device and on the CPU, exact and at the default precision."""
    chosen = device_programs.programs()
    if is_dry:  # those of images take long to compile
        chosen = {name: chosen[name] for name in ("step of a language model", "epoch of the controller")}
    for name, (function, arguments) in chosen.items():
        with jax.default_device(jax.devices("cpu")[0]):
            expected = jax.tree.map(np.asarray, jax.jit(function)(*arguments))
        for precision in ("highest",) if is_dry else ("highest", "default"):
            with jax.default_matmul_precision(precision):
                found = jax.tree.map(np.asarray, jax.jit(function)(*arguments))
            pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
            error = max(float(np.max(np.abs(a - b)) / (np.max(np.abs(b)) + 1e-12)) for a, b in pairs if a.size)
            record(**{f"{name}, {precision}": error})


def studies(record: Record, is_dry: bool) -> None:
    """Searches a second of LaNAS and NAO."""
    task = benchmark.evaluator("digits_convnet")
    cases = {"lanas": 200, "lanas_linear": 200, "nao": 50}
    cases = {"lanas_linear:num_initial=6": 2, f"nao:{_TOY_NAO}": 2} if is_dry else cases
    for name, num_seeds in cases.items():
        algorithm = algorithms.get(name)
        searcher = algorithm.searcher(task.space, algorithm.for_space(task.space, algorithm.config), name=name)
        keys = jax.random.split(jax.random.key(0), num_seeds)
        sizes = {"budget": 12 if is_dry else 100, "seeds_at_once": num_seeds}
        histories, seconds = compiled_search.search_seeds(keys, searcher, task, **sizes)
        name = name.partition(":")[0]
        record(
            **{
                f"{name}, searches a second": num_seeds / seconds.run,
                f"{name}, compile seconds": seconds.compile,
                f"{name}, optimum found": float(np.mean(np.nanmax(histories.fitness, axis=1) >= task.optimum)),
            }
        )


def controller(record: Record, is_dry: bool) -> None:
    """Epochs a second of NAO's controller on 1,100 architectures, and architectures decoded after a climb."""
    problem = nao_controller.make_problem(20 if is_dry else 1100, seed=0)
    model, data = nao_controller.make_model(), nao_controller.examples(problem)
    config = dataclasses.replace(nao_controller.CONFIG, batch_size=min(100, len(problem.targets)))
    tokens, legal = jnp.asarray(problem.tokens[:100]), jnp.asarray(nao_controller.legal_tokens())
    for num_seeds in (1,) if is_dry else (1, 8, 32):
        params, keys = nao_controller.first(num_seeds)
        state = jax.vmap(nao_controller.training.optimizer(config).init)(params)
        epoch = jax.jit(
            jax.vmap(functools.partial(nao_controller.train_epoch, model, config=config), in_axes=(0, 0, 0, None))
        )
        climb = jax.jit(jax.vmap(functools.partial(nao_controller.encode_and_climb, model), in_axes=(0, None, None)))
        for name, function in (
            ("epochs", functools.partial(epoch, params, state, keys, data)),
            ("architectures climbed", functools.partial(climb, params, tokens, legal)),
        ):
            amount = num_seeds * (1 if name == "epochs" else len(tokens))
            record(**{f"{name} a second, {num_seeds} seeds": amount / seconds_of(function, 5)})


def shared_weights(record: Record, is_dry: bool) -> None:
    """Steps of the shared weights of NAO-WS with batches of 160, and scores on 500 images."""
    sizes = {"num_cells": 1, "width": 4} if is_dry else {}
    batch_size, num_scored = (8, 2) if is_dry else (160, 8)
    archs = np.asarray(spaces.get("nao_small").sample(jax.random.key(0), 8), np.int32)
    keys = states.keys(jax.random.key(0))
    for dtype in ("float32",) if is_dry else ("bfloat16", "float32"):
        config = dataclasses.replace(supernet.network_config("nao_ws_tf", **sizes), dtype=dtype)
        network = supernet_networks.Network("nao_small", config)
        images, labels = map(jax.device_put, supernet.batch(batch_size, (32, 32, 3)))
        steps = supernet.make_steps(network, batch_size, archs[0])
        state = steps.init(keys.init, (32, 32, 3))
        seconds, program = supernet.compiled(steps.train, keys.step, state, images, labels, archs[0])
        record(**{f"compile seconds, {dtype}": seconds})
        at = 0

        def train():
            nonlocal state, at
            at += 1
            state, metrics = program(keys.step, state, images, labels, archs[at % len(archs)])  # noqa: B023
            return metrics

        record(**{f"steps a second, {dtype}": 1 / seconds_of(train, 2 if is_dry else 40)})
    images, labels = map(jax.device_put, supernet.batch(16 if is_dry else 500, (32, 32, 3)))
    score = functools.partial(jax.jit(supernet.scorer(network)), state.params, archs[:num_scored], images, labels)
    record(**{"architectures scored a second": num_scored / seconds_of(score, 3)})


def training(record: Record, is_dry: bool, *, name: str) -> None:
    """Images a second in training of a network, ours and PyTorch's."""
    genotype, config = child_step.network(name)
    config = dataclasses.replace(config, **(_TOY if is_dry else {"dtype": "bfloat16"}))
    batch_size, repeats = (8, 1) if is_dry else ({"lanet_36": 96, "naonet_a_36": 128}[name], 20)
    ours = child_step.our_side(genotype, config, batch_size=batch_size, parts=("training",))
    record(**{"compile seconds": ours.compile_seconds["training"], "peak bytes": ours.peak_bytes["training"]()})
    record(**{"images a second": batch_size / seconds_of(ours.run["training"], repeats)})
    if is_dry or importlib.util.find_spec("torch") is None:
        return record(PyTorch="not measured")
    from benchmarks import training as compared

    for is_compiled in (False, True):
        start = time.perf_counter()
        reference = compared.reference_side(genotype, config, batch_size=batch_size, is_compiled=is_compiled)
        rate = batch_size / seconds_of(reference.run["training"], repeats)
        text = "PyTorch, compiled" if is_compiled else "PyTorch"
        record(**{f"{text}, images a second": rate, f"{text}, seconds in all": time.perf_counter() - start})


def nao_ws(record: Record, is_dry: bool, *, cifar10: str | None, folder: pathlib.Path, end: float) -> None:
    """The search of NAO-WS on CIFAR-10, with as many epochs as fit in the time at the rate of the stage supernet."""
    file = folder / "cifar10.npz"
    shutil.rmtree(folder / "nao_ws", ignore_errors=True)  # an earlier search, of other epochs
    if is_dry:
        labels = np.arange(48, dtype=np.int32) % 10
        images = np.random.default_rng(0).integers(0, 256, (48, 32, 32, 3), np.uint8)
        np.savez(file, x_train=images, y_train=labels, x_test=images, y_test=labels)
    elif cifar10 is None:
        raise ValueError("the stage nao_ws needs --cifar10, CIFAR-10 as JPEGs in one file")
    elif not file.exists():
        np.savez(file, num_classes=10, **unpack_cifar10.unpack(pathlib.Path(cifar10)))
    num_epochs, measured = 2, folder / "supernet.json"
    if not is_dry:
        rate = json.loads(measured.read_text())["steps a second, float32"] if measured.exists() else 10.0
        left = end - time.monotonic() - 60  # to compile and to score
        num_epochs = 2 * max(1, int(0.7 * left * rate / (45_000 // 160) / 2))
    words = ["--flagfile=supernet_nao_ws", f"--dataset={file}", f"--workdir={folder / 'nao_ws'}", "--num_blocks=2"]
    words += [f"--supernet_num_epochs={num_epochs}", "--num_initial=100", "--num_new=40", "--num_random=10"]
    words += ["--fit_first=100", "--fit_later=100"]
    if is_dry:
        words += ["--num_initial=4", "--num_new=2", "--num_random=1", "--fit_first=2", "--num_steps=2"]
        words += ["--supernet_num_cells=1", "--supernet_width=4", "--supernet_batch_size=16", "--num_seeds=2"]
        words += ["--supernet_held_out=16", "--score_num_images=8"]
    record(epochs=num_epochs)
    if code := nao.main(words):
        raise ValueError(f"launch.nao ended with exit code {code}")
    result = json.loads((folder / "nao_ws" / "result.json").read_text())
    record(**{name: result[name] for name in ("queries", "best", "blocks")})
