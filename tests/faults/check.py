"""The checks after every fault."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import time
from collections.abc import Iterator

from botocore.exceptions import ClientError

from gaitway.contracts.artifacts import CHECKPOINTS, MANIFEST, RESULTS, Manifest, Results
from gaitway.contracts.run import RunState
from gaitway.libraries.checkpoints import is_whole
from tests.faults.trial import ITERATIONS, Expected, GaveUpError, Trial

_SETTLE_SECONDS = 45.0
"""Time for a job that is being stopped, which takes up to 30."""


def violations(trial: Trial, expected: Expected) -> list[str]:
    """List the violations."""
    # First: after the caller has its result, other processes may still be at work.
    found = list(_settled(trial))
    found += _told(trial, expected)
    found += _inner(trial, expected)
    found += _record(trial, expected)
    if not expected.callers_told:
        # No caller receives a result, so that no event shows when everything is saved.
        with contextlib.suppress(GaveUpError):
            trial.wait(lambda: not list(_outputs(trial, expected)), "everything was saved", _SETTLE_SECONDS)
    found += _outputs(trial, expected)
    return found


def unsealed(trial: Trial) -> list[str]:
    """List the files that were overwritten after a run's success: no process may do that, however late."""
    return [f"later, {violation}" for violation in _manifest(trial)]


def told_seconds(trial: Trial) -> float | None:
    """Return how long after the fault the caller's execution ended; None if the fault had no moment."""
    times = [*trial.fault_times, *(rule.first_at for rule in trial.rules if rule.first_at is not None)]
    times += [entry["at"] for entry in trial.ledger if entry["kind"] == "fault"]
    stopped = trial.caller().get("stopDate")
    if not times or stopped is None:
        return None
    return max(0.0, float(stopped.timestamp()) - max(times))


def _told(trial: Trial, expected: Expected) -> Iterator[str]:
    """The caller receives the right result, exactly once, and soon."""
    caller = trial.caller()
    status = "SUCCEEDED" if expected.succeeds else expected.status
    if caller["status"] != status:
        yield f"the caller's execution is {caller['status']}, not {status}: {_excerpt(caller)}"
    elif not expected.callers_told:
        pass  # it ended for its own reason
    elif not expected.succeeds and caller.get("error") not in expected.errors:
        yield f"the caller was told {caller.get('error')}, not {expected.text}: {_excerpt(caller)}"
    elif status == "FAILED" and not (caller.get("cause") or "").strip():
        yield f"the caller was told {caller.get('error')} without a cause"
    ends: dict[str, int] = {}
    for ended in trial.world.proxy.ended_tokens(trial.run_id):
        token = ended.call.token or ""
        if ":gaitway-pipeline:" not in base64.b64decode(token).decode():
            ends[token] = ends.get(token, 0) + 1
    if any(count > 1 for count in ends.values()):
        yield f"a caller's token was ended {max(ends.values())} times"
    if len(ends) != expected.callers_told:
        yield f"{len(ends)} tokens of callers were ended, not {expected.callers_told}"
    seconds = told_seconds(trial)
    if seconds is not None and seconds > expected.told_seconds:
        yield f"the caller was told after {seconds:.1f} s, and not within {expected.told_seconds:.0f} s"


def _settled(trial: Trial) -> Iterator[str]:
    """No process of the run is active any more."""

    def living_jobs() -> list[str]:
        living = [job.id for job in trial.jobs if not job.has_ended]
        record = trial.record
        told = trial.world.jobs.get(record.job_id) if record is not None and record.job_id is not None else None
        return living + ([f"{told.id}, as it is told"] if told is not None and not told.has_ended else [])

    def has_settled() -> bool:
        executions = trial.inner_executions()
        return all(found["status"] != "RUNNING" for found in executions) and not living_jobs() and not trial.processes()

    with contextlib.suppress(GaveUpError):
        trial.wait(has_settled, "everything had ended", _SETTLE_SECONDS, pause=0.5)
    if jobs := living_jobs():
        yield f"jobs go on: {', '.join(jobs)}"
    if processes := trial.processes():
        yield f"processes go on: {[process.pid for process in processes]}"


def _inner(trial: Trial, expected: Expected) -> Iterator[str]:
    """The inner executions have ended, and the last one with the run's result."""
    executions = trial.inner_executions()
    running = [found["name"] for found in executions if found["status"] == "RUNNING"]
    if running:
        yield f"inner executions go on: {running}"
    succeeded = [found["name"] for found in executions if found["status"] == "SUCCEEDED"]
    if expected.succeeds and len(succeeded) != 1:
        yield f"{len(succeeded)} of {len(executions)} inner executions succeeded, not 1"
    if not expected.succeeds and succeeded and not expected.inner_succeeds:
        yield f"inner executions succeeded: {succeeded}"


