"""Several runs beside each other."""

from __future__ import annotations

from pathlib import Path

from gaitway.report import ComparedRun, comparison_document, render_comparison
from tests.unit.report.stored import Run, evaluation
from tests.unit.report.test_page import text_of


def test_runs_of_two_libraries_share_charts_and_show_what_their_requests_differ_in() -> None:
    runs = [ComparedRun(Run.stored("train").subject, "runs/a/report.html"), ComparedRun(Run.stored("skrl").subject)]

    page = render_comparison(runs)

    text = text_of(page)
    assert "Mean reward 289.5 best 292.7 296.1 best 296.3" in text
    assert "trainingConfig.rlLibrary rsl_rl skrl" in text
    assert "trainingConfig.recordVideo false true" in text
    assert "trainingConfig.seed" not in text
    assert "Mean reward by iteration. cartpole: 80 values" in text
    assert "cartpole skrl: 60 values" in text
    assert 'href="./runs/a/report.html"' in page


def test_runs_of_one_name_are_told_apart_and_a_failure_says_its_error(tmp_path: Path) -> None:
    evaluated = evaluation(tmp_path)
    other = evaluated._replace(results=evaluated.results.model_copy(update={"run_id": "run-ffffffff0000"}))

    text = text_of(render_comparison([ComparedRun(run.subject) for run in (evaluated, other, Run.stored("failed"))]))

    assert "cartpole-evaluation run-bee36668" in text
    assert "cartpole-evaluation run-ffffffff" in text
    assert "succeeded succeeded NotANumberError" in text
    assert text.count("100 of 100 episodes succeeded") == 2


def test_a_program_reads_the_same(tmp_path: Path) -> None:
    runs = [ComparedRun(evaluation(tmp_path).subject), ComparedRun(Run.stored("train").subject)]

    document = comparison_document(runs)

    evaluated, trained = document["runs"]
    assert evaluated["evaluation"]["success_rate"] == 1
    assert [round(bound, 3) for bound in evaluated["success_interval"]] == [0.963, 1]
    assert trained["training"]["iterations"] == 80
    assert {"key": "trainingConfig.mode", "values": {evaluated["run_id"]: "evaluate", trained["run_id"]: "train"}} in (
        document["differences"]
    )
