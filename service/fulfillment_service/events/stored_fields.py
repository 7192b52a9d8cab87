"""Which of the fields that the shop fills as it likes are stored in the cluster. Pure."""

from dataclasses import dataclass

from msgspec.structs import replace

from fulfillment_api.spec import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFields:
    """What of a Session's metadata and client reference is stored: nothing, unless asked for.

    A shop may put personal data into both. Filters see the event, routes and backends see Stripe's answer: none of
    them needs what is stored.
    """

    metadata_keys: frozenset[str] = frozenset()
    client_reference_id: bool = False

    def of(self, session: Session) -> Session:
        """Return the Session as it is stored."""
        return replace(
            session,
            metadata={key: value for key, value in session.metadata.items() if key in self.metadata_keys},
            client_reference_id=session.client_reference_id if self.client_reference_id else None,
        )
