"""Whether a command could run, without running it: for what needs an account, a GPU or half an hour."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from itertools import pairwise

import botocore.session
import jmespath
import typer
from botocore import xform_name

from gaitway.cli import app
from gaitway.settings import Settings
from handbook.reference import ROOT

_OPERATORS = ("&&", "||", ";", "|")
_SUBSTITUTION = re.compile(r"\$\(([^()]*(?:\([^()]*\)[^()]*)*)\)")
_AWS_ONLY_HERE = {"s3": {"ls", "cp", "sync"}, "logs": {"tail"}, "eks": {"update-kubeconfig"}}
"""Commands that the AWS CLI has besides the operations of the services."""
_AWS_GLOBAL = {"query", "output", "max-items", "region", "profile", "no-cli-pager"}
_AWS_RENAMED = {"notification-endpoint"}
"""Parameters that the AWS CLI calls otherwise, since it has global options of their names."""
_SHELL = {"cd", "eval", "export", "git", "grep", "helm", "jq", "kubectl", "pip", "cat", "cp", "date", "sed"}
"""Nothing of ours, and nothing that changes under us."""


def commands(text: str) -> Iterator[list[str]]:
    """Give the commands of a shell block, those within others too, as lists of words."""
    text = re.sub(r"<<'(\w+)'\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL).replace("\\\n", " ")
    for line in text.splitlines():
        for inner in _SUBSTITUTION.findall(line):
            yield from commands(inner)
        lexer = shlex.shlex(_SUBSTITUTION.sub("VALUE", line), posix=True, punctuation_chars=";|&")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in (*lexer, ";"):
            if word not in _OPERATORS:
                words.append(word)
                continue
            while words and re.fullmatch(r"\w+=.*", words[0], re.DOTALL):
                del words[0]
            if words:
                yield words
            words = []


def check(words: list[str]) -> None:
    """Check a command as far as that can be done without running it.

    Raises:
        AssertionError: It would be refused: there is no such program, option, target, setting, operation or parameter.
    """
    program, *arguments = words
    match program:
        case "make":
            # Variables stand beside targets.
            assert {argument for argument in arguments if "=" not in argument} <= _make_targets(), words
        case "gaitway":
            _check_gaitway(arguments)
        case "npx" | "cdk":
            _check_cdk(arguments[1:] if program == "npx" else arguments)
        case "python":
            assert arguments[0] == "-m", words
            _check_module(arguments[1], arguments[2:])
        case "aws":
            _check_aws(*arguments)
        case _:
            assert program in _SHELL, f"nothing is known of {program}: {words}"


def check_mention(words: list[str]) -> None:
    """Check a command that a sentence names, where what belongs to it may be left out.

    Raises:
        AssertionError: There is no such program, option, target, setting, operation or parameter.
    """
    program, *arguments = words
    match program:
        case "gaitway":
            command = typer.main.get_command(app)
            for word in arguments:
                if word.startswith("-"):
                    names = {name for parameter in command.params for name in parameter.opts} | {"--help"}
                    assert word in names, words
                elif isinstance(command, typer.core.TyperGroup) and not word.isupper():
                    assert word in command.commands, words
                    command = command.commands[word]
        case "python":
            assert find_spec(arguments[1]) is not None, words
        case _:
            check(words)


@cache
def _make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))


def _check_gaitway(arguments: list[str]) -> None:
    command, name = typer.main.get_command(app), "gaitway"
    while isinstance(command, typer.core.TyperGroup):
        assert arguments, "the command is missing"
        found, below, arguments = command.resolve_command(typer.Context(command), arguments)
        assert found is not None
        assert below is not None
        command, name = below, found
    # What it does not know, and what lacks its value, is an error of usage.
    try:
        command.make_context(name, arguments)
    except typer.exceptions.TyperException as error:
        raise AssertionError(error) from None


def _check_cdk(arguments: list[str]) -> None:
    command, *rest = arguments
    known = json.loads((ROOT / "node_modules" / "aws-cdk" / "lib" / "cli" / "cli-type-registry.json").read_bytes())
    assert command in known["commands"], arguments
    options = known["globalOptions"] | known["commands"][command].get("options", {})
    settings = {field.alias or name for name, field in Settings.model_fields.items()}
    for word, after in pairwise((*rest, "")):
        if word == "-c":
            assert after.partition("=")[0] in settings, arguments
        elif word.startswith("-"):
            assert word.removeprefix("--") in options, arguments


def _check_module(module: str, arguments: list[str]) -> None:
    said = _help(sys.executable, "-m", module)
    for word in arguments:
        if word.startswith("-"):
            assert re.search(rf"(?<![\w-]){re.escape(word)}\b", said), (module, word)


@cache
def _help(*command: str) -> str:
    ended = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, (command, ended.stderr)
    return ended.stdout


def _check_aws(service: str, operation: str, *arguments: str) -> None:
    options = [word.removeprefix("--") for word in arguments if word.startswith("--")]
    for word, after in pairwise((*arguments, "")):
        if word == "--query":
            _compile(after)
    if operation in _AWS_ONLY_HERE.get(service, ()):
        return
    parameters = _aws_operations("s3" if service == "s3api" else service).get(operation)
    assert parameters is not None, f"aws {service} has no {operation}"
    assert set(options) - _AWS_GLOBAL <= parameters | _AWS_RENAMED, (operation, options)


def _compile(query: str) -> None:
    try:
        jmespath.compile(query)
    except jmespath.exceptions.ParseError as error:
        raise AssertionError(error) from None


@cache
def _aws_operations(service: str) -> dict[str, set[str]]:
    """The operations of a service, and their parameters, in the words of the AWS CLI."""
    model = botocore.session.get_session().get_service_model(service)
    operations = {}
    for name in model.operation_names:
        shape = model.operation_model(name).input_shape
        members = shape.members if shape is not None else {}
        operations[xform_name(name, "-")] = {xform_name(member, "-") for member in members}
    return operations
