"""Command lines and surroundings as users have them: flag files, paths, faults, files that hide packages, platforms."""

import contextlib
import functools
import io
import os
import pathlib
import re
import runpy
import subprocess
import sys

import pytest
import setuptools
from absl import flags
from absl.testing import parameterized

import lanas_jax
from common import flag_files, paths
from common.runs import search
from launch import baselines, commands, genotype, lanas
from tests.shared import folders

ROOT = pathlib.Path(__file__).resolve().parents[2]


def failed(main, *arguments):
    """Returns the code and the line with which a command ends that fails."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        code = main(list(arguments))
    assert errors.getvalue().count("\n") == 1, errors.getvalue()
    return code, errors.getvalue()


class FlagFilesTest(folders.FolderTest):
    def write(self, contents, name="a.cfg"):
        (self.folder / name).write_bytes(contents)
        return f"--flagfile={self.folder / name}"

    @parameterized.parameters("lanas_paper", "lanas_paper.cfg", "launch/flagfiles/lanas_paper.cfg")
    def test_names_are_found_from_any_folder(self, name):
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        wanted = commands.FLAG_FILES / "lanas_paper.cfg"
        lines = [line for line in wanted.read_text().splitlines() if line.startswith("--")]
        for words in ([f"--flagfile={name}"], ["--flagfile", name], [f"-flagfile={name}"]):
            assert flag_files.expand(words, commands.FLAG_FILES) == lines

    def test_contents(self):
        inner = self.write(b"--seed=2\n", "inner.cfg")
        text = f"\n# a comment\n  --budget=3  \n// another\n{inner}\n".encode()
        for contents in (text, b"\xef\xbb\xbf" + text, text.replace(b"\n", b"\r\n")):
            words = ["--seed=1", self.write(contents), "--seed=4"]
            assert flag_files.expand(words, self.folder) == ["--seed=1", "--budget=3", "--seed=2", "--seed=4"]
        assert flag_files.expand(["--", "--flagfile=x"], self.folder) == ["--", "--flagfile=x"]

    @parameterized.parameters(
        ("--budget=3".encode("utf-16"), "a.cfg is UTF-16 text: save it as UTF-8"),
        ("--budget=3\n".encode("utf-16-le"), "a.cfg is UTF-16 text: save it as UTF-8"),
        (b"--workdir=\xe9\n", "a.cfg is not UTF-8 at byte 10; convert it to UTF-8 (line 1)"),
        (b"\x1f\x8b\x08", "a.cfg is a gzip file"),
        (b"# mine\n--budget 3\n", "a.cfg: flags are written --name=value, one a line; got '--budget 3'"),
    )
    def test_contents_of_no_use(self, contents, message):
        code, errors = failed(lanas.main, self.write(contents))
        assert code == 2
        assert message in errors

    def test_files_that_are_missing(self):
        with pytest.raises(
            ValueError, match=r"no flag file 'nowhere'; give .* that ships: lanas_closed_form, lanas_di"
        ):
            flag_files.expand(["--flagfile=nowhere"], commands.FLAG_FILES)
        with pytest.raises(ValueError, match="--flagfile needs a file"):
            flag_files.expand(["--flagfile"], self.folder)
        word = self.write(f"--flagfile={self.folder / 'a.cfg'}".encode())
        with pytest.raises(ValueError, match=r"a\.cfg includes itself"):
            flag_files.expand([word], self.folder)

    def test_a_limit_is_given_once_or_replaces_that_of_a_file(self):
        def expand(*words):
            return flag_files.expand(words, self.folder, once=("limit",))

        file = self.write(b"--limit=a<=1\n--seed=2\n--seed=3\n")
        assert expand("--seed=1", file, "--limit=b<=2")[-2:] == ["--seed=3", "--limit=b<=2"]
        assert expand(self.write(f"{file}\n--limit=b<=2\n".encode(), "outer.cfg"))[-1] == "--limit=b<=2"
        for words in (("--limit=a<=1", "--limit", "b<=2"), ("--limit=b<=2", file), (file, file)):
            with pytest.raises(ValueError, match=r"^--limit is given twice; give it once, with commas"):
                expand(*words)
        with pytest.raises(ValueError, match=r"twice\.cfg: --limit is given twice; give it once"):
            expand(self.write(b"--limit=a<=1\n--limit=b<=2\n", "twice.cfg"), "--limit=c<=3")
        code, errors = failed(lanas.main, self.write(b"--objectives=fitness,-a\n--objectives=fitness,-b\n"))
        assert code == 2
        assert "a.cfg: --objectives is given twice; give it once, with commas" in errors

    def test_a_flag_of_a_file_may_be_without_effect(self):
        file, config, found = self.write(b"--adam_steps=7\n"), lanas_jax.PRESETS["lanas_official"], []
        define = functools.partial(commands.define, config=config)

        def read(values):
            found.append(commands.read(values, config))

        def main(words):
            return commands.run_main("lanas", "", define, read, words)

        assert main([file, "--regressor=ridge"]) == 0
        assert (found[0].adam_steps, found[0].regressor) == (7, "ridge")
        code, errors = failed(main, file, "--regressor=ridge", "--adam_steps=8")
        assert code == 1
        assert "--adam_steps has no effect without --regressor=adam" in errors

    def test_a_switch_may_be_off_where_it_is_without_effect(self):
        define = functools.partial(commands.define, config=search.Options())
        read = functools.partial(commands.read, config=search.Options())
        for word in ("--noretry_failed", "--retry_failed=false"):
            assert commands.run_main("lanas", "", define, read, [word]) == 0


class PathsTest(folders.FolderTest):
    def test_home_and_variables(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", "/home/ann")
            patch.setenv("NAS_TEST_RUNS", "/data/runs")
            assert paths.expand("~/x") == "/home/ann/x"
            assert paths.expand("~") == "/home/ann"
            assert paths.expand("$NAS_TEST_RUNS/x") == paths.expand("${NAS_TEST_RUNS}/x") == "/data/runs/x"
            assert paths.expand("a/~/$HOME") == "a/~/$HOME"
            assert paths.expand("./~x") == "./~x"
        with pytest.raises(ValueError, match=r"~nobody9/x: ~nobody9 names no home folder; .* or \./~nobody9/x for"):
            paths.expand("~nobody9/x")
        with pytest.raises(ValueError, match="a path cannot hold a zero byte"):
            paths.expand("a\0b")
        with pytest.raises(ValueError, match="names no environment variable"):
            paths.path("$NAS_NO_SUCH/x")

    def test_every_flag(self):
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
            patch.setenv("HOME", str(self.folder))
            patch.setenv("NAS_DATA_DIR", "~/data")
            assert genotype.main(["--genotype=lanet", "--output=~/lanet.json"]) == 0
            assert genotype.main(["--genotype=~/lanet.json", "--convert_to=darts"]) == 0
            code, errors = failed(baselines.main, "--benchmark=nasbench201", "--workdir=~/run")
            assert code == 1
            assert f"looked for {self.folder}/data/nasbench201.table" in errors
        assert [path.name for path in self.folder.iterdir()] == ["lanet.json"]


class FaultsTest(parameterized.TestCase):
    def test_all_faults_of_usage_at_once(self):
        words = ("--budget=1e3", "--foo=2", "--height", "x", "now", "--workdir=~nobody9/x", "--seed=1")
        code, errors = failed(lanas.main, *words)
        assert code == 2
        for message in (
            "flag --budget=1e3: must be a whole number",
            "Unknown command line flag 'foo'",
            "flag --height=x: must be a whole number",
            "unexpected argument 'now'",
            "--workdir=~nobody9/x: ~nobody9 names no home folder",
        ):
            assert message in errors
        assert "seed" not in errors

    def test_all_faults_of_values_at_once(self):
        code, errors = failed(lanas.main, "--budget=0", "--height=99", "--protocol=a", "--seed=1")
        assert code == 1
        assert errors.removeprefix("error: ").strip().split("; --") == [
            "unknown --protocol 'a'; choose one of validation, test",
            "budget must be at least 1; got 0",
            "height must be at least 1 and at most 16; got 99",
        ]

    def test_a_flag_that_algorithms_share_may_have_the_value_of_one(self):
        values = flags.FlagValues()
        lanas.define(values)
        values(["lanas", "--seed=7", "--count=3"])
        commands.check_given(values)
        values(["lanas", "--count=0"])
        with pytest.raises(ValueError, match="--count must be at least 1; got 0"):
            commands.check_given(values)


class SurroundingsTest(folders.FolderTest):
    """Each is a process of its own: what is tested happens before or while JAX is imported."""

    def start(self, *words, folder=None, **environment):
        """Returns (exit code, standard error) of a Python program; the project is found behind `folder`."""
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), **environment}
        done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
        return done.returncode, done.stderr

    def test_files_that_hide_packages_are_named(self):
        folder = self.folder.resolve()
        for name, hidden in (("common.py", f"instead of {ROOT}/common"), ("random.py", "a module that JAX needs")):
            (folder / name).write_text("x = 1\n")
            code, errors = self.start("-m", "launch.baselines", "--help", folder=folder)
            assert (code, errors.count("\n")) == (1, 1)
            assert errors.startswith(f"error: {folder / name} is imported instead of ")
            assert hidden in errors
            (folder / name).unlink()
        (folder / "common.py").write_text("x = 1\n")
        (folder / "launch.py").write_text("x = 1\n")
        program = "import sys, nao_lanas_jax as our; sys.argv[0] = '/bin/nas-build-table'; sys.exit(our.main())"
        code, errors = self.start("-c", program, "--benchmark=", folder=folder, PYTHONPATH=f"{folder}:{ROOT}")
        assert (code, errors.count("\n")) == (1, 1)
        assert errors.startswith("error: give --output, a file such as mine.table")
        (folder / "perceptron.py").write_text("number = 3\n")
        program = program.replace("build-table", "baselines")
        code, errors = self.start("-c", program, "--evaluator=perceptron:number", folder=folder, PYTHONSAFEPATH="1")
        assert (code, errors.count("\n")) == (1, 1)
        assert errors.startswith("error: perceptron:number must be of the type Evaluator or a function")

    def test_platforms_and_variables(self):
        search = ("-m", "launch.baselines", "--budget=2", "--workdir=/dev/null")
        code, errors = self.start(*search, folder=ROOT, JAX_PLATFORMS="cpu,foo")
        assert (code, errors.count("\n")) == (1, 1)
        assert errors.startswith("error: JAX cannot use the platform 'cpu,foo' of JAX_PLATFORMS here; unset ")
        code, errors = self.start(*search, folder=ROOT, JAX_ENABLE_X64="maybe")
        assert (code, errors.count("\n")) == (1, 1)
        assert errors.startswith("error: JAX cannot be imported: invalid truth value 'maybe' for environment 'JAX_EN")

    def test_console_scripts(self):
        with pytest.MonkeyPatch.context() as patch:
            got = {}
            patch.setattr(setuptools, "setup", lambda **settings: got.update(settings))
            patch.chdir(ROOT)
            runpy.run_path(str(ROOT / "setup.py"))
        scripts = got["entry_points"]["console_scripts"]
        commands = [path.stem for path in sorted((ROOT / "launch").glob("*.py")) if "\ndef main(" in path.read_text()]
        assert scripts == [f"nas-{re.sub('_', '-', name)}=nao_lanas_jax:main" for name in commands]
        assert got["py_modules"] == ["nao_lanas_jax"]
        assert {"nas-lanas", "nas-nao", "nas-search-images", "nas-study", "nas-train"} <= {
            script.partition("=")[0] for script in scripts
        }
