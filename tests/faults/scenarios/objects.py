"""Somebody else changes objects in S3."""

from __future__ import annotations

from tests.faults.actions import before
from tests.faults.campaign import scenario
from tests.faults.plan import Act
from tests.faults.trial import Expected, Trial, fails, succeeds

CHANGED = "S3 object changed after its upload"


@scenario(CHANGED, "report")
def output_is_cut_short_before_it_is_collected(trial: Trial) -> Expected:
    name = _victim(trial)
    trial.rule(before(lambda: _put(trial, name, b"cut")), "states:SendTaskSuccess", source="job", times=1)
    trial.start()
    return fails("ArtifactError", attempts=1, tampered=frozenset({name}), has_results=name != "results.json")


@scenario(CHANGED, "report")
def output_is_deleted_before_it_is_collected(trial: Trial) -> Expected:
    name = _victim(trial)
    trial.rule(before(lambda: _delete(trial, name)), "states:SendTaskSuccess", source="job", times=1)
    trial.start()
    return fails("ArtifactError", attempts=1, tampered=frozenset({name}), has_results=name != "results.json")


@scenario(CHANGED, "report, and the caller tries again")
def changed_output_is_mended_by_the_next_attempt(trial: Trial) -> Expected:
    trial.ask_like_vams()
    name = _victim(trial)
    action = before(lambda: _put(trial, name, b"cut"))
    trial.rule(action, "states:SendTaskSuccess", source="job", times=1)
    trial.start()
    return succeeds(callers_told=2)


@scenario(CHANGED, "simulate", "train")
def checkpoint_is_changed_while_training_goes_on(trial: Trial) -> Expected:
    trial.plan(pace_seconds=0.6)
    trial.start()
    trial.wait_for_work(5)
    trial.wait(lambda: _exists(trial, "checkpoints/model_0.pt"), "a checkpoint was uploaded")
    trial.now()
    _put(trial, "checkpoints/model_0.pt", b"cut")
    # We do not retry this: the files are on EFS, and in S3 again when the caller receives the failure.
    return fails("ArtifactError", attempts=1)


@scenario(CHANGED, "after a lost attempt", "train")
def checkpoint_is_changed_between_attempts(trial: Trial) -> Expected:
    trial.plan(Act("kill_runner", 8, attempts=(1,)), pace_seconds=0.6)
    trial.start()
    trial.wait(lambda: _exists(trial, "checkpoints/model_4.pt"), "a checkpoint was uploaded")
    trial.now()
    _put(trial, "checkpoints/model_4.pt", b"cut")
    # We do not retry this: the files are on EFS, and in S3 again when the caller receives the failure.
    return fails("ArtifactError", attempts=2)


def _victim(trial: Trial) -> str:
    names = ["metrics.csv", "results.json"]
    if trial.mode == "train":
        names += ["checkpoints/model_0.pt", "checkpoints/model_11.pt"]
    return str(trial.choose(*names))


def _put(trial: Trial, name: str, content: bytes) -> None:
    uri = trial.outputs / name
    trial.world.plane.s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=content)


def _delete(trial: Trial, name: str) -> None:
    uri = trial.outputs / name
    trial.world.plane.s3.delete_object(Bucket=uri.bucket, Key=uri.key)


def _exists(trial: Trial, name: str) -> bool:
    uri = trial.outputs / name
    return bool(trial.world.plane.s3.list_objects_v2(Bucket=uri.bucket, Prefix=uri.key).get("Contents"))
