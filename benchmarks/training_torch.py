"""The networks of NAONet-A and LaNet in plain PyTorch: the reference of `benchmarks.training`.

Module names are those of our networks, so that `copy` can copy weights. The families are nao_pytorch_large and lanas of
`child.PRESETS`; settings that neither uses are not implemented.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.traverse_util
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks import layers_torch
from common.genotypes import genotype as genotypes
from common.networks import cells, child


class Stack(nn.Module):
    """Network of cells on images float[B, C, H, W]; returns logits and, in training, those of the auxiliary head.

    `make_cell`, (channels of the two inputs, width, is_reduction=..., was_reduced=...) -> a module, makes a cell, whose
    `num_outputs` is its number of output channels.
    """

    def __init__(self, make_cell: Callable[..., nn.Module], config: child.Config, *, channels: int = 3):
        super().__init__()
        in_torch = config.style.padding == "symmetric" and config.auxiliary_place == "reduction"
        if config.stem != "cifar" or not in_torch or config.has_final_relu:
            raise ValueError("the reference is of networks for CIFAR in PyTorch's style alone")
        self.config, width = config, config.width
        inputs = [config.stem_multiplier * width] * 2
        self.stem = nn.Module()
        self.stem.convolution = layers_torch.convolution(channels, inputs[0], 3)
        self.stem.norm = layers_torch.norm(inputs[0], config.style)
        was_reduced = False
        for at in range(config.num_cells):
            is_reduction = at in config.reductions
            width *= 2 if is_reduction else 1
            made = make_cell(inputs, width, is_reduction=is_reduction, was_reduced=was_reduced)
            self.add_module(f"cell_{at}", made)
            inputs, was_reduced = [inputs[1], made.num_outputs], is_reduction
            if at == config.auxiliary_cell and config.auxiliary:
                self.auxiliary = _Auxiliary(made.num_outputs, config)
        self.classifier = nn.Module()
        self.classifier.linear = nn.Linear(inputs[1], config.num_classes)

    def forward(self, images: torch.Tensor, progress: float = 0.0, *given) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Returns (logits, logits of the auxiliary head or None); further arguments are passed to the cells."""
        config, auxiliary = self.config, None
        state = self.stem.norm(self.stem.convolution(images))
        states = [state, state]
        for at in range(config.num_cells):
            depth = (at + 1) / config.num_cells if config.drop_path_by_depth else 1.0
            drop = progress * depth * (1 - config.drop_path_keep) if self.training else 0.0
            states = [states[1], getattr(self, f"cell_{at}")(*states, drop, *given)]
            if self.training and config.auxiliary and at == config.auxiliary_cell:
                auxiliary = self.auxiliary(states[1])
        features = functional.dropout(states[1].mean((2, 3)), 1 - config.dropout_keep, self.training)
        return self.classifier.linear(features), auxiliary


class Network(Stack):
    """The network of a genotype."""

    def __init__(self, genotype: genotypes.CellGenotype, config: child.Config, *, channels: int = 3):
        def make_cell(inputs, width, *, is_reduction, was_reduced):
            cell = genotype.reduction if is_reduction else genotype.normal
            return _Cell(cell, inputs, width, config.style, is_reduction=is_reduction, was_reduced=was_reduced)

        super().__init__(make_cell, config, channels=channels)


class _Cell(nn.Module):
    """Cell; its branches are modules, its wiring the genotype."""

    def __init__(self, cell, inputs, features, style, *, is_reduction, was_reduced):
        super().__init__()
        if min(cell.output) < genotypes.NUM_INPUTS:
            raise ValueError("the reference has no cell that outputs its inputs")
        self.cell, self.num_outputs = cell, features * len(cell.output)
        self.calibration = layers_torch.Calibration(inputs, features, style, was_reduced=was_reduced)
        self.exempt = set()
        for node, branches in enumerate(cell.nodes):
            for at, branch in enumerate(branches):
                stride = 2 if is_reduction and branch.state < genotypes.NUM_INPUTS else 1
                if cells.is_exempt(style, branch.operation, stride):
                    self.exempt.add((node, at))
                made = layers_torch.operation(branch.operation, features, stride, style)
                self.add_module(f"node_{node}_branch_{at}", made)

    def forward(self, before: torch.Tensor, previous: torch.Tensor, drop: float) -> torch.Tensor:
        """Returns the cell's output."""
        states = self.calibration(before, previous)
        for node, branches in enumerate(self.cell.nodes):
            total = 0
            for at, branch in enumerate(branches):
                output = getattr(self, f"node_{node}_branch_{at}")(states[branch.state])
                if drop > 0 and (node, at) not in self.exempt:
                    output = layers_torch.drop(output, drop)
                total = total + output
            states.append(total)
        return torch.cat([states[at] for at in self.cell.output], 1)


class _Auxiliary(nn.Module):
    """Auxiliary classifier."""

    def __init__(self, inputs, config):
        super().__init__()
        self.convolution_0 = layers_torch.convolution(inputs, 128, 1)
        self.norm_0 = layers_torch.norm(128, config.style)
        self.convolution_1 = nn.Conv2d(128, 768, 2, bias=False)
        self.norm_1 = layers_torch.norm(768, config.style)
        self.linear = nn.Linear(768, config.num_classes)

    def forward(self, images):
        images = functional.avg_pool2d(functional.relu(images), 5, 3)
        images = functional.relu(self.norm_0(self.convolution_0(images)))
        images = functional.relu(self.norm_1(self.convolution_1(images)))
        return self.linear(images.mean((2, 3)))


def copy(network: Stack, variables: Mapping[str, Any]) -> None:
    """Copies our weights and, if given, statistics to a network."""
    names = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
    for tree in variables.values():
        for path, value in flax.traverse_util.flatten_dict(dict(tree)).items():
            module = network.get_submodule(".".join(part for part in path[:-1] if part != "batch_norm"))
            value = np.array(value)
            if path[-1] == "kernel":
                value = value.T if value.ndim == 2 else value.transpose(3, 2, 0, 1)
            target = getattr(module, "weight" if path[-1] == "kernel" else names[path[-1]])
            if tuple(target.shape) != value.shape:
                raise ValueError(f"{'.'.join(path)}: {tuple(target.shape)} and {value.shape}")
            target.data.copy_(torch.from_numpy(np.ascontiguousarray(value)))
