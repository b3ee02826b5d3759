"""Architectures of other papers, which NAO and LaNAS compare themselves with.

Two programs may hold different cells under one name: those of NAO's replicas have names ending in `_nao`.
Its replica of PNASNet is a copy of that of NASNet-A and left out.
"""

from common.genotypes.publication import ERROR, TOP_1, TOP_5, Claim, Published, publish
from common.genotypes.published_nao import nao_json

_DARTS, _NAO, _ENAS = "github.com/quark0/darts", "github.com/renqianluo/NAO", "github.com/melodyguan/enas"
_CITED = "arXiv:1906.06832v1"  # the comparison in the first version of LaNAS

PUBLISHED: tuple[Published, ...] = (
    publish(
        "nasnet_a",
        "darts",
        "Genotype(normal=[('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 0), ('sep_conv_3x3', 0), "
        "('avg_pool_3x3', 1), ('skip_connect', 0), ('avg_pool_3x3', 0), ('avg_pool_3x3', 0), ('sep_conv_3x3', 1), "
        "('skip_connect', 1)], normal_concat=[2, 3, 4, 5, 6], reduce=[('sep_conv_5x5', 1), ('sep_conv_7x7', 0), "
        "('max_pool_3x3', 1), ('sep_conv_7x7', 0), ('avg_pool_3x3', 1), ('sep_conv_5x5', 0), ('skip_connect', 3), "
        "('avg_pool_3x3', 2), ('sep_conv_3x3', 2), ('max_pool_3x3', 1)], reduce_concat=[4, 5, 6])",
        source=f"arXiv:1707.07012; {_DARTS}, cnn/genotypes.py",
        space="nao_middle",
        claims=(
            Claim("cifar10", ERROR, 2.65, f"cited in {_CITED}", "cutout", 3_300_000),
            Claim("cifar10", ERROR, 2.40, f"cited in {_CITED}", "cutout", 27_600_000),
            Claim("imagenet", TOP_1, 26.0, f"cited in {_CITED}"),
            Claim("imagenet", TOP_5, 8.4, f"cited in {_CITED}"),
        ),
    ),
    publish(
        "nasnet_a_nao",
        "nao_json",
        nao_json(
            (
                *("2 2 sep_conv 3x3, identity", "1 2 sep_conv 3x3, sep_conv 5x5", "2 1 avg_pool 3x3, identity"),
                *("1 1 avg_pool 3x3, avg_pool 3x3", "1 1 sep_conv 5x5, sep_conv 3x3"),
            ),
            (
                *("1 2 sep_conv 7x7, sep_conv 5x5", "2 1 max_pool 3x3, sep_conv 7x7", "2 1 avg_pool 3x3, sep_conv 5x5"),
                *("2 3 max_pool 3x3, sep_conv 3x3", "3 4 avg_pool 3x3, identity"),
            ),
            "1 3 4 5 6 7",
            "4 5 6 7",
        ),
        source=f"arXiv:1707.07012; {_NAO}, NAO/cnn/dag.py",
        note="Each cell puts out one state more than in nasnet_a, which branches read too.",
    ),
    publish(
        "amoebanet_a",
        "darts",
        "Genotype(normal=[('avg_pool_3x3', 0), ('max_pool_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 2), "
        "('sep_conv_3x3', 0), ('avg_pool_3x3', 3), ('sep_conv_3x3', 1), ('skip_connect', 1), ('skip_connect', 0), "
        "('avg_pool_3x3', 1)], normal_concat=[4, 5, 6], reduce=[('avg_pool_3x3', 0), ('sep_conv_3x3', 1), "
        "('max_pool_3x3', 0), ('sep_conv_7x7', 2), ('sep_conv_7x7', 0), ('avg_pool_3x3', 1), ('max_pool_3x3', 0), "
        "('max_pool_3x3', 1), ('conv_7x1_1x7', 0), ('sep_conv_3x3', 5)], reduce_concat=[3, 4, 6])",
        source=f"arXiv:1802.01548; {_DARTS}, cnn/genotypes.py",
        claims=(
            Claim("imagenet", TOP_1, 25.5, f"cited in {_CITED}"),
            Claim("imagenet", TOP_5, 8.0, f"cited in {_CITED}"),
        ),
    ),
    publish(
        "amoebanet_a_nao",
        "nao_json",
        nao_json(
            (
                *("1 1 avg_pool 3x3, max_pool 3x3", "3 1 sep_conv 5x5, sep_conv 3x3", "4 1 avg_pool 3x3, sep_conv 3x3"),
                *("2 2 sep_conv 3x3, identity", "2 1 avg_pool 3x3, identity"),
            ),
            (
                *("1 2 avg_pool 3x3, sep_conv 3x3", "1 3 max_pool 3x3, sep_conv 7x7", "1 2 sep_conv 7x7, avg_pool 3x3"),
                *("2 1 max_pool 3x3, max_pool 3x3", "6 1 sep_conv 3x3, conv 1x7+7x1"),
            ),
        ),
        source=f"arXiv:1802.01548; {_NAO}, NAO/cnn/dag.py",
        note="Differs from amoebanet_a in what the max pooling of its first node reads.",
    ),
    publish(
        "amoebanet_b_nao",
        "nao_json",
        nao_json(
            (
                *("1 2 sep_conv 3x3, identity", "2 2 max_pool 3x3, conv 1x1", "2 1 conv 1x1, sep_conv 3x3"),
                *("4 4 identity, conv 1x1", "2 6 avg_pool 3x3, conv 1x1"),
            ),
            (
                *("1 1 max_pool 2x2, max_pool 3x3", "3 3 dil_sep_conv 5x5, max_pool 3x3", "3 2 identity, conv 3x3"),
                *("4 5 avg_pool 3x3, conv 1x1", "5 2 identity, sep_conv 3x3"),
            ),
        ),
        source=f"arXiv:1802.01548; {_NAO}, NAO/cnn/dag.py",
        claims=(
            Claim("cifar10", ERROR, 3.34, f"cited in {_CITED} (+-0.06)", "", 3_200_000),
            Claim("cifar10", ERROR, 2.13, f"cited in {_CITED} (+-0.04)", "cutout", 34_900_000),
            Claim("imagenet", TOP_1, 26.0, f"cited in {_CITED}"),
            Claim("imagenet", TOP_5, 8.5, f"cited in {_CITED}"),
        ),
    ),
    publish(
        "darts_v1",
        "darts",
        "Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), ('sep_conv_3x3', 1), "
        "('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 2)], "
        "normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
        "('max_pool_3x3', 0), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)], "
        "reduce_concat=[2, 3, 4, 5])",
        source=f"arXiv:1806.09055; {_DARTS}, cnn/genotypes.py",
    ),
    publish(
        "darts_v2",
        "darts",
        "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
        "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
        "normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
        "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
        "reduce_concat=[2, 3, 4, 5])",
        source=f"arXiv:1806.09055; DARTS_V2 in {_DARTS}, cnn/genotypes.py",
        claims=(
            Claim(
                "cifar10",
                ERROR,
                2.76,
                f"cited in {_CITED} (+-0.09); it names no version",
                "cutout",
                3_300_000,
            ),
            Claim("imagenet", TOP_1, 26.7, f"cited in {_CITED}"),
            Claim("imagenet", TOP_5, 8.7, f"cited in {_CITED}"),
        ),
    ),
    publish(
        "enas_nao",
        "nao_json",
        nao_json(
            (
                *("2 2 sep_conv 3x3, identity", "2 1 sep_conv 5x5, identity", "1 2 avg_pool 3x3, sep_conv 3x3"),
                *("1 2 sep_conv 3x3, avg_pool 3x3", "2 1 sep_conv 5x5, avg_pool 3x3"),
            ),
            (
                *("1 2 sep_conv 5x5, avg_pool 3x3", "2 2 sep_conv 3x3, avg_pool 3x3", "2 2 avg_pool 3x3, sep_conv 3x3"),
                *("5 2 sep_conv 5x5, avg_pool 3x3", "6 1 sep_conv 3x3, sep_conv 5x5"),
            ),
        ),
        source=f"arXiv:1802.03268; {_NAO}, NAO/cnn/dag.py",
        space="nao_small",
    ),
    publish(
        "enas",
        "nao_small",
        "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1",
        source=f"arXiv:1802.03268; {_ENAS}, scripts/cifar10_micro_final.sh",
        space="nao_small",
        note="The cells that the released script trains; it numbers states and operations as NAO does after it. Those "
        "of enas_nao are others.",
    ),
    publish(
        "enas_rnn",
        "darts_rnn",
        "Genotype(recurrent=[('tanh', 0), ('tanh', 1), ('relu', 1), ('tanh', 3), ('tanh', 3), ('relu', 3), "
        "('relu', 4), ('relu', 7), ('relu', 8), ('relu', 8), ('relu', 8)], concat=[2, 5, 6, 9, 10, 11])",
        source=f"arXiv:1802.03268; {_DARTS}, rnn/genotypes.py",
    ),
    publish(
        "darts_rnn",
        "darts_rnn",
        "Genotype(recurrent=[('relu', 0), ('relu', 1), ('tanh', 2), ('relu', 3), ('relu', 4), ('identity', 1), "
        "('relu', 5), ('relu', 1)], concat=range(1, 9))",
        source=f"arXiv:1806.09055; {_DARTS}, rnn/genotypes.py",
        note="The cell that later versions of the file call DARTS_V1.",
    ),
)
