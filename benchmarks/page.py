"""`python -m benchmarks.page`: writes the table of the last run into docs/performance.md."""

import sys

from benchmarks.builds import ROOT

BEGIN, END = "<!-- figures: make bench-docs -->\n", "<!-- end of figures -->\n"
"""What the table stands between."""

_PAGE = ROOT / "docs" / "performance.md"
_TABLE = ROOT / "benchmarks" / "out" / "table.md"


def with_figures(page: str, table: str) -> str:
    """Put a table between the two marks of a page, in place of what stood there."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main() -> None:
    """Do it; without a table there is nothing to do."""
    if not _TABLE.exists():
        sys.exit("there are no figures yet: run `make bench` first")
    page = with_figures(_PAGE.read_text(encoding="utf-8"), _TABLE.read_text(encoding="utf-8"))
    _PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
