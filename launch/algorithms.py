"""Search algorithms by name: each preset of LaNAS, NAO and SemiNAS, and the baselines; schedules of a renewed pool."""

import functools
import re
import sys
from collections.abc import Callable, Sequence

from absl import flags

import lanas_jax
import nao_jax
from common import baselines, in_turn, plugins, spelling, types
from common import config as configs
from common import objectives as objectives_lib
from common.runs import population, weight_sharing
from launch import commands

ALGORITHMS: dict[str, types.Algorithm] = {
    name: algorithm._replace(name=name, config=config)
    for algorithm in (lanas_jax.ALGORITHM, nao_jax.ALGORITHM, *baselines.ALGORITHMS.values())
    for name, config in algorithm.presets.items()
}
POOL = ("num_initial", "num_blocks", "num_new", "num_random")  # flags of a schedule, some of algorithms too


def get(name: str) -> types.Algorithm:
    """Returns an algorithm by name.

    Args:
      name: a key of `ALGORITHMS`; or package.module:name of an `Algorithm`, or of a function (space) -> `Searcher`.
        Settings may follow, which replace its own: lanas:height=7:exploration=0.1. Several joined by + propose in
        turn, one round each, on one history: lanas+nao:num_steps=5.

    Raises:
      ValueError: there is no such algorithm or setting, or a value is not allowed.
    """
    if len(names := re.split(r"\+(?=[a-z])", name)) > 1:
        return _in_turn(name, [get(one) for one in names])
    parts = name.split(":")
    if settings := [part for part in parts if "=" in part]:
        base = get(":".join(part for part in parts if "=" not in part))
        return _with_settings(name, base, settings)
    if not plugins.is_path(name):
        configs.one_of("algorithm", name, ALGORITHMS)
        return ALGORITHMS[name]
    if isinstance(found := plugins.load(name), types.Algorithm):
        return found

    def searcher(space, config, *, name):
        del config
        return plugins.made(path, types.Searcher, space)._replace(name=name)

    path, name = name, name.partition(":")[2]
    return types.Algorithm(name, config=None, presets={}, searcher=searcher)


def check_objectives(algorithm: types.Algorithm, objectives: Sequence[str]) -> None:
    """Raises a `ValueError` unless objectives, such as ("fitness", "-params"), are well formed and not too many."""
    if (num := len(objectives_lib.parse(objectives))) > algorithm.max_objectives:
        able = ", ".join(name for name, one in ALGORITHMS.items() if one.max_objectives >= num)
        raise ValueError(
            f"{algorithm.name} takes {algorithm.max_objectives} objective{'s' * (algorithm.max_objectives > 1)}; got "
            f"{num}: {','.join(objectives)}; choose one of {able}"
        )


def report_maximized(objectives: Sequence[str]) -> None:
    """Prints a line on standard error for each cost that is maximized without a + before it."""
    for name in map(str.strip, objectives):
        if name != "fitness" and not name.startswith(("-", "+")):
            print(f"{name} is maximized; write -{name} for less, or +{name}", file=sys.stderr, flush=True)


def _with_settings(name, base, settings):
    """Returns `base` under another name with settings replaced, texts such as height=7."""
    names = [setting.partition("=")[0] for setting in settings]
    if len(set(names)) < len(names):
        raise ValueError(f"algorithm {name} has a setting twice; leave one out")
    values = flags.FlagValues()
    if base.config is not None:
        commands.define(values, base.config)
    if unknown := [one for one in names if one not in values]:
        advice = spelling.hint(unknown[0], values) or f"its settings: {', '.join(values) or 'none'}"
        raise ValueError(f"algorithm {name}: {base.name} has no setting {unknown[0]!r}; {advice}")
    try:
        values(["", *(f"--{setting}" for setting in settings)])
        config = commands.read(values, base.config)
    except (flags.Error, ValueError) as error:
        raise ValueError(f"algorithm {name}: {' '.join(str(error).split())}") from error

    def for_space(space, config):
        del config
        return commands.read(values, base.for_space(space, base.config))

    return base._replace(name=name, config=config, for_space=for_space)


def _in_turn(name, chosen):
    def searcher(space, config, *, name, **more):
        del config
        return in_turn.searcher([in_turn.configured(one, space, **more) for one in chosen], name=name)

    most = min(one.max_objectives for one in chosen)
    return types.Algorithm(name, config=None, presets={}, searcher=searcher, max_objectives=most, parts=tuple(chosen))


def factory(algorithm: types.Algorithm) -> Callable[[types.SearchSpace], types.Searcher]:
    """Returns space -> searcher, with the settings of the algorithm for the space."""
    return functools.partial(in_turn.configured, algorithm)


def read_schedule(values: flags.FlagValues) -> weight_sharing.Schedule | None:
    """Returns the schedule that the flags name, if any.

    Raises:
      ValueError: there is no such schedule, or the flags do not belong together.
    """
    if "schedule" not in values or values.schedule is None:
        if own := [name for name in commands.given(values, POOL) if values[name].default is None]:
            text = f"--{', --'.join(own)} needs --schedule; choose one of {', '.join(population.SCHEDULES)}"
            if "algorithm" in values:
                text += "; a setting of the algorithm follows its name, such as --algorithm=nao:num_initial=5"
            raise ValueError(text)
        return None
    reasons = {
        "supernet": "trains its own weights",
        "limit": "trains on random pools of the whole space",
        "objectives": "ranks its pool by fitness alone",
        "budget": "evaluates whole pools (--num_initial, --num_new, --num_random, --num_blocks)",
        "mode": "evaluates whole pools",
        **dict.fromkeys(("executor", "max_errors", "retry_failed"), "evaluates whole pools in this process"),
        **dict.fromkeys(("warm_start", "warm_up"), "begins with a random pool"),
        "export": "has pools, in pools.jsonl, instead of a list of measurements",
    }
    configs.require(
        *(
            (not commands.given(values, [flag]), f"--schedule={values.schedule} {why}; leave --{flag} out")
            for flag, why in reasons.items()
        )
    )
    given = commands.given(values, POOL)
    return population.schedule(values.schedule, **{name: values[name].value for name in given})
