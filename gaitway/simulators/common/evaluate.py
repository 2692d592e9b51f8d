"""Measure a policy, episode by episode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from gaitway.contracts.simulation import EVALUATION_METRICS, EVALUATION_SUMMARY, EvaluationSummary
from gaitway.simulators.common.episodes import TIME_OUT, TRUNCATED, Episodes, Step
from gaitway.simulators.common.files import written_whole
from gaitway.simulators.common.policy import Policy

OnProgress = Callable[[int], None]


@dataclass(frozen=True)
class Episode:
    """A counted episode; a row of metrics.csv."""

    episode: int
    """From 0, in the order in which episodes are counted."""
    environment: int
    return_: float
    """Sum of its rewards."""
    length: int
    """Environment steps."""
    success: bool
    termination: str
    """Why it ended: one of the environment's reasons, `time_out` or `truncated`."""


def evaluate(
    environment: Episodes,
    policy: Policy,
    num_episodes: int,
    steps_per_episode: int,
    on_progress: OnProgress | None = None,
    on_step: Callable[[Step], None] | None = None,
    forget: Callable[[], None] | None = None,
) -> list[Episode]:
    """Run rounds of episodes until enough are counted.

    In each round every environment is reset, and the first episode of each counts. Which environments count in the
    last round is decided before it begins. Counting the episodes that end first would favour short ones.

    Args:
        environment: The environment; it draws its resets from its own seed.
        policy: The policy to evaluate.
        num_episodes: Episodes to count.
        steps_per_episode: A longer episode is cut off here, and is a success if it went well so far.
        on_progress: Called with the number of counted episodes whenever that changes.
        on_step: Called for each step of the first round.
        forget: Empties the policy's memory: called before each round.

    Raises:
        ValueError: A return is NaN or infinite.
    """
    episodes: list[Episode] = []
    while len(episodes) < num_episodes:
        counted = min(environment.num_envs, num_episodes - len(episodes))
        steps = on_step if not episodes else None
        if forget is not None:
            forget()
        episodes += _run_round(environment, policy, counted, steps_per_episode, len(episodes), on_progress, steps)
    return episodes


@torch.inference_mode()
def _run_round(
    environment: Episodes,
    policy: Policy,
    counted: int,
    steps_per_episode: int,
    first_episode: int,
    on_progress: OnProgress | None,
    on_step: Callable[[Step], None] | None,
) -> list[Episode]:
    """Reset all environments and run the first episode of the first `counted` ones to its end."""
    device = environment.device
    running = torch.arange(environment.num_envs, device=device) < counted
    returns = torch.zeros(environment.num_envs, dtype=torch.float64, device=device)
    lengths = torch.zeros(environment.num_envs, dtype=torch.long, device=device)
    on_track = torch.ones_like(running)
    endings = torch.zeros_like(lengths)
    reasons: list[str] = []

    observations = environment.reset()
    done = 0
    for step_number in range(1, steps_per_episode + 1):
        step = environment.step(policy(observations))
        observations = step.observations
        if on_step is not None:
            on_step(step)

        returns += torch.where(running, step.rewards, 0)
        lengths += running
        on_track &= step.on_track | ~running

        reasons, ending = _endings(step, cut_off=step_number == steps_per_episode)
        ended = running & (ending >= 0)
        endings = torch.where(ended, ending, endings)
        running &= ~ended
        still_running = int(running.sum())
        if on_progress is not None and counted - still_running > done:
            on_progress(first_episode + counted - still_running)
        done = counted - still_running
        if not still_running:
            break

    if not returns.isfinite().all():
        raise ValueError(
            f"Returns of this round are not finite, so the policy or the task is broken: {returns.tolist()}"
        )
    columns = zip(returns.tolist(), lengths.tolist(), on_track.tolist(), endings.tolist(), strict=True)
    return [
        Episode(
            episode=first_episode + index,
            environment=index,
            return_=total,
            length=length,
            success=successful and reasons[ending] in environment.successful_endings,
            termination=reasons[ending],
        )
        for index, (total, length, successful, ending) in enumerate(columns)
        if index < counted
    ]


def _endings(step: Step, cut_off: bool) -> tuple[list[str], Tensor]:
    """Return the reasons for which an episode can end, and each environment's reason as an index, -1 for none.

    A terminal state takes precedence over a time-out in the same step, and that over the cut-off.
    """
    reasons = [*step.terminations, TIME_OUT, TRUNCATED]
    flags = torch.stack((*step.terminations.values(), step.time_outs, torch.full_like(step.time_outs, cut_off)))
    first = flags.int().argmax(dim=0)
    return reasons, torch.where(flags.any(dim=0), first, -1)


def write_metrics(episodes: list[Episode]) -> None:
    """Write one row per episode to the file that the runner reads."""
    _write(EVALUATION_METRICS, _table(episodes).to_csv(index=False))


def write_summary(episodes: list[Episode], success_definition: str) -> None:
    """Write the figures over all episodes to the file that the runner reads."""
    table = _table(episodes)
    summary = EvaluationSummary(
        episodes=len(table),
        mean_return=float(table["return"].mean()),
        std_return=float(table["return"].std(ddof=0)),
        min_return=float(table["return"].min()),
        max_return=float(table["return"].max()),
        mean_length=float(table["length"].mean()),
        success_rate=float(table["success"].mean()),
        success_definition=success_definition,
    )
    _write(EVALUATION_SUMMARY, summary.model_dump_json(indent=2) + "\n")


def _table(episodes: list[Episode]) -> pd.DataFrame:
    return pd.DataFrame(episodes).rename(columns={"return_": "return"})


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary:
        temporary.write_text(text)
