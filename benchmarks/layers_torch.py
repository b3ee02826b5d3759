"""Layers and cell operations in plain PyTorch, for the benchmarks.

Module names are those of `common.networks.operations`, so that weights can be copied by name. Fields of `styles.Style`
that are not implemented here raise an error.
"""

import torch
from torch import nn
from torch.nn import functional

from common.networks import styles


class Calibration(nn.Module):
    """Brings the two inputs of a cell to the same size and width."""

    def __init__(self, inputs, features, style, *, was_reduced):
        super().__init__()
        if style.calibration not in ("always", "where_needed"):
            raise ValueError(f"the reference has calibration 'always' or 'where_needed'; got {style.calibration!r}")
        is_always = style.calibration == "always"
        if was_reduced:
            self.reduction_0 = FactorizedReduction(inputs[0], features, style, has_relu=True)
        elif is_always or inputs[0] != features:
            self.pointwise_0 = ReluConvolution(inputs[0], features, 1, style)
        if is_always or inputs[1] != features:
            self.pointwise_1 = ReluConvolution(inputs[1], features, 1, style)

    def forward(self, before, previous):
        """Returns the list of both."""
        states = [before, previous]
        for name, module in self.named_children():
            states[int(name[-1])] = module(states[int(name[-1])])
        return states


class ReluConvolution(nn.Module):
    """ReLU, convolution, norm."""

    def __init__(self, inputs, features, kernel, style, stride=1):
        super().__init__()
        kind = _StandardizedConvolution if style.is_standardized else nn.Conv2d
        self.convolution = convolution(inputs, features, kernel, stride=stride, kind=kind)
        self.norm = norm(features, style)

    def forward(self, images):
        """Returns the convolved images."""
        return self.norm(self.convolution(functional.relu(images)))


class FactorizedReduction(nn.Module):
    """Halves the image with two pointwise convolutions, offset by one pixel."""

    def __init__(self, inputs, features, style, *, has_relu):
        super().__init__()
        self.has_relu = has_relu
        self.first = convolution(inputs, features // 2, 1, stride=2)
        self.second = convolution(inputs, features - features // 2, 1, stride=2)
        self.norm = norm(features, style)

    def forward(self, images):
        """Returns images half as high and wide."""
        images = functional.relu(images) if self.has_relu else images
        moved = functional.pad(images, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.first(images), self.second(moved)], 1))


def norm(features: int, style: styles.Style) -> nn.BatchNorm2d:
    """Returns a norm."""
    if style.statistics not in ("running", "batch"):
        raise ValueError(f"the reference has statistics 'running' or 'batch'; got {style.statistics!r}")
    is_running = style.statistics == "running"
    momentum = 1 - style.momentum
    return nn.BatchNorm2d(features, style.epsilon, momentum, affine=style.is_affine, track_running_stats=is_running)


def convolution(inputs, features, kernel, *, stride=1, dilation=1, groups=1, kind=nn.Conv2d) -> nn.Conv2d:
    """Returns a convolution without bias and with same padding."""
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = tuple((side - 1) * dilation // 2 for side in sides)
    return kind(inputs, features, sides, stride, padding, dilation=dilation, groups=groups, bias=False)


def operation(name: str, features: int, stride: int, style: styles.Style) -> nn.Module:
    """Returns an operation of a cell.

    Raises:
      ValueError: the reference has no operation of this name.
    """
    kind, _, size = name.rpartition("_")
    if name in ("identity", "skip_connect"):
        return nn.Identity() if stride == 1 else _Identity(features, style)
    if kind in ("avg_pool", "max_pool"):
        return _Pool(kind[:3], features, int(size[0]), stride, style)
    if kind in ("conv_1x3", "conv_1x7"):
        return _Factorized(features, int(size[0]), stride, style)
    if kind == "conv":
        return _Convolution(features, int(size[0]), stride, style)
    if kind in ("sep_conv", "dil_sep_conv", "dil_conv"):
        return _Separable(features, int(size[0]), stride, style, 2 if kind.startswith("dil") else 1)
    raise ValueError(f"the reference has no operation {name}")


def drop(images: torch.Tensor, probability: float) -> torch.Tensor:
    """Returns images float[B, ...], each dropped with a probability, the others rescaled."""
    kept = torch.rand(len(images), 1, 1, 1, device=images.device) >= probability
    return images * (kept / (1 - probability)).to(images.dtype)


class _StandardizedConvolution(nn.Conv2d):
    """Convolution with standardized weights: mean 0 and standard deviation 1 for each output."""

    def forward(self, images):
        weights = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        deviation = weights.flatten(1).std(1).view(-1, 1, 1, 1) + 1e-5
        return self._conv_forward(images, weights / deviation, None)


class _Convolution(nn.Module):
    """ReLU, convolution, norm."""

    def __init__(self, features, size, stride, style):
        super().__init__()
        self.convolution = ReluConvolution(features, features, size, style, stride)

    def forward(self, images):
        return self.convolution(images)


class _Factorized(nn.Module):
    """A 1xk and a kx1 convolution."""

    def __init__(self, features, size, stride, style):
        super().__init__()
        self.wide = ReluConvolution(features, features, (1, size), style, (1, stride))
        self.high = ReluConvolution(features, features, (size, 1), style, (stride, 1))

    def forward(self, images):
        return self.high(self.wide(images))


class _Separable(nn.Module):
    """ReLU, depthwise, pointwise, norm: twice, or once if dilated."""

    def __init__(self, features, size, stride, style, dilation):
        super().__init__()
        self.repeats = 2 if dilation == 1 else 1
        kind = _StandardizedConvolution if style.is_standardized else nn.Conv2d
        for at in range(self.repeats):
            strides = stride if at == 0 else 1
            depthwise = convolution(features, features, size, stride=strides, dilation=dilation, groups=features)
            self.add_module(f"depthwise_{at}", depthwise)
            self.add_module(f"pointwise_{at}", convolution(features, features, 1, kind=kind))
            self.add_module(f"norm_{at}", norm(features, style))

    def forward(self, images):
        for at in range(self.repeats):
            images = getattr(self, f"depthwise_{at}")(functional.relu(images))
            images = getattr(self, f"norm_{at}")(getattr(self, f"pointwise_{at}")(images))
        return images


class _Identity(nn.Module):
    """Every second pixel of the image."""

    def __init__(self, features, style):
        super().__init__()
        if style.strided_identity == "relu_convolution":
            raise ValueError("the reference has no strided identity 'relu_convolution'")
        has_relu = style.strided_identity == "relu_reduction"
        self.reduction = FactorizedReduction(features, features, style, has_relu=has_relu)

    def forward(self, images):
        return self.reduction(images)


class _Pool(nn.Module):
    """Average or max pooling; 2x2 windows with a row and a column of zero padding at the end (NAO)."""

    def __init__(self, kind, features, size, stride, style):
        super().__init__()
        self.size, self.stride, self.is_average = size, stride, kind == "avg"
        self.has_zeros, self.counts_padding = size == 2 and style.pads_2x2_with_zeros, style.counts_padding
        self.norm = norm(features, style) if style.normalizes_pools else nn.Identity()

    def forward(self, images):
        padding = self.size // 2
        if self.has_zeros:
            images, padding = functional.pad(images, (0, 1, 0, 1)), 0
        if self.is_average:
            counts_padding = self.counts_padding
            pooled = functional.avg_pool2d(images, self.size, self.stride, padding, count_include_pad=counts_padding)
        else:
            pooled = functional.max_pool2d(images, self.size, self.stride, padding)
        return self.norm(pooled)
