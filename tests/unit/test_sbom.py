"""What the image `isaaclab-3` installs, as a CycloneDX document."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from container import pin_isaaclab3, sbom

DIGEST = "0" * 64


def test_it_lists_every_pin_with_its_address_and_digest() -> None:
    found = sbom.document(sbom.FILE.read_text(encoding="utf-8"), installed=False)
    assert {one["name"]: one["version"] for one in found["components"]} == pin_isaaclab3.pinned()
    (torch,) = [one for one in found["components"] if one["name"] == "torch"]
    assert torch["purl"] == f"pkg:pypi/torch@{torch['version']}"
    (digest,) = torch["hashes"]
    assert digest["content"] in sbom.FILE.read_text(encoding="utf-8")
    assert found["dependencies"][0]["dependsOn"] == [one["bom-ref"] for one in found["components"]]


def test_the_same_pins_give_the_same_document_and_others_another_number() -> None:
    one, again, other = (
        sbom.document(f"numpy=={release} --hash=sha256:{DIGEST}\n", installed=False) for release in ("1", "1", "2")
    )
    assert one == again
    assert one["serialNumber"] != other["serialNumber"]


def test_what_is_installed_is_compared_and_its_licence_added() -> None:
    pin = f"pydantic=={version('pydantic')} --hash=sha256:{DIGEST}\n"
    (component,) = sbom.document(pin, installed=True)["components"]
    assert component["licenses"] == [{"expression": "MIT"}]


@pytest.mark.parametrize(
    ("pin", "words"),
    [
        ("pydantic==0.1", "pydantic is pinned as 0.1, and installed as"),
        ("no-such==1.0", "no-such is pinned as 1.0, and not"),
    ],
)
def test_another_release_or_none_ends_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pin: str, words: str
) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text(f"{pin} --hash=sha256:{DIGEST}\n")
    monkeypatch.setattr(sbom, "FILE", pins)
    target = tmp_path / "sbom.json"
    assert sbom.main([str(target), "--installed"]) == 1
    assert words in capsys.readouterr().err
    assert not target.exists()
    assert sbom.main([str(target)]) == 0
    assert target.exists()
