"""How long texts of the contract may be: the API server rejects an object with a longer one, so they are cut off."""

LONGEST_REFERENCE = 255
"""Characters of what a backend, or a person, calls an order."""
LONGEST_MESSAGE = 1024
"""Characters of an error or a message, and of an annotation's value, as far as spec and status hold it."""

LONGEST_METADATA_KEY, LONGEST_METADATA_VALUE, MOST_METADATA = 40, 500, 50
"""Characters of a key and of a value of a Session's metadata, and how many there are: Stripe's own bounds."""
