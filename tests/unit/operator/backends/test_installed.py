"""The settings of the installed backends: whose, and what is wrong with them."""

import pytest

from fulfillment_operator.backends.installed import mistakes_in_backends
from fulfillment_runtime.chart_values import with_chart_values

URL_MISSING = "FULFILLMENT_HTTP_URL is not set: the http backend posts orders to it"
TEMPLATE_MISSING = "FULFILLMENT_JOB_TEMPLATE is not set: the job backend makes Jobs of it"
TIMEOUT_WRONG = "FULFILLMENT_HTTP_TIMEOUT must be more than 0s"


@pytest.mark.parametrize(
    ("used", "environ", "mistakes"),
    [
        (["log"], {}, []),
        (["log"], {"FULFILLMENT_HTTP_TIMEOUT": "30s"}, []),
        (["log"], {"FULFILLMENT_HTTP_TIMEOUT": "0s"}, [TIMEOUT_WRONG]),
        (["http"], {"FULFILLMENT_HTTP_URL": "https://shop.example/orders"}, []),
        (["http"], {"FULFILLMENT_HTTP_TIMEOUT": "0s"}, [TIMEOUT_WRONG]),
        (["http", "job"], {}, [URL_MISSING, TEMPLATE_MISSING]),
    ],
)
def test_what_is_set_must_be_right_and_what_is_used_must_be_there(
    used: list[str], environ: dict[str, str], mistakes: list[str]
) -> None:
    """The chart tells every operator the http backend's time-out, whichever backend it uses."""
    assert mistakes_in_backends(used, environ) == [with_chart_values(each) for each in mistakes]
