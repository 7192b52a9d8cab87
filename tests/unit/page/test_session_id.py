"""What can be a Session's id."""

import pytest

from fulfillment_page.session_id import is_session_id

ID = "a1P5YYluaNII2Sw4YvDcqWDVcCaEF88dgjX1R52zahnP5GOEowMj42pzSq"


@pytest.mark.parametrize(
    ("text", "livemode", "expected"),
    [
        (f"cs_test_{ID}", False, True),
        (f"cs_live_{ID}", True, True),
        (f"cs_live_{ID}", False, False),
        (f"cs_test_{ID}", True, False),
        ("", False, False),
        ("cs_test_", False, False),
        ("cs_test_a1", False, False),
        ("{CHECKOUT_SESSION_ID}", False, False),
        (f"pi_test_{ID}", False, False),
        (f" cs_test_{ID}", False, False),
        (f"cs_test_{ID}\n", False, False),
        (f"cs_test_{ID}/line_items", False, False),
        (f"cs_test_{ID}é", False, False),
        (f"cs_test_{'a' * 201}", False, False),
    ],
)
def test_only_what_has_the_shape_of_the_mode_is_asked_for(text: str, livemode: bool, expected: bool) -> None:
    """All else costs nobody anything."""
    assert is_session_id(text, livemode=livemode) is expected
