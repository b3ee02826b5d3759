"""Search problems: the settings of each source of fitness, and the evaluator built from them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import jax

from common import config as configs
from common import objectives as objectives_lib
from common import plugins, spaces, tables, types
from common.evaluators import benchmark, tabular, training_config, zero_cost_config
from common.executors import measuring
from common.records import progress
from common.spaces import limits
from common.training import latency as latencies

_Protocol = Annotated[
    Literal[tabular.PROTOCOLS], "fitness that the search sees; test is the test-oracle protocol of the LaNAS paper"
]
Limit = Annotated[
    tuple[str, ...], "limits on costs that a search respects, such as params<=3e6 or macs>=5e8; several by commas"
]
IMAGES = (
    "digits, cluttered_digits, mnist, cifar10 or another name given to launch.prepare_data, an npz file, or a folder "
    "with a folder of images for each class"
)
OBJECTIVES = (
    "what the search improves: fitness and costs, - before a name if smaller is better, such as fitness,-params; the "
    "result is the front"
)
Measured = Annotated[tuple[Literal["latency"], ...], "costs to measure with the fitness"]
_DataDir = Annotated[str | None, "folder of the benchmark and dataset files"]


@configs.dataclass
class Benchmark:
    """Fitness from a benchmark table."""

    benchmark: Annotated[str, f"{', '.join(tables.BENCHMARKS)}, or a file: .csv, .npz or .table"] = "digits_convnet"
    dataset: Annotated[str | None, "of a benchmark with several, such as cifar100; by default its first"] = None
    protocol: _Protocol = "validation"
    data_dir: _DataDir = None
    space: Annotated[str | None, "search space of a benchmark file; by default it follows from the columns"] = None
    runs: Annotated[
        Literal[tabular.RUNS], "fitness of a table with several training runs: their mean, or one sampled run"
    ] = "mean"
    costs: Annotated[
        str | None, "CSV or npz file with further costs of the benchmark's architectures, such as latencies"
    ] = None
    limit: Limit = ()

    def __post_init__(self):
        tables.get(self.benchmark)
        if self.space and plugins.is_path(self.space):
            text = "is no space of a benchmark; give an evaluator of your own too (--evaluator=package.module:name)"
            raise ValueError(f"space {self.space} {text}")
        limits.parse(self.limit)


@configs.dataclass
class Training:
    """Fitness from a short training of each architecture, from scratch."""

    space: Annotated[str, "search space with networks for images"] = "nao_small"
    dataset: Annotated[str, "images: a name, or an npz file"] = "digits"
    protocol: _Protocol = "validation"
    data_dir: _DataDir = None
    proxy: Annotated[training_config.Config, "settings of the trainings"] = dataclasses.field(
        default_factory=training_config.Config
    )
    measured: Measured = ()
    latency: Annotated[latencies.Config, "measurement of the latency"] = latencies.Config()
    limit: Limit = ()

    def __post_init__(self):
        limits.parse(self.limit)


@configs.dataclass
class ZeroCost:
    """Fitness from a zero-cost score of each architecture, without training."""

    space: Annotated[str, "search space with networks for images"] = "nao_small"
    dataset: Annotated[str, "images: a name, or an npz file"] = "digits"
    data_dir: _DataDir = None
    zero_cost: Annotated[zero_cost_config.Config, "the score"] = zero_cost_config.Config()
    limit: Limit = ()

    def __post_init__(self):
        limits.parse(self.limit)


@configs.dataclass
class Custom:
    """Fitness from an evaluator of another package."""

    evaluator: Annotated[str, "package.module:name of an Evaluator, or of a function that returns one"] = ""
    space: Annotated[str | None, "argument of that function: a search space, by name or package.module:name"] = None
    limit: Limit = ()

    def __post_init__(self):
        limits.parse(self.limit)


Problem = Benchmark | Training | ZeroCost | Custom


def to_measure(limit: Sequence[str], objectives: Sequence[str]) -> tuple[str, ...]:
    """Returns the names for `measured`: "latency" if limits or objectives are on it."""
    names = {one.cost for one in limits.parse(limit)} | objectives_lib.parse(objectives).keys()
    return () if names.isdisjoint(latencies.NAMES) else latencies.NAMES[:1]


def build(problem: Problem) -> types.Evaluator:
    """Returns the evaluator of a problem.

    Raises:
      ValueError: a setting is wrong, data is missing or damaged, or a benchmark holds only a part of its space.
    """
    if isinstance(problem, Benchmark):
        settings = dataclasses.asdict(problem)
        return benchmark.evaluator(settings.pop("benchmark"), **settings)
    if isinstance(problem, Custom):
        return limited(custom(problem.evaluator, problem.space), problem.limit)
    from common.evaluators import training, zero_cost  # flax, which takes a second to import

    settings = dataclasses.asdict(problem)
    if isinstance(problem, ZeroCost):
        limit = settings.pop("limit")
        return limited(zero_cost.evaluator(settings.pop("space"), **settings.pop("zero_cost"), **settings), limit)
    limit = settings.pop("limit")
    if not settings.pop("measured"):
        del settings["latency"]
    return limited(training.evaluator(settings.pop("space"), **settings.pop("proxy"), **settings), limit)


def limited(evaluator: types.Evaluator, limit: Sequence[str]) -> types.Evaluator:
    """Returns an evaluator whose space is the part within limits on its known costs.

    Rows over a limit on a measured cost are infeasible (`types.Evaluation.over_limit`).

    Args:
      evaluator: the source of fitness, with `costs` or `measured` ones.
      limit: limits, such as "macs<=6e8"; none give the evaluator itself.

    Raises:
      ValueError: a text is no limit, a cost is unknown, or fewer than two architectures respect the limits.
    """
    if not limit:
        return evaluator
    known, measured = limits.split(limits.parse(limit), evaluator.costs, evaluator.measured)
    space = limits.part(evaluator.space, known, evaluator.costs)
    return within(evaluator, measured)._replace(space=space, optimum=None, limits=limits.texts(limit))


def within(evaluator: types.Evaluator, measured: Sequence[limits.Limit]) -> types.Evaluator:
    """Returns an evaluator of which rows over limits on measured costs are infeasible; without limits itself."""
    if not measured:
        return evaluator
    evaluate, recipe = evaluator.evaluate, evaluator.recipe
    if not isinstance(evaluate, jax.tree_util.Partial):
        evaluate = jax.tree_util.Partial(evaluate)

    def limited_evaluate(evaluate, key, archs):
        return limits.within(evaluate(key, archs), measured, archs)

    if recipe is not None:
        settings = {**recipe._asdict(), "limit": list(map(str, measured))}
        recipe = types.Recipe(f"{__name__}.limited_again", settings)
    return evaluator._replace(evaluate=jax.tree_util.Partial(limited_evaluate, evaluate), recipe=recipe)


def limited_again(factory: str, settings: Mapping[str, Any], limit: Sequence[str]) -> types.Evaluator:
    """Returns the evaluator of a recipe within limits on measured costs, for worker processes."""
    return within(measuring.make(types.Recipe(factory, settings)), limits.parse(limit))


def report(problem: Problem, evaluator: types.Evaluator) -> None:
    """Prints what was understood of a benchmark file of the user, and what is odd about it."""
    if not isinstance(problem, Benchmark) or not tables.is_file(problem.benchmark):
        return
    space = evaluator.space
    choices = " x ".join(map(str, space.num_choices))
    about = f"{evaluator.name}: {evaluator.num_archs:,} architectures of {len(space.num_choices)} decisions ({choices})"
    best = 0.0 if evaluator.optimum is None else 100 * evaluator.optimum
    oddities = []
    if 1 in space.num_choices:
        oddities.append(f"decision {space.num_choices.index(1)} has one choice in all rows")
    if best < 2:
        oddities.append(f"the best fitness is {best:g} %; was it divided by 100 twice?")
    progress.report(f"{about}, best {evaluator.protocol} fitness {best:.2f} %", oddities)


def custom(evaluator: str, space: str | None = None) -> types.Evaluator:
    """Returns the evaluator of a `Custom`; worker processes make it again by the same call.

    Raises:
      ValueError: there is no such evaluator or space.
    """
    args = ()
    if space is not None:
        args = (plugins.made(space, types.SearchSpace) if plugins.is_path(space) else spaces.get(space),)
    made = plugins.made(evaluator, types.Evaluator, *args, advice="" if args else "; give its space (--space)")
    if args and made.space.name != args[0].name:
        raise ValueError(f"{evaluator} is an evaluator of {made.space.name}; leave out the space {space}")
    if made.recipe is None:
        made = made._replace(recipe=types.Recipe(f"{__name__}.custom", {"evaluator": evaluator, "space": space}))
    return made
