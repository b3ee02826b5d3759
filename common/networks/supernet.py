"""Networks with shared weights (supernets): one network holds all architectures of a space of cells, chosen by data.

One program trains, and one scores, every architecture. The cells are `shared_cells.SharedCell`; stem, stacking and
heads are those of stand-alone networks (`child`), so `extract` returns the stand-alone network of an architecture,
with the same outputs.

NAO (arXiv:1808.07233, arXiv:1909.10815) has separate weights for each branch, operation and input, and projects the
loose ends of a cell to its width. One-shot LaNAS (arXiv:1906.06832) has separate weights for each operation and input,
and outputs the last 4 of 5 nodes. Norms use batch statistics in training and in scoring, as published, or given ones
that were collected for an architecture.
"""

import dataclasses
import operator
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from common import config as configs
from common.genotypes import cell_rows, conversion
from common.genotypes.genotype import NUM_INPUTS, CellGenotype
from common.networks import cells, child, heads, logits, of_space, shared_cells, styles
from common.spaces import cells as cell_spaces

Config = child.Config
SPACES = of_space.SHARING
STATISTICS = ("batch", "collect", "given")


class Network(nn.Module):
    """A network with the weights of all architectures of a space.

    Attributes:
      space: a key of `SPACES`.
      config: the stacking of the cells, as for a stand-alone network. `output` must be "projected" in the spaces of
        NAO and "concatenated" in that of LaNAS.
    """

    space: str
    config: Config

    @nn.compact
    def __call__(
        self,
        images: chex.Array,
        arch: chex.Array,
        *,
        train: bool,
        progress: chex.Numeric = 0.0,
        statistics: str = "batch",
    ) -> logits.Logits:
        """Returns the logits of one architecture.

        Args:
          images: float32[B, H, W, C].
          arch: int32[L], a valid row of the space.
          train: whether to drop branches and features (random streams "drop_path" and "dropout"), and to compute
            the logits of the auxiliary head.
          progress: float32[] in [0, 1], the fraction of training done.
          statistics: of norms: "batch", those of the batch; "collect", the same, also stored in the collection
            "batch_stats"; "given", those in "batch_stats", which must have been collected for `arch`.
        """
        check(self.space, self.config)
        config, layout = self.config, cell_rows.LAYOUTS[self.space]
        configs.one_of("statistics", statistics, STATISTICS)
        style = dataclasses.replace(config.style, dtype=config.dtype, statistics=statistics)
        branches = cell_spaces.branches(layout, arch[None])[0]
        states = heads.STEMS[config.stem](config.stem_width, style, name="stem")(images, train)
        scales = None
        if train:
            shape = (config.num_cells, shared_cells.NUM_BRANCHES * layout.num_nodes, images.shape[0])
            scales = cells.drop_path(self, config.drop_path_keep, progress, shape, by_depth=config.drop_path_by_depth)
        cell_type = nn.remat(shared_cells.SharedCell, static_argnums=(5,)) if config.remat else shared_cells.SharedCell
        width, auxiliary = config.width, None
        for at in range(config.num_cells):
            is_reduction = at in config.reductions
            width *= 2 if is_reduction else 1
            is_strided = is_reduction and not cells.is_halved_first(style)
            if is_reduction and not is_strided:
                states = cells.halved_inputs(states[1], width, style, name=f"halved_{at}", train=train)
            cell = cell_type(
                layout.operations,
                layout.num_nodes,
                width,
                style,
                sharing=SPACES[self.space],
                output="projected" if config.output == "projected" else "last_nodes",
                is_reduction=is_strided,
                is_first=at == 0,
                name=f"cell_{at}",
            )
            scale = None if scales is None else scales[at]
            states = states[1], cell(*states, branches[int(is_reduction)], scale, train)
            if at == config.auxiliary_cell and config.auxiliary and (train or self.is_initializing()):
                auxiliary = child.auxiliary_head(config, style)(states[1], train)
        return logits.Logits(main=child.classifier(config, style)(states[1], train), auxiliary=auxiliary)


PRESETS: dict[str, Config] = {
    "nao_ws_tf": dataclasses.replace(
        child.PRESETS["nao_ws_tf"],
        num_cells=child.num_cells(2),
        width=20,
        style=dataclasses.replace(styles.NAO_WS_TF, calibration="nao_ws_tf_shared"),
        output="projected",
        drop_path_keep=1.0,
        dropout_keep=0.9,
    ),
    "nao_v1": dataclasses.replace(
        child.PRESETS["nao_pytorch"],
        num_cells=child.num_cells(3),
        width=20,
        output="projected",
        auxiliary=False,
        drop_path_keep=0.9,
        dropout_keep=1.0,
    ),
    "lanas_oneshot": dataclasses.replace(
        child.PRESETS["lanas_oneshot_retrain"], num_cells=8, width=48, drop_path_keep=1.0
    ),
}
PRESETS["nao_v2"] = PRESETS["nao_v1"]


