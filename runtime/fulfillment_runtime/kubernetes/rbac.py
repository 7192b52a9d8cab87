"""What RBAC must allow a process. No I/O: `access` asks the API server whether it does."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that RBAC must allow this process in its namespace."""

    verb: str
    resource: str
    """Such as `leases`, or with a subresource `fulfillmentrequests/status`."""
    name: str | None = None
    """The one object that it concerns; None for any, which a Role with `resourceNames` does not allow."""

    def __str__(self) -> str:
        """Say it in words."""
        return f"{self.verb} {self.resource}" + (f" named {self.name}" if self.name else "")
