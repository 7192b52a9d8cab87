"""The id that a visit names. Pure: what cannot be a Session's costs nobody anything."""

import re

_SHAPE = re.compile(r"cs_(test|live)_[A-Za-z0-9]{24,200}")
"""Stripe promises no length. Its ids have some 58 characters behind the mode, of which each is hard to guess."""


def is_session_id(text: str, *, livemode: bool) -> bool:
    """Tell whether a text has the shape of a Checkout Session's id, of the one mode that counts."""
    found = _SHAPE.fullmatch(text)
    return found is not None and (found[1] == "live") is livemode
