"""A figure from its runs to the page: verdicts, what goes on, what cannot be run, and the command line."""

import dataclasses
import shutil

import pytest
from conftest import refusal

from analysis.reproduce import __main__ as command
from analysis.reproduce import page, plan, records, reproduce, work
from analysis.reproduce.findings import less
from analysis.reproduce.paper import Claim, Figure, Finding, Paper, Scale, Training
from experiments.sweep import sweep_folder
from lib.pictures.figures import new_figure
from lib.runtime.run_folder import RunFolder

TINY = {
    "dataset.train_split": "train[:40]",
    "dataset.eval_split": "test[:20]",
    "batch_size": 8,
    "classifier.model.name": "logistic",
    "classifier.model.kwargs": {},
}
RATES = {rate: {"classifier.optimizer.learning_rate": rate} for rate in (1e-3, 1e-6)}


def loss(results, rate):
    return results.last("digits", rate, "train/model_loss")


def draw(results):
    figure = new_figure(2, 2)
    figure.subplots().plot([loss(results, rate).mean for rate in RATES])
    return figure


FIGURE = Figure(
    "rates",
    "Two <rates>",
    [
        Claim(
            "larger",
            "the larger rate is better | sooner",
            lambda r: less("1e-3", loss(r, 1e-3), "1e-6", loss(r, 1e-6)),
        ),
        Claim("smaller", "the smaller is", lambda r: less("1e-6", loss(r, 1e-6), "1e-3", loss(r, 1e-3))),
        Claim("none", "is drawn", lambda r: Finding(f"{r.computed}", True)),
    ],
    {
        "digits": Training(
            "classifier/digits",
            RATES,
            {Scale.LAPTOP: 1},
            settings={Scale.LAPTOP: work.SMOKE | TINY},
        )
    },
    compute=lambda results: results.scale,
    draw=draw,
    table=lambda results: [("rate", "loss"), *((f"{x:g}", str(loss(results, x))) for x in RATES)],
)
PAPER = Paper("paper", "A paper", "Somebody, 'A paper'.", "alig.md", [FIGURE])

pytestmark = pytest.mark.program


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("reproductions")
    return out, work.do(PAPER, FIGURE, Scale.LAPTOP, out, jobs=1)


def test_claims_are_checked_on_the_runs(done):
    out, record = done
    verdicts = {claim.name: claim.verdict for claim in record.claims}
    assert sorted(verdicts.values()) == ["fails", "holds", "holds"]
    assert verdicts["none"] == "holds" and record.claims[2].ours == "laptop"
    assert record.table[0] == ["rate", "loss"] and len(record.table) == 3
    assert record.minutes > 0 and record.megabytes > 0 and not record.problem
    assert record.made == records.read_made(records.folder_of(out, Scale.LAPTOP, "paper", "rates"))
    folder = records.folder_of(out, Scale.LAPTOP, "paper", "rates")
    assert (folder / "figure.png").stat().st_size > 1000
    assert records.read(folder) == record


def test_a_second_call_trains_nothing(done, monkeypatch):
    out, record = done
    launched = []
    monkeypatch.setattr("experiments.sweep.main.Launcher", lambda *args: launched.append(args))
    again = work.do(PAPER, FIGURE, Scale.LAPTOP, out, jobs=1)
    assert not launched
    assert again.claims == record.claims
    assert again.made == record.made


