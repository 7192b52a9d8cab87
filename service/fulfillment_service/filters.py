"""Makes of the settings which events count."""

from fulfillment_service.settings import EventSettings
from fulfillment_service.translate import Filters


def filters_of(settings: EventSettings) -> Filters:
    """Tell which events are asked for."""
    return Filters(
        livemode=settings.livemode,
        accounts=settings.accounts,
        payment_links=settings.payment_links,
        metadata=settings.metadata_asked_for,
        retention=settings.retention or None,
    )
