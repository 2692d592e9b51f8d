"""The functions and machines as they are deployed."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gaitway.compute.targets import TargetVariables
from gaitway.libraries.simulators import SIMULATORS
from gaitway.settings import load_settings
from lambdas.environment import Environment
from tests.infra.conftest import Synthesise
from tests.infra.templates import ROOT, Resource, Synthesis, batch_arn, containers

REFERENCES = {
    "GAITWAY_ASSET_BUCKET": "<AssetBucket/Assets>",
    "GAITWAY_HANDLE_FAILURE_FUNCTION": "<HandleFailure/Function.Arn>",
    "GAITWAY_PIPELINE_ARN": "<Pipeline/Machine>",
    "GAITWAY_RUN_TABLE": "<RunTable/Runs>",
}
"""Which of the variables of functions name a resource, and which one."""
BROUGHT_BY_LAMBDA = {"boto3", "botocore"}
OF_THE_JOB = ("gaitway/workloads/event_files.py", "gaitway/workloads/metrics.py")
"""What workloads import only while they read a run's figures, which functions do not."""


@pytest.fixture(scope="session")
def code(aws: Synthesis) -> Path:
    """The functions' code as it is uploaded."""
    (directory,) = [path.parent for path in aws.directory.glob("asset.*/lambdas")]
    return directory


@pytest.fixture(scope="session")
def libraries(aws: Synthesis) -> Path:
    """The layer as it is uploaded."""
    (directory,) = aws.directory.glob("asset.*/python")
    return directory


def test_what_other_tools_look_for_is_an_output(aws: Synthesis) -> None:
    assert aws.outputs() == {
        "AssetBucketName": "GaitwayStorage",
        "GaitwayVersion": "GaitwayPipeline",
        "JobQueueArns": "GaitwayCompute",
        "LaunchFunctionName": "GaitwayPipeline",
        "PipelineArn": "GaitwayPipeline",
        "RunTableName": "GaitwayStorage",
        "WorkflowArn": "GaitwayPipeline",
    }


def functions(aws: Synthesis) -> dict[str, tuple[type[Environment], dict[str, str]]]:
    """The pipeline's functions by name: the model of the variables that each reads, and those that it is given."""
    found = {}
    for function in aws.resources("AWS::Lambda::Function"):
        if function.stack != "GaitwayPipeline":
            continue
        handler = importlib.import_module(function.properties["Handler"].rpartition(".")[0])
        models = [one for one in vars(handler).values() if isinstance(one, type) and issubclass(one, Environment)]
        # One that a module defines goes before those that it is made of.
        models.sort(key=lambda model: len(model.__mro__))
        variables = function.properties["Environment"]["Variables"]
        found[function.properties["FunctionName"]] = (
            models[-1],
            {name: aws.text(function.stack, value) for name, value in variables.items()},
        )
    return found


def test_every_function_is_given_the_variables_that_it_reads_and_no_others(aws: Synthesis) -> None:
    assert functions(aws)
    for name, (model, given) in functions(aws).items():
        read = {field.alias for field in model.model_fields.values()}
        assert given.keys() - {"POWERTOOLS_SERVICE_NAME"} <= read, name
        # Refuses what is missing or has another form.
        model.model_validate(given)


def test_what_a_functions_variables_refer_to_is_ours(aws: Synthesis) -> None:
    given = [variables for _, variables in functions(aws).values()]
    references = {(name, value) for one in given for name, value in one.items() if value.startswith("<")}
    assert references == set(REFERENCES.items())


def test_jobs_are_submitted_and_looked_for_in_the_queues_that_there_are(aws: Synthesis) -> None:
    queues = [queue.properties["JobQueueName"] for queue in aws.resources("AWS::Batch::JobQueue")]
    submits, looks = functions(aws)["gaitway-submit-job"][1], functions(aws)["gaitway-heartbeat"][1]
    used = [json.loads(submits[f"GAITWAY_{kind}JOB_QUEUES"]).values() for kind in ("", "MULTI_NODE_")]
    assert sorted(name for names in used for name in names) == sorted(queues)
    assert sorted(json.loads(looks["GAITWAY_JOB_QUEUES"])) == sorted(batch_arn("job-queue", name) for name in queues)


