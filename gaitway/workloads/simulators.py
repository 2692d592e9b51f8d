"""Which of the deployed simulators runs a request: decided before a machine is paid for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gaitway.contracts.errors import RequestError
from gaitway.contracts.inputs import CUSTOM_ENVIRONMENT, given_inputs
from gaitway.contracts.overrides import CHOICES, tree_of
from gaitway.libraries.simulators import SIMULATORS, Simulator, supported_by
from gaitway.libraries.tasks import known_tasks

if TYPE_CHECKING:
    from gaitway.contracts.workload import WorkloadConfig

Simulators = tuple[Simulator, ...]

_INSTEAD: dict[Simulator, Simulators] = {
    "isaaclab-2": ("isaaclab-2", "embedded", "isaaclab-3"),
    "isaaclab-3": ("isaaclab-3", "isaaclab-2", "embedded"),
}
"""By the simulator that a task's name means: which one runs it, the best first. The embedded one has names of 2.3.2."""


@dataclass(frozen=True)
class Choice:
    """The simulator of a run."""

    simulator: Simulator
    remark: str | None = None
    """Why it is this one, and what it calls the task; None if it is what the request says."""


def choose_simulator(training: WorkloadConfig, deployed: Simulators, begun_in: Simulator | None = None) -> Choice:
    """Choose the simulator that runs a request.

    What is not in the table of Isaac Lab's tasks, as a task of a custom environment, is left to the simulator to find.

    Args:
        training: What to run.
        deployed: The deployed simulators.
        begun_in: For a run that is started again: the simulator whose checkpoints it has.

    Raises:
        RequestError: No deployed simulator can run it, or not the one that it asks for; the message says which can.
    """
    asked = training.simulator
    if asked is not None and asked not in deployed:
        raise RequestError(
            f"trainingConfig.simulator is {asked!r}, which is not deployed here, allowed: {', '.join(deployed)}; "
            "without it, one of these runs the task, if it has it"
        )
    task = training.task.rpartition(":")[2]
    is_custom = any(given.name.startswith(CUSTOM_ENVIRONMENT) for given in given_inputs(training))
    meant = known_tasks().means(task)
    first = asked or (begun_in if begun_in in deployed else None) or (meant if meant in deployed else None)
    candidates = (first,) if first else tuple(one for one in _INSTEAD[meant] if one in deployed)
    simulator = next((one for one in candidates if is_custom or _has(one, task)), None)
    if simulator is None:
        raise RequestError(f"trainingConfig.task is {training.task!r}, {_why_not(task, candidates, deployed)}")
    _check_options(training, simulator, deployed)
    return Choice(simulator, _remark(task, simulator, meant if asked is None else None, deployed))


def _remark(task: str, simulator: Simulator, meant: Simulator | None, deployed: Simulators) -> str | None:
    """Say where a task runs, unless that is what the request says."""
    name = known_tasks().name_in(simulator, task)
    runs = f"runs{'' if name in (None, task) else f' as {name}'} in {_in_words(simulator)}"
    if meant in (None, simulator):
        return None if name in (None, task) else f"{task} {runs}"
    if meant in deployed:
        return f"{task} {runs}, where it began"
    return f"{task} means {_in_words(meant)}, which is not deployed here: it {runs}"


def _has(simulator: Simulator, task: str) -> bool:
    """Return whether a simulator can run a task, as far as the table knows: others are for it to say."""
    tasks = known_tasks()
    name = tasks.name_in(simulator, task)
    if name is None:
        return all(tasks.name_in(other, task) is None for other in SIMULATORS)
    return not (simulator == "isaaclab-3" and tasks.lacks_newton(name))


def _in_words(simulator: Simulator) -> str:
    support = SIMULATORS[simulator]
    return f"{support.description} ({support.physics})"


def _why_not(task: str, asked: Simulators, deployed: Simulators) -> str:
    """Say why none of some simulators runs a task, and which one would."""
    tasks = known_tasks()
    in_3 = tasks.name_in("isaaclab-3", task)
    if "isaaclab-3" in asked and in_3 is not None and tasks.lacks_newton(in_3):
        reason = f"which has no physics for Newton in {SIMULATORS['isaaclab-3'].description}, where it is {in_3}"
    else:
        reason = f"which is not there in {' and '.join(SIMULATORS[one].description for one in asked)}"
    # The embedded simulator is no answer: it has a cart-pole for tests.
    of_nvidia: Simulators = ("isaaclab-3", "isaaclab-2")
    able = next((one for one in of_nvidia if tasks.name_in(one, task) and _has(one, task)), None)
    if able is None:
        return f"{reason}; no other simulator has it: give another task"
    has_it = f"the simulator {able} has it, as {tasks.name_in(able, task)}"
    if able in deployed:
        return f"{reason}; {has_it}: give trainingConfig.simulator {able}"
    return f"{reason}; {has_it}, but is not deployed here: add it to the setting simulators, or give another task"


def _check_options(training: WorkloadConfig, simulator: Simulator, deployed: Simulators) -> None:
    """Refuse what a simulator does not support.

    Raises:
        RequestError: Names what is supported, and a deployed simulator that supports it.
    """
    support = SIMULATORS[simulator]
    for override in training.hydra_overrides:
        if tree_of(override) in CHOICES and not support.has_presets:
            others = [one for one in deployed if SIMULATORS[one].has_presets]
            raise RequestError(
                f"trainingConfig.hydraOverrides has {override!r}, which is not there in {support.description}, "
                f"allowed: env.<key> and agent.<key>{_or_in(others)}"
            )
    library = training.library
    if library is not None and library not in support.libraries:
        others = [one for one in deployed if library in SIMULATORS[one].libraries]
        raise RequestError(
            f"trainingConfig.rlLibrary is {library!r}, which {support.description} does not support here, allowed: "
            f"{', '.join(supported_by([simulator]))}{_or_in(others)}"
        )


def _or_in(simulators: list[Simulator]) -> str:
    return f"; or give trainingConfig.simulator {' or '.join(simulators)}" if simulators else ""
