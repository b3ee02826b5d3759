"""Memory of a step and of its device: the batch size that an error names, by hand and of a compiled step."""

import functools
import types
from unittest import mock

import jax
import pytest
from absl.testing import absltest

from common.training import config as configs
from common.training import loop, memory, stream
from common.training import state as states
from common.training import step as step_lib
from tests.shared import small_network

GIB = 2**30
PARAMS = {"weights": mock.Mock(nbytes=GIB)}


def program(*, temporary, arguments=3 * GIB):
    """Returns a stand-in for a compiled step: 3 GiB of arguments, of which 2 GiB are the state and overwritten."""
    plan = types.SimpleNamespace(
        argument_size_in_bytes=arguments,
        output_size_in_bytes=2 * GIB,
        alias_size_in_bytes=2 * GIB,
        temp_size_in_bytes=temporary,
    )
    return mock.Mock(memory_analysis=lambda: plan)


def device_of(size):
    return mock.patch.object(memory, "available", return_value=size)


@functools.cache
def steps(batch_size):
    config = configs.Config(num_epochs=1, batch_size=batch_size)
    made = step_lib.steps(small_network.Small(), config, small_network.INPUTS, num_classes=3, num_images=200)
    return made, config


def trained(batch_size):
    """Trains for an epoch and returns the steps done."""
    made, config = steps(batch_size)
    keys = states.keys(jax.random.key(0))
    state = made.init(keys.init, small_network.SHAPE)
    return [chunk.step for _, chunk in loop.train(made, state, keys, small_network.make_data(200), config)]


class CheckTest(absltest.TestCase):
    def test_batch_size_by_hand(self):
        # Of 65 GiB temporary memory 1 GiB is a gradient: half a GiB for each of 128 images, beside 4 GiB of any batch;
        # 5 % of the other 16 are left.
        with device_of(20 * GIB):
            with pytest.raises(memory.OutOfMemoryError, match=r"= 128 needs 68.00 GiB on a device that has 20.00 GiB:"):
                memory.check(program(temporary=65 * GIB), PARAMS, batch_size=128)
            with pytest.raises(ValueError, match="set batch_size to 30 or less; --remat and"):
                memory.check(program(temporary=65 * GIB), PARAMS, batch_size=128)
            with pytest.raises(ValueError, match=r"4.00 GiB of it are parameters"):
                memory.check(program(temporary=65 * GIB), PARAMS, batch_size=3)
            memory.check(program(temporary=17 * GIB), PARAMS, batch_size=128)
        with device_of(None):
            memory.check(program(temporary=65 * GIB), PARAMS, batch_size=128)

    def test_nothing_fits(self):
        with device_of(4 * GIB), pytest.raises(ValueError, match=r"4.00 GiB of it are parameters, .* so that no batch"):
            memory.check(program(temporary=65 * GIB), PARAMS, batch_size=128)

    def test_several_devices_share_a_batch(self):
        batches = mock.Mock(num_devices=5)
        with device_of(20 * GIB), pytest.raises(ValueError, match="set batch_size to 30 or less"):
            memory.check(program(temporary=65 * GIB), PARAMS, batch_size=128, batches=batches)

    def test_memory_of_a_device(self):
        with_limit = mock.Mock(memory_stats=lambda: {"bytes_limit": 7}, platform="gpu")
        without = mock.Mock(memory_stats=lambda: None, platform="tpu")
        assert (memory.available(with_limit), memory.available(without)) == (7, None)
        assert memory.available() > GIB / 4  # of this machine


class StepTest(absltest.TestCase):
    def test_the_batch_size_that_is_named_fits(self):
        with device_of(120_000), pytest.raises(ValueError, match=r"set batch_size to [0-9]+ or less") as caught:
            trained(100)
        fitting = int(str(caught.value).split("set batch_size to ")[1].split()[0])
        assert 20 < fitting < 100
        with device_of(120_000):
            assert trained(fitting) == [200 // fitting]

    def test_images_that_are_streamed(self):
        made, _ = steps(100)
        keys = states.keys(jax.random.key(0))
        data = jax.device_get(small_network.make_data(200))
        batches = iter([(data.images[:100], data.labels[:100])])
        with device_of(100_000), pytest.raises(memory.OutOfMemoryError, match="batch_size = 100 needs"):
            next(stream.train(made, made.init(keys.init, small_network.SHAPE), keys, batches, most=1))

    def test_error_of_the_device(self):
        full = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.\nmore")
        found = pytest.raises(memory.OutOfMemoryError, match=r"= 50 .RESOURCE.* 9 bytes..: make batch_size smaller")
        with mock.patch.object(loop, "checked", side_effect=full), found:
            trained(50)
        other = jax.errors.JaxRuntimeError("INTERNAL: a bug")
        with mock.patch.object(loop, "checked", side_effect=other), pytest.raises(type(other), match="a bug"):
            trained(50)
