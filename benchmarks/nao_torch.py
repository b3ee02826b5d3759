"""NAO's controller in plain PyTorch: the reference of `benchmarks.nao_controller`."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nao_jax import config as configs


class Model(nn.Module):
    """Encoder, predictor and decoder of SemiNAS.

    Attributes:
      config: sizes and dropout rates; only the variants of SemiNAS on NAS-Bench-101 are implemented.
    """

    def __init__(self, config: configs.Model, vocabulary_size: int):
        super().__init__()
        self.config = config
        size, inner = config.hidden_size, config.predictor_size
        self.embeddings = nn.Embedding(vocabulary_size, size)
        self.encoder = nn.LSTM(size, size, batch_first=True, bidirectional=True)
        self.project = nn.Linear(2 * size, size)
        self.layers = nn.ModuleList([nn.Linear(size, inner), nn.Linear(inner, size)])
        self.regress = nn.Linear(size, 1)
        self.decoder_embeddings = nn.Embedding(vocabulary_size, size)
        self.decoder = nn.LSTM(size, size, batch_first=True)
        self.query = nn.Linear(size, size, bias=False)
        self.mix = nn.Linear(2 * size, size, bias=False)
        self.output = nn.Linear(size, vocabulary_size)

    def encode(self, tokens):
        """Returns the latent."""
        embedded = functional.dropout(self.embeddings(tokens), self.config.encoder_dropout, self.training)
        return functional.normalize(embedded + self.project(self.encoder(embedded)[0]), dim=-1)

    def predict(self, latent):
        """Returns one prediction per latent."""
        hidden = before = functional.normalize(latent.mean(1), dim=-1)
        for layer in self.layers:
            hidden = functional.dropout(functional.relu(layer(hidden)), self.config.predictor_dropout, self.training)
        return self.regress(0.5**0.5 * (before + hidden))[:, 0]

    def decode(self, latent, inputs, state):
        """Returns (logits, state) after `inputs`."""
        embedded = self.decoder_embeddings(inputs)
        embedded = functional.dropout(embedded, self.config.decoder_dropout, self.training)
        hidden, state = self.decoder(embedded, state)
        before = 0.5**0.5 * (embedded + hidden)
        shares = functional.softmax(self.query(before) @ latent.transpose(1, 2), dim=-1)
        mixed = torch.tanh(self.mix(torch.cat([shares @ latent, before], dim=-1)))
        return self.output(0.5**0.5 * (before + mixed)), state

    def start(self, latent):
        """Returns the state before the first token."""
        first = functional.normalize(latent.mean(1), dim=-1)[None]
        return first, first


def loss(model: Model, tokens: torch.Tensor, targets: torch.Tensor, *, mse_weight: float) -> torch.Tensor:
    """Returns `training.loss` of labelled architectures, with dropout if the module is in training mode."""
    latent = model.encode(tokens)
    logits, _ = model.decode(latent, functional.pad(tokens[:, :-1], (1, 0)), model.start(latent))
    squared = functional.mse_loss(model.predict(latent), targets)
    cross_entropy = functional.cross_entropy(logits.flatten(0, 1), tokens.flatten())
    return mse_weight * squared + (1 - mse_weight) * cross_entropy


def train_epoch(
    model: Model, optimizer: torch.optim.Optimizer, tokens: torch.Tensor, targets: torch.Tensor, config: configs.Config
) -> None:
    """Trains for one epoch of shuffled minibatches; the model is in training mode."""
    order = torch.randperm(len(tokens))
    for at in range(0, len(tokens), config.batch_size):
        rows = order[at : at + config.batch_size]
        optimizer.zero_grad()
        loss(model, tokens[rows], targets[rows], mse_weight=config.mse_weight).backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        optimizer.step()


def encode_and_climb(model: Model, tokens: torch.Tensor, legal: torch.Tensor, *, step_size: float) -> torch.Tensor:
    """Returns int64[B, T], the architectures decoded after one step of gradient ascent; the model is in eval mode."""
    with torch.no_grad():
        latent = model.encode(tokens)
    latent.requires_grad_(True)
    (gradient,) = torch.autograd.grad(model.predict(latent).sum(), latent)
    with torch.no_grad():
        latent = functional.normalize(latent + step_size * gradient, dim=-1)
        state, last, written = model.start(latent), torch.zeros(len(tokens), dtype=torch.long), []
        for at in range(len(legal)):
            logits, state = model.decode(latent, last[:, None], state)
            last = logits[:, 0].masked_fill(~legal[at][last], -torch.inf).argmax(-1)
            written.append(last)
    return torch.stack(written, dim=1)


def copy_params(params, model: Model) -> None:
    """Copies the parameters of our model to the reference.

    PyTorch orders gates as input, forget, candidate, output, and has transposed weights and a second bias.
    """

    def assign(parameter, values):
        parameter.data = torch.from_numpy(np.array(values, np.float32))

    def recurrent(module, weights, biases, suffix=""):
        weights, biases = (
            np.concatenate([parts[0], parts[1], parts[3], parts[2]], axis=-1)
            for parts in (np.split(np.asarray(values), 4, axis=-1) for values in (weights, biases))
        )
        assign(getattr(module, f"weight_ih_l0{suffix}"), weights[: module.input_size].T)
        assign(getattr(module, f"weight_hh_l0{suffix}"), weights[module.input_size :].T)
        assign(getattr(module, f"bias_ih_l0{suffix}"), biases)
        assign(getattr(module, f"bias_hh_l0{suffix}"), np.zeros_like(biases))

    def linear(module, part, name):
        assign(module.weight, np.asarray(part[f"{name}_weights"]).T)
        if module.bias is not None:
            assign(module.bias, part[f"{name}_biases"])

    encoder, predictor, decoder = (params["params"][name] for name in ("encoder", "predictor", "decoder"))
    assign(model.embeddings.weight, encoder["embeddings"])
    recurrent(model.encoder, encoder["forward_weights"], encoder["forward_biases"])
    recurrent(model.encoder, encoder["backward_weights"], encoder["backward_biases"], "_reverse")
    linear(model.project, encoder, "output")
    for at, layer in enumerate(model.layers):
        linear(layer, predictor, f"layer{at}")
    linear(model.regress, predictor, "output")
    assign(model.decoder_embeddings.weight, decoder["embeddings"])
    recurrent(model.decoder, decoder["cell_weights"], decoder["cell_biases"])
    for module, name in ((model.query, "query"), (model.mix, "mix"), (model.output, "output")):
        linear(module, decoder, name)
