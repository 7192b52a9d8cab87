"""What the person on call sees: how the orders stand, each step of their way, what runs beside it, and the pods."""

from fulfillment_monitoring.rows.now import NOW
from fulfillment_monitoring.rows.operator import OPERATOR
from fulfillment_monitoring.rows.order_page import ORDER_PAGE
from fulfillment_monitoring.rows.orders import ORDERS
from fulfillment_monitoring.rows.pods import PODS
from fulfillment_monitoring.rows.reversals import REVERSALS
from fulfillment_monitoring.rows.upkeep import UPKEEP
from fulfillment_monitoring.rows.webhook import WEBHOOK

ROWS = (
    ("Now", NOW),
    ("Orders", ORDERS),
    ("Refunds and disputes", REVERSALS),
    ("Webhook", WEBHOOK),
    ("Operator", OPERATOR),
    ("Order page", ORDER_PAGE),
    ("Upkeep", UPKEEP),
    ("Pods", PODS),
)
