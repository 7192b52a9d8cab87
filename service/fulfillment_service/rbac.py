"""What RBAC must allow the service, and a recovery. Pure."""

from fulfillment_api.names import PLURAL
from fulfillment_runtime.kubernetes.rbac import Rule
from fulfillment_service.settings import RecoverSettings

SERVICE_RULES = (Rule("create", PLURAL), Rule("get", PLURAL), Rule("list", PLURAL), Rule("patch", PLURAL))


def recovery_rules(settings: RecoverSettings, *, dry_run: bool = False) -> tuple[Rule, ...]:
    """Return what RBAC must allow a recovery."""
    name = settings.recovery_name
    reading = (Rule("get", PLURAL), Rule("list", PLURAL), Rule("get", "configmaps", name))
    if dry_run:
        return reading
    return (
        *reading,
        Rule("create", PLURAL),
        Rule("patch", PLURAL),
        Rule("create", "configmaps"),
        Rule("patch", "configmaps", name),
        Rule("create", "leases"),
        Rule("get", "leases", name),
        Rule("update", "leases", name),
    )
