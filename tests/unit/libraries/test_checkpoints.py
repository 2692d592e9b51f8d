import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gaitway.libraries import RlLibrary, record_of
from gaitway.libraries.checkpoints import completed_iterations, is_whole, may_be_policy, newest, number_of


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
        ("model_160000_steps.zip", 160000),
        ("cartpole_env.zip", None),
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
    assert number_of(name) == iteration


def test_the_newest_has_the_highest_number_not_the_last_name_in_the_alphabet() -> None:
    assert newest(["model_50.pt", "model_1499.pt", "model_999.pt"]) == "model_1499.pt"
    assert newest(["a_ep_75_rew_9.pth", "a_ep_100_rew_1.pth"]) == "a_ep_100_rew_1.pth"


def test_a_best_checkpoint_counts_only_where_nothing_is_numbered() -> None:
    assert newest(["best_agent.pt", "agent_16.pt"]) == "agent_16.pt"
    assert newest(["policy.pt", "best_agent.pt"]) == "best_agent.pt"
    assert newest(["cartpole.pth"]) == "cartpole.pth"
    assert newest(["model_900_steps.zip", "model_1024_steps.zip", "environment.zip"]) == "model_1024_steps.zip"


def test_an_archive_may_be_a_policy_only_under_a_checkpoints_name() -> None:
    names = ["model_900_steps.zip", "environment.zip", "policy.PT", "cartpole.pth", "robot.usd"]
    assert [name for name in names if may_be_policy(name)] == ["model_900_steps.zip", "policy.PT", "cartpole.pth"]


def test_other_files_are_no_checkpoints() -> None:
    assert newest(["policy.pt", "metrics.csv", "policy.onnx"]) is None
    assert newest([]) is None


@pytest.mark.parametrize(
    ("library", "name", "rollouts", "iterations"),
    [
        ("rsl_rl", "model_0.pt", None, 1),
        ("rsl_rl", "checkpoints/model_1499.pt", None, 1500),
        ("skrl", "agent_2560.pt", 32, 80),
        ("skrl", "agent_2559.pt", 32, 79),
        ("skrl", "best_agent.pt", 32, None),
        ("rl_games", "last_cartpole_ep_75_rew__283.2_.pth", None, 75),
        ("rl_games", "last_cartpole_ep_5_rew_-inf.pth", None, 5),
        ("rl_games", "cartpole.pth", None, None),
        ("sb3", "model_10240_steps.zip", 1024, 10),
    ],
)
def test_each_library_counts_in_its_own_way(
    library: RlLibrary, name: str, rollouts: int | None, iterations: int | None
) -> None:
    assert completed_iterations(library, name, rollouts) == iterations


def test_time_steps_alone_tell_no_iteration() -> None:
    with pytest.raises(ValueError, match=r"agent_2560\.pt counts steps.*params/agent\.yaml"):
        completed_iterations("skrl", "agent_2560.pt")


def test_rollouts_are_read_from_the_agents_settings() -> None:
    settings = {"agent.yaml": "seed: 42\nagent:\n  class: PPO\n  rollouts: 32\n  learning_epochs: 8\n"}
    assert record_of("skrl").iteration_length(settings.get) == 32
    settings = {"agent.yaml": "seed: 42\nagent:\n  class: SAC\n"}
    assert record_of("skrl").iteration_length(settings.get) is None


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive like those that torch.save writes: stored, not compressed, with checksums."""
    path = tmp_path_factory.mktemp("checkpoints") / "model_1.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("model_1/data.pkl", bytes(range(256)))
        archive.writestr("model_1/data/0", bytes(4096))
        archive.writestr("model_1/version", b"3\n")
    return path


def contents(path: Path) -> set[bytes]:
    with zipfile.ZipFile(path) as archive:
        return {archive.read(name) for name in archive.namelist()}


def test_a_checkpoint_as_it_was_written_is_whole(checkpoint: Path) -> None:
    assert is_whole(checkpoint)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_checkpoint_cut_off_anywhere_is_not_whole(checkpoint: Path, tmp_path: Path, share: float) -> None:
    torn = tmp_path / "torn.pt"
    content = checkpoint.read_bytes()
    torn.write_bytes(content[: int(share * len(content))])
    assert not is_whole(torn)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(offset=st.integers(0, 4095), bit=st.integers(0, 7))
def test_a_flipped_bit_in_the_weights_is_noticed(checkpoint: Path, tmp_path: Path, offset: int, bit: int) -> None:
    content = bytearray(checkpoint.read_bytes())
    content[content.index(bytes(4096)) + offset] ^= 1 << bit
    (tmp_path / "flipped.pt").write_bytes(content)
    assert not is_whole(tmp_path / "flipped.pt")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_counts_as_whole_after_any_damage_still_has_its_weights(
    checkpoint: Path, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(checkpoint.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(content)

    # Some bytes of an archive mean nothing to a reader: times, attributes.
    assert not is_whole(damaged) or contents(damaged) <= contents(checkpoint)


def test_what_is_no_checkpoint_is_not_whole(tmp_path: Path) -> None:
    (tmp_path / "empty.pt").touch()
    (tmp_path / "text.pt").write_text("no checkpoint")
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as archive:
        archive.writestr("notes.txt", "an archive of something else")
    for name in ("empty.pt", "text.pt", "other.pt", "missing.pt", "."):
        assert not is_whole(tmp_path / name)
