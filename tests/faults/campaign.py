"""Runs faults, several at a time, and reports the outcome of each."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from gaitway.contracts.workload import Mode
from tests.faults.check import told_seconds, unsealed, violations
from tests.faults.trial import SUCCEEDED, Expected, GaveUpError, Trial
from tests.faults.world import World
from tests.local.deployed import Json

_TELL_SECONDS = 150.0
"""A caller that has no result by then will not receive one."""

_ORDER = (
    "jobs", "simulators", "nodes", "objects", "network", "functions", "events", "sagemaker", "clusters", "slurm", "eks",
    "callers",
)  # fmt: skip
"""Order of the scenarios' modules."""

Script = Callable[[Trial], Expected]
"""Sets up a fault, starts the run, and returns the expected outcome."""


@dataclass(frozen=True)
class Scenario:
    """A kind of fault at a stage of a run."""

    name: str
    fault: str
    stage: str
    modes: tuple[Mode, ...]
    script: Script
    weight: int
    """How much more often than others it is drawn."""
    is_alone: bool
    """Whether it disturbs other runs, and must run alone."""
    why_missing: Callable[[], str | None] = lambda: None
    """Says in a sentence why it cannot run on this machine; None if it can."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a fault."""

    scenario: Scenario
    mode: Mode
    seed: int
    expected: str
    came_out: str
    """What the caller received."""
    told_seconds: float | None
    """Between the fault and the end of the caller's execution."""
    details: str
    """The choices that the seed made."""
    violations: Sequence[str]
    """Empty if the outcome is as expected."""
    seconds: float
    """Duration of the whole run."""
    trial: Trial | None = None
    """If the run succeeded: to be checked again at the end."""


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    fault: str,
    stage: str,
    *modes: Mode,
    weight: int = 1,
    alone: bool = False,
    why_missing: Callable[[], str | None] = lambda: None,
) -> Callable[[Script], Script]:
    """Register a script under its function's name."""

    def register(script: Script) -> Script:
        name = script.__name__
        assert name not in SCENARIOS, name
        SCENARIOS[name] = Scenario(
            name, fault, stage, modes or ("train", "evaluate"), script, weight, alone, why_missing
        )
        return script

    return register


@dataclass(frozen=True)
class Task:
    """A fault to run."""

    scenario: Scenario
    mode: Mode
    seed: int


def tasks(seed: int, rounds: int, names: Sequence[str] = ()) -> list[Task]:
    """List the faults of a campaign.

    Args:
        seed: Seed of the first round; the next ones count up.
        rounds: How often each scenario is run in each of its modes.
        names: Only these; all, when empty.
    """
    unknown = set(names) - SCENARIOS.keys()
    if unknown:
        raise SystemExit(f"no scenario is called {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    return [
        Task(each, mode, seed + number)
        for each in sorted(SCENARIOS.values(), key=lambda each: _ORDER.index(each.script.__module__.rpartition(".")[2]))
        if not names or each.name in names
        for mode in each.modes
        for number in range(rounds * each.weight)
    ]


def go_through(
    world: World, faults: Iterable[Task], parallel: int, tell: Callable[[Outcome], None] = lambda _: None
) -> list[Outcome]:
    """Run faults.

    Args:
        world: The deployment.
        faults: The faults to run.
        parallel: How many at a time, of those that do not disturb others.
        tell: Called with each outcome.
    """
    lock = threading.Lock()

    def run(task: Task) -> Outcome:
        outcome = go_through_one(world, task)
        with lock:
            tell(outcome)
        return outcome

    waiting = list(faults)
    with ThreadPoolExecutor(parallel) as pool:
        outcomes = list(pool.map(run, [task for task in waiting if not task.scenario.is_alone]))
    outcomes += [run(task) for task in waiting if task.scenario.is_alone]
    return [_looked_at_again(outcome, tell) for outcome in outcomes]


def _looked_at_again(outcome: Outcome, tell: Callable[[Outcome], None]) -> Outcome:
    """Check again that no process has overwritten the files of a successful run."""
    found = unsealed(outcome.trial) if outcome.trial is not None else []
    if not found:
        return outcome
    changed = replace(outcome, violations=[*outcome.violations, *found])
    tell(changed)
    return changed


def go_through_one(world: World, task: Task) -> Outcome:
    """Run one fault."""
    started = time.monotonic()
    trial = Trial(world, task.scenario.name, task.seed, task.mode)
    expected, came_out = "", ""
    found: list[str] = []
    try:
        wanted = task.scenario.script(trial)
        expected = wanted.text
        trial.wait(lambda: trial.caller()["status"] != "RUNNING", "the caller was told", _TELL_SECONDS, pause=0.5)
        found = violations(trial, wanted)
        told = told_seconds(trial)
        came_out = _how(trial.caller(), wanted)
    except GaveUpError as error:
        found, told = [str(error)], None
    except Exception:
        found, told = [traceback.format_exc()], None
    finally:
        trial.close()
    return Outcome(
        scenario=task.scenario,
        mode=task.mode,
        seed=task.seed,
        expected=expected,
        came_out=came_out,
        told_seconds=told,
        details=", ".join(trial.details),
        violations=found,
        seconds=time.monotonic() - started,
        trial=trial if expected == SUCCEEDED and not found else None,
    )


def _how(caller: Json, wanted: Expected) -> str:
    """Return what the caller received, in a word."""
    if caller["status"] == "SUCCEEDED":
        return "succeeded"
    return str(caller.get("error")) if wanted.callers_told else f"cancelled (the caller {caller['status'].lower()})"
