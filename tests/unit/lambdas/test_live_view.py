"""Who may look into a simulation."""

import re

import pytest

from gaitway.contracts.errors import RequestError
from gaitway.contracts.workload import EvaluationConfig, TrainingConfig
from gaitway.libraries.simulators import Simulator
from lambdas.live_view import check_live_view


def test_isaac_lab_3_may_be_looked_into_where_that_is_allowed() -> None:
    for config in (TrainingConfig(live_view=True), EvaluationConfig(live_view=True)):
        check_live_view(config, "isaaclab-3", allowed=True)


def test_what_is_not_asked_for_needs_no_permission() -> None:
    check_live_view(TrainingConfig(), "isaaclab-2", allowed=False)


@pytest.mark.parametrize(
    ("simulator", "said"), [("isaaclab-2", "Isaac Lab 2.3.2"), ("embedded", "the embedded simulator")]
)
def test_other_simulators_refuse_with_words(simulator: Simulator, said: str) -> None:
    with pytest.raises(RequestError, match=re.escape(f"the task runs in {said}, which has not")):
        check_live_view(TrainingConfig(live_view=True), simulator, allowed=True)


def test_a_deployment_refuses_it_unless_its_setting_allows_it() -> None:
    with pytest.raises(RequestError, match="setting allowLiveView"):
        check_live_view(TrainingConfig(live_view=True), "isaaclab-3", allowed=False)
