"""Sources of fitness by name. A new one is one file and one line in `EVALUATORS`."""

from collections.abc import Callable
from typing import Any

from common import types
from common.evaluators import benchmark, synthetic, tabular


def _training(*args: Any, **settings: Any) -> types.Evaluator:
    """See `training.evaluator`."""
    from common.evaluators import training  # flax, which takes a second to import

    return training.evaluator(*args, **settings)


def _recurrent_supernet(*args: Any, **settings: Any) -> types.Evaluator:
    """See `recurrent_supernet.evaluator`."""
    from common.language import evaluators

    return evaluators.on_shared_weights(*args, **settings)


def _recurrent_training(*args: Any, **settings: Any) -> types.Evaluator:
    """See `recurrent_training.evaluator`."""
    from common.language import evaluators

    return evaluators.from_scratch(*args, **settings)


def _supernet(*args: Any, **settings: Any) -> types.Evaluator:
    """See `supernet.evaluator`."""
    from common.supernets import scoring as supernet

    return supernet.evaluator(*args, **settings)


def _supernet_alone(*args: Any, **settings: Any) -> types.Evaluator:
    """See `supernet_alone.evaluator`."""
    from common.supernets import stand_alone as supernet_alone

    return supernet_alone.evaluator(*args, **settings)


EVALUATORS: dict[str, Callable[..., types.Evaluator]] = {
    "benchmark": benchmark.evaluator,
    "recurrent_supernet": _recurrent_supernet,
    "recurrent_training": _recurrent_training,
    "supernet": _supernet,
    "supernet_alone": _supernet_alone,
    "synthetic": synthetic.evaluator,
    "tabular": tabular.evaluator,
    "training": _training,
}
