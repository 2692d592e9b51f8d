"""Whose fault it is: the package's, the machine's, or nobody's that the output tells of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gaitway.contracts.errors import CustomEnvironmentError
from gaitway.contracts.simulation import EXIT_BAD_REQUEST, CustomEnvironment, CustomProject
from gaitway.runner.processes.simulate import Ending, SimulatorExit
from gaitway.runner.verdict.blame import judge_custom_environment

PACKAGE = Path("/efs/runs/run-1/custom_environment")
CUSTOM = CustomEnvironment(path=PACKAGE, projects=())
TRACEBACK = f"""\
Traceback (most recent call last):
  File "/app/gaitway/simulators/embedded/__main__.py", line 56, in main
    run(job)
  File "{PACKAGE}/robots/env.py", line 12, in _rewards
    return torch.zeros(3) @ weights
  File "/usr/lib/python3.11/site-packages/torch/functional.py", line 9, in matmul
    raise RuntimeError
RuntimeError: size mismatch, got 3
"""


def ended(output: str, code: int = 1, ending: Ending = Ending.EXITED) -> SimulatorExit:
    return SimulatorExit(code, ending, tuple(output.splitlines()))


def blamed(end: SimulatorExit, custom: CustomEnvironment | None = CUSTOM) -> str:
    with pytest.raises(CustomEnvironmentError) as error:
        judge_custom_environment(end, custom)
    return str(error.value)


def test_a_traceback_through_the_package_blames_it_in_its_own_words() -> None:
    message = blamed(ended("[INFO] starting\n" + TRACEBACK + "Closing the app\n"))

    assert message.startswith(
        "the custom environment failed: RuntimeError: size mismatch, got 3 (robots/env.py, line 12). Mend the package"
    )
    assert "return torch.zeros(3) @ weights" in message


def test_a_file_is_named_by_its_place_in_its_project() -> None:
    project = CustomProject(name="source/lab", import_root=PACKAGE / "robots", modules=("env",))
    assert "got 3 (env.py, line 12)" in blamed(ended(TRACEBACK), CustomEnvironment(path=PACKAGE, projects=(project,)))


def test_a_rank_in_front_of_each_line_changes_nothing() -> None:
    assert "size mismatch" in blamed(ended("\n".join(f"[rank1]: {line}" for line in TRACEBACK.splitlines())))


@pytest.mark.parametrize(
    "code", ["import no_such_library", "def f(:\n  pass", "assert False", "raise ValueError('one\\n  two')"]
)
def test_whatever_python_says_of_the_package_is_understood(tmp_path: Path, code: str) -> None:
    (tmp_path / "robots.py").write_text(code)
    process = subprocess.run(
        [sys.executable, "-c", "import robots"], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    message = blamed(ended(process.stderr), CustomEnvironment(path=tmp_path, projects=()))

    assert "(robots.py, line 1)" in message


@pytest.mark.parametrize(
    "end",
    [
        ended(TRACEBACK, code=0),
        ended(TRACEBACK, code=EXIT_BAD_REQUEST),
        ended(TRACEBACK, code=-9, ending=Ending.STALLED),
        ended(TRACEBACK.replace(str(PACKAGE), "/elsewhere")),
        ended(TRACEBACK.replace("RuntimeError: size mismatch, got 3", "torch.OutOfMemoryError: CUDA out of memory.")),
        ended(TRACEBACK + "NaN in the weights of actor at iteration 4\n"),
        ended("Segmentation fault"),
    ],
)
def test_a_package_is_not_blamed_for_what_it_did_not_do(end: SimulatorExit) -> None:
    judge_custom_environment(end, CUSTOM)


def test_where_there_is_no_package_nobody_is_blamed() -> None:
    judge_custom_environment(ended(TRACEBACK), None)


@pytest.mark.parametrize(
    ("module", "distribution"),
    [("cv2", "opencv-python"), ("sklearn.svm", "scikit-learn"), ("wandb", "wandb")],
)
def test_a_module_that_is_nowhere_is_named_with_its_distribution(module: str, distribution: str) -> None:
    output = TRACEBACK.replace("RuntimeError: size mismatch, got 3", f"ModuleNotFoundError: No module named '{module}'")
    message = blamed(ended(output))
    assert f"Declare {distribution} among the package's dependencies" in message
    assert "installDependencies: true" in message
