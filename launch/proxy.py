"""The flags of searches that train each architecture for its fitness, and the evaluator that they name."""

import dataclasses
import pathlib
import types as python_types
import typing

from absl import flags

from common import types
from common.evaluators import training_config
from launch import flags as launch_flags

EVALUATORS = ("benchmark", "training")
SUPERNET = "supernet"  # of commands that define its flags too, see `shared_weights.py`
PREFIX = "proxy_"
_FLAGS = {  # by the start of their names -> the evaluators that they are of
    "benchmark": ("benchmark",),
    "space": ("training", SUPERNET),
    PREFIX: ("training", SUPERNET),
    SUPERNET: (SUPERNET,),
    "score_": (SUPERNET,),
    "schedule": (SUPERNET,),
    "num_blocks": (SUPERNET,),
    "rerank": (SUPERNET,),
    "few_shot_": (SUPERNET,),
}
_DEFINE = {str: flags.DEFINE_string, int: flags.DEFINE_integer, float: flags.DEFINE_float}


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    text = "where fitness comes from: benchmark (--benchmark), training (--space, --dataset and --proxy_...)"
    if SUPERNET in values:
        text += ", or supernet: shared weights (--supernet..., --score_...)"
    flags.DEFINE_string("evaluator", "benchmark", text, flag_values=values)
    text = "of evaluators training and supernet: the space that is searched, such as nao_small or lanas_oneshot"
    flags.DEFINE_string("space", None, text, flag_values=values)
    hints = typing.get_type_hints(training_config.Config, include_extras=True)
    for field in dataclasses.fields(training_config.Config):
        kind, text = typing.get_args(hints[field.name])[:2]
        if isinstance(kind, python_types.UnionType):
            kind = next(option for option in typing.get_args(kind) if option is not type(None))
        _DEFINE[kind](PREFIX + field.name, field.default, f"of evaluator training: {text}", flag_values=values)


def is_asked_for(values: flags.FlagValues) -> bool:
    """Returns whether architectures are to be trained.

    Raises:
      ValueError: there is no such source of fitness, or flags are given that are not of it.
    """
    if "evaluator" not in values:
        return False
    names = (*EVALUATORS, SUPERNET) if SUPERNET in values else EVALUATORS
    launch_flags.one_of("evaluator", values.evaluator, names)
    for start, of in _FLAGS.items():
        for flag in values:
            if flag.startswith(start) and values.evaluator not in of and not values[flag].using_default_value:
                raise ValueError(f"--{flag} is not of --evaluator={values.evaluator}; leave it out")
    return values.evaluator == "training"


def evaluator(values: flags.FlagValues) -> types.Evaluator:
    """Returns the evaluator that trains.

    Raises:
      ValueError: a flag makes no sense, or the dataset cannot be loaded.
    """
    from common.evaluators import training  # flax, which takes a second to import

    if not values.space:
        raise ValueError(f"--evaluator=training needs --space, one of {', '.join(training.NETWORKS)}")
    settings = {field.name: values[PREFIX + field.name].value for field in dataclasses.fields(training_config.Config)}
    dataset = values.dataset or "digits"
    return training.evaluator(
        values.space, dataset=dataset, data_dir=values.data_dir, protocol=values.protocol, **settings
    )


def name(values: flags.FlagValues) -> str:
    """Returns what a run is called after: the benchmark, or the dataset that is trained on."""
    return pathlib.Path(values.dataset or "digits").stem if is_asked_for(values) else values.benchmark
