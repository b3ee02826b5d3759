"""Accuracy of NAO's predictor and decoder on held-out architectures.

Prediction: models are fitted to 600 of the 5,402 trained cells of distributed LaNAS and rank the others; ridge
regression and scikit-learn's gradient boosting are fitted to the same 600, to the same rank scores. Reconstruction: the
networks are fitted to evaluated architectures with their fitness, and decode unseen ones, token by token.

    python -m benchmarks.nao_predictor --data_dir=FOLDER
"""

import dataclasses
import functools
import os
import pathlib
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import threadpoolctl
from absl import app, flags
from sklearn import ensemble, linear_model

from common import history as histories
from common import metrics, spaces, tables, types
from common import regression_targets as targets
from common.evaluators import synthetic, tabular
from common.spaces import factory
from nao_jax import config as configs
from nao_jax import decoding, learning

PARTS = ("prediction", "reconstruction")
TRACE = pathlib.Path("lanas_traces") / "distributed_trace.npz"
# Differences from the defaults of a search: all rows are used for fitting, and all pairs have the same weight.
PREDICTION = dataclasses.replace(configs.Config(), num_folds=0, target="normal_scores")
# Differences from the defaults of a search: only measured architectures are read, as tokens; the decoder's loss has
# four times the weight of the predictor's, otherwise the latent loses tokens that do not affect fitness; dropout makes
# the decoder use the latent instead of the previous tokens; and the fit is long enough.
RECONSTRUCTION = dataclasses.replace(
    configs.Config(),
    model=dataclasses.replace(configs.Config().model, has_features=False, encoder_dropout=0.3, decoder_dropout=0.3),
    num_members=1,
    num_folds=0,
    mse_weight=0.2,
    fit_first=3000,
    num_unlabelled=0,
    num_mutated=0,
    num_copies=1,
    seeds="measured",
)
SETTINGS = {
    "measured only": RECONSTRUCTION,
    "unlabelled too": dataclasses.replace(RECONSTRUCTION, num_unlabelled=500, num_copies=0),
    "a search's first fit": dataclasses.replace(configs.Config(), num_members=1, num_folds=0),
}
NUM_REWRITTEN = {"nasbench201": 600, "nao_small": 1000}  # architectures learned from
_PENALTIES = np.logspace(-2, 4, 19)


def _define_flags():
    flags.DEFINE_string("data_dir", os.environ.get("NAS_DATA_DIR"), "folder of the data files; else $NAS_DATA_DIR")
    flags.DEFINE_multi_enum("parts", list(PARTS), PARTS, "what to measure; repeat for both")
    flags.DEFINE_integer("num_draws", 10, "random samples of the measured architectures", lower_bound=1)
    flags.DEFINE_integer("first_draw", 0, "seed of the first; settings were chosen on those from 1000 on")
    flags.DEFINE_multi_enum("spaces", list(NUM_REWRITTEN), NUM_REWRITTEN, "where architectures are written back")
    flags.DEFINE_multi_enum("settings", list(SETTINGS), SETTINGS, "of the networks that do; repeat for several")
    flags.DEFINE_integer("num_unseen", 1000, "architectures to write back", lower_bound=1)
    flags.DEFINE_integer("num_measured", 600, "cells that the predictors learn from", lower_bound=2)


def main(argv: Sequence[str]) -> None:
    """Runs the parts that the flags name and prints their tables."""
    del argv
    args = flags.FLAGS
    draws = range(args.first_draw, args.first_draw + args.num_draws)
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; jax {jax.__version__}, {jax.default_backend()}")
    if "prediction" in args.parts:
        archs, accuracy = read_trace(args.data_dir)
        scores = compare(archs, accuracy, draws=draws, num_measured=args.num_measured, config=PREDICTION)
        print("predictor                              pairwise accuracy       Kendall's tau   s a fit")
        for name, rows in scores.items():
            print(f"{name:<38}" + "".join(f"{mean_and_deviation(rows[:, at]):>20}" for at in (0, 1)), end="")
            print(f"{np.median(rows[:, 2]):>10.2f}")
    if "reconstruction" in args.parts:
        print("space        settings                 exact, mean      worst   wrong tokens   s a fit")
        for space in args.spaces:
            evaluator = evaluator_of(space, args.data_dir)
            for name in args.settings:
                size = {"num_measured": NUM_REWRITTEN[space], "num_unseen": args.num_unseen}
                exact, distance, seconds = write_back(evaluator, SETTINGS[name], draws=draws, **size).T
                print(f"{space:<13}{name:<22}{exact.mean():>14.4f}{exact.min():>11.4f}{distance.mean():>15.4f}", end="")
                print(f"{np.median(seconds):>10.1f}", flush=True)


