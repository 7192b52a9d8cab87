"""The Kubernetes API by way of kubectl, which logs in as it always does.

`kubectl proxy` is started on a socket that only this user can open, and takes plain HTTP there. So whatever kubectl can
reach, this plugin can: exec plugins, tokens that are renewed, client certificates, proxies. And no client library is
loaded, which takes ten times as long as a command.
"""

import asyncio
import os
import re
import sys
import tempfile
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

import httptools

from fulfillment_runtime.fatal_errors import UnavailableError
from fulfillment_runtime.kubernetes.errors import ApiUnavailableError, error_of
from fulfillment_runtime.kubernetes.kubeconfig import wrong_kubeconfig
from fulfillment_runtime.kubernetes.rest import NO_QUERY, Answer, MediaType, Method

_UNTIL_CLOSED = """\
trap : HUP INT TERM
"$0" "$@" <{stdin} &
exec >/dev/null 2>&1
read -r _
kill $!
"""
"""Runs kubectl until standard input ends, which it does however this process ends."""
_LOG_LINE = re.compile(rb"[IWEF]\d{4} ")  # of klog; what it says of a request, the answer says as well
_BUFFER = 1 << 20  # bytes
_STARTS_WITHIN = 30.0  # seconds


@asynccontextmanager
async def kubectl_proxy(
    kubectl: str, kubeconfig: str | None, context: str | None, *, starts_within: float = _STARTS_WITHIN
) -> AsyncIterator["KubectlRestClient"]:
    """Have kubectl carry requests while the context lasts.

    Args:
        kubectl: the program.
        kubeconfig: a kubeconfig file, or several as in KUBECONFIG; None for what kubectl takes by itself.
        context: a context of it; None for its current one.
        starts_within: seconds that kubectl may take until it listens.

    Raises:
        SettingsError: kubectl does not start. It has said why.
        UnavailableError: it takes too long to start.
    """
    with tempfile.TemporaryDirectory(prefix="kubectl-fulfillment-") as folder:
        socket = Path(folder, "socket")
        stdin = "/dev/tty" if sys.stdin is not None and sys.stdin.isatty() else "/dev/null"  # an exec plugin may ask
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            _UNTIL_CLOSED.format(stdin=stdin),
            kubectl,
            "proxy",
            f"--unix-socket={socket}",
            "--append-server-path",  # of an API server that is not at the root of its host
            *([f"--context={context}"] if context else []),
            env={**os.environ, **({"KUBECONFIG": kubeconfig} if kubeconfig else {})},
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
        )
        assert process.stdin  # noqa: S101 - all three are pipes
        assert process.stdout  # noqa: S101 - likewise
        assert process.stderr  # noqa: S101 - likewise
        passing_on = asyncio.create_task(_pass_on(process.stderr))
        try:
            try:
                async with asyncio.timeout(starts_within):
                    first_line = await process.stdout.readline()  # "Starting to serve on …"
            except TimeoutError:
                raise UnavailableError(
                    f"kubectl proxy did not start within {starts_within:g} s: try again, and see whether kubectl "
                    "answers by itself"
                ) from None
            if not first_line:
                await passing_on
                raise wrong_kubeconfig("kubectl does not start with it, as it says above")
            api = KubectlRestClient(socket)
            try:
                yield api
            finally:
                api.close()
        finally:
            process.stdin.close()
            await process.wait()
            await passing_on


async def _pass_on(stderr: StreamReader) -> None:
    """Show a person what an exec plugin says to them, such as where to log in."""
    while said := await stderr.read(_BUFFER):
        for line in said.splitlines(keepends=True):
            if not _LOG_LINE.match(line):
                sys.stderr.write(line.decode(errors="replace"))
        sys.stderr.flush()