def test_the_functions_read_the_sizes_of_jobs_as_the_settings_have_them(aws: Synthesis) -> None:
    settings = load_settings({"acceptNvidiaEula": "true"}, ROOT)
    environment = TargetVariables.of(functions(aws)["gaitway-submit-job"][1])
    assert {number: size.model_dump() for number, size in environment.job_sizes.items()} == {
        number: size._asdict() for number, size in settings.job_sizes.items()
    }


def test_every_handler_is_in_the_code_that_is_uploaded(aws: Synthesis, code: Path) -> None:
    for function in aws.resources("AWS::Lambda::Function"):
        module, _, name = function.properties["Handler"].rpartition(".")
        source = (code / module.replace(".", "/")).with_suffix(".py")
        defined = {node.name for node in ast.parse(source.read_text()).body if isinstance(node, ast.FunctionDef)}
        assert name in defined, function.name


def test_the_uploaded_code_is_ours_alone_and_no_more_than_is_needed(code: Path) -> None:
    files = {str(path.relative_to(code)) for path in code.rglob("*") if path.is_file()}
    templates = "gaitway/report/templates/"
    pins = {support.pins.file for support in SIMULATORS.values() if support.pins is not None}
    others = {name for name in files if not name.endswith(".py") and not name.startswith(templates)}
    assert others == pins | {"gaitway/libraries/tasks.json"}
    assert {"/".join(name.split("/")[:2]) for name in files if name.startswith("gaitway/")} == {
        "gaitway/__init__.py",
        "gaitway/aws",
        "gaitway/compute",
        "gaitway/contracts",
        "gaitway/libraries",
        "gaitway/outputs",
        "gaitway/packages",
        "gaitway/report",
        "gaitway/workloads",
        "gaitway/formatting.py",
        "gaitway/names.py",
    }


def test_everything_that_the_code_imports_is_uploaded_or_brought_by_lambda(code: Path, libraries: Path) -> None:
    there = {path.stem for path in [*code.iterdir(), *libraries.iterdir()]}
    files = set(code.rglob("*.py")) - {code / name for name in OF_THE_JOB}
    imported = {name.partition(".")[0] for path in files for name in imports_at_run_time(path)}
    assert imported - there - BROUGHT_BY_LAMBDA - sys.stdlib_module_names == set()


def test_a_function_imports_nothing_that_only_jobs_have(code: Path) -> None:
    handlers = [f"lambdas.{path.parent.name}.handler" for path in code.glob("lambdas/*/handler.py")]
    of_the_job = [name.removesuffix(".py").replace("/", ".") for name in OF_THE_JOB]
    program = (
        "import importlib, sys\n"
        f"for name in {handlers}: importlib.import_module(name)\n"
        f"print([name for name in {[*of_the_job, 'pandas', 'tensorboard']} if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-B", "-c", program], cwd=code, capture_output=True, text=True, check=True)
    assert handlers
    assert ended.stdout == "[]\n"


def test_the_layer_holds_all_that_its_libraries_need(libraries: Path) -> None:
    metadata = [HeaderParser().parsestr(path.read_text()) for path in libraries.glob("*.dist-info/METADATA")]
    there = {canonicalize_name(library["Name"]) for library in metadata}
    needed = {
        canonicalize_name(requirement.name)
        for library in metadata
        for requirement in map(Requirement, library.get_all("Requires-Dist", []))
        if requirement.marker is None or requirement.marker.evaluate({"python_version": "3.14", "extra": ""})
    }
    assert "aws-xray-sdk" in there
    assert needed - there - BROUGHT_BY_LAMBDA == set()


