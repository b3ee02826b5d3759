"""Search algorithms by name: each preset of LaNAS, NAO and SemiNAS, and the baselines."""

from collections.abc import Callable

import lanas_jax
import nao_jax
from common import baselines, plugins, types
from common import config as configs

ALGORITHMS: dict[str, types.Algorithm] = {
    name: algorithm._replace(name=name, config=config)
    for algorithm in (lanas_jax.ALGORITHM, nao_jax.ALGORITHM, *baselines.ALGORITHMS.values())
    for name, config in algorithm.presets.items()
}


def get(name: str) -> types.Algorithm:
    """Returns an algorithm by name.

    Args:
      name: a key of `ALGORITHMS`; or package.module:name of an `Algorithm`, or of a function (space) -> `Searcher`.

    Raises:
      ValueError: there is no such algorithm.
    """
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


def factory(algorithm: types.Algorithm) -> Callable[[types.SearchSpace], types.Searcher]:
    """Returns space -> searcher, with the settings of the algorithm for the space."""

    def make(space):
        return algorithm.searcher(space, algorithm.for_space(space, algorithm.config), name=algorithm.name)

    return make