class KubectlRestClient:
    """A `RestClient` over the socket of `kubectl proxy`."""

    def __init__(self, socket: Path) -> None:
        """Make a client.

        Args:
            socket: where kubectl listens.
        """
        self._socket = socket
        self._idle: list[tuple[StreamReader, StreamWriter]] = []

    def close(self) -> None:
        """Close its connections."""
        for _, writer in self._idle:
            writer.close()

    async def request(  # noqa: PLR0913 - as `RestClient` has it
        self,
        method: Method,
        path: str,
        *,
        query: Mapping[str, str] = NO_QUERY,
        body: bytes | None = None,
        content_type: MediaType = MediaType.JSON,
        accept: MediaType = MediaType.JSON,
        timeout: float,
    ) -> Answer:
        """Send a request, and read its answer: `RestClient.request`."""
        head = _head(method, path, query, accept)
        if body is not None:
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        with _unreachable():
            async with asyncio.timeout(timeout):
                reader, writer = self._idle.pop() if self._idle else await self._connection()
                try:
                    writer.write(f"{head}\r\n".encode() + (body or b""))
                    answer = await _whole(reader)
                except BaseException:
                    writer.close()
                    raise
                self._idle.append((reader, writer))
        return answer.checked()

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str] = NO_QUERY, timeout: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Read an answer line by line: `RestClient.stream`."""
        with _unreachable():
            async with asyncio.timeout(timeout):
                reader, writer = await self._connection()
                try:
                    writer.write(f"{_head(Method.GET, path, query, MediaType.JSON)}\r\n".encode())
                    answer = _HttpAnswer()
                    while not answer.has_head:
                        await answer.read(reader)
                    if answer.status != HTTPStatus.OK:
                        while not answer.is_complete:
                            await answer.read(reader)
                        raise error_of(answer.checked())
                    yield _lines(answer, reader)
                finally:
                    writer.close()  # what is left of it is not waited for

    async def _connection(self) -> tuple[StreamReader, StreamWriter]:
        return await asyncio.open_unix_connection(self._socket, limit=_BUFFER)


def _head(method: Method, path: str, query: Mapping[str, str], accept: MediaType) -> str:
    target = f"{path}?{urlencode(query)}" if query else path
    return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: checkout-fulfillment\r\nAccept: {accept}\r\n"


async def _whole(reader: StreamReader) -> "_HttpAnswer":
    answer = _HttpAnswer()
    while not answer.is_complete:
        await answer.read(reader)
    return answer


async def _lines(answer: "_HttpAnswer", reader: StreamReader) -> AsyncIterator[bytes]:
    while True:
        *lines, rest = bytes(answer.body).split(b"\n")
        answer.body[:] = rest
        for line in lines:
            yield line
        if answer.is_complete:
            return
        await answer.read(reader)


class _HttpAnswer:
    """An answer as its bytes come: what httptools' parser calls back."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.has_head = False
        self.is_complete = False
        self._reason = ""
        self._is_text = False
        self._parser = httptools.HttpResponseParser(self)

    async def read(self, reader: StreamReader) -> None:
        """Read what is there next.

        Raises:
            EOFError: kubectl hung up.
        """
        read = await reader.read(_BUFFER)
        if not read:
            raise EOFError("kubectl proxy hung up")
        self._parser.feed_data(read)

    @property
    def status(self) -> int:
        """The status code."""
        return self._parser.get_status_code()

    def checked(self) -> Answer:
        """Give the API server's answer.

        Raises:
            ApiUnavailableError: it is kubectl's own, which could not reach the API server.
        """
        if self._is_text and self.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ApiUnavailableError(f"the Kubernetes API cannot be reached ({self.body.decode().strip()})")
        return Answer(self.status, self._reason, bytes(self.body))

    def on_status(self, reason: bytes) -> None:
        self._reason += reason.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self._is_text = value.startswith(b"text/plain")

    def on_headers_complete(self) -> None:
        self.has_head = True

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_complete = True


@contextmanager
def _unreachable() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise ApiUnavailableError("the Kubernetes API did not answer in time") from error
    except (OSError, EOFError, httptools.HttpParserError) as error:
        raise ApiUnavailableError(f"the Kubernetes API cannot be reached ({error})") from error
