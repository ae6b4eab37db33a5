"""What the source must look like, read from its syntax trees."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cbmir.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
PLUGIN = REPOSITORY / "plugin"
LIBRARY = PLUGIN / "cbmir"
MODULES = sorted(LIBRARY.rglob("*.py"))
SOURCES = [PLUGIN / "main.py", *MODULES]

LONGEST_FUNCTION = 40
LONGEST_MODULE = 400

HOMES = {
    "orthanc": {"main.py"},
    # reading files, and writing documents
    "pydicom": {"instance.py", "documents.py"},
    "highdicom": {"documents.py"},
    "sqlite3": {"sqlite.py"},
    # what several nodes share; only where "Database" names one
    "psycopg": {"pool.py"},
    "psycopg_pool": {"pool.py"},
    "hnswlib": {"graph.py"},
    # only where "CompressedIndex" is set
    "faiss": {"compressed.py"},
    "onnxruntime": {"embedding.py"},
    "torch": {"network.py", "trunks.py", "fitted.py"},
    "torchvision": {"trunks.py"},
}
"""Which package may be known to which files: each can be replaced in one place."""


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path, *, at_import_only: bool = False) -> set[str]:
    """Return the full names of what a file imports; those for type checkers only do not count as imports."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            if not at_import_only:
                for child in node.body:
                    visit(child)
            return
        if at_import_only and isinstance(node, (ast.FunctionDef, ast.Lambda)):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
            found.add(node.module)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree(path))
    return found


def full_name(path: Path) -> str:
    """Return the name by which a file of the library is imported."""
    return ".".join(path.relative_to(PLUGIN).with_suffix("").parts)


def definitions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """Yield the functions, methods and classes of a file with their full names; not those inside functions."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                yield f"{prefix}{child.name}", child
            if not isinstance(child, ast.FunctionDef):
                yield from walk(child, f"{prefix}{child.name}." if isinstance(child, ast.ClassDef) else prefix)

    yield from walk(tree(path), f"{path.stem}.")


@pytest.mark.parametrize("package", HOMES)
def test_each_package_is_known_to_its_own_file_only(package: str) -> None:
    knowing = {path.name for path in SOURCES if any(name.split(".")[0] == package for name in imported(path))}
    assert knowing <= HOMES[package]


def test_torch_is_imported_only_when_it_is_asked_for() -> None:
    for path in SOURCES:
        if path.name not in HOMES["torch"]:
            assert "cbmir.network" not in imported(path, at_import_only=True), path.name


def test_highdicom_is_imported_only_when_a_search_is_saved() -> None:
    for path in SOURCES:
        assert "cbmir.saving.documents" not in imported(path, at_import_only=True), path.name


def test_the_library_imports_itself_without_going_in_circles() -> None:
    names = {full_name(path) for path in MODULES}
    needs = {full_name(path): imported(path, at_import_only=True) & names for path in MODULES}
    while leaves := {name for name, needed in needs.items() if not needed & needs.keys()}:
        for leaf in leaves:
            del needs[leaf]
    assert not needs, "these import each other"


@pytest.mark.parametrize("stage", ["instance", "pixels", "embedding", "store/sqlite", "catalogue", "index", "cases"])
def test_no_stage_drives_another(stage: str) -> None:
    drivers = {"indexer", "pipeline", "api", "similar", "app", "search", "reader", "answers"}
    used = {name for name in imported(LIBRARY / f"{stage}.py") if name.startswith("cbmir.")}
    assert not {part for name in used for part in name.split(".")} & drivers


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_function_is_long(path: Path) -> None:
    too_long = {
        name: length
        for name, node in definitions(path)
        if isinstance(node, ast.FunctionDef)
        if (length := (node.end_lineno or 0) - node.lineno + 1 - docstring_lines(node)) > LONGEST_FUNCTION
    }
    assert not too_long


def docstring_lines(node: ast.FunctionDef) -> int:
    first = node.body[0]
    return (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(node) is not None else 0


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_module_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_public_name_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree(path)), path.name
    silent = [
        name
        for name, node in definitions(path)
        if not any(part.startswith("_") for part in name.split(".")[1:])
        if not ast.get_docstring(node)
    ]
    assert not silent


def test_every_setting_is_explained_in_the_configuration() -> None:
    text = (REPOSITORY / "orthanc.json").read_text(encoding="utf-8")
    section = text[text.index('"Cbmir"') :]
    names = {"".join(map(str.capitalize, field.name.split("_"))) for field in fields(Settings)}
    written = set(re.findall(r'"([A-Z]\w+)":', section)) - {"Cbmir"}
    assert written == names


def test_the_configuration_shows_the_defaults() -> None:
    text = (REPOSITORY / "orthanc.json").read_text(encoding="utf-8")
    section = text[text.index('"Cbmir"') :]
    defaults = {"".join(map(str.capitalize, field.name.split("_"))): field.default for field in fields(Settings)}
    for name, value in re.findall(r'^\s*"([A-Z]\w+)": ([\d.]+|true|false),?$', section, re.MULTILINE):
        shown = {"true": True, "false": False}.get(value)
        assert defaults[name] == (float(value) if shown is None else shown), name


def test_the_library_can_be_imported_without_any_package() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(PLUGIN)!r})\n"
        "import cbmir, cbmir.settings, cbmir.errors, cbmir.web; print(cbmir.__version__)"
    )
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", done.stdout)


def test_importing_the_library_takes_no_time() -> None:
    program = (
        f"import sys, time; sys.path.insert(0, {str(PLUGIN)!r}); start = time.process_time(); import cbmir\n"
        "print(time.process_time() - start)"
    )
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.5


def test_what_runs_before_the_packages_are_found_needs_none_of_them() -> None:
    """main.py must be able to say that a package is missing."""
    outside = {"numpy", "highdicom", "pydicom", "hnswlib", "onnxruntime", "torch"}
    seen, waiting = set(), [PLUGIN / "main.py"]
    while waiting:
        path = waiting.pop()
        names = imported(path, at_import_only=True)
        assert not {name.split(".")[0] for name in names} & outside, path.name
        for name in names:
            module = PLUGIN / f"{name.replace('.', '/')}.py"
            if module in MODULES and module not in seen:
                seen.add(module)
                waiting.append(module)
    assert {path.stem for path in seen} >= {"settings", "web", "errors"}
