"""The rights of both workloads, as the chart's Roles have them, taken away and given back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kubernetes.aio import client

from fulfillment_api.names import GROUP, PLURAL
from fulfillment_local.credentials import User

_RBAC = "rbac.authorization.k8s.io"


def _rule(group: str, resources: str, verbs: str, names: str | None = None) -> client.V1PolicyRule:
    return client.V1PolicyRule(
        api_groups=[group],
        resources=[resources],
        verbs=verbs.split(),
        resource_names=[names] if names else None,
    )


_LEASE = "checkout-fulfillment-operator"
_RULES = {
    User.SERVICE: [_rule(GROUP, PLURAL, "create get list patch")],
    User.OPERATOR: [
        _rule(GROUP, PLURAL, "get list watch delete"),
        _rule(GROUP, f"{PLURAL}/status", "patch"),
        _rule("", "events", "create patch"),
        _rule("coordination.k8s.io", "leases", "create"),
        _rule("coordination.k8s.io", "leases", "get update", _LEASE),
    ],
}


def _kept(rules: list[client.V1PolicyRule], resources: str, taken: list[str]) -> list[client.V1PolicyRule]:
    """Leave verbs of a resource out of rules."""
    kept = []
    for rule in rules:
        verbs = [verb for verb in rule.verbs if rule.resources != [resources] or verb not in taken]
        if verbs:
            kept.append(
                client.V1PolicyRule(
                    api_groups=rule.api_groups,
                    resources=rule.resources,
                    verbs=verbs,
                    resource_names=rule.resource_names,
                )
            )
    return kept


@dataclass(frozen=True, slots=True)
class Rights:
    """A Role of each workload."""

    api: client.ApiClient
    namespace: str

    async def grant_all(self) -> None:
        """Give both workloads what the chart gives them, in a namespace that has no Role yet."""
        rbac = client.RbacAuthorizationV1Api(self.api)
        for user, rules in _RULES.items():
            metadata = client.V1ObjectMeta(name=str(user))
            await rbac.create_namespaced_role(self.namespace, client.V1Role(metadata=metadata, rules=rules))
            binding = client.V1RoleBinding(
                metadata=metadata,
                role_ref=client.V1RoleRef(api_group=_RBAC, kind="Role", name=str(user)),
                subjects=[client.RbacV1Subject(api_group=_RBAC, kind="User", name=str(user))],
            )
            await rbac.create_namespaced_role_binding(self.namespace, binding)

    @asynccontextmanager
    async def without(self, user: User, *, resources: str | None = None, verbs: str = "") -> AsyncIterator[None]:
        """Take rights away while the context lasts: all, or some verbs of a resource."""
        await self._replace(user, _kept(_RULES[user], resources, verbs.split()) if resources else [])
        try:
            yield
        finally:
            await self._replace(user, _RULES[user])

    async def _replace(self, user: User, rules: list[client.V1PolicyRule]) -> None:
        role = client.V1Role(metadata=client.V1ObjectMeta(name=str(user)), rules=rules)
        await client.RbacAuthorizationV1Api(self.api).replace_namespaced_role(str(user), self.namespace, role)
