"""What every command takes: which cluster and namespace, as kubectl is told; and how a failure is said in one line."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import update_wrapper
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from fulfillment_cli.cluster import Where, cluster_at_hand
from fulfillment_runtime.exits import AccessDeniedError, UnavailableError
from fulfillment_runtime.kubernetes_connection import contexts_at_hand
from fulfillment_runtime.kubernetes_errors import ApiDeniedError, ApiUnavailableError, KubernetesError
from fulfillment_runtime.kubernetes_namespaces import namespace_names

COMPLETION_PATIENCE = 2.0
"""Seconds that the cluster may take to complete a command line: somebody who pressed a key waits for it."""

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def where_said(context: click.Context) -> Where:
    """Read from the command line where to look: the options may stand before the command, or after it."""
    levels = [context.params, context.parent.params if context.parent else {}]

    def said(option: str) -> str | None:
        return next((level[option] for level in levels if level.get(option)), None)

    return Where(said("namespace"), said("context"), said("kubeconfig") or os.environ.get("KUBECONFIG") or None)


def _namespaces(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    async def names() -> list[str]:
        async with cluster_at_hand(where_said(context)) as cluster:
            return await namespace_names(cluster.api, patience=COMPLETION_PATIENCE)

    return [CompletionItem(name) for name in run(names()) if name.startswith(incomplete)]


def _contexts(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    names = contexts_at_hand(where_said(context).kubeconfig)
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def where_options(function: F) -> F:
    """Add `-n`, `--context` and `--kubeconfig`, which `where_said` reads."""
    for option in (
        click.option("--kubeconfig", type=click.Path(), help="The kubeconfig file; else KUBECONFIG, as kubectl."),
        click.option(
            "--context", shell_complete=_contexts, help="The kubeconfig's context; its current one if not given."
        ),
        click.option(
            "-n", "--namespace", shell_complete=_namespaces, help="The namespace; the context's if not given."
        ),
    ):
        function = option(function)
    return function


def cluster_options(function: F) -> F:
    """Add the same options, and call the function with what they say as `where`."""

    def called(*args: Any, namespace: str | None, context: str | None, kubeconfig: str | None, **options: Any) -> Any:  # noqa: ANN401, ARG001 - any command; `where_said` reads them
        return function(*args, where=where_said(click.get_current_context()), **options)

    return where_options(update_wrapper(called, function))  # type: ignore[return-value] # it takes the options in place of `where`


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
