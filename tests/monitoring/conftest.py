import os

import pytest

from fulfillment_local.programs import find_prometheus


@pytest.fixture(scope="session")
def promtool() -> str:
    return str(find_prometheus(os.environ).promtool)
