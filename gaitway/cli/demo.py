"""`gaitway demo`: train a policy on the embedded AWS, evaluate it, and fetch the results of both runs.

In Isaac Lab 3.0 where it is installed, else with a cart-pole in torch. `--ant` is the longer one: a robot that walks.
"""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from gaitway.cli.watch import WatchedRun, watch
from gaitway.client.runs import Runs
from gaitway.commands import Commands
from gaitway.contracts.artifacts import CHECKPOINTS, METRICS, RESULTS, Results
from gaitway.contracts.errors import ArtifactError
from gaitway.contracts.request import parse_request
from gaitway.contracts.simulation import EvaluationSummary
from gaitway.installation import REPOSITORY_ROOT, NotInstalledError
from gaitway.local import isaaclab3, launcher
from gaitway.workloads import workload_of

if TYPE_CHECKING:
    from rich.console import Console

    from gaitway.contracts.model import S3Uri

EXAMPLES = REPOSITORY_ROOT / "examples"
SOLVED_SUCCESS_RATE = 0.95
WALKED_METRES = 5.0
"""What the ant has to walk in an episode."""
_PROGRESS = "Episode_Reward/progress"
"""Metres per second of a whole episode: the term sums up the way to the target (`progress_reward` in
isaaclab_tasks/core/locomotion/mdp/rewards.py), and the reward manager divides by the episode's longest duration."""
_EPISODE_SECONDS = 16.0
"""`episode_length_s` of isaaclab_tasks/core/locomotion/ant/ant_manager_env_cfg.py."""
_LATEST = 10
"""Iterations whose mean is taken."""


@dataclass(frozen=True)
class Examples:
    """Two requests of `examples/`: a training, and an evaluation of its policy."""

    training: str
    evaluation: str
    conclude: Callable[[EvaluationSummary, Path], tuple[bool, str]]
    """Says of an evaluation and the training's outputs whether this is what the demo is for, and what was reached."""
    further_iterations: int | None = None
    """A longer training that is suggested; None where there is little left to learn."""


def _conclude_cartpole(evaluation: EvaluationSummary, training: Path) -> tuple[bool, str]:
    del training
    solved = evaluation.success_rate >= SOLVED_SUCCESS_RATE
    verdict = "[green]solves[/green]" if solved else "[red]does not solve[/red]"
    return solved, (
        f"The policy {verdict} the task: success {evaluation.success_rate:.0%} over {evaluation.episodes} episodes, "
        f"mean return {evaluation.mean_return:.2f}"
    )


def conclude_ant(evaluation: EvaluationSummary, training: Path) -> tuple[bool, str]:
    """Say how far the ant walks: at the end of its training, and of what it has to compare itself with."""
    with (training / METRICS).open(encoding="utf-8", newline="") as file:
        metres = [_EPISODE_SECONDS * float(row[_PROGRESS]) for row in csv.DictReader(file) if row.get(_PROGRESS)]
    if not metres:
        raise ArtifactError(f"{training / METRICS} has no column {_PROGRESS}")
    first, last = (sum(part) / len(part) for part in (metres[:_LATEST], metres[-_LATEST:]))
    walks = last >= WALKED_METRES
    verdict = "[green]walks[/green]" if walks else "[red]does not walk[/red]"
    return walks, (
        f"The ant {verdict}: at the end of the training {last:.1f} m towards its target in an episode of "
        f"{_EPISODE_SECONDS:.0f} s, at its beginning {first:.1f} m. In the evaluation it keeps on its legs in "
        f"{evaluation.success_rate:.0%} of {evaluation.episodes} episodes, with a mean return of "
        f"{evaluation.mean_return:.1f}."
    )


ISAAC_LAB_3 = Examples("isaaclab3-cartpole-train.json", "isaaclab3-cartpole-evaluate.json", _conclude_cartpole)
EMBEDDED = Examples("cartpole-train.json", "cartpole-evaluate.json", _conclude_cartpole)
ANT = Examples("isaaclab3-ant-train.json", "isaaclab3-ant-evaluate.json", conclude_ant, 500)


def run_demo(console: Console, output_directory: Path, *, ant: bool = False) -> bool:
    """Run the demo.

    Args:
        console: Where progress is shown.
        output_directory: Where results go: `train/` and `evaluate/`, replaced.
        ant: Whether to train the ant, which takes minutes and needs Isaac Lab 3.0.

    Returns:
        Whether the trained policy does what it was trained for.

    Raises:
        NotInstalledError: There is no Isaac Lab 3.0 for the ant.
    """
    examples = choose_ant() if ant else choose_examples(console)
    try:
        return _demo(console, output_directory, examples)
    except KeyboardInterrupt:
        # A run continues without its caller, which is not wanted in a demo.
        console.print("Interrupted: stopping the embedded AWS and what runs in it")
        launcher.down()
        raise


