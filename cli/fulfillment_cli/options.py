"""What every command takes: which cluster and namespace, as kubectl is told; and how a failure is said in one line."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import update_wrapper
from typing import Any, TypeVar

import click

from fulfillment_cli.cluster import Where
from fulfillment_runtime.exits import AccessDeniedError, UnavailableError
from fulfillment_runtime.kubernetes_errors import ApiDeniedError, ApiUnavailableError, KubernetesError

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def cluster_options(function: F) -> F:
    """Add `-n`, `--context` and `--kubeconfig`; they may stand before the command, or after it."""

    def called(*args: Any, namespace: str | None, context: str | None, kubeconfig: str | None, **options: Any) -> Any:  # noqa: ANN401 - any command
        before = click.get_current_context().find_object(Where) or Where(None, None, None)
        file = kubeconfig or before.kubeconfig or os.environ.get("KUBECONFIG") or None
        where = Where(namespace or before.namespace, context or before.context, file)
        return function(*args, where=where, **options)

    wrapped = update_wrapper(called, function)
    for option in (
        click.option("--kubeconfig", help="The kubeconfig file; else KUBECONFIG, as kubectl."),
        click.option("--context", help="The kubeconfig's context; its current one if not given."),
        click.option("-n", "--namespace", help="The namespace; the context's if not given."),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value] # it takes the options in place of `where`


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do it, and say what went wrong with the cluster in one line."""
    try:
        return asyncio.run(work)
    except ApiUnavailableError as error:
        raise UnavailableError(str(error)) from error
    except ApiDeniedError as error:
        raise AccessDeniedError(str(error)) from error
    except KubernetesError as error:
        raise click.ClickException(str(error)) from error


def now() -> datetime:
    """Tell the time, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
