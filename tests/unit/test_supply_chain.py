"""What is installed is what was looked at, and nothing that is read can run as a program."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import sbom

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
LOCKS = REPOSITORY / "scripts" / "deploy" / "locks"
EXTENSION = REPOSITORY / "ohif-extension"
GROUPS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
SOURCES = sorted(
    path
    for folder in ("plugin", "scripts", "tests")
    for path in (REPOSITORY / folder).rglob("*.py")
    if "node_modules" not in path.parts
)
RUN_WHAT_THEY_READ = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def locked(group: str) -> dict[str, str]:
    """Return name → text with version and hashes of each package in a lock."""
    text = (LOCKS / f"{group}.txt").read_text(encoding="utf-8")
    packages = re.findall(r"^([\w.-]+==\S+.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    return {package.partition("==")[0]: package for package in packages}


@pytest.mark.parametrize("group", sorted(GROUPS.keys() - {"train"}))
def test_each_package_of_the_project_is_locked_in_the_version_it_names(group: str) -> None:
    packages = locked(group)
    for wanted in GROUPS[group]:
        name, _, version = wanted.partition("==")
        assert packages[name].split()[0] == f"{name}=={version}", "run scripts/lock"


@pytest.mark.parametrize("group", sorted(GROUPS.keys() - {"train"}))
def test_every_locked_package_has_its_hashes(group: str) -> None:
    for name, package in locked(group).items():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", package), name


def test_no_package_is_locked_in_two_versions() -> None:
    versions: dict[str, set[str]] = {}
    for group in sorted(GROUPS.keys() - {"train"}):
        for name, package in locked(group).items():
            versions.setdefault(name, set()).add(package.split()[0])
    assert not {name: found for name, found in versions.items() if len(found) > 1}


def test_every_package_of_the_viewer_is_locked_with_its_hash() -> None:
    lockfile = json.loads((EXTENSION / "package-lock.json").read_text(encoding="utf-8"))
    for path, package in lockfile["packages"].items():
        if path:
            assert package["integrity"].startswith("sha512-"), path


def test_the_viewer_s_packages_are_asked_for_in_one_version_each() -> None:
    asked = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
    for version in {**asked["dependencies"], **asked["devDependencies"]}.values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)


# ---- no pickle anywhere ----


def nodes() -> Iterator[tuple[Path, ast.AST]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield path, node


def test_nothing_reads_or_writes_pickles() -> None:
    found = []
    for path, node in nodes():
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [(path.name, name) for name in names if name.partition(".")[0] in RUN_WHAT_THEY_READ]
    assert not found


@pytest.mark.parametrize(
    ("function", "keyword", "default", "value"),
    [("np.load", "allow_pickle", False, False), ("torch.load", "weights_only", None, True)],
)
def test_arrays_and_weights_are_read_as_data_only(function: str, keyword: str, default: Any, value: Any) -> None:
    calls = [
        (path.name, {one.arg: getattr(one.value, "value", None) for one in node.keywords})
        for path, node in nodes()
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function
    ]
    assert calls
    assert not [name for name, keywords in calls if keywords.get(keyword, default) is not value]


# ---- the bill of materials ----


def test_the_bill_of_materials_names_what_ships_with_version_and_hash() -> None:
    document = sbom.document()
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    by_ref = {one["bom-ref"]: one for one in document["components"]}
    for group, scope in (("plugin", "required"), ("postgresql", "optional"), ("compressed", "optional")):
        for wanted in GROUPS[group]:
            name, _, version = wanted.partition("==")
            assert by_ref[f"pkg:pypi/{name}@{version}"]["scope"] == scope
    assert any(ref.startswith("pkg:npm/%40ohif/app@") for ref in by_ref)
    preact = next(one for ref, one in by_ref.items() if ref.startswith("pkg:npm/preact@"))
    assert len(preact["hashes"][0]["content"]) == 128
    card = json.loads((REPOSITORY / "plugin" / "cbmir" / "models" / "figshare-gem" / "card.json").read_text())
    assert by_ref["model:figshare-gem"]["hashes"][0]["content"] == card["sha256"]


def test_equal_files_give_an_equal_bill_of_materials() -> None:
    assert sbom.document() == sbom.document()