def mean_and_deviation(values: np.ndarray) -> str:
    """Returns float[R] as text: mean and standard deviation over samples."""
    return f"{np.mean(values):.4f} ± {np.std(values, ddof=1) if len(values) > 1 else np.nan:.4f}"


def evaluator_of(space: str, data_dir: str | os.PathLike | None) -> types.Evaluator:
    """Returns an evaluator of a space: its benchmark if it has one, else a synthetic one."""
    if space in tables.BENCHMARKS:
        return tabular.evaluator(tables.load_benchmark(space, data_dir))
    return synthetic.evaluator(spaces.get(space))


def read_trace(data_dir: str | os.PathLike | None) -> tuple[np.ndarray, np.ndarray]:
    """Returns (int32[5402, 28] canonical rows of `lanas_cell`, float32[5402] accuracies in [0, 1]).

    Raises:
      ValueError: the folder or the file does not exist.
    """
    path = pathlib.Path(data_dir or ".") / TRACE
    if not data_dir or not path.exists():
        raise ValueError(f"no {path}: give --data_dir, or set NAS_DATA_DIR, to the folder that holds {TRACE}")
    with np.load(path) as trace:
        archs = spaces.get("lanas_cell").canonicalize(jnp.asarray(trace["encoding"].astype(np.int32)))
        return np.asarray(archs), (trace["accuracy"] / 100).astype(np.float32)


def history_of(archs: np.ndarray, fitness: np.ndarray) -> histories.History:
    """Returns the history of int32[n, L] `archs` with their float32[n] fitness, full."""
    ones = jnp.ones(fitness.shape)
    evaluation = types.Evaluation(fitness=jnp.asarray(fitness, jnp.float32), cost=ones, ok=ones > 0)
    return histories.append(histories.empty(*archs.shape), jnp.asarray(archs), evaluation)


def fit(setting: learning.Setting, key: jax.Array, history: histories.History) -> learning.Networks:
    """Returns networks fitted once to a history, as in the first round of a search."""
    first_key, others_key, learn_key = jax.random.split(key, 3)
    pool = jnp.zeros((0, history.archs.shape[1]), jnp.int32)
    others = learning.unlabelled(setting, others_key, pool, history) if setting.config.num_unlabelled else pool
    networks = learning.first(setting, pool, first_key)
    return learning.learn(setting, networks, learn_key, history, others, is_first=jnp.bool_(True))


def compare(
    archs: np.ndarray, accuracy: np.ndarray, *, draws: Sequence[int], num_measured: int, config: configs.Config
) -> dict[str, np.ndarray]:
    """Returns, for each model, float[R, 3]: pairwise accuracy, Kendall's tau and seconds of each sample."""
    space = spaces.get("lanas_cell")
    setting = learning.setting(space, config)
    inputs = {
        "one-hot": np.asarray(factory.one_hot(jnp.asarray(archs), space.num_choices)),
        "features": np.asarray(jax.jit(space.features)(archs)),
    }
    history = history_of(archs[:num_measured], accuracy[:num_measured])
    fitted = jax.jit(functools.partial(fit, setting)).lower(jax.random.key(0), history).compile()
    predict = jax.jit(lambda networks, archs: jnp.mean(learning.predict(setting, networks, archs), axis=0))
    scores = {}
    for draw in draws:
        order = np.random.default_rng(draw).permutation(len(archs))
        seen, unseen = order[:num_measured], order[num_measured:]
        history = history_of(archs[seen], accuracy[seen])
        start = time.perf_counter()
        networks = jax.block_until_ready(fitted(jax.random.key(draw), history))
        seconds = time.perf_counter() - start
        found = {"networks": (predict(networks, archs[unseen]), seconds)}
        values = targets.targets(jnp.asarray(accuracy[seen]), jnp.ones(len(seen), bool), target=config.target)
        for name, (kind, regressor) in references(draw).items():
            start = time.perf_counter()
            with threadpoolctl.threadpool_limits(1):  # threads that wait for each other take minutes on a busy machine
                regressor.fit(inputs[kind][seen], np.asarray(values))
            found[name] = regressor.predict(inputs[kind][unseen]), time.perf_counter() - start
        for name, (prediction, seconds) in found.items():
            scores.setdefault(name, []).append((*orders(prediction, accuracy[unseen]), seconds))
    return {name: np.array(rows) for name, rows in scores.items()}


