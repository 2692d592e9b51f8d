"""An override means one value of one setting; any other is refused in words, before a machine is paid for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gaitway.contracts.errors import RequestError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.overrides import problem_of
from gaitway.contracts.request import ComputeConfig, parse_request
from gaitway.contracts.run import RunSpec
from gaitway.contracts.workload import TrainingConfig

ROOT = Path(__file__).parents[3]
HYDRA = """
import json, sys
from hydra.core.override_parser.overrides_parser import OverridesParser
parser, answers = OverridesParser.create(), []
for override in json.load(sys.stdin):
    try:
        answers.append("sweep" if parser.parse_override(override).is_sweep_override() else "one value")
    except Exception as error:
        answers.append(type(error).__name__)
json.dump(answers, sys.stdout)
"""

ONE_VALUE = [
    "agent.seed=1", "agent.algorithm.learning_rate=1e-3", "env.action_scale=-2.5", "env.sim.dt=.005", "env.a=true",
    "env.a=null", "env.a=", "env.a= 3", "agent.policy.activation=elu", "env.a=a b c", "env.path=/tmp/a_b-1.usd",
    "env.url=http://host:80/a", "env.a='x, y'", 'env.a="[not closed"', "env.a='it\\'s'", "env.a=[]", "env.a=[1,2,3]",
    "env.a=[[-1, 1],[0, 2]]", "agent.a={x:1,y:[2,3]}", "env.terms.0.weight=2", "+env.new=1", "++agent.new.key=[a,b]",
    "env.a={a b: 1, c/d: x:y}", "env.a={a: 'x', b: [1, 2], c: {d: null}}", "env.a=[ ]", "env.a={ }", "env.a=[${b}, 1]",
    "env.a=float( '1e-3' )", "env.a=bool(true)", "env.a=str(1 2)",
    "~env.a", "~agent.b=2", "env.a=${agent.seed}", "env.a=int(3.7)", "env.a=[{layers: [64, 64], activations: tanh}]",
]  # fmt: skip
SWEEPS = [
    "agent.seed=1,2,3", "agent.seed=1, 2", "env.a=a,b", "env.a=[1,2],[3]", "env.a='a','b'", "agent.seed=choice(1,2)",
    "agent.seed=range(1,5)", "agent.lr=interval(0.1,1)", "env.a=glob(*)", "+agent.seed=shuffle(1,2)", "env.a=sort(2,1)",
]  # fmt: skip
UNREADABLE = [
    "env.a={'b': 1}", 'env.a={"b": 1, "c": 2}', "env.a={b}", "env.a={b:}", "env.a={:1}", "env.a=[{b:1}, {c}]",
    "env.a=int()", "env.a=float(x)", "env.a=bool(maybe)", "env.a=json_str({b:1})", "env.a=['x' y]",
    "env.a=[1", "env.a=1]", "env.a={a:1", "env.a='x", "env.a=x#y", "env.a=a=b", "env.a=ü", "env..a=1", "env.2x=1",
    "env.a b=1", "env.=1", "env.a=1,", "+~env.a=1", "env.a=[1,,2]", "env.a=x;y", "agent.a", "+env.a",
]  # fmt: skip


def refusal(override: str) -> str:
    with pytest.raises(RequestError) as refused:
        parse_request({"trainingConfig": {"hydraOverrides": [override]}})
    return str(refused.value)


def test_hydra_itself_reads_them_so() -> None:
    """Hydra is beside the environment, in the release that Isaac Lab 2.3.2 brings."""
    asked = [*ONE_VALUE, *SWEEPS, *UNREADABLE]
    ended = subprocess.run(
        [sys.executable, "-c", HYDRA],
        env=os.environ | {"PYTHONPATH": str(ROOT / ".venv" / "isaaclab")},
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    answers = dict(zip(asked, json.loads(ended.stdout), strict=True))
    assert {override for override in ONE_VALUE if answers[override] != "one value"} == set()
    assert {override for override in SWEEPS if answers[override] != "sweep"} == set()
    assert {override for override in UNREADABLE if not answers[override].endswith(("Exception", "Error"))} == set()


@pytest.mark.parametrize("override", [*ONE_VALUE, "presets=newton,rgb", "physics=newton_mjwarp"])
def test_one_value_of_one_setting_is_taken(override: str) -> None:
    read = parse_request({"trainingConfig": {"hydraOverrides": [override]}})
    assert read.training_config.hydra_overrides == [override]


@pytest.mark.parametrize("override", SWEEPS)
def test_a_sweep_is_refused(override: str) -> None:
    assert "which is a sweep over several values, allowed: one value" in refusal(override)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("", "which is empty"),
        ("--headless", "which is an option of a command line"),
        ("-m", "which is an option of a command line"),
        ("env.a=1\n", "which has a line break"),
        ("hydra.run.dir=/", "which is about hydra.run.dir, allowed: env.<key> and agent.<key>, and with Isaac Lab 3"),
        ("+logger=wandb", "which is about logger"),
        ("environment.a=1", "which is about environment.a"),
        ("agnt.seed=1", "which is about agnt.seed"),
        ("=1", "which is about no setting"),
        ("env=x", "which would replace all of env"),
        ("~agent", "which would replace all of agent"),
        ("agent.seed", "which has no value"),
        ("+env.a", "which has no value"),
        ("env.scene.num_envs=4", "which has no effect, since trainingConfig.numEnvs sets it: give that instead"),
        ("++agent.max_iterations=4", "trainingConfig.maxIterations sets it"),
        ("agent.params.config.max_epochs=4", "trainingConfig.maxIterations sets it"),
        ("env.scene={num_envs: 4}", "whose num_envs has no effect, since trainingConfig.numEnvs sets it"),
        ("agent.params={a: 1, config: {max_epochs: 5}}", "whose max_epochs has no effect"),
        (" agent.seed=1", "which is about ' agent.seed'"),
        ('env.a={"b": 1}', "a dictionary {a:1}, whose keys have no quotes"),
        ("env..a=1", "which has the key 'env..a', allowed: names of letters"),
        ("env.a b=1", "which has the key 'env.a b'"),
        ("env.a=[1", "which has no closing ]"),
        ("env.a='x", "which has no closing '"),
        ("env.a=1]", "which closes a bracket with ] that nothing opens"),
        ("env.a=1,", "which ends with a comma"),
        ("env.a=[[[[1]]]]", "which has brackets in 4 levels, allowed: 3"),
        ("env.a=x#y", "needs quotes around it"),
        ("physics=a,b", "which has the value 'a,b', allowed: a name"),
        ("env.a=" + "b" * 1100, "at most 1024 characters"),
    ],
)
def test_any_other_is_refused_in_words(override: str, said: str) -> None:
    message = refusal(override)
    assert message.startswith("trainingConfig.hydraOverrides.0 is ")
    assert said in message
    assert not re.search(r"\(\?|\[\^|\\x|\]\+|\]\*", message.partition(", ")[2])


@pytest.mark.parametrize("override", UNREADABLE)
def test_what_hydra_cannot_read_has_a_problem(override: str) -> None:
    assert problem_of(override)


def test_a_setting_is_given_once() -> None:
    with pytest.raises(RequestError, match=r"hydraOverrides has agent\.seed twice with different values: keep one"):
        parse_request({"trainingConfig": {"hydraOverrides": ["agent.seed=1", "+agent.seed=2"]}})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"seed": 42, "hydraOverrides": ["agent.seed=7"]}, "hydraOverrides has agent.seed=7, but seed is 42: give one"),
        ({"seed": 1, "hydraOverrides": ["agent.params.seed=7"]}, "but seed is 1"),
        ({"checkpointInterval": 5, "hydraOverrides": ["agent.save_interval=50"]}, "but checkpointInterval is 5"),
    ],
)
def test_an_override_that_a_field_would_replace_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        parse_request({"trainingConfig": fields})
    assert parse_request({"trainingConfig": {"hydraOverrides": fields["hydraOverrides"]}})
    assert parse_request({"trainingConfig": {"seed": 7, "hydraOverrides": ["agent.seed=7"]}})


def test_a_run_that_an_older_version_accepted_is_still_read() -> None:
    asked = RunSpec(
        run_id="run-1", training=TrainingConfig(), compute=ComputeConfig(), output_files=S3Uri("assets", "a/")
    )
    spec = asked.model_dump(mode="json", by_alias=True)
    spec["training"]["hydraOverrides"] = ["agent.seed=1,2"]
    assert RunSpec.receive(spec).training.hydra_overrides == ["agent.seed=1,2"]
