"""Ensembles of a sweep's classifiers: the mean prediction against NumPy, and the command."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import refusal
from small_runs import train_run

from eval import ensemble
from eval.main import main

_RUN = ("num_steps=2", "classifier.model.name=logistic", "eval_every=0", "dataset.eval_split=test[:50]")


def test_the_mean_prediction_is_that_of_probabilities():
    generator = np.random.default_rng(0)
    logits, labels = generator.normal(size=(3, 20, 4)) * 3, generator.integers(4, size=20)
    found = ensemble.score(logits, labels)
    losses, right, mean = [], [], np.zeros((20, 4))
    for member in logits:
        p = np.exp(member) / np.exp(member).sum(-1, keepdims=True)
        losses += [-np.log(p[i, label]) for i, label in enumerate(labels)]
        right += [p[i].argmax() == label for i, label in enumerate(labels)]
        mean += p / 3
    assert found.loss == pytest.approx(
        np.mean([-np.log(mean[i, y]) for i, y in enumerate(labels)]), rel=1e-12
    )
    assert found.accuracy == np.mean(mean.argmax(-1) == labels)
    assert found.member_loss == pytest.approx(np.mean(losses), rel=1e-12)
    assert found.member_accuracy == np.mean(right)
    assert found.loss < found.member_loss  # Jensen
    far = np.array([[[1000.0, 0.0]], [[0.0, 1000.0]]])
    assert ensemble.score(far, np.array([0])).loss == pytest.approx(np.log(2))


def _sweep(tmp_path, name: str, runs: list[dict], *overrides: str):
    listed = []
    for i, run in enumerate(runs):
        fields = [f"{field}={value}" for field, value in run.items()]
        folder = train_run(tmp_path / str(i), name, *overrides, *fields)
        folder.set_status("finished", 2)
        listed.append({"name": str(i), "overrides": run})
    record = {"config": "c", "sweep": "s", "runs": listed}
    (tmp_path / "sweep.json").write_text(json.dumps(record))


def test_runs_that_differ_in_their_seed_are_scored_together(tmp_path, capsys):
    rate = "classifier.optimizer.learning_rate"
    runs = [{rate: r, "seed": seed} for r in (0.01, 0.1) for seed in (0, 1)] + [{rate: 0.2, "seed": 0}]
    _sweep(tmp_path, "classifier/digits", runs, *_RUN)
    assert main(["--ensemble", str(tmp_path)]) == 0
    written = pd.read_csv(tmp_path / "ensemble.csv")
    assert written[rate].tolist() == [0.01, 0.1]
    assert written["members"].tolist() == [2, 2]
    assert (written["loss"] < written["member_loss"]).all()
    head, *rows = capsys.readouterr().out.splitlines()[-5:-2]
    assert head.split() == ["learning_rate", "members", *ensemble.Scores._fields]
    assert [row.split()[:2] for row in rows] == [["0.01", "2"], ["0.1", "2"]]


def test_bad_input_is_refused(tmp_path, capsys):
    assert "no sweep.json" in refusal(main, capsys, f"--ensemble={tmp_path}")
    assert "leave out all else" in refusal(main, capsys, f"--ensemble={tmp_path}", "--follow")
    (tmp_path / "sweep.json").write_text('{"config": "c", "sweep": "s", "runs": []}')
    assert "no two finished runs" in refusal(main, capsys, f"--ensemble={tmp_path}")
    _sweep(tmp_path, "eigengame/digits", [{"seed": 0}, {"seed": 1}], "num_steps=2", "eigengame.k=2")
    assert "no predictions" in refusal(main, capsys, f"--ensemble={tmp_path}")
