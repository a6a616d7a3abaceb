"""Following a run: each checkpoint once, the best kept, and what happens when training ends badly."""

import json
import shutil
import signal
import time

import pytest
from conftest import program, refusal, run, small_config

from eval import follow, train_eval
from eval.evaluation import Evaluator
from eval.follow import Follower, recover_best
from lib.errors import ConfigError
from lib.runtime import checkpoints
from lib.runtime.run_folder import RunFolder

FEW = ["--config.eval.num_samples=40", "--config.eval.num_splits=2", "--config.eval.batch_size=20"]


def records_in(path):
    records = [json.loads(line) for line in (path / "metrics/eval.jsonl").open()]
    return [r for r in records if r.get("by") == "eval"]


def records_of(trainer):
    return records_in(trainer.folder.path)


def test_followed_run_is_scored_once_a_step_and_the_best_is_kept(make, capsys):
    trainer = make("gan/digits", "keep_checkpoints=3")
    trainer.train(trainer.programs.init(), 0)
    trainer.folder.write_config(small_config("gan/digits"))
    follower = Follower(Evaluator(trainer.programs, trainer.folder))
    best = follower.follow()
    assert [r["step"] for r in records_of(trainer)] == [2, 4]
    assert best["digits_cnn_score"] == max(r["digits_cnn_score"] for r in records_of(trainer))
    kept = RunFolder(trainer.folder.path / "best")
    assert checkpoints.steps(kept.checkpoints) == [best["step"]]
    assert (
        checkpoints.restore_newest(kept.checkpoints, trainer.programs.abstract_state())[0] == best["step"]
    )
    # A restart scores nothing again, and keeps what a kill before the copy left out.
    kept.path.rename(trainer.folder.path / "best.old")
    recover_best(trainer.folder)
    assert kept.path.exists()
    shutil.rmtree(kept.path)
    assert Follower(Evaluator(trainer.programs, trainer.folder)).follow() == best
    assert checkpoints.steps(kept.checkpoints) == [best["step"]]
    assert len(records_of(trainer)) == 2
    assert checkpoints.steps(trainer.folder.checkpoints) == [2, 4]


def test_follower_waits_while_training_runs_and_passes_over_what_is_damaged(make, capsys, monkeypatch):
    trainer = make("gan/digits")
    trainer.train(trainer.programs.init(), 0)
    trainer.folder.write_config(small_config("gan/digits"))
    (trainer.folder.checkpoints / "2" / "meta" / "metadata").write_text("{")
    looks = iter([True, True, True, False])
    monkeypatch.setattr(follow, "_SECONDS_BETWEEN_LOOKS", 0.01)
    best = Follower(Evaluator(trainer.programs, trainer.folder), training_runs=lambda: next(looks)).follow()
    out = capsys.readouterr().out
    assert best["step"] == 4
    assert "checkpoint of step 2 is damaged" in out
    assert "waiting for a checkpoint after step 4; training is not begun" in out


def test_best_metric_must_be_one_of_the_record(make):
    follower = Follower(Evaluator(make("gan/digits", "eval.best_metric=FID")))
    with pytest.raises(ConfigError, match="config.eval.best_metric: no metric 'FID'; known: a_score"):
        follower.metric({"step": 1, "a_score": 1.0, "a_score_std": 0.0})


def test_lower_is_better_of_a_distance_and_a_loss(make, monkeypatch):
    metrics = ("a_score", 2), ("-a_score", 4), ("a_frechet", 4), ("test_loss", 4), ("KID", 2)
    for metric, best in metrics:
        evaluator = Evaluator(make("gan/digits", f"eval.best_metric={metric}"))
        values = {"a_score": 2.0, "a_frechet": 9.0, "test_loss": 1.0, "KID": -0.1}
        records = {2: {"step": 2, **values}, 4: {"step": 4, **dict.fromkeys(values, 0.5)}}
        monkeypatch.setattr(evaluator, "records", lambda records=records: records)
        assert Follower(evaluator).best()["step"] == best


def test_a_step_that_training_drops_before_its_turn_is_mentioned(make, capsys, monkeypatch):
    trainer = make("gan/digits", "keep_checkpoints=3")
    trainer.train(trainer.programs.init(), 0)
    trainer.folder.write_config(small_config("gan/digits"))
    evaluator, scored = Evaluator(trainer.programs, trainer.folder), []
    folder = trainer.folder.checkpoints

    def score(state, step):
        scored.append(step)
        shutil.rmtree(folder / "4", ignore_errors=True)  # as training does, while step 2 is scored
        return Evaluator.score(evaluator, state, step)

    monkeypatch.setattr(evaluator, "score", score)
    follower = Follower(evaluator, training_runs=lambda: False)
    assert follower.follow()["step"] == 2
    assert scored == [2]
    assert "step 4 was dropped by training before its turn" in capsys.readouterr().out


