"""What can be a Session's id, and its account's."""

import pytest

from fulfillment_page.session_id import SessionId

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
    assert SessionId(text).is_well_formed(livemode=livemode) is expected


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        (None, True),
        ("acct_1032D82eZvKYlo2C", True),
        ("", False),
        ("acct_", False),
        ("acct_1", False),
        ("org_1032D82eZvKYlo2C", False),
        ("acct_1032D82eZvKYlo2C/acct_1032D82eZvKYlo2D", False),
        ("acct_1032D82eZvKYlo2C\n", False),
        (f"acct_{'1' * 101}", False),
    ],
)
def test_only_what_has_the_shape_of_an_account_is_asked_for(account: str | None, expected: bool) -> None:
    """Of a Session that has its own shape."""
    assert SessionId(f"cs_test_{ID}", account).is_well_formed(livemode=False) is expected
    assert not SessionId("cs_test_", account).is_well_formed(livemode=False)
