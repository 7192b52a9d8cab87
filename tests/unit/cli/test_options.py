"""What a person is told when the cluster cannot be asked."""

import click
import pytest

from fulfillment_cli.options import run
from fulfillment_runtime.kubernetes.errors import ApiUnavailableError, ForbiddenError, KubernetesError, NotFoundError
from support.repository import ROOT


async def fail(error: KubernetesError) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            ApiUnavailableError("the Kubernetes API cannot be reached (connection refused)"),
            69,
            (
                "the Kubernetes API cannot be reached (connection refused): is it up, and is the context right "
                "(kubectl config current-context)?"
            ),
        ),
        (ForbiddenError("alice may not"), 77, "alice may not"),
        (NotFoundError("no order cs-nobody"), 1, "no order cs-nobody"),
    ],
)
def test_it_is_one_line_and_an_exit_code_that_doctors_page_names(error: KubernetesError, code: int, said: str) -> None:
    """With what to do, where that is not plain."""
    with pytest.raises(click.ClickException) as told:
        run(fail(error))
    assert (told.value.exit_code, told.value.message) == (code, said)
    page = " ".join((ROOT / "docs/doctor.md").read_text(encoding="utf-8").split())
    assert f"{code} is a" in page or f"{code} a" in page or f"{code} what else" in page
