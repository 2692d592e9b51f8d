"""docs/outputs.md names whatever a run may leave."""

import pytest

from gaitway.contracts import artifacts, simulation
from handbook.reference import DOCS

PAGE = (DOCS / "outputs.md").read_text(encoding="utf-8")
NAMES = {
    *(value for name, value in vars(artifacts).items() if name.isupper() and isinstance(value, str)),
    simulation.EXPORTED_TORCHSCRIPT,
    simulation.EXPORTED_ONNX,
    simulation.EXPORTED_SUMMARY,
}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_output_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE
