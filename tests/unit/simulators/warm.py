"""Modules in processes of their own that begin with torch in memory: to import it takes most of a tiny training's time.

One process imports it, and forks whenever it is told to; nothing else of it reaches the modules.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

_TIMEOUT_SECONDS = 120
Ended = subprocess.CompletedProcess[str]


def run_module(
    module: str,
    arguments: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    each: Sequence[Mapping[str, str]] = ({},),
) -> list[Ended]:
    """Do as `python -m` in a directory, in one or more processes at once, and wait for their ends.

    Args:
        module: What to run.
        arguments: Its command line.
        directory: Its working directory.
        environment: Of all processes.
        each: What is more in the environment of each of them.
    """
    # pytest tells there which test runs, and each would start a server of its own.
    lasting = {name: value for name, value in environment.items() if name != "PYTEST_CURRENT_TEST"}
    server = _server(tuple(sorted(lasting.items())))
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.TemporaryDirectory() as outputs:
        request = [module, list(arguments), str(directory), [dict(variables) for variables in each], outputs]
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        codes: list[int] = json.loads(server.stdout.readline())
        return [
            Ended([module, *arguments], code, *(Path(outputs, f"{index}.{name}").read_text() for name in _STREAMS))
            for index, code in enumerate(codes)
        ]


_STREAMS = ("stdout", "stderr")


@cache
def _server(environment: tuple[tuple[str, str], ...]) -> subprocess.Popen[str]:
    """Start the process that forks; it ends with this one, which holds its standard input."""
    return subprocess.Popen(
        [sys.executable, __file__], env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _serve() -> None:
    # Beside this file lie packages whose names must not hide others.
    sys.path.pop(0)
    # With what the first step of any optimizer, TensorBoard events and exports import.
    import onnx.reference  # noqa: F401
    import torch._dynamo
    import torch.utils.tensorboard  # noqa: F401

    for line in sys.stdin:
        module, arguments, directory, each, outputs = json.loads(line)
        children = []
        for index, variables in enumerate(each):
            child = os.fork()
            if child == 0:
                _become(module, arguments, directory, variables, Path(outputs, str(index)))
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps(codes), flush=True)  # noqa: T201 - the answer


def _become(module: str, arguments: list[str], directory: str, variables: dict[str, str], output: Path) -> None:
    signal.alarm(_TIMEOUT_SECONDS)
    os.chdir(directory)
    os.environ.update(variables)
    for descriptor, name in ((0, None), (1, "stdout"), (2, "stderr")):
        with output.with_suffix(f".{name}").open("w") if name else Path(os.devnull).open() as file:
            os.dup2(file.fileno(), descriptor)
    sys.argv[1:] = arguments
    sys.path.insert(0, directory)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    else:
        code = 0
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve()
