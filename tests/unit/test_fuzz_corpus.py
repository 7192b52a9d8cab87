"""The corpus of `make fuzz`, played in order: what once reached a new branch, or broke a promise, breaks none."""

import pytest

from fuzz.__main__ import CORPUS
from fuzz.targets import TARGETS, BrokenPromiseError, signature


@pytest.mark.parametrize("target", TARGETS)
def test_every_input_of_the_corpus_keeps_the_promises(target: str) -> None:
    """Each target has some, and they are small."""
    inputs = sorted((CORPUS / target).iterdir())
    assert len(inputs) > 5
    for path in inputs:
        data = path.read_bytes()
        assert len(data) < 8192
        TARGETS[target](data)


def test_a_promise_that_is_broken_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were any signature accepted, the corpus would show it."""
    monkeypatch.setattr("fuzz.targets.verify", lambda *_, **__: None)
    with pytest.raises(BrokenPromiseError, match="what is accepted was signed"):
        signature(b"t=1793600000,v1=00\n{}")
