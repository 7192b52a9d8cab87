"""The command line, where only what the workloads need is installed, as in the image."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE

WITHOUT_THE_EXTRA = """
import sys
sys.modules.update(dict.fromkeys(("aiosmtpd", "cryptography")))
from fulfillment_runtime.cli import main
main()
"""


async def fulfillment(*arguments: str) -> tuple[int | None, str, str]:
    """Run it: exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WITHOUT_THE_EXTRA, *arguments, stdout=PIPE, stderr=PIPE
    )
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def test_a_command_without_its_libraries_says_so() -> None:
    """One line that says what to install, whatever the arguments."""
    assert await fulfillment("demo", "--once") == (
        1,
        "",
        "Error: this command needs cryptography: pip install 'checkout-fulfillment[local]'\n",
    )


async def test_the_commands_are_listed_all_the_same() -> None:
    """One of them cannot be loaded, and its line says why."""
    code, output, errors = await fulfillment("--help")
    assert (code, errors) == (0, "")
    assert re.search(r"\n  demo +\(It needs cryptography: pip install", output)
    assert re.search(r"\n  operator +Bring every FulfillmentRequest", output)


async def test_the_installations_own_test_needs_no_extra_library() -> None:
    """`helm test` runs it in the image."""
    code, output, errors = await fulfillment("self-test", "--help")
    assert (code, errors) == (0, "")
    assert "--webhook-url" in output
