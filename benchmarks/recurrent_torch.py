"""NAO's recurrent language model in plain PyTorch: the reference of `benchmarks.recurrent`."""

import torch
from torch import nn
from torch.nn import functional

from common.genotypes import published
from common.language import config as configs
from common.language import recurrent

NODES = published.get("nao_ptb").nodes
_ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "identity": lambda x: x}
_NAMES = tuple(_ACTIVATIONS)


class Model(nn.Module):
    """NAO's cell with its own weights, or on shared weights.

    Attributes:
      first: weights of the input and the previous output.
      nodes: weights of each node; shared weights are stacked blocks.
    """

    def __init__(self, what: str, config: configs.Config, vocabulary_size: int):
        super().__init__()
        self.config, self.is_shared, width = config, what == "supernet", config.width
        self.table = nn.Parameter(torch.empty(vocabulary_size, width))
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        self.first = nn.Parameter(torch.empty(2 * width, 2 * width))
        blocks = [4 * at if self.is_shared else 1 for at in range(1, len(NODES) + 1)]
        self.nodes = nn.ParameterList([nn.Parameter(torch.empty(num * width, 2 * width)) for num in blocks])
        for parameter in (self.table, self.first, *self.nodes):
            nn.init.uniform_(parameter, -recurrent.INIT_RANGE, recurrent.INIT_RANGE)

    def weights(self, at):
        """Returns the weights of a node, counted from 0."""
        if not self.is_shared:
            return self.nodes[at]
        width, node = self.config.width, NODES[at]
        block = node.state * 4 + _NAMES.index(node.activation)
        return self.nodes[at][block * width : (block + 1) * width]

    def forward(self, words, hidden):
        """Returns (logits, outputs, next hidden state)."""
        drop, width = self.config.dropout, self.config.width
        inputs = functional.embedding(words, self.table)
        inputs = inputs * self.mask(drop.dropout_input, hidden)[None] * self.mask(drop.dropout_cell_input, hidden)[None]
        mask = self.mask(drop.dropout_hidden, hidden)
        outputs = []
        for x in inputs:
            gates = torch.cat([x, hidden * mask], dim=1) @ self.first
            states = [self.mix(hidden, gates, torch.tanh, width)]
            for at, node in enumerate(NODES):
                gates = (states[node.state] * mask) @ self.weights(at)
                states.append(self.mix(states[node.state], gates, _ACTIVATIONS[node.activation], width))
            hidden = torch.stack(states if self.is_shared else states[1:]).mean(dim=0)
            outputs.append(hidden)
        outputs = torch.stack(outputs)
        dropped = outputs * self.mask(drop.dropout_output, hidden)[None]
        return functional.linear(dropped, self.table, self.bias), outputs, hidden

    def mask(self, share, like):
        """Samples a dropout mask of the shape of `like`."""
        if not (self.training and share):
            return torch.ones_like(like)
        return torch.bernoulli(torch.full_like(like, 1 - share)) / (1 - share)

    @staticmethod
    def mix(before, gates, activation, width):
        """Returns the state of a node."""
        gate, value = gates.split(width, dim=1)
        return before + torch.sigmoid(gate) * (activation(value) - before)


def loss(model: Model, words: torch.Tensor, hidden: torch.Tensor, config: configs.Config) -> torch.Tensor:
    """Returns the mean cross-entropy and the penalty on changes, of words int64[T + 1, B]."""
    logits, outputs, _ = model(words[:-1], hidden)
    value = functional.cross_entropy(logits.flatten(0, 1), words[1:].flatten())
    return value + config.optimizer.change_penalty * (outputs[1:] - outputs[:-1]).pow(2).mean()


def train_step(
    model: Model, optimizer: torch.optim.Optimizer, words: torch.Tensor, hidden: torch.Tensor, config: configs.Config
) -> None:
    """Trains for one step."""
    optimizer.zero_grad()
    loss(model, words, hidden, config).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), config.optimizer.clip_norm)
    optimizer.step()
