"""The networks of NAONet-A and LaNet written plainly in PyTorch: what `benchmarks.training` is measured against.

Modules have the names that ours have, so `copy` gives a network our weights. The families are those of `child.PRESETS`
called nao_pytorch_large and lanas; operations and settings that neither uses are left out.
"""

from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from common.genotypes import genotype as genotypes
from common.networks import child


class Network(nn.Module):
    """A network of cells on images float[B, C, H, W]; its logits, and those of the auxiliary head in training."""

    def __init__(self, genotype: genotypes.CellGenotype, config: child.Config, *, channels: int = 3):
        super().__init__()
        if config.stem != "cifar" or config.auxiliary_place != "reduction":
            raise ValueError("the reference is of networks for CIFAR alone")
        self.config, width = config, config.width
        inputs = [config.stem_multiplier * width] * 2
        self.stem = nn.Module()
        self.stem.convolution = _convolution(channels, inputs[0], 3)
        self.stem.norm = nn.BatchNorm2d(inputs[0])
        was_reduced = False
        for at in range(config.num_cells):
            is_reduction = at in config.reductions
            width *= 2 if is_reduction else 1
            cell = genotype.reduction if is_reduction else genotype.normal
            made = _Cell(cell, inputs, width, config, is_reduction=is_reduction, was_reduced=was_reduced)
            self.add_module(f"cell_{at}", made)
            inputs, was_reduced = [inputs[1], made.num_outputs], is_reduction
            if at == config.auxiliary_cell and config.auxiliary:
                self.auxiliary = _Auxiliary(made.num_outputs, config.num_classes)
        self.classifier = nn.Module()
        self.classifier.linear = nn.Linear(inputs[1], config.num_classes)

    def forward(self, images: torch.Tensor, progress: float = 0.0) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Returns (logits, logits of the auxiliary head or None)."""
        config, auxiliary = self.config, None
        state = self.stem.norm(self.stem.convolution(images))
        states = [state, state]
        for at in range(config.num_cells):
            depth = (at + 1) / config.num_cells if config.drop_path_by_depth else 1.0
            drop = progress * depth * (1 - config.drop_path_keep) if self.training else 0.0
            states = [states[1], getattr(self, f"cell_{at}")(*states, drop)]
            if self.training and config.auxiliary and at == config.auxiliary_cell:
                auxiliary = self.auxiliary(states[1])
        features = functional.dropout(states[1].mean((2, 3)), 1 - config.dropout_keep, self.training)
        return self.classifier.linear(features), auxiliary


class _Cell(nn.Module):
    """A cell; its branches are modules, its wiring the genotype."""

    def __init__(self, cell, inputs, features, config, *, is_reduction, was_reduced):
        super().__init__()
        style = config.style
        if min(cell.output) < genotypes.NUM_INPUTS:
            raise ValueError("the reference has no cell that puts out its inputs")
        self.cell, self.exempts_identity = cell, style.drop_path_exempt == "pass_through"
        self.num_outputs = features * len(cell.output)
        self.calibration = nn.Module()
        is_always = style.calibration == "always"
        if was_reduced:
            self.calibration.reduction_0 = _FactorizedReduction(inputs[0], features, has_relu=True)
        elif is_always or inputs[0] != features:
            self.calibration.pointwise_0 = _ReluConvolution(inputs[0], features, 1, style)
        if is_always or inputs[1] != features:
            self.calibration.pointwise_1 = _ReluConvolution(inputs[1], features, 1, style)
        self.exempt = set()
        for node, branches in enumerate(cell.nodes):
            for at, branch in enumerate(branches):
                stride = 2 if is_reduction and branch.state < genotypes.NUM_INPUTS else 1
                if branch.operation in ("identity", "skip_connect") and stride == 1 and self.exempts_identity:
                    self.exempt.add((node, at))
                self.add_module(f"node_{node}_branch_{at}", _operation(branch.operation, features, stride, style))

    def forward(self, before: torch.Tensor, previous: torch.Tensor, drop: float) -> torch.Tensor:
        """Returns the cell's output."""
        states = [before, previous]
        for name, module in self.calibration.named_children():
            states[int(name[-1])] = module(states[int(name[-1])])
        for node, branches in enumerate(self.cell.nodes):
            total = 0
            for at, branch in enumerate(branches):
                output = getattr(self, f"node_{node}_branch_{at}")(states[branch.state])
                if drop > 0 and (node, at) not in self.exempt:
                    kept = torch.rand(len(output), 1, 1, 1, device=output.device) >= drop
                    output = output * (kept / (1 - drop)).to(output.dtype)
                total = total + output
            states.append(total)
        return torch.cat([states[at] for at in self.cell.output], 1)


class _ReluConvolution(nn.Module):
    """ReLU, convolution, norm."""

    def __init__(self, inputs, features, kernel, style, stride=1):
        super().__init__()
        kind = _StandardizedConvolution if style.is_standardized else nn.Conv2d
        self.convolution = _convolution(inputs, features, kernel, stride=stride, kind=kind)
        self.norm = nn.BatchNorm2d(features)

    def forward(self, images):
        return self.norm(self.convolution(functional.relu(images)))


class _StandardizedConvolution(nn.Conv2d):
    """A convolution whose weights have mean 0 and deviation 1 for each output."""

    def forward(self, images):
        weights = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        deviation = weights.flatten(1).std(1).view(-1, 1, 1, 1) + 1e-5
        return self._conv_forward(images, weights / deviation, None)


