"""The flags of searches that train each architecture for its fitness, and the evaluator that they name."""

from absl import flags

from common import config as configs
from common import plugins
from common.evaluators import training_config
from launch import flags as launch_flags

EVALUATORS = ("benchmark", "training")
SUPERNET = "supernet"  # of commands that define its flags too, see `shared_weights.py`
PREFIX = "proxy_"
CUSTOM = "package.module:name"
_FLAGS = {  # by the start of their names -> the evaluators that they are for
    "benchmark": ("benchmark",),
    "dataset": (*EVALUATORS, SUPERNET),
    "protocol": (*EVALUATORS, SUPERNET),
    "space": (*EVALUATORS, SUPERNET, CUSTOM),
    PREFIX: ("training", SUPERNET),
    SUPERNET: (SUPERNET,),
    "score_": (SUPERNET,),
    "schedule": (SUPERNET,),
    "num_blocks": (SUPERNET,),
    "rerank": (SUPERNET,),
    "few_shot_": (SUPERNET,),
}


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    text = "where fitness comes from: benchmark (--benchmark), training (--space, --dataset and --proxy_...)"
    if SUPERNET in values:
        text += ", supernet: shared weights (--supernet..., --score_...)"
    text += f", or {CUSTOM} of an Evaluator, or of a function (space) -> Evaluator"
    flags.DEFINE_string("evaluator", "benchmark", text, flag_values=values)
    text = "search space, such as nao_small or lanas_oneshot (evaluators training, supernet), or package.module:name"
    if "space" in values:
        values["space"].help += f"; {text}"
    else:
        flags.DEFINE_string("space", None, text, flag_values=values)
    launch_flags.define(values, training_config.Config(), prefix=PREFIX, note="evaluator training")


def is_asked_for(values: flags.FlagValues) -> bool:
    """Returns whether architectures are to be trained.

    Raises:
      ValueError: there is no such source of fitness, or flags are given that are not of it.
    """
    if "evaluator" not in values:
        return False
    names = (*EVALUATORS, SUPERNET) if SUPERNET in values else EVALUATORS
    is_custom = plugins.is_path(values.evaluator)
    if not is_custom:
        configs.one_of("evaluator", values.evaluator, names)
    for start, of in _FLAGS.items():
        kind = CUSTOM if is_custom else values.evaluator
        for flag in values:
            if flag.startswith(start) and kind not in of and not values[flag].using_default_value:
                raise ValueError(f"--{flag} is not for --evaluator={values.evaluator}; leave it out")
    return values.evaluator == "training"
