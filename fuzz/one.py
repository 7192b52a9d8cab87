"""`python -m fuzz.one TARGET [libFuzzer's options]`: fuzz one target in this process, guided by coverage."""

import logging
import sys

import atheris
import structlog

with atheris.instrument_imports(include=["fulfillment_api", "fulfillment_operator", "fulfillment_service"]):
    from fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer has enough, or something is found."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
