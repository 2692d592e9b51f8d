"""A page is written whatever a run left, and says what is missing."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gaitway.contracts.artifacts import VIDEOS, ManifestEntry
from gaitway.contracts.simulation import Resumption
from tests.unit.report.stored import Run, evaluation, resumed_training

LARGE_ROWS = 300_000


def text_of(page: str) -> str:
    """What a page says, without its markup."""
    body = page[page.index("<body>") :]
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<script>.*?</script>|<[^>]+>", " ", body, flags=re.DOTALL)))


def test_a_training_that_went_on_after_a_kill_is_told_whole(tmp_path: Path) -> None:
    text = text_of(resumed_training(tmp_path).page)

    assert "succeeded training of Isaac-Cartpole-Direct-v0 with rsl_rl" in text
    assert "Iterations 80 of 80" in text
    assert "resumed at iteration 40" in text
    assert "Attempt 1: queued 1 min 0 s, image pull 2 min 55 s, start-up 1 min 5 s, training 10 min 0 s" in text
    assert "2 succeeded 40 1 min 0 s 2 min 50 s 1 min 10 s 13 min 20 s 40 s" in text
    assert "0.52 USD for 32 min 2 s of machine time, about 1.55 USD for a million environment steps" in text
    assert "1 g6.2xlarge spot 14 min 0 s 0.9776 USD 0.22 USD" in text
    assert "Prices: 2026-11-01. A Spot instance costs less than that" in text
    assert "GPU memory, GiB" in text
    assert "terminated = -4.0" in text
    assert "metrics.csv 16.0 KiB" in text


def test_a_run_on_a_cluster_says_which_part_of_the_nodes_it_pays_for(tmp_path: Path) -> None:
    run = resumed_training(tmp_path)
    history = run.results.history
    assert history is not None
    attempts = [
        one.model_copy(update={"machine": one.machine.model_copy(update={"share": 0.25})})
        for one in history.attempts
        if one.machine is not None
    ]
    results = run.results.model_copy(update={"history": history.model_copy(update={"attempts": attempts})})
    text = text_of(run._replace(results=results).page)
    assert "g6.2xlarge (25 % of it)" in text
    assert "the cost is computed, the run's part of their price" in text


def test_an_evaluation_gives_its_success_rate_with_how_far_it_may_be_trusted(tmp_path: Path) -> None:
    text = text_of(evaluation(tmp_path).page)

    assert "100 of 100 episodes succeeded (100 %); 95 % interval 96.3 % to 100 % (Wilson)" in text
    assert "return 297.1 296.6 to 297.5 288.7 298.9" in text
    assert "Every episode lasted 299 environment steps" in text
    assert "time_out (100)" in text
    assert "Evaluated policy s3://" in text


def test_a_failure_says_why_and_what_to_do_next() -> None:
    failed = Run.stored("failed")
    assert failed.results.failure is not None

    text = text_of(failed.page)

    assert "NotANumberError the training diverged." in text
    assert "lower the learning rate" in text
    assert "Invalid learning rate: nan" in text
    assert "Next: the same request would fail again" in text
    assert "No reward was logged" in text
    assert "resumeFrom set" not in text

    interrupted = failed.results.failure.model_copy(update={"retryable": True})
    kept = [ManifestEntry(path=f"checkpoints/model_{number}.pt", size=1, sha256="0" * 64) for number in (20, 100)]
    lost = failed._replace(results=failed.results.model_copy(update={"failure": interrupted}), listed=kept)
    assert "submitted again, may succeed" in text_of(lost.page)
    assert f"checkpoints/model_100.pt with resumeFrom set to {lost.results.run_id}" in text_of(lost.page)


def test_what_a_training_could_not_restore_or_export_is_said() -> None:
    stored = Run.stored("train")
    assert "not exported" not in text_of(stored.page)
    assert stored.results.training is not None
    resumption = Resumption(
        iteration=40, restored=("the step counter: 640",), anew=("terrain levels", "random numbers")
    )
    figures = {
        "not_exported": "ValueError: no operator",
        "no_leapp": "this is a direct task",
        "resumptions": (resumption,),
    }
    training = stored.results.training.model_copy(update=figures)
    text = text_of(stored._replace(results=stored.results.model_copy(update={"training": training})).page)
    assert "The policy is not exported: ValueError: no operator." in text
    assert "There is no export with LEAPP: this is a direct task." in text
    assert "Resumed after iteration 40. Restored: the step counter: 640. Began anew: terrain levels; random" in text


def test_a_run_that_failed_before_it_began_has_a_page() -> None:
    failed = Run.stored("failed")

    text = text_of(
        failed._replace(
            results=failed.results.model_copy(update={"started_at": None, "attempts": 0}),
            config=None,
            files={},
            listed=[],
        ).page
    )

    assert "The request had not been written down" in text
    assert "None are known" in text


def test_skrl_which_counts_time_steps_is_drawn_by_iteration() -> None:
    skrl = Run.stored("skrl")
    curves = skrl.subject.curves
    assert curves is not None
    assert (curves.axis, curves.at[0], curves.at[-1]) == ("iteration", 1, 60)
    assert "Iterations 60 of 60" in text_of(skrl.page)

    untold = skrl._replace(files={name: path for name, path in skrl.files.items() if name != "params/agent.yaml"})
    curves = untold.subject.curves
    assert curves is not None
    assert (curves.axis, curves.at[-1]) == ("time step", 1920)


@pytest.mark.parametrize(
    "metrics",
    [
        "",
        "step,wall_time\n",
        "step,wall_time,Train/mean_reward\n0,1,nan\n1,2,inf\n",
        "step,wall_time,Train/mean_reward\n0,1,5\n",
        "no,such,columns\n1,2,3\n",
        "step,wall_time,Train/mean_reward,Train/mean_reward\n5,1,1,1\n3,nan,2,2\nnan,1,1,1\n",
    ],
)
@pytest.mark.parametrize("name", ["train", "skrl", "evaluate"])
def test_broken_metrics_still_give_a_page(tmp_path: Path, name: str, metrics: str) -> None:
    page = Run.stored(name).with_metrics(tmp_path / "metrics.csv", metrics).page

    assert page.rstrip().endswith("</html>")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.floats(), st.floats(), st.floats(), st.booleans(), st.text(max_size=5)), min_size=1, max_size=30
    )
)
def test_any_numbers_give_a_page(tmp_path: Path, rows: list[tuple[object, ...]]) -> None:
    lines = "".join(",".join(map(str, row)).replace("\n", " ") + "\n" for row in rows)
    training = "step,wall_time,Train/mean_reward,Loss/value,Perf/total_fps\n"

    assert Run.stored("train").with_metrics(tmp_path / "t.csv", training + lines).page
    assert (
        Run.stored("evaluate")
        .with_metrics(tmp_path / "e.csv", "episode,return,length,success,termination\n" + lines)
        .page
    )


def test_many_rows_become_a_small_page(tmp_path: Path) -> None:
    peak = LARGE_ROWS // 3
    rows = "".join(f"{step},{step},{9999 if step == peak else step % 7}\n" for step in range(LARGE_ROWS))

    page = Run.stored("train").with_metrics(tmp_path / "m.csv", f"step,wall_time,Train/mean_reward\n{rows}").page

    assert len(page) < 200_000
    assert "best 9999" in text_of(page)


def test_videos_beyond_twenty_megabytes_are_links(tmp_path: Path) -> None:
    run = evaluation(tmp_path)
    large = tmp_path / "z.mp4"
    with large.open("wb") as file:
        file.truncate(20_000_001)

    page = run._replace(files=run.files | {f"{VIDEOS}z.mp4": large}).page

    assert page.count("data:video/mp4;base64,") == 1
    assert 'inside this page: <a href="./videos/z.mp4">' in page


def test_a_page_names_the_simulator_its_device_and_the_versions_that_ran() -> None:
    run = Run.stored("train")
    text = text_of(run.page)

    assert "Simulator embedded on INTEL(R) XEON(R)" in text
    assert "rsl-rl-lib 5.5.1" in text
    assert "Simulator embedded" not in text_of(Run.stored("evaluate").page)