def test_a_step_that_was_trained_anew_is_scored_again(make):
    trainer = make("gan/digits", "keep_checkpoints=3")
    trainer.train(trainer.programs.init(), 0)
    trainer.folder.write_config(small_config("gan/digits"))
    path = trainer.folder.metrics / "eval.jsonl"
    Follower(Evaluator(trainer.programs, trainer.folder), training_runs=lambda: False).follow()
    lines = path.read_text().splitlines()
    other = [line.replace(json.loads(line)["checkpoint"], "f" * 32) for line in lines if '"eval"' in line]
    path.write_text("\n".join(other) + "\n")
    Follower(Evaluator(trainer.programs, trainer.folder), training_runs=lambda: False).follow()
    assert [r["step"] for r in records_of(trainer)] == [2, 4, 2, 4]


def test_following_ends_where_training_has_failed(make, capsys):
    trainer = make("gan/digits", "num_steps=8")
    trainer.train(trainer.programs.init(), 0)
    shutil.rmtree(trainer.folder.checkpoints / "8")
    trainer.folder.write_config(small_config("gan/digits", "num_steps=8"))
    trainer.folder.set_status("failed", 6, "not finite")
    assert Follower(Evaluator(trainer.programs, trainer.folder)).follow()["step"] == 6


def test_two_followers_of_one_run_are_kept_apart(make):
    trainer = make("gan/digits")
    with trainer.folder.lock(".follow", "scoring"), pytest.raises(ConfigError, match="is scoring in"):
        Follower(Evaluator(trainer.programs, trainer.folder)).follow()


def test_a_run_that_went_beyond_its_last_step_has_ended(make):
    trainer = make("gan/digits", "num_steps=4")
    trainer.train(trainer.programs.init(), 0)
    trainer.folder.write_config(small_config("gan/digits", "num_steps=3"))
    assert Follower(Evaluator(trainer.programs, trainer.folder)).follow()["step"] in (2, 4)


def test_an_evaluator_follows_a_live_run_and_reads_nothing_half(tmp_path, program_env):
    workdir = RunFolder(tmp_path / "run")
    steps = ["--config.num_steps=40", "--config.checkpoint_every=10", "--config.keep_checkpoints=20"]
    training = program(program_env, *steps, "--config.eval_every=5", f"--workdir={workdir.path}")
    while not workdir.config.exists():
        time.sleep(0.1)
        assert training.poll() is None, training.communicate()
    followed = run(program_env, "eval.main", f"--workdir={workdir.path}", "--follow", *FEW)
    out, err = training.communicate(timeout=200)
    assert training.returncode == 0, err
    assert followed.returncode == 0, followed.stderr
    assert "damaged" not in followed.stdout
    lines = [json.loads(line) for line in (workdir.metrics / "eval.jsonl").read_text().splitlines()]
    scored = [r for r in lines if r.get("by") == "eval"]
    assert [r["step"] for r in scored] == [10, 20, 30, 40]
    assert [r["step"] for r in lines if "by" not in r] == list(range(5, 41, 5))
    best = max(scored, key=lambda r: r["digits_cnn_score"])["step"]
    assert f"best by digits_cnn_score: step {best} with" in followed.stdout
    assert checkpoints.steps(RunFolder(workdir.path / "best").checkpoints) == [best]
    alone = run(program_env, "eval.main", f"--config.restore_path={workdir.path / 'best'}", *FEW)
    assert alone.returncode == 0, alone.stderr  # best/ is a work directory like any other
    assert [r["step"] for r in records_in(workdir.path / "best")] == [best]


def test_train_eval_scores_all_and_passes_on_how_training_ended(tmp_path, program_env, capsys):
    place = f"--workdir={tmp_path / 'run'}"
    short = [place, "--config.num_steps=20", "--config.checkpoint_every=10", "--config.batch_size=8", *FEW]
    done = run(program_env, "eval.train_eval", *short)
    assert done.returncode == 0, done.stderr
    assert "best by digits_cnn_score: step" in done.stdout
    assert [r["step"] for r in records_in(tmp_path / "run")] == [10, 20]
    other = refusal(train_eval.main, capsys, *short, "--config.gan.num_latents=4")
    assert "config.gan.num_latents: 4 here, 32 there" in other
    diverges = [
        f"--workdir={tmp_path / 'bad'}",
        *short[1:],
        "--config.gan.optimizers.disc.learning_rate=1e30",
    ]
    bad = run(program_env, "eval.train_eval", *diverges)
    assert bad.returncode == 1
    assert "not finite" in bad.stderr
    assert "Traceback" not in bad.stderr
    assert RunFolder(tmp_path / "bad").status()["status"] == "failed"


def test_train_eval_is_not_for_several_processes(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        train_eval.main(["--distributed", f"--workdir={tmp_path / 'run'}"])
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("error: --distributed: only `train` has it")
    assert err.count("\n") == 1


def test_terminated_train_eval_stops_its_training(tmp_path, program_env):
    workdir = RunFolder(tmp_path / "run")
    both = program(program_env, f"--workdir={workdir.path}", *FEW, module="eval.train_eval")
    while not (workdir.metrics / "train.jsonl").exists():
        time.sleep(0.1)
        assert both.poll() is None, both.communicate()
    both.send_signal(signal.SIGTERM)
    out, err = both.communicate(timeout=200)
    assert both.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in err
    assert not workdir.is_training()
    assert workdir.status()["status"] == "stopped"
