"""The README's commands are those that the programs have."""

import re
import subprocess

import pytest
from conftest import ROOT

from eval import main as evaluating
from experiments import main as training

README = (ROOT / "README.md").read_text()


def run_sh(*args, cwd=ROOT):
    """Executes run.sh to its end."""
    return subprocess.run([ROOT / "run.sh", *args], cwd=cwd, text=True, capture_output=True, timeout=300)


@pytest.mark.program
def test_every_verb_of_the_readme_exists_and_every_verb_is_in_the_readme():
    usage = run_sh()
    assert usage.returncode == 0
    verbs = set(re.findall(r"^  (\w+)  ", usage.stdout, re.MULTILINE))
    assert verbs == set(re.findall(r"\./run\.sh (\w+)", README))
    for verb in verbs:
        assert re.search(rf"^            \./run\.sh {verb}", usage.stdout, re.MULTILINE)


def test_every_file_that_the_readme_names_exists():
    named = re.findall(r"[\w/.]+\.py|docs/[\w/.]+", README)
    assert len(named) > 10
    # `base.py` stands for the one beside each config.
    assert [n for n in named if n != "base.py" and not (ROOT / n).exists()] == []


@pytest.mark.program
def test_unknown_verb():
    done = run_sh("trian")
    assert done.returncode == 2
    assert "unknown verb 'trian'" in done.stderr


@pytest.mark.program
def test_tests_that_are_not_there_are_refused_at_once():
    done = run_sh("test", "tests/nope.py::test_x", "-k", "nope")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "run.sh: no file 'tests/nope.py'\n"


@pytest.mark.program
def test_list_prints_the_configs():
    done = run_sh("list")
    assert done.returncode == 0
    assert "configs/gan/digits.py" in done.stdout


@pytest.mark.parametrize("program", [training, evaluating])
def test_help(capsys, program):
    with pytest.raises(SystemExit) as ended:
        program.main(["--help"])
    assert ended.value.code in (None, 0)
    assert "--workdir" in capsys.readouterr().out


@pytest.mark.program
def test_the_two_commands_in_short_from_another_folder(tmp_path):
    trained = run_sh("train", "--config.num_steps=4", "--config.log_every=2", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "runs/gan/digits/checkpoints/4" in trained.stdout
    scored = run_sh("eval", "--config.eval.num_samples=100", cwd=tmp_path)
    assert scored.returncode == 0, scored.stderr
    assert "digits_cnn_frechet" in scored.stdout
    names = ("config.json", "metrics/train.jsonl", "metrics/eval.jsonl", "tensorboard")
    for name in (*names, "figures/eval_0000004.png", "figures/nearest_0000004.png"):
        assert (tmp_path / "runs" / "gan" / "digits" / name).exists()
