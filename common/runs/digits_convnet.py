"""The table that ships with the package: every network of the ConvNet space, trained on small digits.

1,364 networks, three seeds each, in about 11 minutes of one processor core. Figures, and the reasons for the setup:
`common/tables/data/README.md`. Metrics: `validation` and `test` (accuracies, one per seed), `train_seconds` (processor
seconds of one training run, averaged over the networks trained together with it), `parameters`, `multiply_adds` (of one
image's forward pass).
"""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable

import chex
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax

from common import spaces
from common.datasets import digits
from common.file_formats import npz, replacing
from common.networks import convnet, costs
from common.tables import table

CHUNKS = "depth*.npz"  # names of partial results
_CHUNK = 64  # networks trained between two savings


@dataclasses.dataclass(frozen=True)
class Settings:
    """Training settings: Adam, cosine decay of the learning rate to zero, no augmentation."""

    network: convnet.Config = dataclasses.field(default_factory=convnet.Config)
    num_train: int = 384  # images
    num_validation: int = 706  # images; the others are the test set
    batch_size: int = 32
    num_epochs: int = 30
    learning_rate: float = 0.005  # initial
    num_seeds: int = 3  # training runs per network


@chex.dataclass(frozen=True)
class Images:
    """Images and one-hot labels."""

    pixels: chex.Array  # float32[..., 8, 8, N], with mean 0 and deviation 1 over the training images
    labels: chex.Array  # float32[..., 10, N]


def train_table(
    chunk_dir: pathlib.Path | None = None, settings: Settings | None = None, *, report: Callable[[str], None] = print
) -> table.Table:
    """Trains every network and returns the table.

    Args:
      chunk_dir: folder of partial results, from which training resumes; None: no partial results.
      settings: training settings; by default those of the shipped table.
      report: called with a line of text after each chunk.

    Raises:
      ValueError: if scikit-learn's images are not the expected ones, or `chunk_dir` is of other settings.
    """
    settings = settings or Settings()
    train, *held_out = load_data(settings)
    batches = draw_batches(settings, train)
    archs = spaces.get("convnet").enumerate()
    depths = np.sum(archs > 0, axis=1)
    columns = {name: np.zeros((len(archs), settings.num_seeds)) for name in ("validation", "test")}
    columns["train_seconds"] = np.zeros(len(archs))
    for depth in range(1, archs.shape[1] + 1):
        indices = np.flatnonzero(depths == depth)
        run = functools.cache(functools.partial(_compile, settings, depth, batches, held_out))
        for start in range(0, len(indices), _CHUNK):
            chunk = indices[start : start + _CHUNK]
            path = chunk_dir / f"depth{depth}_{start:04}.npz" if chunk_dir else None
            found = _train_chunk(settings, path, run, chunk, archs[chunk, :depth])
            for name, values in columns.items():
                values[chunk] = found[name]
            mean, seconds = found["validation"].mean(), found["train_seconds"]
            report(f"depth {depth}, {start + len(chunk)} of {len(indices)}: {mean:.3f}, {seconds:.3f} s a run")
    return _to_table(settings, archs, columns)


def load_data(settings: Settings) -> tuple[Images, Images, Images]:
    """Returns the training, validation and test images, split with a fixed key."""
    levels, labels = digits.read()
    pixels = np.moveaxis(levels, 0, -1).astype(np.float32)
    labels = (labels == np.arange(10)[:, None]).astype(np.float32)
    parts = split(settings)
    seen = pixels[..., parts[0]]
    pixels = (pixels - seen.mean()) / seen.std()
    return tuple(Images(pixels=jnp.asarray(pixels[..., part]), labels=jnp.asarray(labels[:, part])) for part in parts)


def split(settings: Settings) -> list[np.ndarray]:
    """Returns the indices of the training, validation and test images."""
    return np.split(digits.shuffled(), [settings.num_train, settings.num_train + settings.num_validation])


