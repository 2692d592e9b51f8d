from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.device.deliveries import Server, new_key, serving


@pytest.fixture(scope="session")
def key() -> ec.EllipticCurvePrivateKey:
    return new_key()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "published").mkdir()
    with serving(tmp_path / "published") as server:
        yield server
