"""JSON as others write it. Pure."""

import re

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""An escape in a string: a surrogate pair, half of one, or another."""


def without_lone_surrogates(body: bytes) -> bytes:
    r"""Put U+FFFD in place of each half of a surrogate pair, which JSON can name (`\ud800`) and UTF-8 cannot hold.

    A text that is cut between the two, as a program may cut a name with an emoji, has one. Nothing else is changed.
    """
    if rb"\ud" not in body and rb"\uD" not in body:
        return body
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], body)