def choose_ant() -> Examples:
    """Choose the ant.

    Raises:
        NotInstalledError: There is no Isaac Lab 3.0; the message says why.
    """
    missing = isaaclab3.why_missing()
    if missing is not None:
        raise NotInstalledError(f"the ant needs Isaac Lab 3.0. {missing}; the demo without --ant runs here")
    return ANT


def choose_examples(console: Console) -> Examples:
    """Choose Isaac Lab 3.0 where it is installed; otherwise say why not, and choose the cart-pole in torch."""
    missing = isaaclab3.why_missing()
    if missing is None:
        return ISAAC_LAB_3
    console.print(f"The demo trains a cart-pole in torch, not in Isaac Lab. {missing}", markup=False, soft_wrap=True)
    return EMBEDDED


def _demo(console: Console, output_directory: Path, examples: Examples) -> bool:
    began = time.monotonic()
    with console.status("Embedded AWS") as status:
        local = launcher.up(lambda line: status.update(f"Embedded AWS: {line}"))
    up_seconds = time.monotonic() - began
    console.print(f"Embedded AWS is up at {local.endpoint_url} [dim]({up_seconds:.0f} s)[/dim]", highlight=False)

    commands = Commands(is_embedded=True)
    runs = Runs(local.session(), local.deployment, commands)
    trained, training_outputs = _run(runs, examples.training, None, output_directory / "train", console)
    checkpoint = training_outputs / final_checkpoint(output_directory / "train")
    evaluated, _ = _run(runs, examples.evaluation, checkpoint, output_directory / "evaluate", console)

    evaluation = Results.read((output_directory / "evaluate" / RESULTS).read_bytes()).evaluation
    if evaluation is None:
        raise ArtifactError(f"{output_directory / 'evaluate' / RESULTS} holds no evaluation")
    reached, words = examples.conclude(evaluation, output_directory / "train")
    console.print(f"\n{words}", highlight=False)
    if examples.further_iterations is not None:
        further = commands.gaitway(
            f"submit --continue {trained.record.run_id} --iterations {examples.further_iterations}"
        )
        console.print(f"To train it further: [bold]{further}[/bold]", highlight=False, soft_wrap=True)
    console.print(f"Results: [bold]{output_directory}[/bold] (train/report.html, evaluate/report.html)")
    console.print(_figures(up_seconds, trained, evaluated, time.monotonic() - began, launcher.status().memory_mib))
    console.print(
        "[dim]The embedded AWS stays up for the next run: `gaitway local down` stops it, `gaitway local env` "
        "shows how to look inside.[/dim]"
    )
    return reached


def _run(
    runs: Runs, example: str, input_file: S3Uri | None, directory: Path, console: Console
) -> tuple[WatchedRun, S3Uri]:
    request = parse_request((EXAMPLES / example).read_text())
    label = workload_of(request.training_config).noun.capitalize()
    started = runs.start(request, input_file=input_file)
    watched = watch(runs, started, label, console)
    shutil.rmtree(directory, ignore_errors=True)
    manifest = runs.fetch(started.output_files, directory)
    console.print(
        f"{label} succeeded [dim]({watched.seconds:.0f} s, {len(manifest.files)} files, {started.run_id})[/dim]",
        highlight=False,
    )
    return watched, started.output_files


def final_checkpoint(training_directory: Path) -> str:
    """Return the path of a fetched training's final checkpoint, relative to its outputs."""
    training = Results.read((training_directory / RESULTS).read_bytes()).training
    if training is None or not training.final_checkpoint.startswith(CHECKPOINTS):
        raise ArtifactError(f"{training_directory / RESULTS} names no final checkpoint")
    return training.final_checkpoint


def _figures(
    up_seconds: float, trained: WatchedRun, evaluated: WatchedRun, total_seconds: float, memory_mib: float
) -> Table:
    table = Table(title="Measured in this run", title_justify="left", show_header=False, box=None)
    rows = {
        "embedded AWS up and deployed": f"{up_seconds:.1f} s",
        "StartExecution to the first iteration": _seconds(trained.seconds_to_first_progress),
        "training run, until its caller had the answer": f"{trained.seconds:.1f} s",
        "evaluation run, until its caller had the answer": f"{evaluated.seconds:.1f} s",
        "whole demo": f"{total_seconds:.1f} s",
        "memory of the embedded AWS": f"{memory_mib:.0f} MiB",
    }
    for name, figure in rows.items():
        table.add_row(name, figure)
    return table


def _seconds(value: float | None) -> str:
    return "not seen" if value is None else f"{value:.1f} s"
