"""Write down what the image `isaaclab-3` installs: `python3.12 -m container.pin_isaaclab3 FOLDER`.

It downloads every file once (3 GB) to the folder, with the Python of the image, and writes requirements-isaaclab3.txt:
each pin with the digest of its file, without which pip installs nothing, and with its size. The releases are those of
requirements-embedded.txt and of the repository's requirements-isaaclab3.txt, but for torch, which Isaac Lab 3.0.0 wants
in this release.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

_FOLDER = Path(__file__).parent
FILE = _FOLDER / "requirements-isaaclab3.txt"
BUDGET_MB = 3600
"""Of all files, as they are downloaded. An image of them is compressed about as well."""
PYTHON = (3, 12)

# fmt: off
_TORCH = [
    "cuda-bindings==13.5.0", "cuda-pathfinder==1.9.1", "cuda-toolkit==13.0.2", "nvidia-cublas==13.1.0.3",
    "nvidia-cuda-cupti==13.0.85", "nvidia-cuda-nvrtc==13.0.88", "nvidia-cuda-runtime==13.0.96",
    "nvidia-cudnn-cu13==9.19.0.56", "nvidia-cufft==12.0.0.61", "nvidia-cufile==1.15.1.6", "nvidia-curand==10.4.0.35",
    "nvidia-cusolver==12.0.4.66", "nvidia-cusparse==12.6.3.3", "nvidia-cusparselt-cu13==0.8.0",
    "nvidia-nccl-cu13==2.28.9", "nvidia-nvjitlink==13.0.88", "nvidia-nvshmem-cu13==3.4.5", "nvidia-nvtx==13.0.85",
    "setuptools==81.0.0", "torch==2.11.0", "triton==3.6.0",
]
# fmt: on
"""torch with CUDA 13, as it was measured on an H100."""
_EXPORT = ["fast-sugiyama==0.5.3", "flatbuffers==25.12.19", "leapp==0.7.2", "onnxruntime==1.32.0", "safetensors==0.8.0"]
"""Isaac Lab's own export, `leapp`."""
_ISAAC_LAB = {
    *("certifi", "charset-normalizer", "idna", "requests"),
    *("markdown-it-py", "mdurl", "pygments", "rich"),
}
"""What Isaac Lab imports, and what the environment of this repository has for other reasons."""
_SOURCES_ONLY = ("antlr4-python3-runtime", "gym")
"""There is no wheel of these."""


def pins() -> dict[str, str]:
    """Return the release of each package, by its name."""
    root = _FOLDER.parent
    ours = [*_lines(_FOLDER / "requirements-embedded.txt"), *_lines(root / "requirements-isaaclab3.txt")]
    shared = [*_lines(root / "requirements.txt"), *_lines(root / "constraints.txt")]
    ours += [line for line in shared if line.partition("==")[0] in _ISAAC_LAB]
    found: dict[str, str] = {}
    for pin in (*ours, *_EXPORT, *_TORCH):
        name, _, version = pin.partition("==")
        found[name.lower()] = version
    return dict(sorted(found.items()))


def _lines(file: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def pinned() -> dict[str, str]:
    """Read the release of each package from the file."""
    return dict(re.findall(r"^([\w.-]+)==(\S+) --hash=sha256:[0-9a-f]{64}", FILE.read_text(encoding="utf-8"), re.M))


def megabytes() -> float:
    """Add up the sizes that the file names."""
    return sum(map(float, re.findall(r"# ([\d.]+) MB$", FILE.read_text(encoding="utf-8"), re.M)))


def write(folder: Path) -> None:
    """Download everything, and write the file."""
    found = pins()
    sources = ",".join(_SOURCES_ONLY)
    options = ("--no-deps", "--only-binary", ":all:", "--no-binary", sources, "--dest", str(folder))
    # Isaac Lab's own file is for Python 3.12 alone: whatever else runs this would get other files.
    asked = [f"{name}=={version}" for name, version in found.items()]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, *asked], check=True)
    files = {
        _key(path.name.partition("-")[0] if path.suffix == ".whl" else path.name): path for path in folder.iterdir()
    }
    lines = ["# Made by `python3.12 -m container.pin_isaaclab3 FOLDER`: pins, the digest of each file, and its size."]
    for name, version in found.items():
        file = files[_key(f"{name}-{version}.tar.gz" if name in _SOURCES_ONLY else name)]
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines.append(f"{name}=={version} --hash=sha256:{digest}  # {file.stat().st_size / 1e6:.2f} MB")
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def problems() -> list[str]:
    """Say what is wrong with the file: other pins than the repository's, or more than the budget."""
    found = []
    if pinned() != pins():
        others = sorted({*pinned().items()} ^ {*pins().items()})
        found.append(
            f"{FILE.name} does not pin what it should: {others}. Run `python3.12 -m container.pin_isaaclab3 FOLDER`"
        )
    if megabytes() > BUDGET_MB:
        found.append(f"the files of {FILE.name} are {megabytes():.0f} MB, more than the {BUDGET_MB} that are allowed")
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit("\n".join(problems()) or None)
    if sys.version_info[:2] != PYTHON:
        sys.exit("run this with Python 3.12, the image's: files differ by it")
    write(Path(sys.argv[1]))
