"""What RBAC must allow the operator. Pure."""

from fulfillment_api import names
from fulfillment_operator.backends.job.job_api import RULES as JOB_RULES
from fulfillment_operator.settings import OperatorSettings
from fulfillment_runtime.kubernetes.rbac import Rule


def rules_of(settings: OperatorSettings) -> tuple[Rule, ...]:
    """Tell what RBAC must allow the operator."""
    return (
        Rule("get", names.PLURAL),
        Rule("list", names.PLURAL),
        Rule("watch", names.PLURAL),
        Rule("patch", f"{names.PLURAL}/status"),
        Rule("create", "events"),
        Rule("patch", "events"),
        Rule("create", "leases"),
        Rule("get", "leases", settings.lease_name),
        Rule("update", "leases", settings.lease_name),
        *((Rule("delete", names.PLURAL),) if settings.retention else ()),
        *((Rule("get", "configmaps", settings.recovery_configmap),) if settings.recovery_configmap else ()),
        *(JOB_RULES if "job" in settings.routing.backends else ()),
    )
