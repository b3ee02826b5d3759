"""The architectures that NAO, Balanced NAO and SemiNAS published."""

import json

from common.genotypes.publication import ERROR, PERPLEXITY, TOP_1, TOP_5, Claim, Published, publish

_PAPER = "arXiv:1808.07233"
_TENSORFLOW, _PYTORCH, _SEMINAS = "github.com/renqianluo/NAO", "github.com/renqianluo/NAO_pytorch", "SemiNAS"
_IMAGENET_A = "4 cells a stage, width 42, 250 epochs"


def nao_json(normal: tuple[str, ...], reduction: tuple[str, ...], *loose_ends: str) -> str:
    """Returns JSON as of NAO's TensorFlow program.

    Args:
      normal: for each node `input input operation, operation`, inputs by the numbers of their nodes.
      reduction: the same of the reduction cell.
      *loose_ends: for both cells the numbers of the nodes that they put out, where the program lists them.
    """
    dags = {}
    for at, (key, nodes) in enumerate((("conv_dag", normal), ("reduc_dag", reduction))):
        dag = {name: [name, None, None, None, None] for name in ("node_1", "node_2")}
        for number, node in enumerate(nodes, start=3):
            first, second, names = node.split(maxsplit=2)
            dag[f"node_{number}"] = [f"node_{number}", f"node_{first}", f"node_{second}", *names.split(", ")]
        if loose_ends:
            dag["loose_ends"] = [f"node_{end}" for end in loose_ends[at].split()]
        dags[key] = dag
    return json.dumps(dags)


