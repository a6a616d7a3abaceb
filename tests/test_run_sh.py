"""run.sh chooses the build of JAX: by the driver that answers, or as ACCELERATOR says."""

import os
import shutil
import subprocess

import pytest
from conftest import ROOT

pytestmark = pytest.mark.program


@pytest.fixture
def tree(tmp_path):
    """Writes a tree whose .venv is made: python says JAX_PLATFORMS, and uv takes notes."""
    shutil.copy(ROOT / "run.sh", tmp_path)
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for path in (tmp_path / "requirements.txt", tmp_path / ".venv" / ".requirements"):
        path.write_text("jax==1.2.3\njaxlib==1.2.3\n")
    script(binaries / "python", 'echo "platforms: ${JAX_PLATFORMS:-any}"')
    script(binaries / "uv", f'echo "$@" >> "{tmp_path}/uv.txt"')
    return tmp_path


def script(path, line: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{line}\n")
    path.chmod(0o755)


def run(tree, gpu: bool, driver: str = "580.82.07", **env) -> subprocess.CompletedProcess:
    """Executes run.sh where NVIDIA's driver answers or not."""
    script(tree / "driver" / "nvidia-smi", f"echo {driver}; exit {0 if gpu else 9}")
    clean = {k: v for k, v in os.environ.items() if k not in ("ACCELERATOR", "JAX_PLATFORMS")}
    env = clean | {"PATH": f"{tree / 'driver'}:{os.environ['PATH']}"} | env
    return subprocess.run([tree / "run.sh", "list"], env=env, text=True, capture_output=True, timeout=60)


def installed(tree) -> list[str]:
    notes = tree / "uv.txt"
    return [line.split()[-1] for line in notes.read_text().splitlines()] if notes.exists() else []


def test_without_a_gpu_nothing_is_added_and_no_platform_is_forbidden(tree):
    done = run(tree, gpu=False)
    assert (done.returncode, done.stdout, installed(tree)) == (0, "platforms: any\n", [])


def test_where_the_driver_answers_the_cuda_build_is_added_once_for_each_version(tree):
    first, second = run(tree, gpu=True), run(tree, gpu=True)
    assert "installing JAX's build for CUDA" in first.stderr and not second.stderr
    assert second.stdout == "platforms: any\n"
    assert installed(tree) == ["jax[cuda13]==1.2.3"]
    for path in (tree / "requirements.txt", tree / ".venv" / ".requirements"):
        path.write_text("jax==1.2.4\n")
    run(tree, gpu=True)
    assert installed(tree) == ["jax[cuda13]==1.2.3", "jax[cuda13]==1.2.4"]


def test_an_old_driver_gets_cuda_12(tree):
    run(tree, gpu=True, driver="535.183.01")
    assert installed(tree) == ["jax[cuda12]==1.2.3"]


def test_accelerator_says_otherwise(tree):
    assert run(tree, gpu=True, ACCELERATOR="cpu").stdout == "platforms: cpu\n"
    assert installed(tree) == []
    run(tree, gpu=False, ACCELERATOR="cuda")
    assert installed(tree) == ["jax[cuda13]==1.2.3"]


def test_another_accelerator_is_refused_before_anything_is_installed(tree):
    done = run(tree, gpu=True, ACCELERATOR="tpu")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "run.sh: ACCELERATOR is 'tpu'; use cpu or cuda\n"
    assert installed(tree) == []
