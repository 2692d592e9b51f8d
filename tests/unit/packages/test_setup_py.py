"""What is read of a setup.py, which never runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaitway.packages.setup_py import FindPackages, SetupCall, read_setup


def read(directory: Path, script: str, encoding: str = "utf-8") -> SetupCall:
    file = directory / "setup.py"
    file.write_bytes(script.encode(encoding))
    return read_setup(file)


@pytest.mark.parametrize(
    ("script", "encoding"),
    [
        ("from setuptools import setup\nsetup(name='robots', packages=['a', 'b'])\n", "utf-8-sig"),
        ("import setuptools\nN = 'rob'\nsetuptools.setup(name=f'{N}ots', packages=['a'] + ['b'])\n", "utf-16"),
        ("# -*- coding: latin-1 -*-\n# é\nA = ('a',)\nsetup(name='robots', packages=[*A, 'b'])\n", "latin-1"),
        ("def main():\n    p = ['a']\n    p.append('b')\n    setup(name='robots', packages=p)\nmain()\n", "utf-8"),
        ("if __name__ == '__main__':\n    P = ['a', 'b']\n    setup(packages=P, name='robots')\n", "utf-8"),
        ("d = generate_distutils_setup(packages=['a', 'b'])\nd['name'] = 'robots'\nsetup(**d)\n", "utf-8"),
        ("base = dict(name='robots')\nsetup(**{**base, 'packages': sorted(['a', 'b'])})\n", "utf-8"),
    ],
)
def test_what_the_file_contains_is_known(tmp_path: Path, script: str, encoding: str) -> None:
    call = read(tmp_path, script, encoding)
    assert (call.texts("name"), call.texts("packages"), call.unread) == (["robots"], ["a", "b"], frozenset())


@pytest.mark.parametrize(
    "script",
    [
        "setup(name='robots', install_requires=['torch', more()])\n",
        "R = ['torch']\nif cuda():\n    R.append('cupy')\nsetup(name='robots', install_requires=R)\n",
        "R = ['torch']\nR += open('needs.txt').read().split()\nsetup(name='robots', install_requires=R)\n",
        "setup(name='robots', install_requires=['torch'] + read('needs'))\n",
    ],
)
def test_what_is_known_of_a_list_stays(tmp_path: Path, script: str) -> None:
    call = read(tmp_path, script)
    assert call.texts("install_requires") == ["torch"]
    assert call.is_whole("name")
    assert not call.is_whole("install_requires")


@pytest.mark.parametrize(
    "script", ["setup(**everything())\n", "setup(**{KEY: 1})\n", "setup(**{**more()})\n", "print 'Python 2'\n"]
)
def test_arguments_without_a_name_may_be_any(tmp_path: Path, script: str) -> None:
    call = read(tmp_path, script)
    assert not call.arguments
    assert not call.is_whole("install_requires")


def test_a_search_for_packages_is_known_by_its_folder(tmp_path: Path) -> None:
    assert read(tmp_path, "setup(packages=find_packages())").arguments == {"packages": FindPackages(".")}
    assert read(tmp_path, "setup(packages=find_packages('src'))").arguments == {"packages": FindPackages("src")}
    assert read(tmp_path, "import s\ns.setup(packages=s.find_packages(where='src'))").arguments == {
        "packages": FindPackages("src")
    }


def test_a_script_without_a_call_passes_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "from setuptools import setup\n") == SetupCall()
