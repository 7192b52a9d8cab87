"""The settings of the job backend."""

from typing import Annotated

from msgspec import Meta, Struct, field

from fulfillment_operator.backends.job.template import parse_template
from fulfillment_runtime.settings import MissingSettingError

TEMPLATE = "FULFILLMENT_JOB_TEMPLATE"
REVERSAL_TEMPLATE = "FULFILLMENT_JOB_REVERSAL_TEMPLATE"


class JobSettings(Struct, frozen=True, kw_only=True):
    """The variables of the job backend."""

    template: Annotated[
        str,
        Meta(
            description="the Job that the job backend makes of each order, as YAML: a CronJob's jobTemplate "
            "(docs/job-backend.md)"
        ),
    ] = field(default="", name=TEMPLATE)
    reversal_template: (
        Annotated[
            str,
            Meta(
                description="the Job that the job backend makes of an order that was refunded or disputed, likewise; "
                "none: it makes no such Job"
            ),
        ]
        | None
    ) = field(default=None, name=REVERSAL_TEMPLATE)

    def __post_init__(self) -> None:
        """Check the templates, as far as the API server is not asked; last of all, that nothing is missing."""
        if self.template:
            parse_template(self.template, TEMPLATE)
        if self.reversal_template is not None:
            parse_template(self.reversal_template, REVERSAL_TEMPLATE)
        if not self.template:
            raise MissingSettingError(f"{TEMPLATE} is not set: the job backend makes Jobs of it")
