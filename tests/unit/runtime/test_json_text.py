"""Which halves of surrogate pairs a JSON text has."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulfillment_runtime.json_text import without_lone_surrogates


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rb'"\ud83d"', "\ufffd"),
        (rb'"\uDE00"', "\ufffd"),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\uD83D\uDE00\ude00"', "\U0001f600\ufffd"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\\ud83d"', r"\ud83d"),
        (rb'"\\\ud83d"', "\\\ufffd"),
        (rb'"\ud7ff\ue000"', "\ud7ff\ue000"),
        (rb'{"\ud83d": 1}', {"\ufffd": 1}),
    ],
)
def test_halves_are_replaced_and_pairs_are_not(text: bytes, expected: object) -> None:
    """Nor what only looks like one behind a backslash."""
    assert json.loads(without_lone_surrogates(text)) == expected


@given(text=st.text(alphabet=st.one_of(st.characters(), st.characters(categories=["Cs"]))))
def test_the_rest_stays_as_it_is(text: str) -> None:
    """Whatever the text is: as a decoder replaces what UTF-16 cannot hold."""
    whole = text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")
    found = json.loads(without_lone_surrogates(json.dumps(text).encode()))
    assert found == whole
    found.encode()
