#!/usr/bin/env bash
# The one entry point: makes .venv on first use, then runs a verb. `./run.sh` alone prints the verbs.
set -euo pipefail
# Relative paths on the command line mean the caller's folder; the code itself is found by its own.
root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

usage() {
  cat <<'TEXT'
usage: ./run.sh VERB [options]

  train   train the experiment of a config (default: configs/gan/digits.py); the same command resumes
            ./run.sh train --config=configs/gan/mnist_sgd.py --workdir=runs/mnist --config.seed=1
  eval    score the newest checkpoint of a run, or any other
            ./run.sh eval --config.restore_path=runs/mnist --follow
  train_eval  train, and score each checkpoint as it appears; the best one is kept in best/
            ./run.sh train_eval --config=configs/gan/digits.py
  inspect  tell what a run would be: config, data, parameters, the cost of a step; or what is in its folder
            ./run.sh inspect --config=configs/gan/digits.py; ./run.sh inspect runs/gan/digits
  sweep   run a config under many overrides, here or on Slurm; the same command goes on with what is missing
            ./run.sh sweep --config=configs/gan/digits.py --sweep=configs/sweeps/drift_cancel.py --jobs=2
  bench   measure what things cost here: eval, degradations, gan, eigengame, optimizers, sweep
            ./run.sh bench eval
  plot    draw results of runs and sweeps, spectra of what was trained, and theory; plot --help names the pictures
            ./run.sh plot sweep sweeps/rates --x=disc.learning_rate --y=digits_cnn_frechet --hue=updates
  reproduce  every published result by one command, with the paper's claim beside ours
            ./run.sh reproduce drift --jobs=2
  list    print every config with the first line of its docstring
            ./run.sh list
  test    run the tests; --fast leaves out those that start programs; options go to pytest
            ./run.sh test tests/lib -k checkpoint
  lint    check style, format and the directions of imports; --fix mends what can be mended
            ./run.sh lint

Every option of a verb: ./run.sh VERB --help
TEXT
}

install() {
  # Installs only when requirements.txt differs from what the environment was made from.
  local requirements="$root/requirements.txt" venv="$root/.venv" stamp="$root/.venv/.requirements"
  cmp -s "$requirements" "$stamp" && return
  if [ ! -x "$venv/bin/python" ]; then
    local python="${PYTHON:-python3}"
    if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      echo "run.sh: '$python' is not Python 3.11, 3.12 or 3.13; name another with PYTHON=/path/to/python3" >&2
      exit 2
    fi
    echo "run.sh: first use: making .venv with $("$python" --version)" >&2
    if ! "$python" -m venv "$venv"; then
      rm -rf "$venv"
      echo "run.sh: '$python -m venv' failed; on Debian and Ubuntu it is in the package python3-venv" >&2
      exit 2
    fi
  fi
  echo "run.sh: installing requirements.txt into .venv (about 2 GB on disk; only when that file changes)" >&2
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv==0.13.8
  "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --requirement "$requirements"
  cp "$requirements" "$stamp"
  echo "run.sh: .venv is ready" >&2
}

accelerator() {
  # Prints cpu or cuda: what ACCELERATOR says, else cuda where NVIDIA's driver answers.
  case "${ACCELERATOR:-}" in
    cpu | cuda) echo "$ACCELERATOR" ;;
    "") if nvidia-smi -L >/dev/null 2>&1; then echo cuda; else echo cpu; fi ;;
    *) echo "run.sh: ACCELERATOR is '$ACCELERATOR'; use cpu or cuda" >&2; exit 2 ;;
  esac
}

install_cuda() {
  # Adds JAX's build for CUDA, of the version in requirements.txt: CUDA 13 needs a driver of 580 or later.
  local venv="$root/.venv" stamp="$root/.venv/.cuda" jax driver build
  jax="$(sed -n 's/^jax==\([0-9.]*\).*/\1/p' "$root/requirements.txt")"
  driver="$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | sed -n '1s/\..*//p')" || true
  case "$driver" in
    "" | *[!0-9]*) build=cuda13 ;; # there is none here, or it does not say
    *) if [ "$driver" -ge 580 ]; then build=cuda13; else build=cuda12; fi ;;
  esac
  [ "$(cat "$stamp" 2>/dev/null)" = "$build $jax" ] && return
  echo "run.sh: installing JAX's build for CUDA into .venv, $build (ACCELERATOR=cpu: without)" >&2
  "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" "jax[$build]==$jax"
  echo "$build $jax" > "$stamp"
}

verb="${1:-help}"
[ $# -gt 0 ] && shift
module=()
case "$verb" in
  train) module=(-m experiments.main) ;;
  eval) module=(-m eval.main) ;;
  train_eval) module=(-m eval.train_eval) ;;
  inspect) module=(-m experiments.inspection) ;;
  sweep) module=(-m experiments.sweep.main) ;;
  bench) module=(-m benchmarks) ;;
  plot) module=(-m analysis) ;;
  reproduce) module=(-m analysis.reproduce) ;;
  list) module=(-m experiments.catalogue) ;;
  test) module=(-m pytest -c "$root/pyproject.toml" --rootdir "$root") ;;
  lint) ;;
  help | -h | --help) usage; exit 0 ;;
  *) echo "run.sh: unknown verb '$verb'" >&2; usage >&2; exit 2 ;;
esac

chosen="$(accelerator)"
install
[ "$chosen" = cpu ] || install_cuda
[ "${ACCELERATOR:-}" != cpu ] || export JAX_PLATFORMS=cpu # .venv may have the CUDA build
unset PYTHONDONTWRITEBYTECODE # with it, every start compiles all of JAX's modules again: 3 s
# Large arrays stay with the process and lie on huge pages: for fewer page faults (docs/discretisation_drift.md
# has what the CIFAR-10 step gains).
mib=1048576
export GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1:glibc.malloc.top_pad=$((64 * mib)):\
glibc.malloc.mmap_threshold=$((4096 * mib)):glibc.malloc.trim_threshold=$((8192 * mib))}"
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
if [ "$verb" = lint ]; then
  "$root/.venv/bin/ruff" check "$@" "$root"
  if [ "${1:-}" = --fix ]; then exec "$root/.venv/bin/ruff" format "$root"; fi
  "$root/.venv/bin/ruff" format --check "$root"
  cd "$root" && exec .venv/bin/lint-imports pyproject.toml --no-cache --no-logo
fi
if [ "$verb" = test ]; then
  [ "${1:-}" != --fast ] || { shift; set -- -m "not program" "$@"; }
  before=
  for argument in "$@"; do
    if [ -e "${argument%%::*}" ]; then named=1; fi
    case "$before $argument" in
      "--"[a-z]*[!=]" "* | "-"[kmnpcoWr]" "*) ;; # an option's value
      *" -"*) ;;
      *" tests/"* | *".py" | *".py::"*)
        [ -e "${argument%%::*}" ] || { echo "run.sh: no file '${argument%%::*}'" >&2; exit 2; } ;;
    esac
    before="$argument"
  done
  # All of the tests on all cores; the ones that are named, in this process.
  [ -n "${named:-}" ] || set -- --numprocesses=auto "$@" "$root/tests"
fi
exec "$root/.venv/bin/python" "${module[@]}" "$@"