def _record(trial: Trial, expected: Expected) -> Iterator[str]:
    """The record describes the run as it was."""
    record = trial.record
    if record is None:
        if trial.inner_executions():
            yield "the run has no record"
        return
    state = RunState.SUCCEEDED if expected.succeeds else RunState.FAILED
    if record.state is not state:
        yield f"the record says {record.state.value}, not {state.value}"
        return
    if record.ended_at is None:
        yield "the record does not say when the run ended"
    elif abs(record.ended_at.timestamp() - time.time()) > 600:
        yield f"the record says that the run ended at {record.ended_at}"
    if expected.succeeds and record.failure is not None:
        yield f"the record of a success tells of {record.failure.error}"
    errors = _recorded(expected)
    if not expected.succeeds and (record.failure is None or record.failure.error not in errors):
        yield f"the record tells of {record.failure and record.failure.error}, not {' or '.join(sorted(errors))}"
    begun = sum(entry["kind"] == "runner" for entry in trial.ledger)
    if (record.attempts or 0) > begun:
        yield f"the record tells of {record.attempts} attempts, but there were {begun}"
    if expected.attempts is not None and begun != expected.attempts:
        yield f"there were {begun} attempts, not {expected.attempts}"
    if record.progress is not None and record.progress.done > record.progress.total:
        yield f"the record tells of {record.progress.done} of {record.progress.total}"
    jobs = [job.id for job in trial.jobs]
    if record.job_id is not None and record.job_id not in jobs:
        yield f"the record names job {record.job_id}, which is none of the run's"
    if len(jobs) > len(trial.inner_executions()):
        yield f"there were {len(jobs)} jobs for {len(trial.inner_executions())} inner executions: {jobs}"


def _outputs(trial: Trial, expected: Expected) -> Iterator[str]:
    """S3 has every checkpoint that was ever written, with unchanged content."""
    for name, content in _checkpoints(trial).items():
        if f"{CHECKPOINTS}{name}" in expected.tampered:
            continue
        stored = _read(trial, f"{CHECKPOINTS}{name}")
        if stored is None:
            yield f"{name} is not in S3"
        elif hashlib.sha256(stored).hexdigest() not in content:
            yield f"{name} in S3 is none that was written"
    if trial.record is None or trial.record.spec is None:
        return
    results = _read(trial, RESULTS)
    if results is None:
        if expected.has_results:
            yield f"there is no {RESULTS} in S3"
    else:
        told = Results.model_validate_json(results)
        if told.status != ("succeeded" if expected.succeeds else "failed"):
            yield f"{RESULTS} says {told.status}"
        elif told.failure is not None and told.failure.error not in _recorded(expected):
            yield f"{RESULTS} tells of {told.failure.error}, not {expected.text}"
        elif expected.succeeds and trial.mode == "train" and _iterations(told) != ITERATIONS:
            yield f"{RESULTS} tells of {_iterations(told)} iterations, not {ITERATIONS}"
    if expected.succeeds:
        yield from _manifest(trial)


def _iterations(results: Results) -> int | None:
    return results.training.iterations if results.training is not None else None


def _manifest(trial: Trial) -> Iterator[str]:
    text = _read(trial, MANIFEST)
    if text is None:
        yield "a run that succeeded has no manifest"
        return
    for entry in Manifest.model_validate_json(text).files:
        content = _read(trial, entry.path)
        if content is None or hashlib.sha256(content).hexdigest() != entry.sha256:
            yield f"{entry.path} is not what the manifest says"


def _checkpoints(trial: Trial) -> dict[str, set[str]]:
    """Return the digests of every checkpoint that was written whole, by name; several attempts may have written the
    same name."""
    found: dict[str, set[str]] = {}
    altered = {entry["name"] for entry in trial.ledger if entry["kind"] == "corrupted"}
    for entry in trial.ledger:
        if entry["kind"] == "checkpoint" and entry["name"] not in altered:
            found.setdefault(entry["name"], set()).add(entry["sha256"])
    directory = trial.world.directory_of(trial.run_id)
    for path in directory.glob("logs/**/model_*.pt") if directory is not None else ():
        if is_whole(path):
            found.setdefault(path.name, set()).add(hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def _read(trial: Trial, name: str) -> bytes | None:
    uri = trial.outputs / name
    try:
        body: bytes = trial.world.plane.s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None
        raise
    return body


def _recorded(expected: Expected) -> frozenset[str]:
    """Name the errors that the record may have."""
    return expected.record_errors or expected.errors


def _excerpt(execution: dict[str, object]) -> str:
    return json.dumps({name: str(execution.get(name))[:300] for name in ("error", "cause")})
