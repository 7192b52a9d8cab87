"""An order that is deleted before its end: nobody fulfills it any more, so a person is told."""

import structlog

from fulfillment_api.self_test import is_self_test
from fulfillment_operator.metrics import OperatorMetrics

_log = structlog.get_logger(__name__)


def tell_deleted_unfinished(request: str, session: str, metrics: OperatorMetrics) -> None:
    """Log and count it; a self-test deletes its own order, however far that came, and alerts nobody.

    Args:
        request: its name.
        session: the id of its Session.
        metrics: counts.
    """
    if is_self_test(session):
        return
    metrics.deleted_unfinished.inc()
    _log.warning("controller.deleted_unfinished", request=request, session=session)
