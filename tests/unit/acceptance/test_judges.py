"""What each check decides, given what it saw: nothing to complain of, or what is wrong."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from gaitway.acceptance.check import NotShownError
from gaitway.acceptance.checks.alarm import judge_alarm
from gaitway.acceptance.checks.backends import judge_continuation
from gaitway.acceptance.checks.dashboard import Graph, Looked, Series, graphs_of, judge_dashboard, look
from gaitway.acceptance.checks.denials import Denial, denials, judge_denials
from gaitway.acceptance.checks.evaluation import judge_evaluation
from gaitway.acceptance.checks.image import judge_image
from gaitway.acceptance.checks.interruption import judge_interruption
from gaitway.acceptance.checks.memory import judge_memory
from gaitway.acceptance.checks.nodes import judge_nodes
from gaitway.acceptance.checks.queries import judge_fields, judge_result
from gaitway.acceptance.checks.second_start import Start, judge_second_start
from gaitway.acceptance.checks.stop import judge_stop
from gaitway.acceptance.checks.teardown import judge_leftovers
from gaitway.acceptance.checks.training import judge_training
from gaitway.contracts.errors import Failure
from tests.unit.acceptance.evidence import EVALUATED, TRAINED, attempt, evaluation, manifest, training


def says(problem: str | None, *words: str) -> bool:
    return problem is not None and all(some in problem for some in words)


class TestTraining:
    def test_one_that_left_everything_passes(self) -> None:
        assert judge_training(training(), manifest(*TRAINED), 50) is None

    def test_one_that_did_less_fails(self) -> None:
        assert says(judge_training(training(49), manifest(*TRAINED), 50), "49 iterations")

    @pytest.mark.parametrize("file", TRAINED)
    def test_a_file_that_is_missing_fails_it(self, file: str) -> None:
        left = [path for path in TRAINED if path != file]
        assert says(judge_training(training(), manifest(*left), 50), file)

    def test_one_that_logged_no_speed_fails(self) -> None:
        problem = judge_training(training(50, steps_per_second=None), manifest(*TRAINED), 50)
        assert says(problem, "no steps per second")


class TestEvaluation:
    def test_one_with_a_video_passes(self) -> None:
        assert judge_evaluation(evaluation(), manifest(*EVALUATED), 50) is None

    def test_without_a_video_it_fails_and_with_an_empty_one_too(self) -> None:
        assert says(judge_evaluation(evaluation(), manifest("metrics.csv"), 50), "video")
        assert says(judge_evaluation(evaluation(), manifest(*EVALUATED, size=0), 50), "video")

    def test_with_too_few_episodes_it_fails(self) -> None:
        assert says(judge_evaluation(evaluation(3), manifest(*EVALUATED), 50), "3 episodes")

    def test_without_figures_it_fails(self) -> None:
        assert says(judge_evaluation(training(), manifest(*EVALUATED), 50), "no figures")


class TestSecondStart:
    FIRST = Start(seconds=700.0, pull_seconds=300.0, instance="instance/1")

    def test_a_faster_one_on_the_same_instance_passes(self) -> None:
        second = Start(60.0, 0.5, "instance/1")
        assert judge_second_start(self.FIRST, second, is_embedded=False) is None

    def test_one_that_is_not_faster_fails(self) -> None:
        second = Start(700.0, 0.5, "instance/1")
        assert says(judge_second_start(self.FIRST, second, is_embedded=False), "took 700 s")

    def test_nothing_is_shown_by_another_instance_or_a_first_start_without_a_pull(self) -> None:
        with pytest.raises(NotShownError, match="another instance"):
            judge_second_start(self.FIRST, Start(60.0, 200.0, "instance/2"), is_embedded=False)
        with pytest.raises(NotShownError, match="already had the image"):
            judge_second_start(replace(self.FIRST, pull_seconds=1.0), Start(60.0, 1.0, "instance/1"), is_embedded=False)

    def test_on_the_embedded_aws_it_may_not_be_much_slower(self) -> None:
        first = Start(10.0, None, None)
        assert judge_second_start(first, Start(25.0, None, None), is_embedded=True) is None
        assert says(judge_second_start(first, Start(31.0, None, None), is_embedded=True), "took 31 s")


class TestMemory:
    JOB: dict[str, Any] = {"container": {"resourceRequirements": [{"type": "MEMORY", "value": "28672"}]}}  # noqa: RUF012

    def test_a_job_on_the_smallest_instance_passes(self) -> None:
        assert judge_memory(self.JOB, "g6.2xlarge") is None

    def test_a_larger_instance_or_one_that_is_not_known_shows_nothing(self) -> None:
        with pytest.raises(NotShownError, match="64 GiB"):
            judge_memory(self.JOB, "g6.4xlarge")
        with pytest.raises(NotShownError, match="not say"):
            judge_memory(self.JOB, "not known")

    def test_a_job_that_asks_for_nothing_or_too_much_fails(self) -> None:
        assert says(judge_memory({"container": {}}, "g6.2xlarge"), "requests no memory")
        job = {"container": {"resourceRequirements": [{"type": "MEMORY", "value": "40000"}]}}
        assert says(judge_memory(job, "g6.2xlarge"), "40000 MiB")


class TestInterruption:
    def test_one_that_went_on_passes(self) -> None:
        assert judge_interruption(training(400, attempt(1), attempt(2, resumed_from=100)), 400) is None

    def test_one_that_was_not_reached_fails(self) -> None:
        assert says(judge_interruption(training(400, attempt(1)), 400), "first attempt")

    def test_one_that_began_anew_fails(self) -> None:
        assert says(judge_interruption(training(400, attempt(1), attempt(2)), 400), "started from the beginning")

    def test_one_that_did_less_fails(self) -> None:
        problem = judge_interruption(training(300, attempt(1), attempt(2, resumed_from=100)), 400)
        assert says(problem, "300 iterations")


class TestStop:
    STOPPED = Failure(error="InterruptedRunError", cause="its job was asked to stop", retryable=True)
    FILES = ("checkpoints/model_100.pt", "results.json")

    def test_a_caller_that_was_told_in_time_passes(self) -> None:
        assert judge_stop(self.STOPPED, 20.0, [*self.FILES]) is None

    def test_a_success_another_error_or_a_late_word_fails(self) -> None:
        assert says(judge_stop(None, 20.0, [*self.FILES]), "a success")
        other = Failure(error="SimulationError", cause="any", retryable=True)
        assert says(judge_stop(other, 20.0, [*self.FILES]), "SimulationError")
        assert says(judge_stop(self.STOPPED, 200.0, [*self.FILES]), "after 200 s")

    def test_what_was_not_kept_fails(self) -> None:
        assert says(judge_stop(self.STOPPED, 20.0, ["results.json"]), "no checkpoint")
        assert says(judge_stop(self.STOPPED, 20.0, ["checkpoints/model_1.pt"]), "results.json")


class TestNodes:
    JOB: dict[str, Any] = {"nodeProperties": {"numNodes": 2}}  # noqa: RUF012
    GOOD: dict[str, Any] = {"status": "SUCCEEDED", "container": {"exitCode": 0}}  # noqa: RUF012
    SOCKET = re.compile("NET/Socket")

    def test_two_nodes_that_ended_well_pass(self) -> None:
        log = ["a: NCCL INFO NET/Socket : Using eth0"]
        assert judge_nodes(self.JOB, [self.GOOD, self.GOOD], log, self.SOCKET) is None

    def test_a_job_of_one_node_fails(self) -> None:
        assert says(judge_nodes({}, [self.GOOD], [], None), "no nodes")

    def test_a_node_that_failed_fails(self) -> None:
        bad = {"status": "FAILED", "container": {"exitCode": 1}, "statusReason": "lost"}
        assert says(judge_nodes(self.JOB, [self.GOOD, bad], [], None), "node 1 ended as FAILED with exit code 1: lost")

    def test_another_transport_fails(self) -> None:
        problem = judge_nodes(self.JOB, [self.GOOD] * 2, ["NET/IB : mlx5"], self.SOCKET)
        assert says(problem, "NET/IB")


class TestContinuation:
    def test_a_run_that_goes_on_to_its_total_passes(self) -> None:
        assert judge_continuation(training(50, attempt(1, resumed_from=20)), 50) is None

    def test_a_run_that_begins_anew_fails(self) -> None:
        assert says(judge_continuation(training(50, attempt(1)), 50), "from the beginning")
        assert says(judge_continuation(training(50), 50), "from the beginning")

    def test_a_run_that_trains_on_from_its_checkpoint_by_the_whole_number_fails(self) -> None:
        problem = judge_continuation(training(70, attempt(1, resumed_from=20)), 50)
        assert says(problem, "70 iterations were trained in total, and 50 were requested")


def event(role: str, code: str | None) -> dict[str, Any]:
    described = {
        "eventSource": "batch.amazonaws.com",
        "eventName": "SubmitJob",
        "userIdentity": {"sessionContext": {"sessionIssuer": {"userName": role}}},
    }
    return described | ({"errorCode": code, "errorMessage": "not authorized"} if code else {})


class TestDeniedCalls:
    @pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation"])
    def test_a_call_that_was_denied_to_our_role_fails(self, code: str) -> None:
        found = denials([event("ours", code), event("ours", None)], ["ours"])
        assert found == [Denial("ours", "batch.amazonaws.com SubmitJob", "not authorized")]
        assert says(judge_denials(found, []), "ours called batch.amazonaws.com SubmitJob: not authorized")

    def test_other_errors_and_the_roles_of_others_do_not_count(self) -> None:
        events = [event("theirs", "AccessDenied"), event("ours", "ThrottlingException"), {"eventName": "any"}]
        assert denials(events, ["ours"]) == []
        assert judge_denials([], []) is None

    def test_a_log_line_fails(self) -> None:
        assert says(judge_denials([], ["AccessDenied when calling PutMetricData"]), "PutMetricData")


class TestDashboard:
    STEPS = Series("Gaitway", "StepsPerSecond", searched="RunId")
    FAILURES = Series("Gaitway", "Failures", searched="Error")
    LOST = Series("AWS/Events", "FailedInvocations", (("RuleName", "any"),))

    def state(
        self, *series: Series, values: bool = False, is_embedded: bool = False, a_run_failed: bool = False
    ) -> str:
        graph = Graph("any", series)
        return look(graph, lambda _: values, is_embedded=is_embedded, a_run_failed=a_run_failed).state

    def test_a_graph_without_values_is_empty_and_fails(self) -> None:
        assert self.state(self.STEPS, values=True) == "has values"
        assert self.state(self.STEPS) == "empty"
        problem = judge_dashboard([Looked(Graph("Steps", (self.STEPS,)), "empty")])
        assert says(problem, "'Steps' (Gaitway StepsPerSecond)")

    def test_one_of_what_went_wrong_is_quiet_where_nothing_did(self) -> None:
        assert self.state(self.LOST) == "quiet"
        assert self.state(self.FAILURES) == "quiet"
        assert self.state(self.FAILURES, a_run_failed=True) == "empty"

    def test_one_of_aws_is_not_looked_at_on_the_embedded_aws(self) -> None:
        assert self.state(self.LOST, is_embedded=True) == "not here"
        assert self.state(Series("Gaitway", "GpuUtilization", searched="RunId"), is_embedded=True) == "not here"
        assert self.state(self.STEPS, is_embedded=True) == "empty"

    def test_a_dashboard_without_graphs_fails(self) -> None:
        assert says(judge_dashboard([]), "no graph")

    def test_graphs_are_read_with_their_searches_and_dimensions(self) -> None:
        search = (
            "SEARCH('{\"ECS/ContainerInsights\",ClusterName} MetricName=\"Count\" AND ClusterName=Batch', 'Average')"
        )
        metrics = [
            [{"expression": search}],
            [{"expression": "a/PERIOD(a)"}],
            ["AWS/EFS", "DataReadIOBytes", "FileSystemId", "fs-1", {"id": "a", "visible": False}],
        ]
        widgets = [
            {"type": "text", "properties": {"markdown": "any"}},
            {"type": "metric", "properties": {"title": "All", "metrics": metrics}},
        ]
        [graph] = graphs_of(json.dumps({"widgets": widgets}))
        assert graph.series == (
            Series("ECS/ContainerInsights", "Count", searched="ClusterName"),
            Series("AWS/EFS", "DataReadIOBytes", (("FileSystemId", "fs-1"),)),
        )


class TestAlarm:
    def test_what_arrived_passes(self) -> None:
        messages = [{"AlarmName": "a", "NewStateValue": "OK"}, {"AlarmName": "a", "NewStateValue": "ALARM"}]
        assert judge_alarm(messages, "a") is None

    def test_nothing_or_what_is_no_alarm_fails(self) -> None:
        assert says(judge_alarm([], "a"), "received nothing")
        assert says(judge_alarm([{"AlarmName": "b", "NewStateValue": "ALARM"}], "a"), "received nothing")
        assert says(judge_alarm([{"AlarmName": "a", "NewStateValue": "OK"}], "a"), "does not say ALARM")


class TestQueries:
    def test_one_that_finds_its_run_passes(self) -> None:
        assert judge_result("story", "filter @message like /{{run_id}}/", "Complete", 3) is None
        assert judge_result("errors", "filter level = 'ERROR'", "Complete", 0) is None

    def test_one_that_fails_or_finds_nothing_of_a_run_fails(self) -> None:
        assert says(judge_result("errors", "any", "Failed", 0), "ended as Failed")
        assert says(judge_result("story", "filter @message like /{{run_id}}/", "Complete", 0), "found nothing")

    def test_one_that_reads_what_no_line_has_fails(self) -> None:
        assert judge_fields("errors", "fields level | filter run_id = 'a'", {"level", "run_id"}) is None
        assert says(judge_fields("errors", "fields level, gone", {"level"}), "gone")


class TestImage:
    DEPLOY = "cdk deploy --all -c deploymentName=dev"
    IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/gaitway@sha256:abc"

    def test_one_that_is_there_passes(self) -> None:
        assert judge_image({self.IMAGE: True}, self.DEPLOY) is None

    def test_one_that_is_gone_or_has_no_digest_fails(self) -> None:
        assert says(judge_image({self.IMAGE: False}, self.DEPLOY), "does not exist", self.DEPLOY)
        assert says(judge_image({self.IMAGE.replace("@sha256:abc", ":latest"): True}, self.DEPLOY), "by a tag")
        assert says(judge_image({}, self.DEPLOY), "no job definition", self.DEPLOY)

    def test_one_of_another_registry_shows_nothing(self) -> None:
        with pytest.raises(NotShownError, match="not in ECR"):
            judge_image({"nvcr.io/nvidia/isaac-lab:2.3.2": False}, self.DEPLOY)


class TestTeardown:
    def test_what_holds_data_and_what_leaves_later_may_stay(self) -> None:
        arns = [
            "arn:aws:s3:::bucket",
            "arn:aws:elasticfilesystem:eu-west-1:1:file-system/fs-1",
            "arn:aws:kms:eu-west-1:1:key/any",
            "arn:aws:ec2:eu-west-1:1:network-interface/eni-1",
        ]
        assert judge_leftovers(arns) is None

    def test_anything_else_fails(self) -> None:
        assert says(judge_leftovers(["arn:aws:ec2:eu-west-1:1:natgateway/nat-1"]), "nat-1")
