"""Brings each request a step further: what the watch brings is queued, reconciled, written, and recorded."""
