"""Tests that share what is costly, or that keep the whole machine busy, are groups: one process runs each."""

import pytest


@pytest.mark.xdist_group("known")
def test_a_group_is_known_where_tests_are_distributed(request: pytest.FixtureRequest, worker_id: str) -> None:
    """Xdist tells it by the end of a test's id; a release of pytest once took it away, and nothing said so."""
    assert request.node.nodeid.endswith("@known") == (worker_id != "master")
