"""Weights in the layout of Once-for-all's checkpoints, as `torch.save` writes them."""

import collections
import functools
import io
import pickle
import re
import sys
import types
import zipfile
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from jax import lax

from common.file_formats import torch_weights
from common.networks import mobile_extraction, mobile_published
from common.networks.kernels import compile_options
from common.supernets import training
from launch import train_supernet
from tests.shared import folders

STEM, FIRST, WIDTHS, LAST, FEATURES, CLASSES = 4, 2, (2, 3, 2, 3, 4), 6, 5, 3
STRIDES, SQUEEZES = (2, 2, 2, 1, 2), (False, True, False, True, True)
# Stages of two blocks: 3x3 kernels of expansion 3, and others in the third stage.
ROW = np.array([24, *[0] * 9 * 2, *(0, 2, 0, 1, 1, 0, 0, 0, 0), *[0] * 9 * 2], np.int32)
MAGIC = 0x1950A86A20F9469CFC6C


def published():
    """Random arrays with the names of a checkpoint, of the layers of the released program."""
    rng, state = np.random.default_rng(0), {}

    def add(name, *shape):
        fan_in = max(1, np.prod(shape[1:]))
        state[name] = np.float32(rng.normal(size=shape) * fan_in**-0.5)

    def add_norm(name, size):
        for part in ("weight", "bias", "running_mean"):
            state[f"{name}.{part}"] = np.float32(rng.normal(1.0, 0.3, size=size))
        state[f"{name}.running_var"] = np.float32(rng.uniform(0.5, 2.0, size=size))
        state[f"{name}.num_batches_tracked"] = np.array(7, np.int64)

    add("first_conv.conv.weight", STEM, 3, 3, 3)
    add_norm("first_conv.bn", STEM)
    add("blocks.0.mobile_inverted_conv.depth_conv.conv.weight", STEM, 1, 3, 3)
    add_norm("blocks.0.mobile_inverted_conv.depth_conv.bn", STEM)
    add("blocks.0.mobile_inverted_conv.point_linear.conv.weight", FIRST, STEM, 1, 1)
    add_norm("blocks.0.mobile_inverted_conv.point_linear.bn", FIRST)
    inputs = FIRST
    for at in range(20):
        prefix, outputs = f"blocks.{at + 1}.mobile_inverted_conv", WIDTHS[at // 4]
        inner = divisible(6 * inputs)
        add(f"{prefix}.inverted_bottleneck.conv.conv.weight", inner, inputs, 1, 1)
        add_norm(f"{prefix}.inverted_bottleneck.bn.bn", inner)
        add(f"{prefix}.depth_conv.conv.conv.weight", inner, 1, 7, 7)
        add(f"{prefix}.depth_conv.conv.7to5_matrix", 25, 25)
        add(f"{prefix}.depth_conv.conv.5to3_matrix", 9, 9)
        add_norm(f"{prefix}.depth_conv.bn.bn", inner)
        if SQUEEZES[at // 4]:
            for part, sizes in (("reduce", (divisible(inner // 4), inner)), ("expand", (inner, divisible(inner // 4)))):
                add(f"{prefix}.depth_conv.se.fc.{part}.weight", *sizes, 1, 1)
                add(f"{prefix}.depth_conv.se.fc.{part}.bias", sizes[0])
        add(f"{prefix}.point_linear.conv.conv.weight", outputs, inner, 1, 1)
        add_norm(f"{prefix}.point_linear.bn.bn", outputs)
        inputs = outputs
    add("final_expand_layer.conv.weight", LAST, inputs, 1, 1)
    add_norm("final_expand_layer.bn", LAST)
    add("feature_mix_layer.conv.weight", FEATURES, LAST, 1, 1)
    add("classifier.linear.weight", CLASSES, FEATURES)
    add("classifier.linear.bias", CLASSES)
    return state


def divisible(width):
    """The multiple of 8, as the released program rounds."""
    found = max(8, int(width + 4) // 8 * 8)
    return found + 8 if found < 0.9 * width else found


def outputs_of(state, images):
    """The logits of `ROW`, by the arrays' own names and layout, channels first."""

    def convolve(state_, weights, stride=1, groups=1):
        pad = weights.shape[-1] // 2
        return lax.conv_general_dilated(
            state_,
            weights,
            (stride,) * 2,
            [(pad, pad)] * 2,
            feature_group_count=groups,
            dimension_numbers=("NCHW", "OIHW", "NCHW"),
        )

    def norm(values, name):
        weight, bias, mean, var = (
            state[f"{name}.{part}"][: values.shape[1], None, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (values - mean[None]) / jnp.sqrt(var + 1e-5)[None] * weight[None] + bias[None]

    def relu(x):
        return jnp.maximum(x, 0)

    def hard_swish(x):
        return x * jnp.clip(x + 3, 0, 6) / 6

    def kernel_of(name, size, inner):
        weights = state[f"{name}.conv.weight"][:inner]
        for target in (5, 3):
            if target >= size and weights.shape[-1] > target:
                weights = weights[..., 1:-1, 1:-1].reshape(inner, -1) @ state[f"{name}.{target + 2}to{target}_matrix"].T
                weights = weights.reshape(inner, 1, target, target)
        return weights

    values = hard_swish(norm(convolve(images, state["first_conv.conv.weight"], 2), "first_conv.bn"))
    prefix = "blocks.0.mobile_inverted_conv"
    values = relu(norm(convolve(values, state[f"{prefix}.depth_conv.conv.weight"], 1, STEM), f"{prefix}.depth_conv.bn"))
    values = norm(convolve(values, state[f"{prefix}.point_linear.conv.weight"]), f"{prefix}.point_linear.bn")
    for stage in range(5):
        activation = relu if stage < 2 else hard_swish
        for block, (expansion, size) in enumerate([(6, 3), (4, 5)] if stage == 2 else [(3, 3)] * 2):
            prefix = f"blocks.{1 + 4 * stage + block}.mobile_inverted_conv"
            inputs, inner = values, divisible(expansion * values.shape[1])
            weights = state[f"{prefix}.inverted_bottleneck.conv.conv.weight"][:inner]
            values = activation(norm(convolve(values, weights), f"{prefix}.inverted_bottleneck.bn.bn"))
            stride, weights = (1 if block else STRIDES[stage]), kernel_of(f"{prefix}.depth_conv.conv", size, inner)
            values = activation(norm(convolve(values, weights, stride, inner), f"{prefix}.depth_conv.bn.bn"))
            if SQUEEZES[stage]:
                hidden, name = divisible(inner // 4), f"{prefix}.depth_conv.se.fc"
                means = jnp.mean(values, axis=(2, 3), keepdims=True)
                means = convolve(means, state[f"{name}.reduce.weight"][:hidden, :inner])
                means = relu(means + state[f"{name}.reduce.bias"][None, :hidden, None, None])
                means = convolve(means, state[f"{name}.expand.weight"][:inner, :hidden])
                values *= jnp.clip(means + state[f"{name}.expand.bias"][None, :inner, None, None] + 3, 0, 6) / 6
            weights = state[f"{prefix}.point_linear.conv.conv.weight"][:, :inner]
            values = norm(convolve(values, weights), f"{prefix}.point_linear.bn.bn")
            values = values + inputs if stride == 1 and values.shape == inputs.shape else values
    values = hard_swish(norm(convolve(values, state["final_expand_layer.conv.weight"]), "final_expand_layer.bn"))
    means = jnp.mean(values, axis=(2, 3), keepdims=True)
    means = hard_swish(convolve(means, state["feature_mix_layer.conv.weight"]))[:, :, 0, 0]
    return means @ state["classifier.linear.weight"].T + state["classifier.linear.bias"][None]


class _Pickler(pickle.Pickler):
    """Writes arrays as PyTorch writes tensors, with their numbers elsewhere."""

    def __init__(self, file, storages):
        super().__init__(file, protocol=2)
        self.storages = storages

    def reducer_override(self, value):
        if not isinstance(value, np.ndarray):
            return NotImplemented
        strides = tuple(step // value.itemsize for step in value.strides)
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (
            _Numbers(value),
            0,
            value.shape,
            strides,
            False,
            collections.OrderedDict(),
        )

    def persistent_id(self, value):
        if not isinstance(value, _Numbers):
            return None
        self.storages.append(value.array)
        kind = "FloatStorage" if value.array.dtype == np.float32 else "LongStorage"
        return ("storage", getattr(sys.modules["torch"], kind), str(len(self.storages) - 1), "cpu", value.array.size)


class _Numbers:
    def __init__(self, array):
        self.array = array


def saved(content, *, is_archive):
    """The bytes that `torch.save` makes."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    utils._rebuild_tensor_v2 = type(
        "_rebuild_tensor_v2", (), {"__module__": "torch._utils", "__qualname__": "_rebuild_tensor_v2"}
    )
    file, storages = io.BytesIO(), []
    with mock.patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        if not is_archive:
            for part in (MAGIC, 1001, {"little_endian": True}):
                pickle.dump(part, file, protocol=2)
        _Pickler(file, storages).dump(content)
    if not is_archive:
        pickle.dump([str(at) for at in range(len(storages))], file, protocol=2)
        for array in storages:
            file.write(array.size.to_bytes(8, "little") + array.tobytes())
        return file.getvalue()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("archive/data.pkl", file.getvalue())
        for at, array in enumerate(storages):
            opened.writestr(f"archive/data/{at}", array.tobytes())
    return archive.getvalue()


class PublishedTest(folders.FolderTest):
    def read(self, contents):
        path = self.folder / "weights"
        path.write_bytes(contents)
        return torch_weights.read(path)

    @parameterized.parameters(True, False)
    def test_files_of_both_layouts(self, is_archive):
        arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b.c": np.array(3), "d": np.float32([])}
        for content in (arrays, {"state_dict": collections.OrderedDict(arrays)}):
            found = self.read(saved(content, is_archive=is_archive))
            assert found.keys() == arrays.keys()
            for name, values in arrays.items():
                np.testing.assert_array_equal(found[name], values)

    def test_other_files_are_refused(self):
        for content, message in (
            (saved({"a": "text"}, is_archive=True), "holds no `state_dict`"),
            (pickle.dumps({"a": 1}), "did not write this file"),
            (pickle.dumps(print), "builtins.print, which no file of weights needs"),
            (saved({"a": np.zeros(3, np.float32)}, is_archive=False)[:-4], "reaches beyond its storage"),
        ):
            with pytest.raises(ValueError, match=message):
                self.read(content)

    def test_a_member_computes_what_the_released_program_does(self):
        state = published()
        config, variables = mobile_published.converted(self.read(saved({"state_dict": state}, is_archive=False)))
        assert (config.widths, config.small_kernels, config.last_width) == (WIDTHS, "transformed", LAST)
        network, variables = mobile_extraction.extract(variables, config, ROW)
        images = np.random.default_rng(1).normal(size=(2, 3, 40, 40)).astype(np.float32)
        run = jax.jit(functools.partial(network.apply, train=False), compiler_options=compile_options.quick("once"))
        found = run(variables, images.transpose(0, 2, 3, 1)).main
        expected = jax.jit(outputs_of, compiler_options=compile_options.quick("once"))(state, images)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    def test_other_weights_are_named(self):
        state = published()
        for name, values, message in (
            ("classifier.linear.bias", None, "'classifier.linear.bias' is missing"),
            ("first_conv.conv.bias", np.zeros(4), "first_conv.conv.bias is unknown"),
            (
                "blocks.3.conv.depth_conv.conv.5to3_matrix",
                np.eye(8),
                r"\['3'\] has the shape \(8, 8\) instead of \(9, 9\)",
            ),
        ):
            changed = {key: value for key, value in state.items() if key != name} | (
                {} if values is None else {name: values}
            )
            with pytest.raises(ValueError, match=message):
                mobile_published.converted(changed)

    def test_a_file_that_is_missing_or_another_one_is_named_with_the_right_ones(self):
        other, fix = (
            self.folder / "other",
            "give a file that Once-for-all published, ofa_mbv3_d234_e346_k357_w1.0 or ofa_",
        )
        other.write_bytes(saved({"a": np.zeros(3, np.float32)}, is_archive=True))
        for path, problem in (
            (self.folder / "nowhere", f"no file at {self.folder}/nowhere"),
            (
                other,
                f"{other}: these are no weights of Once-for-all's MobileNetV3: 'first_conv.conv.weight' is missing",
            ),
        ):
            with pytest.raises(ValueError, match=re.escape(f"{problem}; {fix}")):
                mobile_published.read(path, num_classes=CLASSES)

    def test_the_network_is_that_of_the_file(self):
        _, errors = self.run_main(train_supernet.main, "--published=weights", "--space=nao_small", "--width=8", code=1)
        assert "--published has a network of its own; leave --space, --width out" in errors

    @pytest.mark.slow
    def test_shared_weights_of_a_file_are_used_without_training(self):
        path, workdir = self.folder / "weights", self.folder / "run"
        path.write_bytes(saved({"state_dict": published()}, is_archive=True))
        rng = np.random.default_rng(0)
        arrays = {f"x_{part}": rng.integers(0, 255, (60, 16, 16, 3)).astype(np.uint8) for part in ("train", "test")}
        np.savez(
            self.folder / "mine.npz", **arrays, **{f"y_{part}": np.arange(60) % CLASSES for part in ("train", "test")}
        )
        flags = f"--dataset={self.folder}/mine.npz", f"--workdir={workdir}", f"--published={path}"
        self.run_main(train_supernet.main, *flags, "--preset=elastic", "--batch_size=8")
        _, params = training.load(workdir)
        _, expected = mobile_published.read(path, num_classes=CLASSES)
        jax.tree.map(np.testing.assert_array_equal, params, expected["params"])
