"""What was filled in on Checkout's page, in the shape of API version 2026-10-28.endive."""

from typing import Any

from fulfillment_local.fake_stripe.model import Session, SessionStatus
from fulfillment_local.fake_stripe.page import CustomField, FieldType

Json = dict[str, Any]

_MONTH = 30 * 24 * 60 * 60  # seconds in which an expired Session can be taken up again


def page_fields(session: Session) -> Json:
    """Render the fields of a `checkout.session` that the page brings; what the buyer says is there at the end."""
    page, is_complete = session.order.page, session.status is SessionStatus.COMPLETE
    presentment = page.presentment if is_complete else None
    return {
        "adaptive_pricing": {"enabled": page.presentment is not None},
        "after_expiration": _after_expiration(session) if page.recoverable else None,
        "consent": _consent(session) if is_complete else None,
        "custom_fields": [_custom_field(each, answered=is_complete) for each in page.custom_fields],
        "discounts": [{"coupon": "SPRING", "promotion_code": "promo_1SpringSale"}] if page.discount else [],
        "locale": page.locale,
        **(
            {
                "presentment_details": {
                    "presentment_amount": presentment.amount,
                    "presentment_currency": presentment.currency,
                }
            }
            if presentment
            else {}
        ),
        "recovered_from": page.recovered_from,
        "shipping_cost": (
            None
            if page.shipping is None
            else {
                "amount_subtotal": page.shipping,
                "amount_tax": 0,
                "amount_total": page.shipping,
                "shipping_rate": "shr_1Express",
            }
        ),
        "total_details": {
            "amount_discount": session.subtotal + session.shipping + session.tax - session.total,
            "amount_shipping": session.shipping,
            "amount_tax": session.tax,
        },
    }


def _after_expiration(session: Session) -> Json:
    is_expired = session.status is SessionStatus.EXPIRED
    return {
        "recovery": {
            "allow_promotion_codes": False,
            "enabled": True,
            "expires_at": session.created + _MONTH if is_expired else None,
            "url": f"https://buy.stripe.com/r/{session.id}" if is_expired else None,
        }
    }


def _consent(session: Session) -> Json | None:
    page = session.order.page
    if page.promotions is None and not page.terms_accepted:
        return None
    return {
        "promotions": None if page.promotions is None else "opt_in" if page.promotions else "opt_out",
        "terms_of_service": "accepted" if page.terms_accepted else None,
    }


def _custom_field(field: CustomField, *, answered: bool) -> Json:
    value = field.value if answered else None
    answer: Json = {"default_value": None, "value": value}
    if field.type is FieldType.DROPDOWN:
        options = [each for each in (field.value, "other") if each]
        answer |= {"options": [{"label": each.capitalize(), "value": each} for each in options]}
    else:
        answer |= {"maximum_length": None, "minimum_length": None}
    return {
        "key": field.key,
        "label": {"custom": field.label, "type": "custom"},
        "optional": field.optional,
        "type": field.type,
        field.type: answer,
    }
