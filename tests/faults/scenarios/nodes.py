"""A training on two nodes: one of them is lost, fails, or never starts."""

from __future__ import annotations

from tests.faults.campaign import scenario
from tests.faults.plan import Act
from tests.faults.scenarios.jobs import ATTEMPTS
from tests.faults.scenarios.network import AILMENTS
from tests.faults.scenarios.simulators import free_later, small_disk
from tests.faults.trial import ITERATIONS, Expected, Trial, fails, succeeds

TWO_NODES = "two nodes"


def _start(trial: Trial, *acts: Act, **plan: object) -> None:
    trial.compute = {"numNodes": 2}
    trial.plan(*acts, **plan)
    trial.start()


@scenario(f"{TWO_NODES}: nothing", "", "train")
def two_nodes_train(trial: Trial) -> Expected:
    _start(trial)
    return succeeds(attempts=1)


@scenario(f"{TWO_NODES}: runner of the main node killed -9", "simulate", "train")
def main_node_is_killed(trial: Trial) -> Expected:
    _start(trial, Act("kill_runner", trial.moment(), attempts=(1,)))
    return succeeds(attempts=2)


@scenario(f"{TWO_NODES}: runner of the other node lost", "simulate", "train")
def other_node_is_lost(trial: Trial) -> Expected:
    how = trial.choose("kill_runner", "terminate_runner")
    _start(trial, Act(how, trial.moment(), attempts=(1,), rank=1))
    return succeeds(attempts=2)


@scenario(f"{TWO_NODES}: simulator of a node killed", "simulate", "train", weight=2)
def simulator_of_a_node_is_killed(trial: Trial) -> Expected:
    do, rank = trial.choose("kill_self", "crash", "raise_error"), trial.choose(0, 1)
    # Not among the last iterations: the other node may be done by then.
    _start(trial, Act(do, trial.random.randint(2, ITERATIONS // 2), attempts=(1,), rank=rank), pace_seconds=0.3)
    return succeeds(attempts=2)


@scenario(f"{TWO_NODES}: simulator of a node killed in every attempt", "simulate", "train")
def simulator_of_a_node_is_killed_in_every_attempt(trial: Trial) -> Expected:
    _start(trial, *(Act("raise_error", 2 + n, attempts=(n,), rank=1) for n in range(1, ATTEMPTS + 1)), pace_seconds=0.3)
    return fails("SimulationError", "InterruptedRunError", attempts=ATTEMPTS)


@scenario(f"{TWO_NODES}: one never begins", "start", "train")
def node_never_begins_at_first(trial: Trial) -> Expected:
    _start(trial, late_node_attempts=(1,))
    return succeeds(attempts=2)


@scenario(f"{TWO_NODES}: one never begins, in any attempt", "start", "train")
def node_never_begins(trial: Trial) -> Expected:
    _start(trial, late_node_attempts=(1, 2, 3))
    return fails("InterruptedRunError", attempts=ATTEMPTS)


@scenario(f"{TWO_NODES}: job terminated by hand", "simulate", "train")
def job_of_two_nodes_is_terminated(trial: Trial) -> Expected:
    _start(trial, pace_seconds=0.5)
    trial.wait_for_work()
    trial.terminate_job("somebody ends it")
    return fails("InterruptedRunError", "CancelledError", attempts=1)


@scenario(f"{TWO_NODES}: disk of EFS full for a while", "simulate", "train")
def disk_of_two_nodes_is_full_for_a_while(trial: Trial) -> Expected:
    disk = small_disk(trial)
    _start(trial, Act("fill_disk", trial.moment(), attempts=(1,), rank=trial.choose(0, 1)))
    free_later(trial, disk, trial.choose(0.0, 3.0, 7.0))
    return succeeds()


@scenario(f"{TWO_NODES}: S3 ill for a while", "simulate", "train")
def s3_ill_while_two_nodes_train(trial: Trial) -> Expected:
    trial.rule(trial.choose(*AILMENTS), "s3:*", source="job", seconds=trial.choose(2.0, 4.0), skip=trial.choose(0, 2))
    _start(trial)
    return succeeds(attempts=1)
