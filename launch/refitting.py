"""The models of a search, fitted again from its history, for pictures of what they learned."""

import dataclasses
import typing
from collections.abc import Mapping

import lanas_jax.config
import lanas_jax.explain
import nao_jax.explain
import nao_jax.presets
from common import explanations as records
from common import spaces
from common.report import run_files

_KINDS = {"lanas": lanas_jax.config.Config, "nao": nao_jax.presets.Config}  # by command
Models = dict[str, records.Partition | records.LatentMap]


def models(run: run_files.Run) -> tuple[Models, list[str]]:
    """Returns (what the algorithm's package makes of the history, by name, notes on what it could not)."""
    if run.blocks:  # a history that is no longer whole
        return {}, []
    try:
        config = _config(run.config)
        if config is None:
            return {}, []
        space, seed = spaces.get(run.config["space"]), int(run.config["seed"])
        if isinstance(config, lanas_jax.config.Config):
            name, made = "partition", lanas_jax.explain.explain(space, config, run.history, seed=seed)
        else:
            name, made = "latents", nao_jax.explain.explain(space, config, run.history, seed=seed)
    except (ValueError, TypeError) as error:  # settings or a space of another version
        return {}, [f"The model could not be fitted again: {error}"]
    if made is None:
        return {}, ["Too little is measured yet to fit the model again."]
    return {name: made}, []


def config_of(kind: type, settings: Mapping[str, typing.Any]) -> typing.Any:
    """Returns a configuration from its record in config.json, dataclasses in its fields included.

    Args:
      kind: its dataclass.
      settings: the record.

    Raises:
      ValueError: there is a setting that this version does not know.
    """
    default = kind()
    unknown = sorted(settings.keys() - {field.name for field in dataclasses.fields(default)})
    if unknown:
        raise ValueError(f"this version has no settings {', '.join(unknown)}")
    made = {}
    for name, value in settings.items():
        inner = getattr(default, name)
        made[name] = config_of(type(inner), value) if dataclasses.is_dataclass(inner) else value
    return kind(**made)


def _config(told):
    """The settings of a search whose model can be fitted; None where there is no such model."""
    kind, settings = _KINDS.get(told["command"]), told["config"]
    if kind is not None:
        return config_of(
            kind, settings.get("searcher", settings)
        )  # beside what shared weights are of, where it has them
    # Commands with a choice of algorithms take them at their presets.
    name = told["algorithm"]
    if name in lanas_jax.config.PRESETS:
        return dataclasses.replace(lanas_jax.config.PRESETS[name], sampler="walk")  # as `algorithms.of_large_space`
    return nao_jax.presets.PRESETS.get(name)
