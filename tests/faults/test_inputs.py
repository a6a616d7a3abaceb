"""Odd input of every kind: one line on standard error, exit code 2, before anything is written."""

import os
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, refusal

from analysis.__main__ import main as plot
from benchmarks.__main__ import main as bench
from eval.main import main as evaluate
from eval.train_eval import main as train_eval
from experiments.catalogue import main as catalogue
from experiments.main import main as train
from experiments.sweep.main import main as sweep
from lib.runtime.cache import cache_dir

LONG = "x" * 300
DIGITS = f"--config={ROOT}/configs/classifier/digits.py"
AS_ONE_OF = [DIGITS, "--distributed", "--process_id=1"]
FILES = {  # in the folder that the programs run in
    "fails.py": "1 / 0",
    "interrupts.py": "raise KeyboardInterrupt",
    "exits.py": "exit()",
    "exits_later.py": "import sys\ndef get_config():\n    sys.exit(0)",
    "syntax.py": "def get_config(:",
    "nothing.py": "x = 1",
    "number.py": "def get_config():\n    return 3",
    "empty.py": "from ml_collections import ConfigDict\ndef get_config():\n    return ConfigDict()",
    "s_exits.py": "exit()",
    "s_interrupts.py": "def get_sweep(h):\n    raise KeyboardInterrupt",
    "s_number_key.py": "def get_sweep(h):\n    return [{1: 2}]",
    "s_twice.py": "def get_sweep(h):\n    return h.values('seed', [1, '1'])",
    "s_same.py": "def get_sweep(h):\n    return [{'batch_size': 8}, {'batch_size': 8, 'seed': 0}]",
    "s_data.py": "def get_sweep(h):\n    return h.values('dataset.name', ['digits', 'digitz'])",
    "s_batch.py": "def get_sweep(h):\n    return h.values('batch_size', [8, 10**6])",
    "s_restore.py": "def get_sweep(h):\n    return h.values('restore_path', ['nowhere'])",
    "s_unset.py": "def get_sweep(h):\n    return h.values('restore_path', [''])",
    "s_array.py": "import numpy\ndef get_sweep(h):\n    return h.values('seed', list(numpy.eye(2)))",
    "raises.py": "raise GeneratorExit",
    "circle.py": "from configs.common import base\ndef get_config():\n    c = base()\n    c.eval.unlock()\n"
    "    c.eval.eval = c.eval\n    return c",
    "s_none.py": "def get_sweep(h):\n    return []",
    "a_file": "",
    "config.json/x": "",
}

