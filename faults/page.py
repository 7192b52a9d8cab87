"""`python -m faults.page`: writes what the last runs found into docs/reliability.md."""

import sys
from pathlib import Path

from faults.__main__ import OUT

_PAGE = Path(__file__).parent.parent / "docs" / "reliability.md"
_PARTS = {"table": "make faults", "mutations": "make faults-mutations"}
"""Files of the last run, and the command that wrote each."""


def marks(name: str) -> tuple[str, str]:
    """Return what a part of the page stands between."""
    return f"<!-- {name}: make faults-docs -->\n", f"<!-- end of {name} -->\n"


def with_part(page: str, name: str, content: str) -> str:
    """Put content between the two marks of a page, in place of what stood there."""
    begin, end = marks(name)
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content}\n{end}{after}"


def main() -> None:
    """Do it for every part that was run; without any there is nothing to do."""
    found = {name: OUT / f"{name}.md" for name in _PARTS if (OUT / f"{name}.md").exists()}
    if not found:
        sys.exit(f"there is nothing yet: run {' or '.join(_PARTS.values())} first")
    page = _PAGE.read_text(encoding="utf-8")
    for name, file in found.items():
        page = with_part(page, name, file.read_text(encoding="utf-8"))
    _PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
