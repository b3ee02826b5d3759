"""Configuration dataclasses by hand: descriptions, messages, JSON, changes of nested fields."""

import dataclasses
import re
from typing import Annotated, Literal

import numpy as np
import pytest
from absl.testing import parameterized

from common import config as configs


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Settings of the optimizer."""

    rate: Annotated[float, "learning rate", configs.Range(above=0, at_most=1)] = 0.1
    kind: Annotated[Literal["sgd", "adam"], "algorithm"] = "sgd"

    def __post_init__(self):
        configs.validate(self)


@dataclasses.dataclass(frozen=True)
class Training:
    """Settings of a training."""

    epochs: Annotated[int, "epochs", configs.Range(at_least=1)] = 5
    limit: Annotated[int | None, "examples; None: all", configs.Range(at_least=1, below=10)] = None
    widths: Annotated[tuple[int, ...], "widths", configs.Range(at_least=2)] = (4, 8)
    name: Annotated[str, "name"] = "plain"
    is_long: Annotated[bool, "whether it is long"] = False
    optimizer: Annotated[Optimizer, "optimizer"] = Optimizer()

    def __post_init__(self):
        configs.validate(self)


class FieldsTest(parameterized.TestCase):
    def test_descriptions(self):
        field, kind = configs.fields(Optimizer)
        assert field == configs.Field("rate", float, "learning rate", bounds=configs.Range(above=0, at_most=1))
        assert kind == configs.Field("kind", str, "algorithm", choices=("sgd", "adam"))
        fields = {field.name: field for field in configs.fields(Training)}
        assert (fields["limit"].kind, fields["limit"].is_optional) == (int, True)
        assert (fields["widths"].kind, fields["widths"].is_sequence) == (int, True)
        assert fields["optimizer"].is_nested
        assert configs.flat_names(Training()) == ["epochs", "limit", "widths", "name", "is_long", "rate", "kind"]

    def test_ranges(self):
        bounds = configs.Range(above=0, at_most=1)
        assert [number in bounds for number in (-1, 0, 0.5, 1, 1.5, float("nan"))] == [False] * 2 + [True] * 2 + [
            False
        ] * 2
        assert str(bounds) == "above 0 and at most 1"
        assert str(configs.Range(at_least=1, below=2.5)) == "at least 1 and below 2.5"


class ValidateTest(parameterized.TestCase):
    @parameterized.parameters(
        ({"epochs": 0}, "epochs must be at least 1; got 0"),
        ({"epochs": 1.5}, "epochs must be a whole number; got 1.5"),
        ({"epochs": True}, "epochs must be a whole number; got True"),
        ({"epochs": None}, "epochs must be a whole number; got None"),
        ({"limit": 10}, "limit must be at least 1 and below 10; got 10"),
        ({"widths": [4]}, "widths must be a tuple; got [4]"),
        ({"widths": (4, 1)}, "widths must be at least 2; got 1"),
        ({"name": 3}, "name must be a text; got 3"),
        ({"is_long": 1}, "is_long must be true or false; got 1"),
        ({"optimizer": {}}, f"optimizer must be a {__name__}.Optimizer; got {{}}"),
    )
    def test_messages(self, changes, message):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            Training(**changes)

    def test_all_faults_are_in_one_message(self):
        with pytest.raises(ValueError, match=r"^epochs must be at least 1; got 0; widths must be at least 2; got 1$"):
            Training(epochs=0, widths=(1,))
        with pytest.raises(ValueError, match=r"^rate must be .*; got 2.0; epochs must be .*; got 0$"):
            configs.replace(Training(), {"rate": 2.0, "epochs": 0})
        with pytest.raises(ValueError, match=r"^b; c$"):
            configs.require((True, "a"), (False, "b"), (False, "c"))
        with pytest.raises(ValueError, match=r"^epochs must be at least 1; got 0$"):
            configs.gathered(lambda: Training(epochs=0), lambda: 3, lambda: Training(epochs=0))
        assert configs.gathered(lambda: 3, Training) == [3, Training()]

    def test_numbers_of_numpy_are_numbers(self):
        Training(epochs=np.int32(3), optimizer=Optimizer(rate=np.float32(0.5)))
        Optimizer(rate=1)

    def test_one_of(self):
        configs.one_of("mode", "fast", {"fast": 1, "slow": 2})
        with pytest.raises(ValueError, match=r"^unknown mode 'best'; choose one of fast, slow$"):
            configs.one_of("mode", "best", {"fast": 1, "slow": 2})


class ChangesTest(parameterized.TestCase):
    def test_replace_reaches_into_nested_ones(self):
        changed = configs.replace(Training(), {"epochs": 2, "rate": 0.5})
        assert changed == Training(epochs=2, optimizer=Optimizer(rate=0.5))
        assert configs.replace(changed, {}) == changed
        with pytest.raises(ValueError, match="unknown settings depth, size of"):
            configs.replace(Training(), {"size": 1, "depth": 1})
        with pytest.raises(ValueError, match="rate must be"):
            configs.replace(Training(), {"rate": 2.0})

    def test_json(self):
        config = Training(limit=3, optimizer=Optimizer(kind="adam"))
        record = configs.to_json(config)
        expected = {"epochs": 5, "limit": 3, "widths": [4, 8], "name": "plain", "is_long": False}
        assert record == {**expected, "optimizer": {"rate": 0.1, "kind": "adam"}}
        assert configs.from_json(Training, record) == config
        del record["limit"]  # of a version without this setting, which can be None
        assert configs.from_json(Training, record) == dataclasses.replace(config, limit=None)

    @parameterized.parameters(
        ([], "must be an object; got"),
        ({}, "missing or unknown"),
        ({**configs.to_json(Training()), "size": 1}, "settings of another version: size missing or unknown"),
        ({**configs.to_json(Training()), "optimizer": {"rate": 1}}, "settings of another version: kind missing"),
        ({**configs.to_json(Training()), "widths": 4}, "widths must be a tuple; got 4"),
    )
    def test_json_of_another_version(self, record, message):
        with pytest.raises(ValueError, match=message):
            configs.from_json(Training, record)
