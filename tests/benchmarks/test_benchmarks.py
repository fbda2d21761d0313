"""The report of the benchmarks: every row that it shows is one that the code makes, and none is missing."""

import re

from benchmarks import bench
from merging.paths import ROOT


def test_the_report_has_the_rows_that_the_code_makes():
    report = (ROOT / "benchmarks" / "results.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", report, re.MULTILINE) == list(bench.ROWS)


def test_the_report_names_the_processor():
    first = (ROOT / "benchmarks" / "results.md").read_text(encoding="utf-8").split("\n\n")[1]
    assert re.search(r"hardware threads.*torch \d+\.\d+.*transformers \d", first)
