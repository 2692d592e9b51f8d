"""Dashboard, alarms and saved queries: they name what exists, and tell whom they should."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from bench.idle_cost import read
from gaitway.contracts.backends import Backend
from gaitway.contracts.metrics import METRICS
from gaitway.local import eks
from gaitway.names import DEFAULT_NAMES
from gaitway.settings import load_settings
from tests.infra.conftest import Synthesise
from tests.infra.documented_metrics import DOCUMENTED
from tests.infra.named_metrics import NamedMetric, metric_of, metrics_of, parse_search, widgets
from tests.infra.templates import ROOT, Resource, Synthesis

CLUSTERS = ("hyperpod-eks", "hyperpod-slurm")
NAMESPACE = DEFAULT_NAMES.metrics_namespace

OURS = {
    NamedMetric(NAMESPACE, metric.name, frozenset({metric.dimension} if metric.dimension else ())) for metric in METRICS
}
AWSS = {NamedMetric(one.namespace, name, one.dimensions) for one in DOCUMENTED for name in one.names}
PAGE = (ROOT / "docs" / "dashboard.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def all_backends(synthesise: Synthesise) -> Synthesis:
    """A deployment with every back end, which has every alarm."""
    backends = ",".join(get_args(Backend))
    return synthesise(load_settings({"acceptNvidiaEula": "true", "backends": backends} | eks.SETTINGS, ROOT))


def alarms(aws: Synthesis) -> list[Resource]:
    return aws.resources("AWS::CloudWatch::Alarm")


def alarm(aws: Synthesis, name: str) -> dict[str, Any]:
    (found,) = [one.properties for one in alarms(aws) if one.properties["AlarmName"] == f"gaitway-{name}"]
    return found


def test_every_widget_draws_metrics_that_we_publish_or_aws_documents(aws: Synthesis) -> None:
    drawn = {metric for widget in widgets(aws) for metric in metrics_of(widget)}
    assert drawn - OURS - AWSS == set()
    # And no metric of ours is published for nobody.
    assert drawn >= OURS


def test_every_alarm_looks_at_a_metric_that_we_publish_or_aws_documents(all_backends: Synthesis) -> None:
    assert {metric_of(one) for one in alarms(all_backends)} - OURS - AWSS == set()


def test_the_table_of_documented_metrics_holds_none_that_is_not_used(all_backends: Synthesis) -> None:
    drawn = {metric for widget in widgets(all_backends) for metric in metrics_of(widget)}
    assert drawn | {metric_of(one) for one in alarms(all_backends)} >= AWSS


def test_each_back_end_has_its_alarms_where_it_is_deployed(aws: Synthesis, all_backends: Synthesis) -> None:
    further = {one.properties["AlarmName"] for one in alarms(all_backends)}
    further -= {one.properties["AlarmName"] for one in alarms(aws)}
    assert {name for name in further if "-rule-" not in name} == {
        "gaitway-failed-trainings",
        *(f"gaitway-{what}-{name}" for what in ("agent-away", "refused-orders") for name in CLUSTERS),
    }
    for name in CLUSTERS:
        orders = all_backends.resource("AWS::SQS::Queue", f"{name.title().replace('-', '')}/Orders").properties
        refused = all_backends.resource("AWS::SQS::Queue", f"{name.title().replace('-', '')}/Refused").properties
        for what, queue in (("agent-away", orders), ("refused-orders", refused)):
            [dimension] = alarm(all_backends, f"{what}-{name}")["Dimensions"]
            assert dimension == {"Name": "QueueName", "Value": queue["QueueName"]}
    rule = all_backends.resource("AWS::Events::Rule", "Watchers/TrainingFailed")
    assert rule.properties["EventPattern"]["detail"]["status"] == ["FAILED"]
    [dimension] = alarm(all_backends, "failed-trainings")["Dimensions"]
    assert all_backends.text("GaitwayPipeline", dimension["Value"]) == f"<{rule.name}>"


def test_a_file_system_without_burst_credits_is_looked_at_without_them(aws: Synthesis) -> None:
    assert aws.resource("AWS::EFS::FileSystem").properties["ThroughputMode"] == "elastic"
    assert "BurstCreditBalance" not in {metric.name for metric in AWSS}


@pytest.mark.parametrize(
    "expression",
    [
        "SEARCH('{Gaitway,RunId} StepsPerSecond', 'Average')",
        "SEARCH('{Gaitway,RunId} MetricName=\"StepsPerSecond\"', 'Mean')",
        "SEARCH('{Gaitway,RunId MetricName=\"StepsPerSecond\"', 'Average')",
        "SEARCH('{Gaitway RunId} MetricName=\"StepsPerSecond\"', 'Average')",
        "SEARCH('{Gaitway,RunId} MetricName=\"StepsPerSecond\" AND Other=x', 'Average')",
    ],
)
def test_an_expression_that_cloudwatch_would_refuse_is_seen(expression: str) -> None:
    with pytest.raises(ValueError, match="no "):
        parse_search(expression)


def test_every_graph_says_what_it_shows_and_in_which_unit(aws: Synthesis) -> None:
    graphs = [widget["properties"] for widget in widgets(aws)]
    titles = [graph["title"] for graph in graphs]
    assert len(set(titles)) == len(titles)
    for graph in graphs:
        sides = {"right" for entry in graph["metrics"] if entry[-1].get("yAxis") == "right"} | {"left"}
        for side in sides:
            assert graph["yAxis"][side]["label"], graph["title"]


def test_what_is_wrong_comes_first_and_money_last(aws: Synthesis) -> None:
    texts = sorted(widgets(aws, "text"), key=lambda widget: (widget["y"], widget["x"]))
    headings = [found[1] for text in texts if (found := re.match(r"## (.+)", text["properties"]["markdown"]))]
    assert headings == ["What is wrong now", "What runs", "Machines", "Money"]
    (status,) = widgets(aws, "alarm")
    assert len(status["properties"]["alarms"]) == len(alarms(aws))


def test_the_links_lead_to_the_logs_of_everything_that_runs(aws: Synthesis) -> None:
    links = widgets(aws, "text")[0]["properties"]["markdown"]
    for function in aws.resources("AWS::Lambda::Function"):
        if function.stack == "GaitwayPipeline":
            assert f"log-group/$252Fgaitway$252F{function.properties['FunctionName']})" in links
    assert "log-group/$252Fgaitway$252Fjob)" in links
    for machine in aws.resources("AWS::StepFunctions::StateMachine"):
        assert f"statemachines/view/<{machine.name}>)" in links


def test_every_alarm_says_what_it_means_and_the_page_says_more(all_backends: Synthesis) -> None:
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)}
    for one in alarms(all_backends):
        said, _, page = one.properties["AlarmDescription"].rpartition("\n")
        assert len(said) > 80, one.name
        assert page.removeprefix("docs/dashboard.md#") in headings, page


def test_every_alarm_tells_the_topic(aws: Synthesis) -> None:
    topic = f"<{aws.resource('AWS::SNS::Topic').name}>"
    for one in alarms(aws):
        assert [aws.text(one.stack, action) for action in one.properties["AlarmActions"]] == [topic], one.name
        assert one.properties["TreatMissingData"] in ("breaching", "notBreaching", "ignore")


def test_errors_and_throttles_of_every_function_are_noticed(aws: Synthesis) -> None:
    functions = {
        f"<{function.name}>"
        for function in aws.resources("AWS::Lambda::Function")
        if function.stack == "GaitwayPipeline"
    }
    for metric in ("Errors", "Throttles"):
        watched = {
            aws.text(one.stack, one.properties["Dimensions"][0]["Value"])
            for one in alarms(aws)
            if one.properties["MetricName"] == metric
        }
        assert watched == functions


def test_every_rule_that_cannot_call_its_function_is_noticed(aws: Synthesis) -> None:
    watched = {
        aws.text(one.stack, one.properties["Dimensions"][0]["Value"])
        for one in alarms(aws)
        if one.properties["Namespace"] == "AWS/Events"
    }
    assert watched == {f"<{rule.name}>" for rule in aws.resources("AWS::Events::Rule")}


def test_a_heartbeat_function_that_is_not_called_is_noticed_by_its_silence(aws: Synthesis) -> None:
    missing = alarm(aws, "heartbeat-missing")
    assert (missing["MetricName"], missing["ComparisonOperator"]) == ("Invocations", "LessThanThreshold")
    assert missing["TreatMissingData"] == "breaching"
    # Queued runs end after 25 minutes without it.
    assert missing["Period"] * missing["EvaluationPeriods"] < 25 * 60


def test_what_alarms_say_is_encrypted_with_a_key_that_they_may_use(aws: Synthesis) -> None:
    topic, key = aws.resource("AWS::SNS::Topic"), aws.resource("AWS::KMS::Key")
    assert aws.text(topic.stack, topic.properties["KmsMasterKeyId"]) == f"<{key.name}.Arn>"
    assert key.properties["EnableKeyRotation"]
    policies = [key.properties["KeyPolicy"], aws.resource("AWS::SNS::TopicPolicy").properties["PolicyDocument"]]
    used, published = (
        {
            action: statement["Condition"].keys()
            for statement in policy["Statement"]
            if statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
            for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        }
        for policy in policies
    )
    ours = {"StringEquals", "ArnLike"}
    assert used == {"kms:Decrypt": ours, "kms:GenerateDataKey*": ours}
    assert published == {"sns:Publish": ours}


def test_a_saved_query_searches_groups_that_exist(aws: Synthesis) -> None:
    groups = {
        group.properties.get("LogGroupName", group.name): f"<{group.name}>"
        for group in aws.resources("AWS::Logs::LogGroup")
    }
    queries = aws.resources("AWS::Logs::QueryDefinition")
    assert len(queries) >= 5
    for query in queries:
        searched = {aws.text(query.stack, group) for group in query.properties["LogGroupNames"]}
        assert searched <= {*groups, *groups.values()}, query.name
        named = {parameter["Name"] for parameter in query.properties.get("Parameters", [])}
        assert set(re.findall(r"\{\{(\w+)\}\}", query.properties["QueryString"])) == named
        assert f"`{query.properties['Name']}`" in PAGE


def test_as_many_alarms_are_paid_for_as_there_are(aws: Synthesis) -> None:
    (line,) = [line for line in read("idle") if line.unit == "alarms"]
    assert line.quantity == len(alarms(aws)), "write that into docs/prices.json, and run `python -m bench.idle_cost`"


def test_the_page_explains_every_graph(aws: Synthesis) -> None:
    for widget in widgets(aws):
        assert widget["properties"]["title"] in PAGE
