"""Following a run of one number: each checkpoint once, the best kept, also where training ends badly."""

import json
import math
import shutil

import jax.numpy as jnp
import pytest
from conftest import small_config

from eval import follow
from eval.best_checkpoint import BestCheckpoint, recover_best
from eval.evaluation import Evaluator
from eval.follow import Follower
from experiments import registry
from lib.data import NOTHING, Splits, load
from lib.errors import ConfigError
from lib.experiment import Experiment
from lib.runtime import checkpoints, records
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder

NUMBER = Experiment(
    draw=lambda key, batch: {"x": jnp.zeros(())},
    train_step=lambda state, batch, key: (state, {}),
    eval_step=lambda state, batch, key: {},
    eval_state=lambda state: {"accuracy": state["x"]},
)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """Lets followers poll without a pause."""
    monkeypatch.setattr(follow, "_SECONDS_BETWEEN_POLLS", 0.01)


@pytest.fixture
def evaluator(tmp_path):
    """Returns a function that builds the evaluator of a run with checkpoints of given steps."""

    def build(numbers: dict[int, float], *overrides: str) -> Evaluator:
        raw = small_config("games/bilinear", *overrides)
        config = registry.validated(raw)
        folder = RunFolder(tmp_path / "run")
        folder.create()
        folder.write_config(raw)
        save(folder, numbers)
        return Evaluator(
            Programs(NUMBER, config, Splits(load(NOTHING, "train"), load(NOTHING, "test"))), folder
        )

    return build


def save(folder, numbers):
    """Writes a checkpoint {step: number} for each, as training does."""
    writer = checkpoints.Writer(folder.checkpoints, keep=10)
    for step, number in numbers.items():
        writer.save(step, {"x": jnp.float32(number)})
    writer.close()


def scored_steps(folder):
    """Returns the steps of the evaluator's records, in their order."""
    return [record["step"] for record in records.read_scores(folder.metrics)]


def test_followed_run_is_scored_once_a_step_and_the_best_is_kept(evaluator, capsys):
    ours = evaluator({2: 0.75, 4: 0.5})
    folder = ours.folder
    best = Follower(ours).follow()
    assert scored_steps(folder) == [2, 4]
    assert (best["step"], best["accuracy"]) == (2, 0.75)
    kept = RunFolder(folder.path / "best")
    assert checkpoints.steps(kept.checkpoints) == [2]
    step, state = checkpoints.restore_newest(kept.checkpoints, ours.programs.abstract_state())
    assert (step, state["x"]) == (2, 0.75)
    # A restart scores nothing again, and keeps what a kill before the copy left out.
    kept.path.rename(folder.path / "best.old")
    recover_best(folder)
    assert kept.path.exists()
    shutil.rmtree(kept.path)
    assert Follower(Evaluator(ours.programs, folder)).follow() == best
    assert checkpoints.steps(kept.checkpoints) == [2]
    assert scored_steps(folder) == [2, 4]
    assert checkpoints.steps(folder.checkpoints) == [2, 4]


def test_follower_waits_while_training_runs_and_passes_over_what_is_damaged_or_not_finite(
    evaluator, capsys
):
    ours = evaluator({1: math.nan, 2: 0.75, 4: 0.5})
    (ours.folder.checkpoints / "2" / "seal.json").write_text("{")
    answers = iter([True] * 5 + [False])
    best = Follower(ours, training_runs=lambda: next(answers)).follow()
    printed = capsys.readouterr().out
    assert best["step"] == 4
    assert scored_steps(ours.folder) == [4]
    assert "checkpoint of step 2 is damaged" in printed
    assert "step 1: not finite: accuracy; it is not recorded" in printed
    assert printed.count("waiting for a checkpoint after step 4; training is not begun") == 1
    assert next(answers, None) is None  # it has asked until training had ended


