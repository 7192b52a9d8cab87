"""A backend's words, as status holds them: the API server refuses a status with longer ones, on every try. Pure."""

from fulfillment_operator.backends.interface import Done, InProgress, Outcome, Refused, TryAgain

MOST_WORDS = 1024
"""Characters of an error, as the CustomResourceDefinition has it."""
LONGEST_REFERENCE = 255
"""Characters, likewise."""


def fit_for_status(outcome: Outcome) -> Outcome:
    """Cut off what is too long of what a backend said."""
    match outcome:
        case Done(reference):
            return Done(reference and reference[:LONGEST_REFERENCE])
        case InProgress(message, reference, check_after):
            return InProgress(message[:MOST_WORDS], reference and reference[:LONGEST_REFERENCE], check_after)
        case TryAgain(error, after):
            return TryAgain(error[:MOST_WORDS], after)
        case Refused(error):
            return Refused(error[:MOST_WORDS])
