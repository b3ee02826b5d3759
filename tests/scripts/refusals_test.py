"""Flags that do not suit each other or the data: one line of error, before anything is written."""

import importlib
from unittest import mock

from absl.testing import parameterized

from common.networks import supernet
from common.spaces import limits
from tests.shared import folders, tiny_supernet

SHARED = "--evaluator=supernet"
TRAINED = "--evaluator=training --space=lanas_cell"
CASES = {  # command: flags and a part of the message; bounds of single flags are in the contract of configurations
    "baselines": (
        ("--budget=1365", "budget must be at most 1364, all that digits_convnet/digits can measure; got 1365"),
        ("--benchmark=imagenet", "unknown benchmark 'imagenet'; choose one of digits_convnet, nasbench101"),
        ("--dataset=mnist", "unknown dataset 'mnist' of digits_convnet; choose one of digits"),
        ("--candidate_timeout=9", "executor inline cannot stop an evaluation; choose process or ray"),
        ("--benchmark=nasbench_macro --data_dir=/nowhere", "no file of benchmark nasbench_macro; looked for"),
        ("--workdir=/dev/null", "workdir /dev/null cannot be created"),
        ("--compilation_cache_dir=/dev/null", "compilation cache /dev/null cannot be written"),
        ("--algorithm=annealing", "unknown algorithm 'annealing'; choose one of random, "),
        ("--algorithm=regularised_evolution", "; did you mean regularized_evolution?"),
        ("--num_warm_up=5", "--num_warm_up has no effect without --warm_up; give that too, or leave it out"),
        ("--num_workers=4", "num_workers = 4 has no effect with executor inline in a synchronous search; choose"),
        ("--executor=process --ray_address=auto", "--ray_address has no effect without --executor=ray; give"),
        ("--sample_size=2", "--sample_size is not a setting of random; its settings: count"),
        ("--evaluator=training", "--evaluator=training needs --space"),
        ("--evaluator=training --space=nasbench101", "has no network to train; choose one of nao_small"),
        ("--evaluator=guess", "unknown evaluator 'guess'; choose one of benchmark, training, supernet, zero_cost"),
        ("--space=nao_small", "benchmark digits_convnet is of the space convnet, not nao_small; leave"),
        ("--proxy_width=3", "is not for --evaluator=benchmark; leave it out, or give --evaluator=supernet or training"),
        (f"{TRAINED} --benchmark=nasbench201", "--benchmark is not for --evaluator=training; leave it out"),
        (f"{TRAINED} --dataset=cifar10", "dataset cifar10"),
        (f"{SHARED} --rerank=-1", "--rerank must be at least 0; got -1"),
        (f"{SHARED} --rerank=4 --rerank_halving=1", "--rerank_halving must be at least 2; got 1"),
        (f"{SHARED} --rerank_halving=2", "--rerank_halving has no effect without --rerank; give that too"),
        (
            f"{SHARED} --rerank=2 --rerank_halving=3",
            "a halving by 3 needs at least 3 trainings, or none is",
        ),
        (f"{SHARED} --rerank=4 --rerank_halving=2", "begins with 1/4 of the epochs, less than one of 3; train for at"),
        (
            f"{SHARED} --rerank=2 --rerank_halving=2 --objectives=fitness,-params",
            "rerank_halving keeps the most accurate, not a front",
        ),
    ),
    "lanas": (
        ("--temperature=0.2", "--temperature has no effect without --acquisition=tempered; give that too, or leave"),
        ("--front_height=3", "--front_height has no effect without several objectives, such as --objectives=fitness,"),
        (f"{SHARED} --proxy_width=4", "--proxy_width has no effect without --rerank, the number of the best that"),
        (f"{SHARED} --score_num_calibration=2", "has no effect without --score_statistics=recalibrated; give"),
        ("--preset=best", "unknown preset 'best'; choose one of lanas, lanas_uniform"),
        ("--budget=5", "budget is 5, below num_initial, 10"),
        ("--limit=parameters<=98", "1 to 4 architectures a round, all that digits_convnet/digits within parameters<=9"),
        (f"{SHARED} --benchmark=nasbench201", "--benchmark is not for --evaluator=supernet; leave it out"),
        ("--rerank=2", "--rerank is not for --evaluator=benchmark; leave it out, or give --evaluator=supernet"),
        (f"{SHARED} --supernet=nowhere --supernet_width=3", "--supernet names trained ones; leave it out"),
        (f"{SHARED} --score_method=best", "unknown --score_method 'best'; choose one of subset"),
        (f"{SHARED} --space=nasbench101", "'nasbench101' has no network with shared weights"),
        ("--evaluator=zero_cost --space=nao_rnn", "unknown space with networks to score 'nao_rnn'; choose one of nao_"),
        ("--evaluator=zero_cost", "--evaluator=zero_cost needs --space"),
        ("--zero_cost_score=nwot", "--zero_cost_score is not for --evaluator=benchmark; leave it out"),
        (f"{SHARED} --supernet_preset=best", "unknown --supernet_preset 'best'"),
        (f"{SHARED} --score_num_images=9999", "num_images = 9999 is more than the 363 images to score"),
        (
            f"{SHARED} --space=convnet --score_statistics=recalibrated --score_batch_size=50",
            "elastic weights of convnet have statistics of the batch alone",
        ),
        (f"{SHARED} --few_shot_height=3", "few_shot_height and few_shot_measured need few_shot_epochs above 0"),
        (f"{SHARED} --few_shot_epochs=1 --few_shot_height=5", "--few_shot_height must be at least 2 and at"),
    ),
    "nao": (
        ("--preset=nao_cnn", "budget is 100, below num_initial, 600"),
        ("--preset=nao_cnn --benchmark=digits_convnet", "convnet has 5 tokens an architecture, which tokens_per"),
        ("--preset=nao_ws_rnn", "for recurrent cells, searched by launch.search_recurrent --algorithm=nao_ws_rnn"),
        (f"{SHARED} --num_blocks=2", "--num_blocks needs --schedule"),
        (f"{SHARED} --schedule=nao_v3", "unknown schedule 'nao_v3'; choose one of nao_ws"),
        (f"{SHARED} --schedule=nao_ws --supernet=x", "trains its own weights; leave --supernet out"),
        (f"{SHARED} --schedule=nao_ws --budget=7", "leave --budget out"),
        (f"{SHARED} --schedule=nao_ws --num_new=1000", "would replace all of a pool of 1000"),
        (f"{SHARED} --schedule=nao_v2 --supernet_num_epochs=7", "num_epochs = 7 cannot be divided into 4 equal"),
        ("--schedule=nao_ws", "--schedule is not for --evaluator=benchmark; leave it out"),
    ),
    "study": (
        ("--num_warm_up=10", "--num_warm_up has no effect without --warm_up"),
        ("--algorithms=lanas,best", "unknown algorithm 'best'; choose one of lanas"),
        ("--algorithms=", "--algorithms is empty; choose some of "),
        ("--tasks=a,b --dataset=c", "give either --tasks or --benchmark and --dataset"),
        ("--suite=choosing --protocol=test", "--suite names the tasks; leave out --protocol"),
        ("--budget=20 --checkpoints=10,30", "checkpoints must be at most the budget, 20; got 30"),
        ("--algorithms=lanas:heigth=7", "algorithm lanas:heigth=7: lanas has no setting 'heigth'; did you mean height"),
        ("--algorithms=lanas,lanas", "algorithms must be different; got lanas, lanas; leave one out"),
        ("--targets=90,x", "--targets must be numbers; got 90,x"),
        ("--algorithms=random:count=2:count=3", "has a setting twice; leave one out"),
        ("--num_seeds=1000000000", "--num_seeds must be at least 1 and at most 100000"),
        ("--seed=4294967295 --num_seeds=2", "seed plus num_seeds must be at most 4294967296"),
    ),
    "train": (
        ("--genotype=/", "--genotype=/ is a folder; give a file in it, such as best.json, or --pick='params<=1e6'"),
        (
            "--genotype=seminasnet",
            "choose another preset: ofa_mobile_cifar, ofa_mobile_imagenet, nasbench_macro, seminasnet",
        ),
        ("--genotype=lanett", "did you mean lanet"),
        ("--genotype=nao_ptb --preset=digits", "unknown --preset 'digits'; choose one of nao_ptb"),
        ("--preset=best", "unknown preset 'best'; choose one of digits"),
        ("--batch_size=2000", "more than the 1090 training images"),
        ("--pick=params<=1e6", "--pick needs the folder of a search, --genotype=FOLDER; got lanet"),
        ("--evaluate --workdir=", "--evaluate needs --workdir"),
        ("--evaluate", "has no checkpoints"),
        ("--width=4 --auxiliary", "auxiliary"),
        ("--num_devices=9", "--num_devices must be from 0 to"),
        ("--cutout_size=8", "--cutout_size has no effect without --cutout=centre or --cutout=corner; give that too"),
        ("--checkpoint=best", "--checkpoint has no effect without --evaluate or --export"),
        ("--process_id=0", "process_id = 0 needs a coordinator"),
        ("--checkpoint=first", "unknown --checkpoint 'first'; choose one of latest, best"),
    ),
    "train_language": (
        ("--genotype=naonet_a", "naonet_a is not a recurrent cell; train it with launch.train"),
        ("--genotype=nao_pbt", "did you mean nao_ptb"),
        ("--preset=big", "unknown --preset 'big'; choose one of nao_ptb"),
        ("--corpus=pbt", "unknown --corpus 'pbt'; choose one of topics, ptb"),
        ("--valid_batch_size=100000", "valid_batch_size = 100000 leaves less than 2 of"),
    ),
    "train_supernet": (
        ("--space=nao_rnn", "unknown space 'nao_rnn'; choose one of nao_small"),
        ("--seed=-1", "--seed must be from 0 to 4294967295; got -1"),
        ("--preset=best", "unknown preset 'best'; choose one of digits, cluttered_digits"),
        ("--num_devices=9", "--num_devices must be from 0 to"),
        ("--sampling=num_params", "sampling 'num_params' needs a pool: set pool_size"),
    ),
    "search_images": (
        ("--algorithm=guess", "unknown algorithm 'guess'"),
        ("--minutes=1", "minutes = 1 is too little for images of"),
        ("--seed=-1", "seed must be from 0 to 4294967295; got -1"),
        ("--limit=macs<=10", "no network of small_images respects macs<=10"),
    ),
    "benchmarks.shared_searches": (
        ("--algorithms=lanas,guess", "unknown algorithm 'guess'"),
        ("--algorithms=lanas,lanas", "names one twice"),
        ("--rerank=3", "--rerank does not apply to this command"),
        ("--proxy_num_epochs=0", "--proxy_num_epochs must be at least 1; got 0"),
        ("--proxy_width=3", "--proxy_width does not apply to this command; leave it out"),
    ),
    "search_recurrent": (
        ("--rerank_num_epochs=3", "--rerank_num_epochs has no effect without --rerank; give that too"),
        ("--measure=both", "unknown --measure 'both'"),
        ("--executor=process", "shared weights are in this process; use executor inline (--executor=inline)"),
        ("--num_initial=3", "follows its name, such as --algorithm=nao:num_initial=5"),
        ("--num_new=3", "--num_new needs --schedule; choose one of nao_ws"),
        ("--schedule=topics --budget=3", "leave --budget out"),
        ("--schedule=topics --measure=training", "choose measure supernet (--measure=supernet)"),
        ("--schedule=topics --num_epochs=7", "num_epochs = 7 is not a multiple of num_blocks = 5"),
        ("--schedule=topics --num_new=40", "would replace all of a pool of 40"),
        ("--batch_size=1000000", "batch_size = 1000000 leaves less than 2 of"),
    ),
}