@pytest.mark.parametrize(
    ("status", "error", "verdict"),
    [
        ("stopped", "", "not run"),
        ("failed", "step 2: not finite: loss", "fails"),
        ("failed", "the disk is full", "not run"),  # and is begun again
    ],
)
def test_claims_are_checked_of_runs_that_ended(done, tmp_path, monkeypatch, status, error, verdict):
    """Takes runs that were stopped or have failed, which have numbers, and one that diverged, a result."""
    figure = dataclasses.replace(FIGURE, claims=FIGURE.claims[:2])
    shutil.copytree(done[0] / Scale.LAPTOP, tmp_path / Scale.LAPTOP)
    folder = records.folder_of(tmp_path, Scale.LAPTOP, "paper", "rates") / "digits"
    RunFolder(folder / sweep_folder.read_sweep(folder).runs[0].name).set_status(status, 2, error)
    monkeypatch.setattr(work.sweep, "run", lambda *args, **kwargs: 1)
    record = work.do(PAPER, figure, Scale.LAPTOP, tmp_path, jobs=1)
    assert record.claims[0].verdict == verdict
    assert bool(record.problem) == (verdict == "not run")
    again = RunFolder(folder / sweep_folder.read_sweep(folder).runs[0].name).status()["status"]
    assert again == ("failed" if verdict == "fails" else "stopped")


def test_an_error_in_a_claim_is_said_and_the_rest_goes_on(done, tmp_path, capsys):
    shutil.copytree(done[0] / Scale.LAPTOP, tmp_path / Scale.LAPTOP)
    wrong = [Claim("wrong", "divides", lambda results: Finding("", 1 / 0))]
    record = work.do(PAPER, dataclasses.replace(FIGURE, claims=wrong), Scale.LAPTOP, tmp_path, jobs=1)
    assert record.problem == "ZeroDivisionError: division by zero"
    assert [claim.verdict for claim in record.claims] == ["not run"]
    assert not record.has_picture and not record.table
    assert "Traceback" in capsys.readouterr().err


def test_the_commit_is_that_of_the_training(done):
    _, record = done
    made = record.made.model_copy(update={"commits": ["abc", "def"], "date": "2026-01-02"})
    about = page._about(FIGURE, record.model_copy(update={"made": made, "checked": "123"}))
    assert about.startswith("2026-01-02, commit abc, def (checked at 123), ")
    assert about.endswith("MB. digits: 1 seed")


def test_the_page_has_everything_and_escapes_it(done):
    out, record = done
    folder = records.folder_of(out, Scale.LAPTOP, "paper", "rates")
    other = dataclasses.replace(FIGURE, name="other", title="Never begun")
    each = [page.Done(PAPER, FIGURE, record, folder), page.Done(PAPER, other, None, folder)]
    html, text = page.html(each, Scale.LAPTOP), page.markdown(each, Scale.LAPTOP, "index.html")
    assert page.counts(each) == {"holds": 2, "fails": 1, "not run": 3}
    for part in (
        "Two &lt;rates&gt;",
        "data:image/png;base64,",
        'class="verdict fails"',
        record.command,
        "Never begun",
    ):
        assert part in html
    assert 'src="http' not in html and "<script" not in html
    for part in ("### Two <rates>", record.command, "better \\| sooner", "| rate | loss |", "1 fail"):
        assert part in text


def test_what_cannot_be_run_is_said_and_the_rest_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "none"))
    missing = dataclasses.replace(
        FIGURE.trainings["digits"], settings={Scale.LAPTOP: TINY | {"dataset.name": "emnist"}}
    )
    figure = dataclasses.replace(FIGURE, trainings={"digits": missing})
    record = work.do(PAPER, figure, Scale.LAPTOP, tmp_path, jobs=1)
    assert "emnist" in record.problem
    assert {claim.verdict for claim in record.claims} == {"not run"}
    assert not record.has_picture
    published = work.do(PAPER, FIGURE, Scale.PAPER, tmp_path, jobs=1)  # has no runs at that scale
    assert {claim.ours for claim in published.claims} == {"not run at the scale 'paper'"}


