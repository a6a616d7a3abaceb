"""What `pip install .` gives: the library with its configs and files, without this tree."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
from conftest import ROOT

PACKAGES = ("lib", "experiments", "eval", "configs")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

pytestmark = pytest.mark.program


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Builds the wheel from a copy, for a build leaves files behind."""
    copy = tmp_path_factory.mktemp("copy")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copy)
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", copy / "wheels", copy]
    subprocess.run(command, check=True, timeout=300)
    (built,) = (copy / "wheels").glob("*.whl")
    return built


def test_a_wheel_has_every_file_of_the_packages(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    files = {
        str(path.relative_to(ROOT))
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(files) > 300
    assert {name for name in held if ".dist-info/" not in name} == files


def test_the_library_works_without_this_tree(wheel, tmp_path, program_env):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    env = program_env | {"PYTHONPATH": str(tmp_path / "site")}
    script = """
from experiments import catalogue, registry
from lib.config import load_file
config = registry.validated(load_file(catalogue.DEFAULT))
print(catalogue.DEFAULT, config.experiment)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=env, check=True, text=True, capture_output=True
    )
    default = tmp_path / "site" / "configs" / "gan" / "digits.py"
    assert done.stdout.split() == [str(default), "gan"]


def test_what_the_library_imports_is_declared():
    """Checks that each requirement of this tree is a dependency, in an extra, or a tool of tests."""
    of_tests = {"pytest", "pytest-xdist", "prdc", "selenium", "ruff", "import-linter"}
    of_tests |= {"nbclient", "ipykernel"}
    lines = (ROOT / "requirements.in").read_text().splitlines()
    pinned = {re.split("[=>< #]", line)[0] for line in lines if line and not line.startswith("#")}
    declared = [*PROJECT["dependencies"], *sum(PROJECT["optional-dependencies"].values(), [])]
    names = {re.split(r"[=><\[]", text)[0] for text in declared}
    assert pinned - of_tests <= names
