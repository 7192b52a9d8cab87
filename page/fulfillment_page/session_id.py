"""What names the Session of a visit. Pure: what cannot be a Session's costs nobody anything."""

import re
from dataclasses import dataclass

from fulfillment_api.names import request_name

_SHAPE = re.compile(r"cs_(test|live)_[A-Za-z0-9]{24,200}")
"""Stripe promises no length. Its ids have some 58 characters behind the mode, of which each is hard to guess."""
_ACCOUNT = re.compile(r"acct_[A-Za-z0-9]{8,100}")


@dataclass(frozen=True, slots=True)
class SessionId:
    """As the visitor names it, whatever that is."""

    id: str
    account: str | None = None
    """The connected account that owns the Session, acct_…; None: the API key's own."""

    @property
    def request_name(self) -> str:
        """The name of the one request that it can have."""
        return request_name(self.id, self.account)

    def is_well_formed(self, *, livemode: bool) -> bool:
        """Tell whether it has the shape of a Session's id, of the one mode that counts, and of an account's."""
        found = _SHAPE.fullmatch(self.id)
        if found is None or (found[1] == "live") is not livemode:
            return False
        return self.account is None or _ACCOUNT.fullmatch(self.account) is not None
