"""The set-up: ranges, lock, environment.yml, README and Makefile agree with each other."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import course_lib

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
RUNTIME = {r.name: r for r in map(Requirement, PROJECT["dependencies"])}
# Names under which conda packages what we know under another name.
CONDA_NAMES = {"pytorch-cpu": "torch", "pytorch": "torch", "matplotlib-base": "matplotlib"}
# Modules whose package has another name.
MODULE_NAMES = {"IPython": "ipython", "sklearn": "scikit-learn"}
# Modules that a declared package brings along and hands to us: its errors, its settings.
COMES_WITH = {
    "jupyter_client": "jupyterlab",
    "jupyter_core": "jupyterlab",
    "traitlets": "jupyterlab",
    "httpx": "transformers",
    "threadpoolctl": "scikit-learn",
    "PIL": "matplotlib",
}


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def requirements_of(*extras: str) -> list[Requirement]:
    texts = [text for extra in extras for text in EXTRAS[extra]]
    return [*RUNTIME.values(), *map(Requirement, texts)]


@pytest.mark.parametrize(
    "requirement",
    requirements_of("dev", "grading", "hub"),
    ids=lambda requirement: requirement.name,
)
def test_lock_holds_a_version_inside_each_range(requirement):
    version = locked()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version)


def test_lock_names_releases_only():
    text = (ROOT / "requirements.lock").read_text()
    assert "+" not in text and "file:" not in text and " @ " not in text
    assert list(locked()) == sorted(locked()), "not in order: written by hand?"


def test_locked_packages_take_the_first_release_of_our_oldest_python():
    """Some need a later patch release than the one a Linux distribution brings."""
    from importlib import metadata

    oldest = min(re.findall(r"3\.\d+", PROJECT["requires-python"])) + ".0"
    needs = {
        d.metadata["Name"]: d.metadata.get("Requires-Python", "") for d in metadata.distributions()
    }
    needs = {name: text for name, text in needs.items() if canonicalize_name(name) in locked()}
    assert len(needs) > 50
    assert {n: t for n, t in needs.items() if not SpecifierSet(t).contains(oldest)} == {}


def test_lock_covers_what_is_installed_here():
    """Walk from our requirements through the metadata of the installed packages."""
    from importlib import metadata

    waiting, seen = [r.name for r in requirements_of("dev", "grading")], set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        for text in metadata.requires(name) or []:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                waiting.append(needed.name)
    assert sorted(seen - set(locked())) == []


def test_all_extra_is_the_sum_of_the_others():
    (everything,) = map(Requirement, EXTRAS["all"])
    assert everything.name == PROJECT["name"]
    assert everything.extras == set(EXTRAS) - {"all"}


def test_version_is_the_same_everywhere():
    assert course_lib.__version__ == PROJECT["version"]


def test_the_package_declares_what_it_imports():
    optional = {canonicalize_name(Requirement(t).name) for e in EXTRAS.values() for t in e}
    allowed = set(RUNTIME) | optional | {"course-lib"}
    used = set()
    for path in (ROOT / "course_lib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                used |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                used.add(node.module.split(".")[0])
    used -= set(sys.stdlib_module_names)
    names = {canonicalize_name((MODULE_NAMES | COMES_WITH).get(name, name)) for name in used}
    assert sorted(names - allowed) == []


# ---- environment.yml ---------------------------------------------------------------------------


def conda_environment() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text())


def conda_packages() -> dict[str, SpecifierSet]:
    specs = [d for d in conda_environment()["dependencies"] if isinstance(d, str)]
    parsed = [re.fullmatch(r"([a-z0-9-]+)([<>=!~].*)?", spec) for spec in specs]
    assert all(parsed), f"not a conda specification: {specs}"
    return {match[1]: SpecifierSet(match[2] or "") for match in parsed}


def test_environment_has_the_keys_conda_knows():
    environment = conda_environment()
    assert set(environment) == {"name", "channels", "dependencies"}
    assert environment["channels"][0] == "conda-forge"


def test_environment_ranges_are_those_of_the_package():
    for name, specifier in conda_packages().items():
        if name == "python":
            assert specifier == SpecifierSet(PROJECT["requires-python"])
        elif name != "pip":
            assert specifier == RUNTIME[CONDA_NAMES.get(name, name)].specifier, name
    assert {"python", "pip", "pytorch-cpu"} <= set(conda_packages())


def test_environment_installs_the_package_with_every_extra():
    (section,) = (d for d in conda_environment()["dependencies"] if isinstance(d, dict))
    assert section == {"pip": ["-e .[all]"]}


# ---- README, Makefile, continuous integration ---------------------------------------------------


def section_of_readme(title: str) -> str:
    text = (ROOT / "README.md").read_text()
    return re.search(rf"^## {title}\n(.*?)(?=^## )", text, re.DOTALL | re.MULTILINE)[1]


def test_readme_has_exactly_two_set_up_commands():
    blocks = re.findall(r"```sh\n(.*?)```", section_of_readme("Set up"), re.DOTALL)
    commands = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    assert [command for command in commands if command] == ["make lab", "make test"]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_named_in_the_pages_exist(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b(?=[`\s])", code_of((ROOT / page).read_text())))
    assert named and named <= targets


def test_links_of_the_pages_lead_somewhere():
    for page in ("README.md", "CONTRIBUTING.md", "LICENSE-text.md"):
        links = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text())
        assert [n for n in links if "://" not in n and not (ROOT / n).exists()] == []


def test_the_tree_in_the_readme_is_the_tree():
    tree = re.search(r"```\n(.*?)```", section_of_readme("What is in the folders"), re.DOTALL)[1]
    lines = re.findall(r"^( *)(\w+)/ +\S", tree, re.MULTILINE)
    assert len(lines) == len(tree.splitlines()), "one line a folder, each with what it holds"
    package = {path.name for path in (ROOT / "course_lib").iterdir() if path.is_dir()}
    assert {name for indent, name in lines if indent} == package - {"__pycache__"}
    folders = [name for indent, name in lines if not indent]
    assert len(folders) > 5 and [name for name in folders if not (ROOT / name).is_dir()] == []


def test_what_the_makefile_runs_exists():
    makefile = (ROOT / "Makefile").read_text()
    scripts = set(re.findall(r"\btools/\w+\.(?:py|sh)", makefile))
    assert scripts and [name for name in scripts if not (ROOT / name).is_file()] == []
    modules = set(re.findall(r"-m (course_lib[\w.]+)", makefile))
    for path in (ROOT / name.replace(".", "/") for name in modules):
        start = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        assert start.is_file() and (path.is_dir() or "__main__" in start.read_text()), start


def test_ci_runs_make_test():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text()
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0


def code_of(text: str) -> str:
    """The parts of a Markdown text set as code, one a line."""
    return "\n".join(b + "\n" for b in re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))


def test_find_python_takes_this_one_and_explains_a_refusal(tmp_path):
    script = ["bash", str(ROOT / "tools" / "find_python.sh")]
    found = subprocess.run([*script, sys.executable], capture_output=True, text=True)
    assert found.returncode == 0 and found.stdout.strip() == sys.executable
    spaced = tmp_path / "a folder" / "python3"
    spaced.parent.mkdir()
    spaced.symlink_to(sys.executable)
    found = subprocess.run([*script, str(spaced)], capture_output=True, text=True)
    assert found.stdout.strip() == str(spaced)
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    refused = subprocess.run([*script, str(old)], capture_output=True, text=True)
    assert refused.returncode == 1 and "3.11, 3.12 or 3.13" in refused.stderr


def test_the_readme_says_how_to_hand_in():
    section = section_of_readme("Handing in")
    assert "course submit 01" in section and "receipt" in section
    assert (ROOT / re.search(r"`(exercises/\S+?)`", section)[1]).is_file()
