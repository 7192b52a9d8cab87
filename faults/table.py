"""The table of what came of the cases, as text, as Markdown, and as plain data. Pure."""

from collections.abc import Sequence
from typing import Any

from faults.case import Row

_HEAD = (
    *("fault", "orders", "lost", "doubled", "wrong end"),
    *("second mails", "posted again", "no leader, s", "settled, s"),
)


def text_table(rows: Sequence[Row]) -> str:
    """Show it in columns, and below each row, indented, its note."""
    cells = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    lines = []
    for line, row in zip(cells, [None, *rows], strict=True):
        numbers = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        lines.append("  ".join([line[0].ljust(widths[0]), *numbers]).rstrip())
        if row is not None and row.note:
            lines.append(f"    {row.note}")
    return "\n".join(lines)


def markdown_table(rows: Sequence[Row]) -> str:
    """Show it as Markdown, each row with the command that plays it."""
    head = [*_HEAD, "shown by"]
    lines = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * (len(_HEAD) - 1)} --- |"]
    for row in rows:
        what = f"{row.case.what}{f' ({row.note})' if row.note else ''}"
        lines.append(f"| {' | '.join([what, *_cells(row)[1:], f'`make faults CASES={row.case.name}`'])} |")
    return "\n".join(lines) + "\n"


def json_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Give the rows as plain data."""
    return [
        {
            "case": row.case.name,
            "what": row.case.what,
            "orders": row.orders,
            "lost": list(row.verdict.lost) if row.verdict else None,
            "doubled": list(row.verdict.doubled) if row.verdict else None,
            "wrong": dict(row.verdict.wrong) if row.verdict else None,
            "secondMails": row.verdict.second_mails if row.verdict else None,
            "postedAgain": row.verdict.posted_again if row.verdict else None,
            "failover": row.failover,
            "failoverWithin": row.case.failover_within,
            "settled": row.settled,
            "twoLed": row.two_led,
            "restarts": row.restarts,
            "good": row.is_good,
            "note": row.note,
        }
        for row in rows
    ]


def _cells(row: Row) -> tuple[str, ...]:
    verdict = row.verdict
    if verdict is None:
        return (row.case.name, *["—"] * (len(_HEAD) - 1))
    counts = (len(verdict.lost), len(verdict.doubled), len(verdict.wrong), verdict.second_mails, verdict.posted_again)
    failover = "" if row.failover is None else f"{row.failover:.1f}"
    settled = "not" if row.settled is None else f"{row.settled:.1f}"
    return (row.case.name, str(row.orders), *map(str, counts), failover, settled)