def references(seed: int) -> dict[str, tuple[str, object]]:
    """Returns, for each reference, its inputs and regressor; ridge chooses its penalty by leave-one-out."""
    made = {}
    for kind in ("one-hot", "features"):
        made[f"ridge, {kind}"] = kind, linear_model.RidgeCV(alphas=_PENALTIES)
        made[f"gradient boosting, {kind}"] = (
            kind,
            ensemble.GradientBoostingRegressor(
                n_estimators=300, learning_rate=0.05, max_depth=3, subsample=0.7, random_state=seed
            ),
        )
        made[f"histogram gradient boosting, {kind}"] = (
            kind,
            ensemble.HistGradientBoostingRegressor(max_iter=200, learning_rate=0.05, random_state=seed),
        )
    return made


@jax.jit
def orders(prediction: jax.Array, truth: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns (pairwise accuracy, Kendall's tau) of float32[n]."""
    prediction = jnp.asarray(prediction, jnp.float32)
    return metrics.pairwise_accuracy(prediction, truth), metrics.kendall_tau(prediction, truth)


def write_back(
    evaluator: types.Evaluator, config: configs.Config, *, draws: Sequence[int], num_measured: int, num_unseen: int
) -> np.ndarray:
    """Fits networks to random evaluated architectures and decodes others greedily.

    Args:
      evaluator: space and fitness.
      config: the settings.
      draws: seeds.
      num_measured: architectures for fitting, all different.
      num_unseen: other architectures, to reconstruct.

    Returns:
      float[R, 3] of each sample: the fraction without a wrong token, the mean number of wrong tokens (means over the
      networks of an ensemble), and the seconds of the fit without compilation.
    """
    space, setting = evaluator.space, learning.setting(evaluator.space, config)
    fitted, count_wrong, written = None, jax.jit(functools.partial(num_wrong, setting)), []
    for draw in draws:
        draw_key, fit_key = jax.random.split(jax.random.key(draw))
        archs = different(space, draw_key, num_measured + num_unseen)
        history = history_of(archs[:num_measured], evaluator.evaluate(draw_key, archs[:num_measured]).fitness)
        fitted = fitted or jax.jit(functools.partial(fit, setting)).lower(fit_key, history).compile()
        start = time.perf_counter()
        networks = jax.block_until_ready(fitted(fit_key, history))
        seconds = time.perf_counter() - start
        wrong = np.asarray(count_wrong(networks, archs[num_measured:]))
        written.append((np.mean(wrong == 0), np.mean(wrong), seconds))
    return np.array(written)


def num_wrong(setting: learning.Setting, networks: learning.Networks, archs: jax.Array) -> jax.Array:
    """Returns int32[M, B], the number of wrong tokens of each network's reconstruction of `archs` int32[B, L]."""
    legal = jnp.asarray(setting.space.legal_tokens)
    latents = learning.encode(setting, networks, archs)
    write = functools.partial(decoding.greedy, setting.model)
    written = jax.vmap(write, in_axes=(0, 0, None))(networks.params, latents, legal)
    return jnp.sum(written != setting.space.tokens(archs)[None], axis=-1)


def different(space: types.SearchSpace, key: jax.Array, count: int) -> jax.Array:
    """Returns int32[count, L], distinct random canonical rows."""
    if space.enumerate is not None:
        return jax.random.permutation(key, jnp.asarray(space.enumerate()))[:count]
    archs = np.asarray(space.sample(key, 2 * count))
    _, first = np.unique(archs, axis=0, return_index=True)
    return jnp.asarray(archs[np.sort(first)[:count]])


if __name__ == "__main__":
    _define_flags()
    app.run(main)