TRAINING = [  # (arguments, part of the line); of train and of train_eval
    (["--config=fails.py"], "ZeroDivisionError"),
    (["--config=interrupts.py"], "'interrupts.py' fails: KeyboardInterrupt"),
    (["--config=exits.py"], "'exits.py' fails: SystemExit"),
    (["--config=exits_later.py"], "'exits_later.py' fails: SystemExit"),
    (["--config=raises.py"], "GeneratorExit"),
    (["--config=circle.py"], "contains itself"),
    (["--config=syntax.py"], "SyntaxError"),
    (["--config=nothing.py"], "defines no function get_config"),
    (["--config=number.py"], "must return an ml_collections.ConfigDict"),
    (["--config=empty.py"], "config.experiment: missing"),
    (["--config=."], "no file '.'"),
    (["--config=nowhere.py"], "no file 'nowhere.py'"),
    ([f"--config={LONG}"], "File name too long"),
    (["--config="], "is empty"),
    (["--workdir="], "is empty"),
    (["--workdir", "--workdir=run"], "no value but an option"),
    (["--workdir=a_file"], "Not a directory"),
    (["--workdir=a_file/run"], "Not a directory"),
    (["--workdir=/proc/run"], "cannot write in"),
    ([f"--workdir={LONG}"], "File name too long"),
    (["--config.restore_path="], "is empty"),
    (["--config.restore_path=nowhere"], "no folder 'nowhere'"),
    (["--config.restore_path=a_file"], "no folder 'a_file'"),
    ([f"--config.restore_path={LONG}"], "File name too long"),
    (["--config.batch_size=99999999999"], "use at most 1,500"),
    (["--config.batch_size=1501"], "use at most 1,500"),
    (["--config.batch_size=0"], "config.batch_size"),
    (["--config.batch_size=-8"], "config.batch_size"),
    (["--config.batch_size=8.0"], "is not of type int"),
    (["--config.batch_size=\uff18"], "use the digits 0 to 9"),
    (["--config.seed=\u0663"], "use the digits 0 to 9"),
    (["--config.seed=-1"], "config.seed"),
    (["--config.seed=4294967296"], "below 2**32"),
    (["--config.seed"], "write it as --config.seed=VALUE"),
    (["--config.sed=1"], "did you mean 'seed'?"),
    (["--config.seed.x=1"], "is a value and has no fields"),
    (["--config=" + f"{ROOT}/configs/classifier/digits.py", "--config.dataset=1"], "a section"),
    (["--config.dataset.name=digitz"], "did you mean 'digits'?"),
    (["--config.dataset.name=matrix.npy"], "has shape (-5, 10)"),
    (["--config.dataset.name=huge.npy"], "cannot read 'huge.npy'"),
    (["--config.dataset.name=folder.npy"], "'folder.npy' is a folder"),
    ([f"--config.dataset.name={LONG}"], "no set"),
    ([f"--config.dataset.train_split=train[:{'9' * 5000}]"], "no split"),
    (["--config.num_steps=4294967296"], "config.num_steps"),
    ([f"--config.steps_per_dispatch={'9' * 30}"], "does not divide"),
    (["--config.eval.batch_size=99999999999"], "config.eval.batch_size"),
    (["--undefok=nothing"], "unknown flag '--undefok'"),
    (["--start_timeout=3"], "needs --distributed"),
    (["--config.dataset.name=nowhere.npy"], "no file 'nowhere.npy'"),
    (["--config.dataset.train_split=train[:\uff11\uff10\uff10]"], "no split"),
    (["--config.dataset.train_split=train[5:5]"], "is empty or out of range"),
    (["--config.classifier.optimizer.learning_rate=nan"], "learning_rate"),
    (["--config.classifier.optimizer.learning_rate=-1.0"], "learning_rate"),
    ([f"--config.classifier.optimizer.name={LONG}"], "unknown optimiser"),
    (["--config.eval.classifier=../../etc/passwd"], "no config"),
    (["--config.eval.classifier=nothing"], "no config 'nothing'"),
    (["word"], "unexpected argument 'word'"),
    (["--nothing=1"], "Unknown command line flag"),
    (["--process_id=0"], "needs --distributed"),
    (["--process_id=\uff11"], "use the digits 0 to 9"),
]
OTHERS = [
    (train, [*AS_ONE_OF, "--coordinator=a:1", "--num_processes=99999999999"], "must be 1 to 10,000"),
    (train, [*AS_ONE_OF, f"--coordinator={LONG}:1", "--num_processes=2"], "is no name of a machine"),
    (train_eval, [DIGITS, "--config.eval.best_metric=accurcy"], "did you mean 'accuracy'?"),
    (train_eval, ["--config.eval.network=inception", "--config.eval.network_path=a_file"], "'a_file'"),
    (evaluate, ["--config.restore_path="], "is empty"),
    (evaluate, ["--config.restore_path=nowhere"], "no folder 'nowhere'"),
    (evaluate, ["--config.restore_path=."], "is not of a run"),
    (evaluate, [f"--config.restore_path={LONG}"], "File name too long"),
    (evaluate, ["--workdir=a_file"], "no folder 'a_file'"),
    (sweep, ["--sweep=s_exits.py"], "'s_exits.py' fails: SystemExit"),
    (sweep, ["--sweep=s_interrupts.py"], "'s_interrupts.py' fails: KeyboardInterrupt"),
    (sweep, ["--sweep=s_number_key.py"], "names a field that is no text: 1"),
    (sweep, ["--sweep=s_twice.py"], "has the same config as run seed=1"),
    (sweep, [DIGITS, "--config.batch_size=8", "--sweep=s_same.py"], "has the same config as run"),
    (sweep, ["--sweep=s_data.py"], "run name=digitz: config.dataset.name: no set 'digitz'"),
    (sweep, [DIGITS, "--sweep=s_batch.py"], "use at most 1,500"),
    (sweep, ["--sweep=s_restore.py"], "no folder 'nowhere'"),
    (sweep, ["--sweep=s_unset.py"], "is empty"),
    (sweep, ["--sweep=s_array.py"], "a value of type ndarray"),
    (sweep, ["--sweep=s_data.py", "--workdir=a\nb"], "is no name of a folder"),
    (sweep, ["--sweep=s_none.py"], "must return a list of dicts"),
    (sweep, ["--sweep=nowhere.py"], "no file 'nowhere.py'"),
    (sweep, ["--sweep=s_data.py", "--jobs=\uff12"], "use the digits 0 to 9"),
    (sweep, ["--sweep=s_data.py", "--partition=gpu\nrm -rf"], "is no partition's name"),
    (sweep, ["--sweep=s_data.py", "--cluster=cloud"], "unknown cluster 'cloud'"),
    (sweep, ["--results", "nowhere"], "no sweep.json in 'nowhere'"),
    (sweep, ["--results", "a_file"], "no sweep.json in 'a_file'"),
    (sweep, ["--results", LONG], "File name too long"),
    (catalogue, ["junk"], "unexpected argument 'junk'"),
    (catalogue, ["--config.seed=1"], "nothing is configured here"),
    (plot, ["nothing"], "unknown name 'nothing'"),
    (plot, [], "name a picture"),
    (plot, ["sharpness", "nowhere"], "nowhere"),
    (plot, ["sweep", "nowhere", "--x=a", "--y=b"], "no sweep.json"),
    (bench, ["nothing"], "unknown name 'nothing'"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Writes the files that the rows name."""
    root = tmp_path_factory.mktemp("inputs")
    for name, text in FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    for name, shape in (("matrix", (-5, 10)), ("huge", (10**12, 10**9))):
        header = str({"descr": "<f8", "fortran_order": False, "shape": shape}).ljust(117) + "\n"
        matrix = np.lib.format.magic(1, 0) + len(header).to_bytes(2, "little") + header.encode()
        (root / f"{name}.npy").write_bytes(matrix)
    (root / "folder.npy").mkdir()
    return root


def refused(main, folder, capsys, monkeypatch, args) -> str:
    """Returns the line with which a program refuses its arguments, after a check that it wrote nothing."""
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    error = refusal(main, capsys, *args)
    assert sorted(path for path in folder.rglob("*") if "__pycache__" not in str(path)) == before
    return error


@pytest.mark.parametrize(("args", "part"), TRAINING, ids=[" ".join(args)[:60] for args, _ in TRAINING])
def test_training_refuses(folder, capsys, monkeypatch, args, part):
    args = args if args[0].startswith("--config=") else [DIGITS, *args]
    assert part in refused(train, folder, capsys, monkeypatch, args)


@pytest.mark.parametrize("row", TRAINING[:: len(TRAINING) // 8], ids=lambda row: row[0][0][:60])
def test_training_and_scoring_refuses_the_same(folder, capsys, monkeypatch, row):
    args, part = row
    args = args if args[0].startswith("--config=") else [DIGITS, *args]
    assert part in refused(train_eval, folder, capsys, monkeypatch, args)


@pytest.mark.parametrize(
    ("main", "args", "part"), OTHERS, ids=[f"{m.__module__} {' '.join(a)[:50]}" for m, a, _ in OTHERS]
)
def test_programs_refuse(folder, capsys, monkeypatch, main, args, part):
    assert part in refused(main, folder, capsys, monkeypatch, args)


def test_a_folder_in_the_place_of_a_config_file_is_refused(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert "Is a directory" in refusal(train, capsys, DIGITS, "--workdir=.")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("main", [train, train_eval])
def test_a_folder_that_may_not_be_written_is_refused(tmp_path, capsys, main):
    tmp_path.chmod(0o500)
    assert "cannot write in" in refusal(main, capsys, DIGITS, f"--workdir={tmp_path}")


def test_a_cache_of_another_user_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GRADIENT_DYNAMICS_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    assert "is of another user" in refusal(train, capsys, DIGITS)


def test_a_cache_that_others_can_write_is_refused_and_a_new_one_is_closed_to_them(
    tmp_path, capsys, monkeypatch
):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o1777)
    monkeypatch.setenv("GRADIENT_DYNAMICS_CACHE", str(tmp_path / "open"))
    assert "others can write in the cache" in refusal(train, capsys, DIGITS)
    assert (tmp_path / "open").stat().st_mode & 0o7777 == 0o1777
    monkeypatch.setenv("GRADIENT_DYNAMICS_CACHE", str(tmp_path / "new"))
    assert cache_dir().stat().st_mode & 0o777 == 0o700