class _FactorizedReduction(nn.Module):
    """Halves the image with two pointwise convolutions on pixels one apart."""

    def __init__(self, inputs, features, *, has_relu):
        super().__init__()
        self.has_relu = has_relu
        self.first = _convolution(inputs, features // 2, 1, stride=2)
        self.second = _convolution(inputs, features - features // 2, 1, stride=2)
        self.norm = nn.BatchNorm2d(features)

    def forward(self, images):
        images = functional.relu(images) if self.has_relu else images
        moved = functional.pad(images, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.first(images), self.second(moved)], 1))


class _Convolution(nn.Module):
    """ReLU, convolution, norm."""

    def __init__(self, features, size, stride, style):
        super().__init__()
        self.convolution = _ReluConvolution(features, features, size, style, stride)

    def forward(self, images):
        return self.convolution(images)


class _Factorized(nn.Module):
    """A 1xk and a kx1 convolution."""

    def __init__(self, features, size, stride, style):
        super().__init__()
        self.wide = _ReluConvolution(features, features, (1, size), style, (1, stride))
        self.high = _ReluConvolution(features, features, (size, 1), style, (stride, 1))

    def forward(self, images):
        return self.high(self.wide(images))


class _Separable(nn.Module):
    """ReLU, depthwise, pointwise, norm: twice, or once where it is dilated."""

    def __init__(self, features, size, stride, style, dilation):
        super().__init__()
        self.repeats = 2 if dilation == 1 else 1
        kind = _StandardizedConvolution if style.is_standardized else nn.Conv2d
        for at in range(self.repeats):
            strides = stride if at == 0 else 1
            depthwise = _convolution(features, features, size, stride=strides, dilation=dilation, groups=features)
            self.add_module(f"depthwise_{at}", depthwise)
            self.add_module(f"pointwise_{at}", _convolution(features, features, 1, kind=kind))
            self.add_module(f"norm_{at}", nn.BatchNorm2d(features))

    def forward(self, images):
        for at in range(self.repeats):
            images = getattr(self, f"depthwise_{at}")(functional.relu(images))
            images = getattr(self, f"norm_{at}")(getattr(self, f"pointwise_{at}")(images))
        return images


class _Identity(nn.Module):
    """Half of the image."""

    def __init__(self, features, *, has_relu):
        super().__init__()
        self.reduction = _FactorizedReduction(features, features, has_relu=has_relu)

    def forward(self, images):
        return self.reduction(images)


class _Pool(nn.Module):
    """The mean or largest value of windows; those of 2x2 see a row and a column of zeros at the end (NAO)."""

    def __init__(self, kind, size, stride, style):
        super().__init__()
        self.size, self.stride, self.is_average = size, stride, kind == "avg"
        self.has_zeros, self.counts_padding = size == 2 and style.pads_2x2_with_zeros, style.counts_padding

    def forward(self, images):
        padding = self.size // 2
        if self.has_zeros:
            images, padding = functional.pad(images, (0, 1, 0, 1)), 0
        if self.is_average:
            return functional.avg_pool2d(images, self.size, self.stride, padding, count_include_pad=self.counts_padding)
        return functional.max_pool2d(images, self.size, self.stride, padding)


class _Auxiliary(nn.Module):
    """A classifier part of the way."""

    def __init__(self, inputs, num_classes):
        super().__init__()
        self.convolution_0 = nn.Conv2d(inputs, 128, 1, bias=False)
        self.norm_0 = nn.BatchNorm2d(128)
        self.convolution_1 = nn.Conv2d(128, 768, 2, bias=False)
        self.norm_1 = nn.BatchNorm2d(768)
        self.linear = nn.Linear(768, num_classes)

    def forward(self, images):
        images = functional.avg_pool2d(functional.relu(images), 5, 3)
        images = functional.relu(self.norm_0(self.convolution_0(images)))
        images = functional.relu(self.norm_1(self.convolution_1(images)))
        return self.linear(images.mean((2, 3)))


def copy(network: Network, variables: Mapping[str, Any]) -> None:
    """Gives a network our weights and statistics."""
    names = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
    for collection in ("params", "batch_stats"):
        for path, value in flax.traverse_util.flatten_dict(dict(variables[collection])).items():
            module = network.get_submodule(".".join(part for part in path[:-1] if part != "batch_norm"))
            value = np.array(value)
            if path[-1] == "kernel":
                value = value.T if value.ndim == 2 else value.transpose(3, 2, 0, 1)
            target = getattr(module, "weight" if path[-1] == "kernel" else names[path[-1]])
            if tuple(target.shape) != value.shape:
                raise ValueError(f"{'.'.join(path)}: {tuple(target.shape)} and {value.shape}")
            target.data.copy_(torch.from_numpy(np.ascontiguousarray(value)))


def _convolution(inputs, features, kernel, *, stride=1, dilation=1, groups=1, kind=nn.Conv2d):
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = tuple((side - 1) * dilation // 2 for side in sides)
    return kind(inputs, features, sides, stride, padding, dilation=dilation, groups=groups, bias=False)


def _operation(name, features, stride, style):
    kind, _, size = name.rpartition("_")
    if name in ("identity", "skip_connect"):
        has_relu = style.strided_identity == "relu_reduction"
        return nn.Identity() if stride == 1 else _Identity(features, has_relu=has_relu)
    if kind in ("avg_pool", "max_pool"):
        return _Pool(kind[:3], int(size[0]), stride, style)
    if kind in ("conv_1x3", "conv_1x7"):
        return _Factorized(features, int(size[0]), stride, style)
    if kind == "conv":
        return _Convolution(features, int(size[0]), stride, style)
    if kind in ("sep_conv", "dil_sep_conv", "dil_conv"):
        return _Separable(features, int(size[0]), stride, style, 2 if kind.startswith("dil") else 1)
    raise ValueError(f"the reference has no operation {name}")
