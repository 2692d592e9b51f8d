"""What is deployed works in every partition: `aws`, `aws-us-gov` (GovCloud) and `aws-cn` (China)."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.infra.conftest import Synthesise
from tests.infra.deployments import ENVIRONMENT, SETTINGS, settings_of
from tests.infra.templates import ROOT, Synthesis

WRITTEN_OUT = re.compile(
    r"arn:aws[a-z-]*:|(?<!docs)[.]aws[.]amazon[.]com|[.]amazonaws[.](cn|com[.]cn)|amazonaws-us-gov"
)
"""A partition in an ARN, or a domain of one. Principals of services are the same everywhere: `lambda.amazonaws.com`."""
CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
SHIPPED = ("app.py", "bench", "cdk.json", "container", "gaitway", "handbook", "lambdas", "stacks", "statemachines")
ALLOWED = {
    "gaitway/local/": "the embedded AWS is in the partition aws",
    "container/Dockerfile": "where EFA's installer is downloaded, while the image is built",
    "gaitway/settings.py": "what the ARN of a permissions boundary may look like, in any partition",
    "stacks/components/job_image.py": "what an address in ECR may look like, in any partition",
    "gaitway/consoles.py": "where the console is, by partition",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_no_template_writes_a_partition_out(synthesise: Synthesise, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable, value in ENVIRONMENT.items():
        monkeypatch.setenv(variable, value)
    given = set(SETTINGS[name].values())
    for stack, template in synthesise(settings_of(name)).templates.items():
        consoles = template.get("Mappings", {})
        rest = {key: part for key, part in template.items() if key != "Mappings"}
        found = [text for text in texts(rest) if text not in given and WRITTEN_OUT.search(text)]
        assert found == [], stack
        assert stack != "GaitwayPipeline" or CONSOLES.items() <= domains(consoles).items()


def test_links_lead_to_the_console_of_the_partition(aws: Synthesis) -> None:
    body = json.dumps(aws.resource("AWS::CloudWatch::Dashboard").properties["DashboardBody"])
    assert body.count("Fn::FindInMap") >= 5
    assert body.count("Fn::FindInMap") == len(re.findall(r"https://\\*", body))


def test_no_code_that_ships_writes_a_partition_out() -> None:
    listed = subprocess.run(["git", "ls-files", *SHIPPED], cwd=ROOT, capture_output=True, text=True, check=True)
    found = [
        name
        for name in listed.stdout.splitlines()
        if not name.startswith(tuple(ALLOWED)) and WRITTEN_OUT.search((ROOT / name).read_text(errors="ignore"))
    ]
    assert found == []


def texts(value: object) -> Iterator[str]:
    """Every text in a template, keys too."""
    match value:
        case str():
            yield value
        case dict():
            for key, part in value.items():
                yield str(key)
                yield from texts(part)
        case list():
            for part in value:
                yield from texts(part)


def domains(mappings: dict[str, dict[str, dict[str, str]]]) -> dict[str, str]:
    """The domain of each partition's console, as a template maps them."""
    return {
        partition: values["domain"]
        for mapping in mappings.values()
        for partition, values in mapping.items()
        if "domain" in values
    }
