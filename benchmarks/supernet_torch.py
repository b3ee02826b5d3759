"""A network with shared weights in plain PyTorch: the reference of `benchmarks.supernet_training`.

It has a module for every copy of every operation and runs those of the architecture. Spaces and presets are those of
PyTorch's programs, `SPACES`; norms use the statistics of the batch, in training and in scoring. A test copies our
weights with `copy` and compares logits and gradients.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks import layers_torch, training_torch
from common.genotypes import cell_rows
from common.genotypes.genotype import NUM_INPUTS
from common.networks import cells, child, shared_cells, supernet
from common.spaces import cells as cell_spaces

SPACES = {"nao_v1": "nao_small", "nao_v2": "nao_small", "lanas_oneshot": "lanas_oneshot"}  # of presets


class Network(training_torch.Stack):
    """Network with the weights of all architectures of a space; called with images, progress and `branches`."""

    def __init__(self, space: str, config: child.Config, *, channels: int = 3):
        supernet.check(space, config)
        config = dataclasses.replace(config, style=dataclasses.replace(config.style, statistics="batch"))

        def make_cell(inputs, width, *, is_reduction, was_reduced):
            return _Cell(space, inputs, width, config, is_reduction=is_reduction, was_reduced=was_reduced)

        super().__init__(make_cell, config, channels=channels)


def branches(space: str, arch: np.ndarray) -> list:
    """Returns the branches of both cells, normal cell first: (input, operation) of each of a node's two branches.

    Args:
      space: its name.
      arch: int32[L].
    """
    return np.asarray(cell_spaces.branches(cell_rows.LAYOUTS[space], np.asarray(arch)[None]))[0].tolist()


def copy(network: Network, params: Mapping[str, Any]) -> None:
    """Copies our weights, or any tree with their names and shapes, to a network.

    Args:
      network: of the same space and settings.
      params: the collection "params" of `supernet.Network`.
    """
    apart = {name: _apart(getattr(network, name), tree) for name, tree in params.items()}
    training_torch.copy(network, {"params": apart})


def _apart(module, tree):
    """Yields the weights of a module's parts; those in a list are one array in our network."""
    found = {}
    for name, part in tree.items():
        if name == "projection":
            part = {"kernel": np.asarray(part)[:, None, None]}
        if isinstance(getattr(module, name, None), nn.ModuleList):
            size = len(getattr(module, name))
            part = {str(at): jax.tree.map(lambda leaf, at=at: leaf[at], part) for at in range(size)}
        found[name] = part
    return found


class _Cell(nn.Module):
    """Cell: a list of copies of each operation, by group of branches."""

    def __init__(self, space, inputs, features, config, *, is_reduction, was_reduced):
        super().__init__()
        layout, style, sharing = cell_rows.LAYOUTS[space], config.style, supernet.SPACES[space]
        self.operations, self.num_nodes, self.style = layout.operations, layout.num_nodes, style
        self.is_reduction, self.is_projected = is_reduction, config.output == "projected"
        self.num_outputs = features * (1 if self.is_projected else shared_cells.NUM_LAST_NODES)
        self.calibration = layers_torch.Calibration(inputs, features, style, was_reduced=was_reduced)
        self.groups = shared_cells.groups(self.num_nodes, is_reduction=is_reduction)
        self.numbers = {}
        for group in self.groups:
            numbers, size = shared_cells.copies(self.num_nodes, sharing, group)
            self.numbers[group.name] = numbers.tolist()
            for name in self.operations:
                made = [layers_torch.operation(name, features, group.stride, style) for _ in range(size)]
                self.add_module(f"{group.name}_{name}", nn.ModuleList(made))
        if self.is_projected:
            num_states = NUM_INPUTS + self.num_nodes
            made = [layers_torch.convolution(features, features, 1) for _ in range(num_states)]
            self.projection, self.norm = nn.ModuleList(made), layers_torch.norm(features, style)
            for at in range(NUM_INPUTS if is_reduction else 0):
                reduction = layers_torch.FactorizedReduction(features, features, style, has_relu=False)
                self.add_module(f"reduction_of_{at}", reduction)

    def forward(self, before: torch.Tensor, previous: torch.Tensor, drop: float, branches: list) -> torch.Tensor:
        """Returns the cell's output."""
        states, is_end = self.calibration(before, previous), [True] * (NUM_INPUTS + self.num_nodes)
        for node, pairs in enumerate(branches[int(self.is_reduction)]):
            total = 0
            for at, (state, choice) in enumerate(pairs):
                is_end[state] = False
                row = shared_cells.NUM_BRANCHES * node + at
                total = total + self._branch(row, state, self.operations[choice], states[state], drop)
            states.append(total)
        if not self.is_projected:
            return torch.cat(states[-shared_cells.NUM_LAST_NODES :], 1)
        ends = [at for at in range(len(states)) if is_end[at]]
        if self.is_reduction:
            for at in range(NUM_INPUTS):
                states[at] = getattr(self, f"reduction_of_{at}")(states[at]) if is_end[at] else states[at]
        # Faster on a CPU than one convolution of all of them side by side.
        return self.norm(sum(self.projection[at](functional.relu(states[at])) for at in ends))

    def _branch(self, row, state, name, images, drop):
        group = next(group for group in self.groups if group.first <= state < group.end)
        output = getattr(self, f"{group.name}_{name}")[self.numbers[group.name][row][state]](images)
        if drop > 0 and not cells.is_exempt(self.style, name, group.stride):
            output = layers_torch.drop(output, drop)
        return output
