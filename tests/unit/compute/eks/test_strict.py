"""Whatever is wrong in a generated manifest, wherever it is, fails: a field nobody knows, a type that is another."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gaitway.compute.eks.documents import documents
from gaitway.compute.eks.manifests import Manifest
from gaitway.local.kubernetes.kinds import KINDS
from gaitway.local.kubernetes.schema import unknown_fields, wrong_values
from tests.unit.compute.eks.settings import eks, order

MODELS = {(kind.version, kind.name): kind.model for kind in KINDS}
# By their keys anything may be said: kubernetes.io/docs/reference/generated/kubernetes-api/v1.37
MAPS = [(name,) for name in ("annotations", "labels", "matchLabels", "nodeSelector")]
Path = tuple[str | int, ...]


def manifests() -> dict[str, Manifest]:
    """Return all that is ever generated: with every setting and every field of a request that changes a manifest."""
    everything = eks(priority_class="training", efa_interfaces=1, hugepages_mib=5120)
    with_command = replace(everything, config=everything.config.model_copy(update={"command": ("/start",)}))
    found = {
        **documents(order(), eks().config),
        **{f"nodes-{name}": text for name, text in documents(order(num_nodes=3), with_command.config).items()},
        **{f"slice-{name}": text for name, text in documents(order(gpu_slice="1g.10gb"), eks().config).items()},
    }
    return {name: json.loads(text) for name, text in found.items()}


def is_quantity(path: Path) -> bool:
    return path[-1] == "sizeLimit" or path[-2:-1] in (("capacity",), ("limits",), ("requests",))


def findings(manifest: Manifest) -> list[str]:
    model = MODELS.get((str(manifest["apiVersion"]), str(manifest["kind"])))
    if model is None:
        return ["no such kind"]
    return unknown_fields(manifest, model) + wrong_values(manifest, model)


def parts(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Give every part of a document, with its place."""
    yield path, value
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from parts(item, (*path, key))


def changed(manifest: Manifest, path: Path, value: object) -> Manifest:
    """Return a copy with another value at a place."""
    other = copy.deepcopy(manifest)
    place: Any = other
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return other


@pytest.mark.parametrize("manifest", [pytest.param(one, id=name) for name, one in manifests().items()])
def test_a_generated_manifest_is_valid_and_any_slip_in_it_is_found(manifest: Manifest) -> None:
    assert findings(manifest) == []
    objects = [path for path, part in parts(manifest) if isinstance(part, dict) and path[-1:] not in MAPS]
    missed = [path for path in objects if not findings(changed(manifest, (*path, "nobodyKnows"), "x"))]
    _, *inner = parts(manifest)
    for path, part in inner:
        others: tuple[object, ...] = (["x"], {"nobody": {"knows": []}}, True, "half of it" if is_quantity(path) else 7)
        for other in others:
            if type(other) is not type(part) or is_quantity(path):
                missed += [path] if not findings(changed(manifest, path, other)) else []
    assert missed == []
