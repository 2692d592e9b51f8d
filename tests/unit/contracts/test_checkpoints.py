import pytest

from gaitway.contracts.checkpoints import iteration_of, newest


@pytest.mark.parametrize(
    ("name", "iteration"),
    [
        ("model_0.pt", 0),
        ("model_1499.pt", 1499),
        ("agent_4800.pt", 4800),
        ("last_cartpole_ep_75_rew__283.2_.pth", 75),
        ("last_cartpole_ep_100_rew_-3.5.pth", 100),
        ("cartpole_direct_ep_150.pth", 150),
        ("runs/run-1/checkpoints/model_50.pt", 50),
        ("best_agent.pt", None),
        ("policy.pt", None),
        ("model_.pt", None),
        ("model_12.onnx", None),
        ("model_12.pt.tmp", None),
        ("supermodel_12.pt", None),
        ("model_١٢.pt", None),
    ],
)
def test_the_iteration_is_read_from_the_name(name: str, iteration: int | None) -> None:
    assert iteration_of(name) == iteration


def test_the_newest_has_the_highest_number_not_the_last_name_in_the_alphabet() -> None:
    assert newest(["model_50.pt", "model_1499.pt", "model_999.pt"]) == "model_1499.pt"
    assert newest(["a_ep_75_rew_9.pth", "a_ep_100_rew_1.pth"]) == "a_ep_100_rew_1.pth"


def test_a_best_checkpoint_counts_only_where_nothing_is_numbered() -> None:
    assert newest(["best_agent.pt", "agent_16.pt"]) == "agent_16.pt"
    assert newest(["policy.pt", "best_agent.pt"]) == "best_agent.pt"
    assert newest(["cartpole.pth"]) == "cartpole.pth"


def test_other_files_are_no_checkpoints() -> None:
    assert newest(["policy.pt", "metrics.csv", "policy.onnx"]) is None
    assert newest([]) is None
