"""Every figure of every paper in a few steps: it builds, runs, draws, and checks its claims."""

import pytest

from analysis.reproduce import records, work
from analysis.reproduce.paper import Scale
from analysis.reproduce.papers import PAPERS, load

pytestmark = pytest.mark.program  # takes a minute
FIGURES = [
    pytest.param(paper, figure, id=f"{paper.name}-{figure.name}")
    for paper in map(load, PAPERS)
    for figure in paper.figures
    if figure.is_run(Scale.SMOKE)
]


@pytest.mark.parametrize(("paper", "figure"), FIGURES)
def test_a_figure_runs_whole(paper, figure, tmp_path):
    record = work.do(paper, figure, Scale.SMOKE, tmp_path, jobs=1)
    assert not record.problem
    # Theory needs no steps: there all claims hold.
    possible = (records.HOLDS, records.FAILS) if figure.trainings else (records.HOLDS,)
    assert all(claim.verdict in possible for claim in record.claims)
    assert all(claim.ours for claim in record.claims)
    folder = records.folder_of(tmp_path, Scale.SMOKE, paper.name, figure.name)
    assert (folder / "figure.png").is_file() == (figure.draw is not None)
    assert bool(record.table) == (figure.table is not None)
    for name, training in figure.trainings.items():
        steps = [run.last()["step"] for run in work.sweep_folder.read_sweep(folder / name).runs]
        assert steps == [4] * len(training.runs(Scale.SMOKE))
