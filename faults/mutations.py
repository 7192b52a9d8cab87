"""`python -m faults.mutations`: switch off what keeps a promise, one after the other, and show that the bench fails.

Each is played in a copy of the repository, so nothing here changes. `ORDERS` says how many orders are sold.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from faults.__main__ import OUT

ROOT = Path(__file__).parent.parent
_PACKAGES = ("api", "runtime", "service", "operator", "cli", "local")
_ORDERS = "60"


@dataclass(frozen=True, slots=True)
class Edit:
    """A piece of code, and what stands there instead."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """What is switched off, and the case that must show it."""

    name: str
    what: str
    case: str
    edits: tuple[Edit, ...]


MUTATIONS = (
    Mutation(
        "ack-before-create",
        "the acknowledgement waits for the create",
        "api-server-killed",
        (
            Edit(
                "service/fulfillment_service/http/webhook.py",
                "            result = await self.store.record("
                "change, deadline=started + self.deadline.total_seconds())\n",
                "            asyncio.create_task(  # noqa: RUF006\n"
                "                self.store.record(change, deadline=started + self.deadline.total_seconds())\n"
                "            )\n"
                '            return Answer(HTTPStatus.OK, {"result": "created"})\n',
            ),
        ),
    ),
    Mutation(
        "new-key-each-time",
        "every attempt has the same idempotency key",
        "backend-500",
        (
            Edit(
                "operator/fulfillment_operator/controller/paid_order.py",
                "    return PaidOrder(\n        idempotency_key(request),\n",
                "    import uuid\n\n    return PaidOrder(\n        f'{idempotency_key(request)}.{uuid.uuid4()}',\n",
            ),
        ),
    ),
    Mutation(
        "payments-go-back",
        "a payment never goes back, in the service and in the API server",
        "baseline",
        (
            Edit(
                "api/fulfillment_api/spec.py",
                "                return other in {PaymentStatus.CANCELED, PaymentStatus.PAID}\n",
                "                return other is not self\n",
            ),
            Edit(
                "api/fulfillment_api/spec.py",
                "                return False\n",
                "                return other is not self\n",
            ),
            Edit(
                "api/fulfillment_api/spec.py",
                '    "rule": "self == oldSelf || oldSelf == \'unpaid\' ||',
                '    "rule": "true ||',
            ),
        ),
    ),
    Mutation(
        "no-lease",
        "one operator leads, by the Lease",
        "leader-stopped",
        (
            Edit(
                "runtime/fulfillment_runtime/kubernetes/leader_election.py",
                '        """Take or renew the Lease, if it is ours to take; tell whether this process leads."""\n',
                '        """Take or renew the Lease, if it is ours to take; tell whether this process leads."""\n'
                "        return True\n",
            ),
        ),
    ),
    Mutation(
        "no-comparison",
        "what is held is compared with what is there after each re-list",
        "deleted-unheard",
        (
            Edit(
                "operator/fulfillment_operator/controller/cache_sync.py",
                "            await self._compare(cache)\n",
                "            await asyncio.sleep(0)\n",
            ),
        ),
    ),
)


def main() -> None:
    """Play each; the exit code is 1 unless the bench failed with every one."""
    lines = ["| switched off | played | what the bench found |", "| --- | --- | --- |"]
    survived = []
    for mutation in MUTATIONS:
        found = _play(mutation)
        if found is None:
            survived.append(mutation.name)
        line = f"| {mutation.what} | `{mutation.case}` | {found or 'nothing: it is not shown'} |"
        print(line, flush=True)
        lines.append(line)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "mutations.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if survived:
        sys.exit(f"the bench did not notice: {', '.join(survived)}")


def _play(mutation: Mutation) -> str | None:
    """Play its case without what it switches off, and say what was found; None: nothing."""
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        for each in (*_PACKAGES, "faults"):
            shutil.copytree(ROOT / each, folder / each, ignore=shutil.ignore_patterns("out", "__pycache__"))
        for edit in mutation.edits:
            file = folder / edit.path
            content = file.read_text(encoding="utf-8")
            if edit.old not in content:
                sys.exit(f"{mutation.name}: {edit.path} has changed: bring the mutation into line with it")
            file.write_text(content.replace(edit.old, edit.new), encoding="utf-8")
        out = folder / "out"
        environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(folder / each) for each in (*_PACKAGES, ".")),
            "ORDERS": os.environ.get("ORDERS") or _ORDERS,
            "CASES": mutation.case,
            "OUT": str(out),
        }
        done = subprocess.run(
            [sys.executable, "-m", "faults"], cwd=folder, env=environ, capture_output=True, text=True, check=False
        )
        if not (out / "table.json").exists():
            sys.exit(f"{mutation.name}: the bench did not run:\n{done.stderr}")
        (row,) = json.loads((out / "table.json").read_text(encoding="utf-8"))["rows"]
    if row["lost"] is None:
        sys.exit(f"{mutation.name}: the case could not be played:\n{done.stderr}")
    counts = {
        "lost": len(row["lost"]),
        "doubled under two keys": len(row["doubled"]),
        "wrong end": len(row["wrong"]),
        "second mails": row["secondMails"],
    }
    found = [f"{count} {name}" for name, count in counts.items() if count]
    if row["twoLed"]:
        found.append("two operators that led at once")
    return None if row["good"] else f"{', '.join(found) or row['note'] or 'not settled'}, of {row['orders']} orders"


if __name__ == "__main__":
    main()