def stand_alone(config: Config) -> Config:
    """Returns the settings of the stand-alone networks, which are trained from scratch."""
    style = config.style
    if cells.is_halved_first(style):
        style = dataclasses.replace(style, calibration="nao_ws_tf")
    return dataclasses.replace(config, style=style, output="concatenated")


def check(space: str, config: Config) -> None:
    """Validates the settings of a network with shared weights.

    Raises:
      ValueError: the space has no shared weights, or a setting is not that of such a network.
    """
    if space not in SPACES:
        raise ValueError(f"space {space!r} has no network with shared weights; choose one of {', '.join(SPACES)}")
    output = "projected" if SPACES[space] == "branch" else "concatenated"
    if config.output != output:
        raise ValueError(f"output must be {output!r} for shared weights of {space}; got {config.output!r}")
    if config.style.calibration == "nao_tf":
        raise ValueError("calibration 'nao_tf' leaves the first input as wide as the stem; choose 'nao_ws_tf'")


def extract(variables: Any, space: str, config: Config, arch: np.ndarray) -> tuple[child.Network, Any]:
    """Returns the stand-alone network of an architecture, and its variables, copied from the shared ones.

    Its cells have the outputs that they have on shared weights: projected, or the last 4 nodes.

    Args:
      variables: the collections "params" and, if statistics were collected for the architecture, "batch_stats".
      space: see `Network`.
      config: likewise.
      arch: int32[L].

    Raises:
      ValueError: the space has no shared weights, or the row is not an architecture of it.
    """
    check(space, config)
    layout = cell_rows.LAYOUTS[space]
    genotype = conversion.from_arch(space, arch)
    if config.output != "projected":
        ends = tuple(range(layout.num_nodes + NUM_INPUTS))[-shared_cells.NUM_LAST_NODES :]
        genotype = CellGenotype(
            *(dataclasses.replace(cell, output=ends) for cell in (genotype.normal, genotype.reduction))
        )
    pairs = np.asarray(cell_spaces.branches(layout, np.asarray(arch)[None]))[0]
    found = {}
    for collection, tree in variables.items():
        found[collection] = {name: part for name, part in tree.items() if not name.startswith("cell_")}
        for at in range(config.num_cells):
            is_reduction = at in config.reductions
            is_strided = is_reduction and not cells.is_halved_first(config.style)
            cell = _Extraction(layout, SPACES[space], is_strided, pairs[int(is_reduction)])
            output = (genotype.reduction if is_reduction else genotype.normal).output
            if part := _extract_cell(cell, tree.get(f"cell_{at}", {}), output, collection):
                found[collection][f"cell_{at}"] = part
    return child.Network(genotype, config), found


@dataclasses.dataclass(frozen=True)
class _Extraction:
    """A cell to extract from the shared one; `pairs` int32[N, 2, 2] are its inputs and operations."""

    layout: cell_spaces.Layout
    sharing: str
    is_strided: bool
    pairs: np.ndarray


def _extract_cell(cell, tree, output, collection):
    """Returns the variables of a cell's branches, projection and reductions in one collection."""
    found = {"calibration": tree["calibration"]} if "calibration" in tree else {}
    groups = shared_cells.groups(cell.layout.num_nodes, is_reduction=cell.is_strided)
    for row, (state, operation) in enumerate(cell.pairs.reshape(-1, 2).tolist()):
        group = next(group for group in groups if group.first <= state < group.end)
        name = cell.layout.operations[operation]
        if collection == "params":
            at = shared_cells.copies(cell.layout.num_nodes, cell.sharing, group)[0][row, state]
            shared = tree.get(f"{group.name}_{name}", {})
        else:
            at, shared = row, tree["branches"][group.name][name]
        node, branch = divmod(row, shared_cells.NUM_BRANCHES)
        if shared:
            found[f"node_{node}_branch_{branch}"] = jax.tree.map(operator.itemgetter(at), shared)
    for state in output:
        if (name := f"reduction_of_{state}") in tree:
            found[name] = tree[name]
    if "norm" in tree:
        found["projection"] = {"norm": tree["norm"]}
        if collection == "params":
            kernel = jnp.concatenate([tree["projection"][state] for state in output])[None, None]
            found["projection"]["convolution"] = {"kernel": kernel}
    return found
