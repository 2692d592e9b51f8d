"""Checks are run in order, within a budget, and none stands in the way of one that does not need it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from gaitway.acceptance.check import Check, CheckFailedError, Effort, Findings, NotShownError
from gaitway.acceptance.checks import CHECKS
from gaitway.acceptance.page import render_acceptance, verdict
from gaitway.acceptance.plan import Planned, UnknownCheckError, plan
from gaitway.acceptance.prices import Prices
from gaitway.acceptance.record import AcceptanceRecord, CheckRecord, Status
from gaitway.acceptance.runner import Acceptance
from gaitway.client.runs import StartedRun
from gaitway.contracts.backends import Backend
from gaitway.contracts.model import S3Uri
from gaitway.instances.prices import LIST_PRICES

Run = Callable[[Any, Findings], None]
BACKENDS: tuple[Backend, ...] = ("batch",)
PRICES = Prices(("g6.2xlarge", "g5.2xlarge", "g6.12xlarge"), {})


class Runs:
    """The run table, of runs that cost what is said here."""

    def __init__(self, usd: float | None) -> None:
        self._usd = usd
        self.cancelled: list[str] = []

    def record(self, run_id: str) -> Any:
        cost = None if self._usd is None else SimpleNamespace(usd=self._usd)
        return SimpleNamespace(run_id=run_id, job_id="job", cost=cost, state=self._state(run_id))

    def found(self, run: StartedRun) -> Any:
        return SimpleNamespace(run_id=run.run_id, record=self.record(run.run_id))

    look_again = found

    def cancel(self, run: Any) -> None:
        self.cancelled.append(run.run_id)

    def _state(self, run_id: str) -> Any:
        return SimpleNamespace(ended=run_id in self.cancelled)


class Site:
    """A deployment of which only the runs are looked at."""

    def __init__(self, usd: float | None) -> None:
        self.runs = Runs(usd)
        self.started: list[StartedRun] = []
        self.progress = self
        self.is_embedded = True
        self.session = SimpleNamespace(region_name="eu-west-1")

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        yield

    def start(self, name: str) -> None:
        self.started.append(StartedRun(f"run-{name}", f"arn:{name}", S3Uri("bucket", f"{name}/")))


class Silent:
    """Nobody listens."""

    def begins(self, number: int, planned: Planned) -> None: ...

    def ended(self, number: int, check: CheckRecord) -> None: ...


def check(name: str, run: Run | None = None, *needs: str, **fields: Any) -> Check:
    def passes(site: Any, findings: Findings) -> None:
        site.start(name)
        findings.note("seen", name)

    effort = fields.pop("effort", Effort(minutes=10, machine_minutes=60))
    return Check(name=name, title=name.title(), effort=effort, leaves="files", run=run or passes, needs=needs, **fields)


def raises(error: BaseException) -> Run:
    def run(site: Any, findings: Findings) -> None:
        site.start("any")
        findings.note("seen before", "it went wrong")
        raise error

    return run


def accept(
    *checks: Check, budget: float | None = None, usd: float | None = 0.5, is_embedded: bool = False
) -> tuple[AcceptanceRecord, Site, list[AcceptanceRecord]]:
    """Run checks; return what came of them, and each record that was saved."""
    planned = plan(checks, (), PRICES, BACKENDS, is_embedded=is_embedded)
    record = AcceptanceRecord(
        place="AWS account of profile <robots> in eu-west-1",
        account="123456789012",
        region="eu-west-1",
        deployed_version=None,
        version="1",
        began_at=datetime.now(UTC),
        budget_usd=budget,
        estimated_usd=sum(one.estimated_usd for one in planned),
        cost_usd=0.0,
        checks=[],
    )
    site, saved = Site(usd), list[AcceptanceRecord]()
    runner: Any = Acceptance
    runner(site, planned, record, Silent(), (OSError,), lambda error: f"explained: {error}", saved.append).run()
    return saved[-1], site, saved


def outcomes(record: AcceptanceRecord) -> dict[str, str]:
    return {one.name: one.status.value for one in record.checks}


def reason(record: AcceptanceRecord, name: str) -> str:
    return next(one.reason or "" for one in record.checks if one.name == name)


def test_a_check_that_fails_stops_only_those_that_need_it() -> None:
    record, site, saved = accept(
        check("first", raises(CheckFailedError("it is broken"))),
        check("second", None, "first"),
        check("third", None, "second"),
        check("other"),
    )
    assert outcomes(record) == {"first": "failed", "second": "not run", "third": "not run", "other": "passed"}
    assert reason(record, "first") == "it is broken"
    assert record.checks[0].evidence[0].value == "it went wrong"
    assert reason(record, "second") == "needs first, which did not pass"
    # What it had started is paid for no longer, and there was a page after each check.
    assert site.runs.cancelled == ["run-any"]
    assert [len(one.checks) for one in saved] == [1, 2, 3, 4, 4]
    assert (verdict(record), record.has_passed) == ("failed", False)


def test_an_error_of_aws_fails_a_check_and_one_of_ours_is_not_hidden() -> None:
    record, _, _ = accept(check("first", raises(OSError("no network"))), check("second"))
    assert (reason(record, "first"), outcomes(record)["second"]) == ("explained: no network", "passed")
    with pytest.raises(ZeroDivisionError):
        accept(check("first", raises(ZeroDivisionError())))


def test_what_could_not_be_shown_is_no_success() -> None:
    record, _, _ = accept(check("first", raises(NotShownError("another instance"))))
    assert (outcomes(record), reason(record, "first")) == ({"first": "not run"}, "another instance")
    assert (verdict(record), record.has_passed) == ("incomplete", False)


def test_what_runs_cost_decides_whether_the_budget_suffices() -> None:
    each = LIST_PRICES["g6.2xlarge"]
    cheap, _, _ = accept(check("first"), check("second"), budget=1.5 * each, usd=0.1)
    assert outcomes(cheap) == {"first": "passed", "second": "passed"}
    assert cheap.cost_usd == pytest.approx(0.2)
    dear, _, _ = accept(check("first"), check("second"), check("free", effort=Effort(1)), budget=1.5 * each, usd=1.2)
    assert outcomes(dear) == {"first": "passed", "second": "not run", "free": "passed"}
    assert "would cost about 0.98 USD, and 0.27 USD are left of --budget" in reason(dear, "second")
    # Where no price is known, what was estimated counts.
    unknown, _, _ = accept(check("first"), check("second"), budget=1.5 * each, usd=None)
    assert outcomes(unknown)["second"] == "not run"


def test_an_interruption_cancels_what_runs_and_begins_nothing_more() -> None:
    record, site, _ = accept(check("first"), check("second", raises(KeyboardInterrupt())), check("third"))
    assert outcomes(record) == {"first": "passed", "second": "not run", "third": "not run"}
    assert site.runs.cancelled == ["run-any"]
    assert record.is_interrupted
    assert record.ended_at is not None


def test_what_makes_no_sense_here_fails_nothing() -> None:
    record, _, _ = accept(check("first", not_here="no GPU"), check("second"), is_embedded=True)
    assert outcomes(record) == {"first": "not here", "second": "passed"}
    assert (verdict(record), record.has_passed) == ("passed", True)


class TestPlan:
    def names(self, *only: str, backends: tuple[Backend, ...] = BACKENDS) -> list[str]:
        return [one.check.name for one in plan(CHECKS, only, PRICES, backends, is_embedded=False)]

    def test_what_a_check_needs_comes_with_it_and_before_it(self) -> None:
        assert self.names("evaluation") == ["training-rsl_rl", "evaluation"]

    def test_what_deletes_or_takes_many_gpus_runs_by_name_only(self) -> None:
        assert {"teardown", "two-nodes-efa"}.isdisjoint(self.names())
        assert self.names("teardown") == ["teardown"]

    def test_each_back_end_of_the_deployment_has_a_check(self) -> None:
        further = get_args(Backend)[1:]
        assert set(further).isdisjoint(self.names(backends=("batch",)))
        assert set(further) <= set(self.names(backends=get_args(Backend)))

    def test_a_back_end_that_is_not_deployed_is_told_where_it_was_asked_for(self) -> None:
        [planned] = plan(CHECKS, ["hyperpod-eks"], PRICES, BACKENDS, is_embedded=False)
        assert planned.not_here == "the deployment's setting `backends` has no hyperpod-eks"
        assert planned.estimated_usd == 0

    def test_a_training_on_a_further_back_end_costs_what_its_machine_costs(self) -> None:
        prices = Prices((), {"ml.g6.2xlarge": 3.0}, {"sagemaker": "ml.g6.2xlarge"})
        assert prices.usd(Effort(minutes=60, machine_minutes=30, backend="sagemaker")) == 1.5
        # Nobody knows what a cluster's nodes are; they are paid for in any case.
        assert prices.usd(Effort(minutes=60, machine_minutes=30, backend="hyperpod-slurm")) == 0

    def test_a_wrong_name_is_told_with_those_that_there_are(self) -> None:
        with pytest.raises(UnknownCheckError, match=r"'trainin', allowed: image, training-rsl_rl"):
            self.names("trainin")

    def test_each_check_needs_what_runs_before_it(self) -> None:
        before: set[str] = set()
        for one in CHECKS:
            assert set(one.needs) <= before, one.name
            before.add(one.name)
        assert len(before) == len(CHECKS)

    def test_nodes_and_gpus_are_paid_for_at_the_cheapest_price_that_fits(self) -> None:
        one, four = Effort(30, 60, nodes=2), Effort(30, 60, nodes=2, gpus=4)
        assert PRICES.usd(one) == pytest.approx(2 * LIST_PRICES["g6.2xlarge"])
        assert PRICES.usd(four) == pytest.approx(2 * LIST_PRICES["g6.12xlarge"])
        assert Prices(PRICES.instance_types, {"g6.2xlarge": 0.5}).usd(one) == pytest.approx(1.0)
        assert Prices(("local",), {}).usd(four) == 0


def test_a_page_shows_every_check_and_nothing_of_it_is_taken_for_html(tmp_path: Path) -> None:
    def quotes(site: Any, findings: Findings) -> None:
        findings.note("<b>label</b>", "value", "https://eu-west-1.console.aws.amazon.com/any")
        findings.quote("the log", ["<script>alert(1)</script>"])
        raise CheckFailedError("<img src=x>")

    record, _, _ = accept(check("first"), check("second", quotes), check("third", None, "second"))
    page = render_acceptance(record)
    for one in record.checks:
        assert f'id="check-{one.name}"' in page
    assert "<script>alert" not in page
    assert "&lt;img src=x&gt;" in page
    assert "profile &lt;robots&gt;" in page
    assert 'href="https://eu-west-1.console.aws.amazon.com/any"' in page
    assert AcceptanceRecord.model_validate_json(record.model_dump_json(by_alias=True)) == record
    assert record.model_dump(by_alias=True)["schemaVersion"] == 1
    assert record.count(Status.FAILED) == 1