def test_the_layers_binaries_are_lambdas_and_not_this_machines(libraries: Path) -> None:
    binaries = [path.name for path in libraries.rglob("*.so")]
    assert binaries
    assert [name for name in binaries if "cpython-314-x86_64-linux-gnu" not in name] == []


def test_whatever_logs_does_so_in_a_group_of_ours(aws: Synthesis) -> None:
    ours = {group.name for group in aws.resources("AWS::Logs::LogGroup")}

    def group(resource: Resource, value: Any) -> str:
        """The name of the group that a resource logs to, by its name or its ARN."""
        return aws.text(resource.stack, value).removeprefix("<").removesuffix(">").removesuffix(".Arn")

    used = {
        "functions": [
            group(function, function.properties["LoggingConfig"]["LogGroup"])
            for function in aws.resources("AWS::Lambda::Function")
        ],
        "machines": [
            group(machine, destination["CloudWatchLogsLogGroup"]["LogGroupArn"])
            for machine in aws.resources("AWS::StepFunctions::StateMachine")
            for destination in machine.properties["LoggingConfiguration"]["Destinations"]
        ],
        "builds": [
            group(project, project.properties["LogsConfig"]["CloudWatchLogs"]["GroupName"])
            for project in aws.resources("AWS::CodeBuild::Project")
        ],
        "flows": [group(flow, flow.properties["LogGroupName"]) for flow in aws.resources("AWS::EC2::FlowLog")],
    }
    jobs = {
        group(definition, container["LogConfiguration"]["Options"]["awslogs-group"])
        for definition in aws.resources("AWS::Batch::JobDefinition")
        for container in containers(definition.properties)
    }
    assert all(used.values())
    named = [name for names in used.values() for name in names]
    # Each has one of its own, but for jobs, which share theirs.
    assert sorted([*named, *jobs]) == sorted(ours)


def test_machines_log_what_happens_but_not_the_data_with_the_tokens(aws: Synthesis) -> None:
    for machine in aws.resources("AWS::StepFunctions::StateMachine"):
        logging = machine.properties["LoggingConfiguration"]
        assert (logging["Level"], logging["IncludeExecutionData"]) == ("ALL", False), machine.name


def test_functions_and_machines_are_traced(aws: Synthesis, embedded: Synthesis) -> None:
    for synthesis, mode in ((aws, "Active"), (embedded, None)):
        functions = synthesis.resources("AWS::Lambda::Function")
        assert {function.properties.get("TracingConfig", {}).get("Mode") for function in functions} == {mode}
        machines = synthesis.resources("AWS::StepFunctions::StateMachine")
        assert {machine.properties["TracingConfiguration"]["Enabled"] for machine in machines} == {mode == "Active"}


def test_the_embedded_deployment_consists_of_the_same_resources(synthesise: Synthesise, embedded: Synthesis) -> None:
    aws = synthesise(load_settings({"acceptNvidiaEula": "true", "backends": "batch,sagemaker"}, ROOT))

    def listed(synthesis: Synthesis) -> list[tuple[str, str, str]]:
        return sorted(
            (resource.stack, resource.name, resource.type)
            for resource in synthesis.resources()
            # An image is given there, and not built, and it is of one simulator; and allowLiveView is true.
            if not resource.name.startswith(("ImageBuild/", "GpuInstances/Role/DefaultPolicy"))
            and not resource.name.endswith("IsaacLab3")
        )

    assert listed(embedded) == listed(aws)


def imports_at_run_time(path: Path) -> set[str]:
    """Modules that a file imports, without those for type checkers."""

    class Imports(ast.NodeVisitor):
        names: set[str] = set()  # noqa: RUF012

        def visit_If(self, node: ast.If) -> None:
            if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
                self.generic_visit(node)

        def visit_Import(self, node: ast.Import) -> None:
            self.names |= {alias.name for alias in node.names}

        def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
            self.names.add(node.module or "")

    visitor = Imports()
    visitor.names = set()
    visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
    return visitor.names
