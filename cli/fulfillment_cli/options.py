"""What every command takes: which cluster and namespace, as kubectl does; and how a failure is printed in one line."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from fulfillment_cli.cluster import ConfigFlags, cluster_at_hand
from fulfillment_cli.namespaces import namespace_names
from fulfillment_runtime import examples as runtime_examples
from fulfillment_runtime.fatal_errors import AccessDeniedError, UnavailableError
from fulfillment_runtime.kubernetes.errors import ApiUnavailableError, ForbiddenError, KubernetesError
from fulfillment_runtime.kubernetes.kubeconfig import contexts_at_hand

COMPLETION_TIMEOUT = 2.0
"""Seconds that the cluster may take to complete a command line: somebody who pressed a key waits for it."""

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def config_flags(context: click.Context) -> ConfigFlags:
    """Read the flags from the command line: the options may stand before the command, or after it."""
    levels = [context.params, context.parent.params if context.parent else {}]

    def value(option: str) -> str | None:
        return next((level[option] for level in levels if level.get(option)), None)

    return ConfigFlags(
        value("namespace"), value("context"), value("kubeconfig") or os.environ.get("KUBECONFIG") or None
    )


def _namespaces(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    async def names() -> list[str]:
        async with cluster_at_hand(config_flags(context)) as cluster:
            return await namespace_names(cluster.api, timeout=COMPLETION_TIMEOUT)

    return [CompletionItem(name) for name in run(names()) if name.startswith(incomplete)]


def _contexts(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    names = contexts_at_hand(config_flags(context).kubeconfig)
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def with_config_flags(function: F) -> F:
    """Add `-n`, `--context` and `--kubeconfig`, which `config_flags` reads."""
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
    """Add the same options, and call the function with what they say as `flags`."""

    def called(*args: Any, namespace: str | None, context: str | None, kubeconfig: str | None, **options: Any) -> Any:  # noqa: ANN401, ARG001 - any command; `config_flags` reads them
        return function(*args, flags=config_flags(click.get_current_context()), **options)

    return with_config_flags(update_wrapper(called, function))  # type: ignore[return-value] # it takes the options in place of `flags`


def examples(*lines: str) -> str:
    """Make the end of a command's help, of command lines without the program's name."""
    return runtime_examples.examples(*(f"kubectl fulfillment {line}" for line in lines))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it, and print what went wrong with the cluster in one line."""
    try:
        return asyncio.run(work)
    except ApiUnavailableError as error:
        hint = "is it up, and is the context right (kubectl config current-context)?"
        raise UnavailableError(f"{error}: {hint}") from error
    except ForbiddenError as error:
        raise AccessDeniedError(str(error)) from error
    except KubernetesError as error:
        raise click.ClickException(str(error)) from error