OFTEN = (  # flags that many commands have, with a value that only reading shows to be wrong
    ("--supernet=nowhere", "nowhere"),
    ("--warm_start=nowhere.csv", "no file of measurements at nowhere.csv"),
    ("--export=nowhere/a.csv", "cannot write nowhere/a.csv: there is no folder nowhere"),
    ("--export=nowhere/a.safetensors", "cannot write nowhere/a.safetensors: there is no folder nowhere"),
    ("--dataset=nowhere.npz", "nowhere.npz"),
    ("--genotype=nowhere.json", "'nowhere.json'"),
    ("--benchmark=nowhere.csv", "nowhere.csv"),
    ("--budget=2 --num_initial=3", "budget is 2, below num_initial, 3"),
    ("--limit=params<=1", "params"),
    ("--data_dir=nowhere --corpus=ptb", "nowhere"),
)
TRIED = {  # command, with flags that make it read the others
    "baselines --evaluator=supernet": (0, 1, 2, 4, 8),
    "lanas --evaluator=supernet": (7,),
    "nao --evaluator=supernet": (7,),
    "lanas": (1, 2, 6, 7, 8),
    "baselines --evaluator=training --space=nao_small": (1, 2, 4, 8),
    "study": (6, 8),
    "search_images": (4,),
    "benchmarks.shared_searches": (0, 1, 4, 8),
    "benchmarks.shared_searches --algorithms=lanas": (2,),
    "search_recurrent": (1, 2, 9),
    "train": (3, 4, 5),
    "train_supernet": (4,),
    "train_language": (5, 9),
}
for _command, _tried in TRIED.items():
    _name, *_flags = _command.split()
    CASES[_name] += tuple((" ".join([*_flags, OFTEN[at][0]]), OFTEN[at][1]) for at in _tried)


class RefusalsTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        self.enterContext(mock.patch.multiple(limits, _NUM_ANCHORS=4, _NUM_STEPS=2))  # no limit here can be met
        self.enterContext(mock.patch.object(supernet, "Network", tiny_supernet.network))

    @parameterized.parameters(*((command, *case) for command, cases in CASES.items() for case in cases))
    def test_one_line_and_no_folder(self, command, flags, message):
        workdir = self.folder / "run"
        main = importlib.import_module(command if "." in command else f"launch.{command}").main
        given = (f"--workdir={workdir}", *flags.split())
        output, errors = self.run_main(main, *given, code=1)
        assert output == ""
        assert message in errors
        assert len(errors.splitlines()) == 1
        assert not workdir.exists()

    def test_all_faults_of_a_command_line_are_in_one_message(self):
        for command, flags, messages in (
            ("lanas", "--count=9 --num_select=2 --ridge=0 --regressor=ridge", ("count must be", "ridge must be above")),
            ("nao", "--count=9 --num_new=2 --num_folds=1", ("count must be at most", "num_folds must be 0")),
            ("lanas", "--export=a.txt --temperature=0 --acquisition=tempered", ("a.txt: the name", "temperature must")),
            (
                "baselines",
                "--budget=9999 --warm_start=nowhere.csv --export=nowhere/a.csv",
                ("at most 1364", "no file of measurements at nowhere.csv", "there is no folder nowhere"),
            ),
            (
                "study",
                "--budget=4 --algorithms=lanas,nao",
                ("budget is 4, below num_initial, 10", "tree would never", "nothing would ever"),
            ),
            ("baselines", "--proxy_width=3 --rerank=2", ("--proxy_width, --rerank are not for --evaluator=benchmark",)),
            ("train", "--nesterov --momentum=0 --optimizer=adam", ("a momentum above 0", "needs optimizer 'sgd'")),
            (
                "study",
                "--budget=20 --checkpoints=30 --algorithms=best,worst",
                ("at most the budget", "'best'", "'worst'"),
            ),
        ):
            main = importlib.import_module(command if "." in command else f"launch.{command}").main
            _, errors = self.run_main(main, f"--workdir={self.folder / 'run'}", *flags.split(), code=1)
            for message in messages:
                assert message in errors, errors
        assert not (self.folder / "run").exists()
