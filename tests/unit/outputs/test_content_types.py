"""A file has the same content type in S3 wherever it comes from."""

import mimetypes

import pytest

from gaitway.outputs.content_types import content_type_of


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("checkpoints/model_100.pt", "application/octet-stream"),
        ("checkpoints/agent_100.zip", "application/zip"),
        ("exported/policy.onnx", "application/octet-stream"),
        ("report.html", "text/html; charset=utf-8"),
        ("metrics.csv", "text/csv; charset=utf-8"),
        ("params/env.yaml", "application/yaml"),
        ("videos/EPISODE.MP4", "video/mp4"),
        ("main_git_diff.txt", "text/plain; charset=utf-8"),
        ("events.out.tfevents.1.host", "application/octet-stream"),
        ("no suffix", "application/octet-stream"),
    ],
)
def test_it_is_told_by_the_end_of_the_name(name: str, content_type: str) -> None:
    assert content_type_of(name) == content_type


def test_what_the_machine_believes_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mimetypes.types_map, ".pt", "application/vnd.snesdev-page-table")
    monkeypatch.setitem(mimetypes.types_map, ".json", "text/x-odd")
    assert content_type_of("model.pt") == "application/octet-stream"
    assert content_type_of("results.json") == "application/json"