def draw_batches(settings: Settings, train: Images) -> Images:
    """Returns the minibatches of all steps and seeds, (steps, S, ..., batch_size), equal for all networks."""
    num_steps = settings.num_train // settings.batch_size

    def draw(seed):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(1), seed), settings.num_epochs)
        orders = jax.vmap(lambda key: jax.random.permutation(key, settings.num_train))(keys)
        return orders[:, : num_steps * settings.batch_size].reshape(-1, settings.batch_size)

    orders = np.asarray(jax.vmap(draw, out_axes=1)(jnp.arange(settings.num_seeds)))
    return jax.tree.map(lambda values: jnp.moveaxis(jnp.asarray(values)[..., orders], (-3, -2), (0, 1)), train)


@functools.partial(jax.jit, static_argnums=0)
def train_network(
    settings: Settings, index: chex.Array, arch: chex.Array, batches: Images, held_out: list[Images]
) -> chex.Array:
    """Trains one network with each seed and returns its accuracies float32[2, S] on the `held_out` images.

    Args:
      index: int32[], its row in the table, which seeds its initial parameters.
      arch: int32[D], its row without the zeros; one program serves all networks of depth D.
      held_out: validation and test images.
    """
    config = settings.network
    mask = convnet.masks(config, arch)
    # As one vector, the parameters take one update per step instead of one per array.
    _, unravel = jax.flatten_util.ravel_pytree(mask)

    def init(seed):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(2), seed), index)
        return jax.flatten_util.ravel_pytree(convnet.init(key, config, arch))[0]

    def loss(params, batch):
        logits = convnet.logits(config, unravel(params), mask, batch.pixels)
        return jnp.mean(optax.softmax_cross_entropy(logits, batch.labels, axis=0))

    def step(carry, batch):
        params, state = carry
        updates, state = optimizer.update(jax.vmap(jax.grad(loss))(params, batch), state)
        return (optax.apply_updates(params, updates), state), None

    def accuracy(params, part):
        logits = convnet.logits(config, unravel(params), mask, part.pixels)
        return jnp.mean(jnp.argmax(logits, axis=0) == jnp.argmax(part.labels, axis=0))

    optimizer = optax.adam(optax.cosine_decay_schedule(settings.learning_rate, len(batches.pixels)))
    params = jax.vmap(init)(jnp.arange(settings.num_seeds))
    (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), batches)
    return jnp.stack([jax.vmap(accuracy, in_axes=(0, None))(params, part) for part in held_out])


def _compile(settings, depth, batches, held_out):
    """Returns the compiled (index, arch) -> accuracies, so that only training is timed."""
    program = train_network.lower(settings, jnp.int32(0), jnp.zeros(depth, jnp.int32), batches, held_out).compile()
    return lambda index, arch: program(jnp.int32(index), jnp.asarray(arch), batches, held_out)


def _train_chunk(settings, path, run, indices, archs):
    """Returns the columns of some networks of one depth, from the file at `path` if it exists."""
    if path and path.is_file():
        found = npz.read(path, ("settings", "validation", "test", "train_seconds"))
        if str(found.pop("settings")) != repr(settings):
            raise ValueError(f"{path} holds work done with other settings; use another folder for {settings}")
        return found
    train = run()
    start = time.process_time()
    accuracies = np.stack([np.asarray(train(*one)) for one in zip(indices, archs, strict=True)])
    seconds = (time.process_time() - start) / len(indices) / settings.num_seeds
    columns = {"validation": accuracies[:, 0], "test": accuracies[:, 1], "train_seconds": np.float64(seconds)}
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing.replacing(path) as file:
            np.savez(file, settings=repr(settings), **columns)
    return columns


def _to_table(settings, archs, columns):
    found = costs.of_space("convnet", settings.network)
    counts = {"parameters": found["params"](archs), "multiply_adds": found["macs"](archs)}
    info = table.Info(
        benchmark="digits_convnet",
        space="convnet",
        datasets={"digits": {"validation": "validation", "test": "test", "cost": "train_seconds"}},
        source=f"scikit-learn's load_digits (UCI, optical recognition of handwritten digits), SHA-256 {digits.SHA256}",
        licence="Apache-2.0",
        notes=f"Trained by common/runs/digits_convnet.py with {settings}.",
    )
    return table.from_rows(info, archs, columns | counts)
