"""Makes the clock of a process wrong: Python loads it first, from PYTHONPATH, and the product knows nothing of it.

The seconds stand in FAULTS_CLOCK_SHIFT. What counts seconds (`time.monotonic`) goes on as it is.
"""

import ctypes
import datetime
import gc
import os
import time

_SHIFT = float(os.environ.get("FAULTS_CLOCK_SHIFT", "0"))
_DELTA = datetime.timedelta(seconds=_SHIFT)
_time, _time_ns, _now = time.time, time.time_ns, datetime.datetime.now


def _shifted_now(cls, tz=None):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001 - as datetime has it
    return _now(tz) + _DELTA


if _SHIFT:
    time.time = lambda: _time() + _SHIFT
    time.time_ns = lambda: _time_ns() + int(_SHIFT * 1e9)
    # A built-in type takes no attribute by assignment; its dictionary does. msgspec wants this type, and no subclass.
    gc.get_referents(datetime.datetime.__dict__)[0]["now"] = classmethod(_shifted_now)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime.datetime))
