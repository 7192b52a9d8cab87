"""By which rules events become orders: those that the settings make. Pure."""

from dataclasses import dataclass, field

from fulfillment_service.events.filters import Filters
from fulfillment_service.events.stored_fields import StoredFields


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRules:
    """Which events count, and what is stored of them, however they come."""

    filters: Filters = field(default_factory=Filters)
    """Which events count."""
    stored: StoredFields = field(default_factory=StoredFields)
    """What of a Session is stored beside its ids."""
