"""Make docs/images/report-*.png: `python -m tests.unit.report.screenshots`, of runs on an embedded AWS of its own."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from gaitway.client.runs import Runs
from gaitway.contracts.artifacts import REPORT
from gaitway.contracts.request import parse_request
from gaitway.libraries.checkpoints import newest
from gaitway.local.cdk import CdkDeployer
from gaitway.local.launcher import Launcher, LocalAws
from tests.local.conformance.workflow import until
from tests.local.deployed import RUN_SECONDS
from tests.unit.report.browser import DESKTOP, PHONE, chromium, opened

if TYPE_CHECKING:
    from typing import Literal

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / "docs" / "images"
LOST_AT = 30
"""The iteration after which the training is killed once, to be seen going on."""
PICTURES: tuple[tuple[str, str, int, int, Literal["light", "dark"]], ...] = (
    ("desktop", "train", DESKTOP, 1930, "light"),
    ("phone", "evaluate", PHONE, 1180, "light"),
    ("dark", "evaluate", DESKTOP, 1440, "dark"),
)
"""Name, mode of the run, width and height in pixels, colours."""

# Videos stand still two seconds after their beginning.
_IN_THE_MIDDLE = """() => Promise.all([...document.querySelectorAll("video")].map((video) => new Promise((resolve) => {
    video.autoplay = false; video.controls = false; video.pause();
    video.addEventListener("seeked", resolve, { once: true });
    video.currentTime = 2;
})))"""


def main() -> None:
    """Train, evaluate, and take the pictures."""
    with tempfile.TemporaryDirectory(prefix="gaitway-pictures-") as directory:
        launcher = Launcher(Path(directory, "state"), CdkDeployer(Path(directory, "cdk")))
        try:
            local_aws = launcher.up(lambda line: print(line, file=sys.stderr))  # noqa: T201
            reports = _reports(local_aws, Path(directory))
        finally:
            launcher.down()
        with chromium() as browser:
            for name, mode, width, height, colours in PICTURES:
                with opened(browser, reports[mode], width=width, height=height, colours=colours) as shown:
                    shown.page.evaluate(_IN_THE_MIDDLE)
                    shown.page.screenshot(path=IMAGES / f"report-{name}.png")


def _reports(local_aws: LocalAws, directory: Path) -> dict[str, Path]:
    """Train with an interruption, evaluate what came of it, and fetch both reports."""
    runs = Runs(local_aws.session(), local_aws.deployment)
    train = (ROOT / "examples" / "cartpole-train.json").read_text(encoding="utf-8")
    trained = runs.start(parse_request(train, {"trainingConfig": {"checkpointInterval": 10}}))
    until(lambda: _iterations(runs, trained.run_id) >= LOST_AT, RUN_SECONDS)
    for process in psutil.process_iter():
        if _directory(process) == trained.run_id:
            process.kill()
    until(lambda: runs.caller_view(trained).ended, RUN_SECONDS)
    manifest = runs.fetch(trained.output_files, directory / "train")

    policy = newest(entry.path for entry in manifest.files)
    assert policy is not None, "the training left no checkpoint"
    evaluate = (ROOT / "examples" / "cartpole-evaluate.json").read_text(encoding="utf-8")
    evaluated = runs.start(parse_request(evaluate), input_file=trained.output_files / policy)
    until(lambda: runs.caller_view(evaluated).ended, RUN_SECONDS)
    runs.fetch(evaluated.output_files, directory / "evaluate")
    return {mode: directory / mode / REPORT for mode in ("train", "evaluate")}


def _iterations(runs: Runs, run_id: str) -> int:
    record = runs.record(run_id)
    return record.progress.done if record and record.progress else 0


def _directory(process: psutil.Process) -> str | None:
    """Name the directory that a process works in: a simulator's is its run's."""
    try:
        return Path(process.cwd()).name
    except (psutil.Error, OSError):
        return None


if __name__ == "__main__":
    main()