def test_a_step_that_training_drops_before_its_turn_is_mentioned(evaluator, capsys, monkeypatch):
    ours, scored = evaluator({2: 0.75, 4: 0.5}), []

    def score(state, step):
        scored.append(step)
        shutil.rmtree(ours.folder.checkpoints / "4", ignore_errors=True)  # as training does meanwhile
        return Evaluator.score(ours, state, step)

    monkeypatch.setattr(ours, "score", score)
    assert Follower(ours, training_runs=lambda: False).follow()["step"] == 2
    assert scored == [2]
    assert "step 4 was dropped by training before its turn" in capsys.readouterr().out


def test_a_step_that_was_trained_anew_is_scored_again(evaluator):
    ours = evaluator({2: 0.75, 4: 0.5})
    Follower(ours, training_runs=lambda: False).follow()
    shutil.rmtree(ours.folder.checkpoints)
    save(ours.folder, {2: 0.25, 4: 0.5})
    best = Follower(ours, training_runs=lambda: False).follow()
    assert scored_steps(ours.folder) == [2, 4, 2]
    assert best["step"] == 4
    # A record of another checkpoint does not count either.
    path = ours.folder.metrics / "eval.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.replace(json.loads(line)["checkpoint"], "f" * 32) for line in lines))
    Follower(ours, training_runs=lambda: False).follow()
    assert scored_steps(ours.folder) == [2, 4, 2, 2, 4]


def test_a_best_checkpoint_that_was_scored_under_other_conditions_is_scored_again_before_it_is_replaced(
    evaluator,
):
    ours = evaluator({2: 0.75, 4: 0.5})
    Follower(ours, training_runs=lambda: False).follow()
    shutil.rmtree(ours.folder.checkpoints / "2")  # training drops it: best/ has the only copy
    path = ours.folder.metrics / "eval.jsonl"
    path.write_text(path.read_text().replace('"split": ', '"split": "of before", "was": '))
    again = Evaluator(ours.programs, ours.folder)
    assert Follower(again, training_runs=lambda: False).follow()["step"] == 2
    assert checkpoints.steps(ours.folder.path / "best" / "checkpoints") == [2]
    assert scored_steps(ours.folder) == [2, 4, 2, 4]


@pytest.mark.parametrize(("num_steps", "status"), [(8, "failed"), (3, "")])
def test_following_ends_where_training_has_failed_or_went_beyond_its_last_step(
    evaluator, num_steps, status
):
    ours = evaluator({2: 0.5, 4: 0.75}, f"num_steps={num_steps}")
    if status:
        ours.folder.set_status(status, 4, "not finite")
    assert Follower(ours).follow()["step"] == 4


def test_two_followers_of_one_run_are_kept_apart(evaluator):
    ours = evaluator({})
    with (
        Follower(ours).alone(),
        pytest.raises(ConfigError, match="is scoring in"),
        Follower(ours).alone(),
    ):
        pass


def best_by(ours, metric):
    """Returns the best checkpoint of an evaluator with another best_metric."""
    section = ours.config.eval.model_copy(update={"best_metric": metric})
    ours.config = ours.config.model_copy(update={"eval": section})
    return BestCheckpoint(ours)


def test_best_metric_must_be_one_that_the_evaluation_has_before_anything_is_scored(evaluator):
    ours = evaluator({})
    best_by(ours, "accurcy")
    with pytest.raises(ConfigError, match="no metric 'accurcy'; did you mean 'accuracy'") as error:
        ours.check()
    assert error.value.field == "config.eval.best_metric"
    best_by(ours, "-accuracy")
    ours.check()


def test_lower_is_better_of_a_distance_and_a_loss(evaluator, monkeypatch):
    ours = evaluator({})
    values = {"a_score": 2.0, "a_frechet": 9.0, "test_loss": 1.0, "KID": -0.1}
    scored = {2: {"step": 2, **values}, 4: {"step": 4, **dict.fromkeys(values, 0.5)}}
    monkeypatch.setattr(ours, "records", lambda: scored)
    best = {"a_score": 2, "-a_score": 4, "a_frechet": 4, "test_loss": 4, "KID": 2}
    for metric, step in best.items():
        assert best_by(ours, metric).record()["step"] == step, metric
