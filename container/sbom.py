"""List what the image `isaaclab-3` installs as a CycloneDX document: `python -m container.sbom FILE [--installed]`.

Components are the pins of requirements-isaaclab3.txt, each with the digest of its file. With `--installed`, which the
image's build uses, each must be installed in exactly that release, and its licence is added as its metadata has it.
What the base image and EFA's installer bring is not listed. The format: cyclonedx.org/docs/1.6/json.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import uuid
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "requirements-isaaclab3.txt"
_PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>\S+) --hash=sha256:(?P<digest>[0-9a-f]{64})", re.MULTILINE)
_LICENCE = "License :: OSI Approved :: "
_LONGEST_NAME = 80
"""Some distributions have the whole text of their licence where its name belongs."""


class NotAsPinnedError(Exception):
    """What is installed is not what is pinned."""


def document(pins: str, *, installed: bool) -> dict[str, Any]:
    """Describe what is pinned; the same pins give the same document.

    Args:
        pins: The content of the file of requirements.
        installed: Whether to compare with what is installed, and to add licences.

    Raises:
        NotAsPinnedError: Another release is installed, or none.
    """
    components = []
    for pin in _PIN.finditer(pins):
        name, version = pin["name"], pin["version"]
        address = f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version.replace('+', '%2B')}"
        component: dict[str, Any] = {
            "type": "library",
            "bom-ref": address,
            "name": name,
            "version": version,
            "purl": address,
            "hashes": [{"alg": "SHA-256", "content": pin["digest"]}],
        }
        if installed and (licence := _licence(name, version)):
            component["licenses"] = [licence]
        components.append(component)
    image = {"type": "container", "bom-ref": "isaaclab-3", "name": "gaitway-isaaclab-3"}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=hashlib.sha256(pins.encode()).digest()[:16], version=4)}",
        "version": 1,
        "metadata": {"component": image},
        "components": components,
        "dependencies": [{"ref": "isaaclab-3", "dependsOn": [component["bom-ref"] for component in components]}],
    }


def _licence(name: str, version: str) -> dict[str, Any] | None:
    """Return the licence in CycloneDX's form; None if the distribution does not name one."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        raise NotAsPinnedError(f"{name} is pinned as {version}, and not installed") from None
    if found.version != version:
        raise NotAsPinnedError(f"{name} is pinned as {version}, and installed as {found.version}")
    metadata = found.metadata
    if "License-Expression" in metadata:
        return {"expression": metadata["License-Expression"]}
    given = metadata["License"].strip() if "License" in metadata else ""
    if not given or len(given) > _LONGEST_NAME or "\n" in given:
        classifiers = metadata.get_all("Classifier") or []
        given = ", ".join(text.removeprefix(_LICENCE) for text in classifiers if text.startswith(_LICENCE))
    return {"license": {"name": given}} if given else None


def main(arguments: list[str]) -> int:
    """Write the document; return the exit code."""
    target, *options = arguments
    try:
        found = document(FILE.read_text(encoding="utf-8"), installed=options == ["--installed"])
    except NotAsPinnedError as error:
        sys.stderr.write(f"{error}: install {FILE.name} with install_isaaclab3.sh\n")
        return 1
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
