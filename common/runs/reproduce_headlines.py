"""The headline results of the papers as data: stages, which are command lines of the project, and what they cost.

Operations are those of all training steps: of a network trained from scratch, of the step as it is lowered for a GPU
(forward, backward, update); of a search and of language models, 6 times the multiply-adds (2 operations each, forward
once and backward twice), of a search those of the mean random architecture. Evaluations are not counted.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage of a headline: a command and its costs.

    Attributes:
      name: of the stage, and of the folder of its run.
      command: a module of `launch` and its flags; {search} stands for the genotype that the stage "search" found,
        {weights} for the folder of the stage "weights", {data_dir} for the folder of the data.
      dry: flags with which it takes two steps on synthetic data.
      small: further flags that make its networks small enough for a CPU.
      batch: images of a step; 0: it has none.
      operations: floating-point operations of all its training steps.
      steps: number of these steps; 0: see `note`.
      is_divisible: whether devices share its steps, as those of the candidates of a search, not each step's images.
      memory: GiB on the device in bfloat16: state, and all activations that the backward pass reads.
      disk: GiB of its folder.
      note: time, where it does not follow from operations and steps.
    """

    name: str
    command: str
    dry: str
    small: str = ""
    batch: int = 0
    operations: float = 0.0
    steps: int = 0
    is_divisible: bool = False
    memory: float = 1.0
    disk: float = 1.0
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Headline:
    """A headline result.

    Attributes:
      title: the algorithm and what was searched.
      published: the published result.
      data: name of the dataset, corpus or benchmark of all stages; empty: it ships with the package.
      stages: in order.
      missing: a part that this project lacks; empty: none.
    """

    title: str
    published: str
    data: str
    stages: tuple[Stage, ...]
    missing: str = ""


HELD_OUT = 16  # images that dry runs of searches hold out from training
SMALL_BATCH = 8  # images of a step where networks are small
_FIT = "--fit_first=2 --fit_later=2 --num_steps=2"
_SMALL_TEXT = "--width=8 --bptt_max=35 --bptt_deviation=0 --short_share=0"


def _train(flagfile: str, **costs) -> tuple[Stage, Stage]:
    """Returns the training of a published network and, after a search, that of the network found."""
    small = f"--num_cells=3 --width=4 --batch_size={SMALL_BATCH}"
    return _both(Stage("train", f"train --flagfile={flagfile}", "--num_epochs=1", small, **costs))


def _language(flagfile: str, **costs) -> tuple[Stage, Stage]:
    """Returns the training of a published language model and, after a search, that of the cell found."""
    return _both(Stage("train", f"train_language --flagfile={flagfile}", "--num_epochs=1", _SMALL_TEXT, **costs))


def _both(stage):
    return stage, dataclasses.replace(stage, name="train_found", command=f"{stage.command} --genotype={{search}}")


def _by_training(command: str, dry: str, **costs) -> Stage:
    """Returns a search on images that trains each candidate from scratch."""
    dry = f"--budget=3 --num_initial=2 --count=1 --proxy_num_epochs=1 --proxy_held_out={HELD_OUT} {dry}"
    small = f"--proxy_num_cells=3 --proxy_width=2 --proxy_batch_size={SMALL_BATCH}"
    return Stage("search", command, dry, small, is_divisible=True, **costs)


def _on_pool(command: str, dry: str = "", small: str = "", **costs) -> Stage:
    """Returns a search on images with shared weights that train on a renewed pool."""
    pool = f"--num_initial=4 --num_new=2 --num_blocks=2 --supernet_num_epochs=2 --supernet_held_out={HELD_OUT}"
    network = f"--supernet_num_cells=3 --supernet_width=4 --supernet_batch_size={SMALL_BATCH} --num_seeds=4"
    return Stage("search", command, f"{pool} --score_num_images=8 {_FIT} {dry}", f"{network} {small}", **costs)


_NAO_TRAIN = _train("train_naonet_a_128", batch=128, operations=3.547e18, steps=234_600, memory=36, disk=4)
_NAO_WS_TRAIN = _train("train_naonet_b_36", batch=128, operations=8.697e16, steps=234_600, memory=10)
_NAO_V2_TRAIN = _train("train_naonet_v2_36", batch=128, operations=1.279e17, steps=234_600, memory=14)
_LANET_TRAIN = _train("train_lanet_128", batch=32, operations=3.178e18, steps=2_344_500, memory=12, disk=2)
# 929,589 and 2,088,628 words an epoch, 64 sequences, segments of 34 words on average.
_PTB_TRAIN = _language("train_language_nao_ptb", operations=6.09e17, steps=1_704_000)
_PTB_WS_TRAIN = _language("train_language_nao_ws_ptb", operations=6.09e17, steps=1_704_000)
_WIKITEXT_TRAIN, _ = _language("train_language_nao_wikitext2", operations=9.03e17, steps=1_914_000, memory=2)
_NAO_CANDIDATES = {"batch": 128, "operations": 3.22e18, "steps": 8_775_000, "memory": 5}
_LANAS_CANDIDATES = {"batch": 200, "operations": 7.80e19, "steps": 122_760_000, "memory": 14}
_ON_TABLE = "--num_initial=4 --budget=8 --count=2"