PUBLISHED: tuple[Published, ...] = (
    publish(
        "naonet_a",
        "nao_large_from_5",
        "0 7 1 15 2 8 1 7 0 6 1 7 0 8 4 7 1 5 0 7 0 7 1 13 0 6 0 14 0 9 1 10 0 14 2 6 1 11 0 7",
        source=f"{_PAPER}; {_PYTORCH}, NAO_V1",
        space="nao_large",
        claims=(
            Claim("cifar10", ERROR, 1.93, f"{_PAPER}v5, abstract", "6 cells a stage, width 128, cutout", 144_576_394),
            Claim("cifar10", ERROR, 2.48, _PYTORCH, "6 cells a stage, width 36, cutout", 11_470_150),
            Claim("imagenet", TOP_1, 25.7, _PYTORCH, _IMAGENET_A, 11_353_831),
            Claim("imagenet", TOP_5, 8.2, _PYTORCH, _IMAGENET_A, 11_353_831),
        ),
        note="The paper counts fewer parameters on CIFAR than the released network has, which are given here.",
    ),
    publish(
        "naonet_tf",
        "nao_json",
        nao_json(
            (
                *("1 2 conv 3x3, avg_pool 5x5", "3 2 conv 1x3+3x1, conv 3x3", "1 2 conv 1x1, conv 3x3"),
                *("1 5 conv 1x3+3x1, conv 3x3", "2 1 identity, conv 3x3"),
            ),
            (
                *("1 2 conv 3x3, avg_pool 2x2", "1 1 conv 1x1, avg_pool 3x3", "2 1 conv 1x7+7x1, max_pool 2x2"),
                *("1 3 avg_pool 3x3, conv 1x1", "2 1 max_pool 3x3, conv 3x3"),
            ),
        ),
        source=f"{_PAPER}; {_TENSORFLOW}, NAO/cnn/dag.NAONet.json",
        space="nao_large",
        claims=(
            Claim("cifar10", ERROR, 2.06, f"{_TENSORFLOW}, checkpoint", "6 cells a stage, width 128, cutout"),
            Claim("cifar10", ERROR, 2.10, f"{_TENSORFLOW}, training", "6 cells a stage, width 128, cutout"),
            Claim("cifar100", ERROR, 14.80, f"{_TENSORFLOW}, training", "6 cells a stage, width 128, cutout"),
            Claim("cifar100", ERROR, 14.81, f"{_TENSORFLOW}, checkpoint", "6 cells a stage, width 128, cutout"),
        ),
        note="NAONet-A but for node 2 of the reduction cell, where the two inputs are exchanged.",
    ),
    publish(
        "nao_ws",
        "nao_small",
        "0 1 0 4 2 2 1 3 1 0 2 0 2 3 1 3 1 2 0 4 1 1 0 3 2 3 2 3 1 0 0 1 0 4 2 4 2 3 2 3",
        source=f"{_PAPER}; {_TENSORFLOW}, NAO-WS/cnn",
        space="nao_small",
        claims=(
            Claim("cifar10", ERROR, 3.53, f"{_PAPER}v4, abstract", "5 cells a stage, width 36", 2_301_310),
            Claim("cifar10", ERROR, 3.50, _TENSORFLOW, "5 cells a stage, width 36", 2_301_310),
        ),
        note="The program adds two 1x1 convolutions to each cell, about 2.47 million parameters in all.",
    ),
    publish(
        "naonet_b",
        "nao_small",
        "0 1 0 2 0 1 2 2 1 3 0 2 4 0 1 3 2 1 0 3 1 1 1 0 2 1 2 4 1 0 2 3 3 1 2 2 0 2 0 2",
        source=f"{_PAPER}; {_PYTORCH}, NAO_V1",
        space="nao_small",
        claims=(Claim("cifar10", ERROR, 2.93, f"{_PAPER}v5, abstract", "width 36, cutout, shared weights", 2_921_302),),
        note="The released script has 6 cells a stage, which are counted here; with 5 there are 2,492,902 parameters.",
    ),
    publish(
        "naonet_v2",
        "nao_small",
        "1 1 0 1 2 4 0 0 0 0 2 1 0 0 0 2 0 3 0 0 0 2 0 2 2 2 1 0 0 0 0 1 0 0 0 3 0 0 0 1",
        source=f"arXiv:1909.10815; {_PYTORCH}, NAO_V2",
        space="nao_small",
        claims=(
            Claim("cifar10", ERROR, 2.60, "arXiv:1909.10815, abstract", "6 cells a stage, width 36, cutout", 4_387_654),
            Claim("cifar10", ERROR, 2.57, _PYTORCH, "6 cells a stage, width 36, cutout", 4_387_654),
            Claim("imagenet", TOP_1, 25.6, "arXiv:1909.10815, abstract", "4 cells a stage, width 52", 7_026_850),
            Claim("imagenet", TOP_1, 25.5, _PYTORCH, "4 cells a stage, width 52", 7_026_850),
            Claim("imagenet", TOP_5, 8.2, _PYTORCH, "4 cells a stage, width 52", 7_026_850),
        ),
    ),
    publish(
        "nao_ptb",
        "nao_rnn",
        "0 1 0 1 1 1 3 0 4 1 4 1 5 1 1 1 7 1 1 1 1 2",
        source=f"{_PAPER}; {_TENSORFLOW}, NAO/rnn",
        space="nao_rnn",
        claims=(
            Claim("ptb", PERPLEXITY, 56.0, f"{_PAPER}v5, abstract", "850 units", 27_295_000),
            Claim("ptb", PERPLEXITY, 56.02, _TENSORFLOW, "850 units", 27_295_000),
            Claim("wikitext2", PERPLEXITY, 67.10, _TENSORFLOW, "700 units", 36_067_878),
        ),
    ),
    publish(
        "nao_ws_ptb",
        "nao_ws_rnn",
        "0 1 1 1 2 2 1 2 4 1 4 1 4 1 7 1 8 2 1 0 4 1",
        source=f"{_PAPER}; {_TENSORFLOW}, NAO-WS/rnn",
        space="nao_rnn",
        claims=(
            Claim("ptb", PERPLEXITY, 56.6, f"{_PAPER}v5, abstract", "850 units", 27_295_000),
            Claim("ptb", PERPLEXITY, 56.80, f"{_TENSORFLOW}, training", "850 units", 27_295_000),
            Claim("ptb", PERPLEXITY, 56.66, f"{_TENSORFLOW}, checkpoint", "850 units", 27_295_000),
        ),
        note="Its program numbers sigmoid and identity the other way round than that of nao_ptb.",
    ),
    publish(
        "seminasnet",
        "seminas_mobile",
        "6 5 1 7 4 2 5 3 5 2 5 3 3 5 7 3 1 6 3 3 6",
        source="arXiv:2002.10389; github.com/renqianluo/SemiNAS, imagenet",
        space="seminas_mobile",
        claims=(
            Claim("imagenet", TOP_1, 23.5, "arXiv:2002.10389, abstract", "300 epochs, 224 pixels", 6_319_360),
            Claim("imagenet", TOP_1, 23.46, f"{_SEMINAS}, checkpoint", "300 epochs, 224 pixels", 6_319_360),
        ),
    ),
)
