"""What RBAC must allow the order page. Pure."""

from fulfillment_api.names import PLURAL
from fulfillment_runtime.kubernetes.rbac import Rule

PAGE_RULES = (Rule("create", PLURAL), Rule("get", PLURAL), Rule("list", PLURAL), Rule("watch", PLURAL))