HEADLINES: dict[str, Headline] = {
    "nao_cifar10": Headline(
        "NAO, convolutional cells on CIFAR-10",
        "test error 1.93 % with cutout (arXiv:1808.07233v5, abstract)",
        "cifar10",
        (
            _NAO_TRAIN[0],
            _by_training("nao --flagfile=nao_search", f"--num_new=1 {_FIT}", **_NAO_CANDIDATES),
            _NAO_TRAIN[1],
        ),
    ),
    "nao_ws_cifar10": Headline(
        "NAO-WS, convolutional cells on CIFAR-10, shared weights",
        "test error 2.93 % with cutout (arXiv:1808.07233v5, abstract)",
        "cifar10",
        (
            _NAO_WS_TRAIN[0],
            _on_pool(
                "nao --flagfile=supernet_nao_ws",
                "--num_random=1",
                batch=160,
                operations=2.59e15,
                steps=42_150,
                memory=3,
            ),
            _NAO_WS_TRAIN[1],
        ),
    ),
    "nao_v2_cifar10": Headline(
        "NAO-V2, convolutional cells on CIFAR-10, shared weights",
        "test error 2.60 % with cutout (arXiv:1909.10815, abstract), 2.57 % (its repository)",
        "cifar10",
        (
            _NAO_V2_TRAIN[0],
            _on_pool(
                "nao --flagfile=supernet_nao_v2",
                "--rerank=1 --proxy_num_epochs=1",
                f"--proxy_num_cells=3 --proxy_width=4 --proxy_batch_size={SMALL_BATCH}",
                batch=64,
                operations=4.26e15,
                steps=140_800,
                memory=2,
            ),
            _NAO_V2_TRAIN[1],
        ),
    ),
    "nao_ptb": Headline(
        "NAO, recurrent cells on Penn Treebank",
        "test perplexity 56.0 (arXiv:1808.07233, abstract)",
        "ptb",
        (
            _PTB_TRAIN[0],
            Stage(
                "search",
                "search_recurrent --flagfile=search_recurrent_nao",
                "--algorithm=nao_rnn:num_initial=2:num_new=1:count=1:fit_first=2:fit_later=2 --budget=3 --num_epochs=1",
                _SMALL_TEXT,
                operations=9.13e19,
                steps=255_600_000,
                is_divisible=True,
            ),
            _PTB_TRAIN[1],
        ),
    ),
    "nao_ws_ptb": Headline(
        "NAO-WS, recurrent cells on Penn Treebank, shared weights",
        "test perplexity 56.6 (arXiv:1808.07233, abstract)",
        "ptb",
        (
            _PTB_WS_TRAIN[0],
            Stage(
                "search",
                "search_recurrent --flagfile=search_recurrent_nao_ws",
                "--algorithm=nao_ws_rnn:fit_first=2:fit_later=2:num_steps=2 --num_initial=4 --num_new=1 --num_random=1 "
                "--num_blocks=2 --num_epochs=2 --rerank=1 --rerank_num_epochs=1",
                f"{_SMALL_TEXT} --rerank_preset=topics_search",
                operations=9.43e17,  # nearly all for the ten cells that are trained from scratch
                steps=2_660_000,
                is_divisible=True,
            ),
            _PTB_WS_TRAIN[1],
        ),
    ),
    "nao_wikitext2": Headline(
        "NAO's cell of Penn Treebank on WikiText-2",
        "test perplexity 67.0 (arXiv:1808.07233), 67.1 (its repository)",
        "wikitext2",
        (_WIKITEXT_TRAIN,),
    ),
    "lanas_cifar10": Headline(
        "LaNAS, convolutional cells on CIFAR-10",
        "accuracy 99.0 % (arXiv:1906.06832v2, abstract), 99.03 % (its repository)",
        "cifar10",
        (
            _LANET_TRAIN[0],
            _by_training(
                "lanas --flagfile=lanas_distributed",
                "--num_select=1 --height=2 --adam_steps_first=2 --adam_steps=2",
                **_LANAS_CANDIDATES,
            ),
            _LANET_TRAIN[1],
        ),
    ),
    "lanas_imagenet": Headline(
        "LaNAS, mobile networks on ImageNet",
        "top-1 accuracy 80.8 % at 600 million multiply-adds (arXiv:1906.06832v2, abstract)",
        "imagenet",
        (
            Stage(
                "weights",
                "train_supernet --published={data_dir}/ofa_mbv3_d234_e346_k357_w1.2 --preset=elastic "
                "--dataset=imagenet_search",
                f"--published= --space=ofa_mobile --num_epochs=1 --held_out={HELD_OUT}",
                f"--width=4 --batch_size={SMALL_BATCH}",
                batch=64,
                memory=20,
                note="minutes",
            ),
            Stage(
                "search",
                "lanas --evaluator=supernet --supernet={weights} --score_statistics=recalibrated --limit=macs<=6e8 "
                "--budget=800",
                "--budget=3 --num_initial=2 --num_select=1 --count=1 --height=2 --score_num_images=8 "
                "--score_batch_size=8 --score_num_calibration=1",
                memory=20,
                note="minutes",
            ),
            Stage(
                "train_found",
                "train --preset=ofa_mobile_imagenet --dataset=imagenet --stream=seminasnet --genotype={search}",
                "--num_epochs=1",
                f"--image_size=32 --batch_size={SMALL_BATCH}",
                batch=256,
                operations=1.455e18,
                steps=1_501_200,
                memory=34,
            ),
        ),
        missing="the weights and networks of the paper, which were never published; the stages search the published "
        "weights of Once-for-all, whose file you bring, and train what is found",
    ),
    "nasbench101": Headline(
        "LaNAS, NAO and SemiNAS on NAS-Bench-101",
        "queries until the optimum: LaNAS 8,306 (arXiv:1906.06832v1, 100 runs) and 2,274 (the 41 released runs); test "
        "accuracy after 2,000 queries: NAO 93.90 %, SemiNAS 94.02 % (arXiv:2002.10389, 500 runs)",
        "nasbench101",
        (
            Stage(
                "lanas_paper",
                "lanas --flagfile=lanas_paper",
                f"{_ON_TABLE} --num_select=2 --height=3",
                note="not timed",
            ),
            Stage(
                "lanas_released",
                "lanas --flagfile=lanas_official",
                f"{_ON_TABLE} --num_select=2 --height=3 --adam_steps_first=2 --adam_steps=2",
                note="70 minutes a run on 2 CPU cores",
            ),
            Stage("nao", "nao --flagfile=nao_nasbench101", f"{_ON_TABLE} --num_new=2 {_FIT}", note="hours on a CPU"),
            Stage(
                "seminas",
                "nao --flagfile=seminas_nasbench101",
                f"{_ON_TABLE} --num_new=2 {_FIT} --num_unlabelled=4 --fit_synthetic=2",
                note="hours on a CPU",
            ),
        ),
    ),
    "convnet": Headline(
        "LaNAS, chains of one to five convolutions",
        "median queries until the optimum of ConvNet-60K: LaNAS 5,500, evolution 16,000, random search 35,000 (read "
        "off a figure of arXiv:1906.06832v1)",
        "",
        (
            Stage(
                "study",
                "study --benchmark=digits_convnet --protocol=test --budget=300 --num_seeds=100 "
                "--algorithms=lanas,lanas_linear,lanas_paper,nao,regularized_evolution,random",
                "--num_seeds=2 --budget=14 --algorithms=lanas_linear,random",
                note="minutes on a CPU",
            ),
        ),
        missing="the 65,643 networks of ConvNet-60K were never released; the stage searches the 1,364 of the same "
        "paper's section on its motivation, which ship with the package as trained on digits",
    ),
    "lstm": Headline(
        "LaNAS, recurrent cells on Penn Treebank",
        "median queries until the optimum of LSTM-10K: LaNAS 1,700, random search 3,900; its perplexity is 60.3 (read "
        "off figures of arXiv:1906.06832v1)",
        "ptb",
        (
            Stage(
                "search",
                "search_recurrent --algorithm=lanas --corpus=ptb --preset=nao_ws_search --budget=1000 --rerank=10 "
                "--rerank_preset=nao_search",
                "--algorithm=lanas:num_initial=2:num_select=1:count=1:height=2 --budget=3 --num_epochs=1 --rerank=1 "
                "--rerank_num_epochs=1",
                f"{_SMALL_TEXT} --rerank_preset=topics_search",
                operations=9.43e17,  # nearly all for the ten cells that are trained from scratch
                steps=2_660_000,
                is_divisible=True,
            ),
            _PTB_TRAIN[1],
        ),
        missing="the 10,000 cells of LSTM-10K were never released; the stages search the cells of NAO instead",
    ),
}
