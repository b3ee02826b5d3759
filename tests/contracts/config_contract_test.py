"""Contract of every configuration dataclass: help, validation, JSON and flags follow from its annotations.

They are found: all dataclasses with annotated fields in the packages. A new one is tested once it exists.
"""

import dataclasses
import importlib
import json
import math
import pathlib
import re

import pytest
from absl import flags
from absl.testing import parameterized

from common import config as configs
from launch import commands

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ("common", "lanas_jax", "nao_jax", "launch")


def _modules(text):
    """Yields the modules of the packages that contain a text."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            if text in file.read_text():
                yield importlib.import_module(file.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."))


def _found():
    """Returns {dotted path: configuration dataclass}."""
    return {
        f"{module.__name__}.{name}": kind
        for module in _modules("Annotated[")
        for name, kind in vars(module).items()
        if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == module.__name__
        if any(hasattr(field.type, "__metadata__") for field in dataclasses.fields(kind))
    }


CONFIGS = _found()


def _instances():
    """Returns {name: configuration}: the defaults, and those in a dict of a module, such as its `PRESETS`."""
    return {name: kind() for name, kind in CONFIGS.items()} | {
        f"{module.__name__}.{name}": preset
        for module in _modules(": dict[str, ")
        for presets in vars(module).values()
        if isinstance(presets, dict)
        for name, preset in presets.items()
        if type(preset) in CONFIGS.values()
    }


INSTANCES = _instances()
_each_config = parameterized.named_parameters((name, kind) for name, kind in CONFIGS.items())
_each_instance = parameterized.named_parameters((name, config) for name, config in INSTANCES.items())


def _has_flags(config):
    """No command has flags that are lists of anything but texts; settings that share a name need a prefix each."""
    names = configs.flat_names(config)
    is_flat = len(set(names)) == len(names)
    return is_flat and all(field.kind is str or not field.is_sequence for field in configs.fields(type(config)))


def _outside(bounds):
    """Returns numbers just outside the bounds, and those on a bound that is excluded."""
    numbers = [bounds.at_least - 1, bounds.above, bounds.at_most + 1, bounds.below]
    return [int(number) if number == int(number) else number for number in numbers if math.isfinite(number)]


def _fields(kind):
    """Returns the fields but for nested configurations, which have cases of their own."""
    return [field for field in configs.fields(kind) if not field.is_nested]


def _assert_refused(kind, field, value, message):
    found = "allowed"
    try:
        dataclasses.replace(kind(), **{field.name: (value,) if field.is_sequence else value})
    except ValueError as error:
        found = str(error)
    assert re.search(message, found), f"{field.name} = {value!r}: {found}; {message!r} expected"


class ConfigContractTest(parameterized.TestCase):
    def test_the_known_ones_are_found(self):
        assert {"lanas_jax.config.Config", "nao_jax.config.Config", "nao_jax.config.Model"} <= CONFIGS.keys()
        assert {"lanas_jax.config.lanas_paper", "nao_jax.presets.seminas_imagenet"} <= INSTANCES.keys()

    @_each_config
    def test_every_field_has_help_and_the_class_a_title(self, kind):
        assert not kind.__doc__.startswith(f"{kind.__name__}("), "no docstring"
        for field in configs.fields(kind):
            assert len(field.help) > 5 or field.is_nested, field.name
            assert field.kind in (int, float, bool, str) or field.is_nested, field.name

    @_each_config
    def test_numbers_out_of_range(self, kind):
        for field in _fields(kind):
            values = _outside(field.bounds) + [math.nan, math.inf] * (field.kind is float)
            values = [math.floor(value) if field.kind is int else value for value in values]
            if field.kind in (int, float) and not field.choices:
                values += ["1", True]
            for value in values:
                _assert_refused(kind, field, value, f"{field.name} must be")

    @_each_config
    def test_unknown_choices_and_wrong_types(self, kind):
        wrong = {
            bool: (1, "must be true or false; got 1"),
            str: (1, "must be a text; got 1"),
            int: (1.5, "must be a whole number; got 1.5"),
        }
        for field in _fields(kind):
            if field.choices:
                allowed = re.escape(", ".join(map(str, field.choices)))
                _assert_refused(kind, field, "other", f"unknown {field.name} 'other'; choose one of {allowed}$")
            elif field.kind in wrong:
                value, message = wrong[field.kind]
                _assert_refused(kind, field, value, f"{field.name} {message}")
            if not (field.is_optional or field.is_sequence):
                _assert_refused(kind, field, None, field.name)

    @_each_instance
    def test_json_round_trip(self, config):
        record = json.loads(json.dumps(configs.to_json(config)))
        assert configs.from_json(type(config), record) == config
        required = [field.name for field in configs.fields(type(config)) if not field.is_optional]
        less = [{name: value for name, value in record.items() if name != one} for one in required[:1]]
        for changed in ({**record, "unknown": 1}, *less):
            with pytest.raises(ValueError, match="missing or unknown"):
                configs.from_json(type(config), changed)

    @parameterized.named_parameters((name, config) for name, config in INSTANCES.items() if _has_flags(config))
    def test_flags_round_trip(self, config):
        values = flags.FlagValues()
        default = type(config)()
        commands.define(values, default, prefix="the_")
        values(["command"])
        assert commands.read(values, config, prefix="the_") == config, "flags that are not given change nothing"
        values(["command", *_arguments(config)])
        assert commands.read(values, default, prefix="the_") == config

    @_each_config
    def test_what_a_setting_needs_is_a_field_with_such_values(self, kind):
        choices = {field.name: field.choices for field in configs.fields(kind)}
        for field in _fields(kind):
            if field.needs and field.needs.name in choices:
                assert set(field.needs.values) < set(choices[field.needs.name]) or not field.needs.values, field.name

    @_each_config
    def test_a_flag_out_of_range_is_named(self, kind):
        for field in _fields(kind):
            for value in _outside(field.bounds)[:1]:
                values = flags.FlagValues()
                commands.define(values, kind(), prefix="the_")
                values(["command", f"--the_{field.name}={value}"])
                with pytest.raises(ValueError, match=f"--the_{field.name} must be"):
                    commands.read(values, kind(), prefix="the_")


def _arguments(config):
    """Returns the command line of all settings."""
    arguments = []
    for field in configs.fields(type(config)):
        value = getattr(config, field.name)
        if field.is_nested:
            arguments += _arguments(value)
        elif field.needs and not field.needs.is_met(getattr(config, field.needs.name, True)):
            continue  # without effect
        elif field.kind is bool and value is not None:
            arguments.append(f"--{'' if value else 'no'}the_{field.name}")
        elif value is not None:
            value = ",".join(map(str, value)) if field.is_sequence else value
            arguments.append(f"--the_{field.name}={value}")
    return arguments
