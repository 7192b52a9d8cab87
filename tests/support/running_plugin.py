"""`kubectl fulfillment`, as a person runs it."""

import asyncio
import os
from asyncio.subprocess import PIPE
from dataclasses import dataclass

from fulfillment_cli.actions import Verb
from fulfillment_local.credentials import User
from support.commands import plugins
from support.running_operator import Shop

PATIENTLY = "--wait=60"
"""For the operator, which has only just begun."""


@dataclass(frozen=True)
class Said:
    """What the plugin said."""

    code: int | None
    output: str
    errors: str


@dataclass(frozen=True)
class Plugin:
    """The plugin, run by kubectl as somebody."""

    shop: Shop
    user: User = User.ALICE

    async def __call__(self, *arguments: str, stdin: str = "", namespace: str | None = None) -> Said:
        """Run it in the shop's namespace; in the context's, when `namespace` is empty.

        What acts on orders waits patiently, unless the arguments say how long.
        """
        where = ["-n", namespace or self.shop.namespace] if namespace != "" else []
        says_how_long = any(each.startswith("--wait") for each in arguments)
        wait = [PATIENTLY] if arguments[0] in set(Verb) and not says_how_long else []
        return await self._kubectl("fulfillment", *arguments, *wait, *where, stdin=stdin)

    async def candidates(self, *words: str) -> Said:
        """Ask kubectl how a command line may go on, as its completion scripts do, in the context's namespace.

        The last word is incomplete, and may be empty.
        """
        return await self._kubectl("__complete", "fulfillment", *words)

    async def _kubectl(self, *arguments: str, stdin: str = "") -> Said:
        environ = {
            **os.environ,
            "PATH": f"{plugins()}:{os.environ['PATH']}",
            "KUBECONFIG": str(self.shop.control_plane.kubeconfigs[self.user]),
        }
        process = await asyncio.create_subprocess_exec(
            self.shop.control_plane.kubectl,
            *arguments,
            env=environ,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
        )
        output, errors = await process.communicate(stdin.encode())
        return Said(process.returncode, output.decode(), errors.decode())
