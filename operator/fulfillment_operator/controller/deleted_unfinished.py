"""An order that is deleted before its end: nobody fulfills it any more, so a person is told."""

import structlog

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.self_test import is_self_test
from fulfillment_operator.metrics import OperatorMetrics
from fulfillment_operator.policy.retention import FINISHED

_log = structlog.get_logger(__name__)


def tell_deleted_unfinished(request: FulfillmentRequest, metrics: OperatorMetrics) -> None:
    """Log and count it, if it had not come to its end; of one that is just being restored nobody knows.

    A self-test deletes its own order, however far that came, and alerts nobody.

    Args:
        request: as it last stood.
        metrics: counts.
    """
    is_finished = request.status is not None and request.status.phase in FINISHED
    if is_finished or request.annotations.restoring or is_self_test(request.spec.session.id):
        return
    metrics.deleted_unfinished.inc()
    _log.warning("controller.deleted_unfinished", request=request.metadata.name, session=request.spec.session.id)
