"""Imports go one way: each part imports itself and the parts below it, and lessons never come into merging."""

import ast

import pytest

from merging.paths import ROOT

# From the bottom up. A part may import parts that stand before it.
PARTS = [
    "merging.errors",
    "merging.paths",
    "merging.tensors",
    "merging.checks",
    "merging.averaging",
    "merging.load",
    "merging.measure",
    "merging.methods",
    "merging.disk",
    "helpers",
    "lessons",
    "pages",
    "images",
    "benchmarks",
    "teaching",
    "training",
]
SIDES = {"pages", "images", "benchmarks", "teaching", "training"}  # none of these imports another


def part_of(module):
    """The part that a module is in, or None for one of another project."""
    return next((part for part in PARTS if module == part or module.startswith(part + ".")), None)


def imported(source):
    """The modules that a file imports, also inside of functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are written in full: this test cannot follow the dots"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(source, module):
    """(module, what it imports) for each import that does not go down."""
    here = part_of(module)
    for name in imported(source):
        there = part_of(name)
        if there is None or there == here:
            continue
        if PARTS.index(there) > PARTS.index(here) or {here, there} <= SIDES:
            yield module, name


FILES = [file for file in [ROOT / "helpers.py", *(f for part in PARTS for f in (ROOT / part).rglob("*.py"))]]
FILES += list((ROOT / "merging").rglob("*.py"))


def test_arrows_go_one_way():
    found = []
    for file in FILES:
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if module != "merging":
            found += arrows(file.read_text(encoding="utf-8"), module)
    assert not found


@pytest.mark.parametrize(
    "module, line",
    [
        ("merging.load.loading", "from merging.measure.text import BEER_PROMPT"),
        ("merging.checks", "from merging import averaging"),
        ("merging.measure.bits", "def f():\n    import lessons.quiz"),
        ("lessons.quiz", "from training import train"),
        ("pages.build", "from teaching import slides"),
    ],
)
def test_an_arrow_back_is_found(module, line):
    assert list(arrows(line, module))


def test_modules_are_of_a_size_to_be_read():
    long = {file.name: len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert all(lines <= 400 for lines in long.values()), long
    assert len((ROOT / "helpers.py").read_text(encoding="utf-8").splitlines()) <= 200