def test_a_damaged_record_is_left_out(done, tmp_path, capsys):
    shutil.copytree(done[0] / Scale.LAPTOP, tmp_path / Scale.LAPTOP)
    folder = records.folder_of(tmp_path, Scale.LAPTOP, "paper", "rates")
    for name in ("figure.json", "made.json"):
        (folder / name).write_text("{")
    assert records.read(folder) is None
    record = work.do(PAPER, FIGURE, Scale.LAPTOP, tmp_path, jobs=1)
    assert not record.problem and records.read(folder) == record
    assert "made.json' is damaged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("raised", "problem", "code"),
    [(None, "", 0), (None, "no data", 1), (work.Stopped(), "", 130), (KeyboardInterrupt(), "", 130)],
)
def test_exit_codes(done, tmp_path, monkeypatch, capsys, raised, problem, code):
    record = done[1].model_copy(update={"problem": problem})

    def do(*args):
        if raised is not None:
            raise raised
        return record

    monkeypatch.setattr(reproduce.work, "do", do)
    monkeypatch.setattr(reproduce.page, "read", lambda *args: [])
    assert reproduce.run([(PAPER, FIGURE)] * 2, Scale.LAPTOP, tmp_path, 1) == code
    printed = capsys.readouterr().out
    assert ("the same command goes on" in printed) == (code == 130)
    assert ("claims: 4 hold" in printed.replace("holds", "hold")) == (code < 130)
    assert (problem in printed) or not problem


def test_the_plan_says_what_it_takes(monkeypatch):
    known = {("paper/rates", Scale.LAPTOP): plan.Cost(90, 20)}
    monkeypatch.setattr(plan, "costs", lambda: known)
    text = plan.plan([(PAPER, FIGURE)], Scale.LAPTOP)
    assert "paper/rates 90.0 20 2 x 4 steps classifier/digits" in " ".join(text.split())
    assert "1.5 hours on two CPU cores, and 0.0 GB" in text
    assert "not run at this scale" in plan.plan([(PAPER, FIGURE)], Scale.PAPER)


def test_a_scale_that_was_not_measured_is_estimated_by_its_steps(monkeypatch):
    known = {("paper/rates", Scale.LAPTOP): plan.Cost(90, 20)}
    monkeypatch.setattr(plan, "costs", lambda: known)
    training = dataclasses.replace(
        FIGURE.trainings["digits"],
        seeds={Scale.LAPTOP: 1, Scale.PAPER: 3},
        settings=FIGURE.trainings["digits"].settings | {Scale.PAPER: {"num_steps": 40}},
    )
    figure = dataclasses.replace(FIGURE, trainings={"digits": training})
    text = plan.plan([(PAPER, figure)], Scale.PAPER)
    assert "paper/rates ~2,700.0 ~60 6 x 40 steps" in " ".join(text.split())
    assert "45.0 hours" in text and "~ by the number of steps" in text
    monkeypatch.setattr(plan, "costs", dict)
    assert "1 figures were not measured" in plan.plan([(PAPER, figure)], Scale.PAPER)


def test_the_listing_names_every_figure(capsys):
    assert command.main([]) == 0
    printed = capsys.readouterr().out
    for paper in map(command.load, command.PAPERS):
        assert all(f"{figure.name} " in printed for figure in paper.figures)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["drft"], "did you mean 'drift'"),
        (["drift", "--figure=digit"], "did you mean 'digits'"),
        (["all", "--figure=digits"], "name the paper that has it"),
        (["drift", "alig"], "name one paper"),
        (["drift", "--scale=huge"], "smoke"),
        (["drift", "--jobs=0"], "--jobs"),
        (["drift", "--config.seed=1"], "leave it out"),
        (["drift", "--docs"], "--docs: it writes what came out of all; leave 'drift' out"),
        (["--docs", "--dry_run"], "--docs: it writes what came out of all; leave '--dry_run' out"),
        (["--docs", "--out=none"], "--docs: not run at the scale 'laptop': drift/orders, "),
        (["--jobs=2"], "name a paper, or 'all'"),
        (["--docs", "--scale=smoke"], "--scale: results of a few steps are no results"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, text):
    assert text in refusal(command.main, capsys, *arguments)


def test_a_dry_run_runs_nothing(tmp_path, capsys):
    assert command.main(["drift", "--dry_run", f"--out={tmp_path / 'out'}"]) == 0
    assert "drift/digits" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
