"""Hypothesis strategies for whatever a contract type's bounds allow, as the CustomResourceDefinition has them."""

import re
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

_TEXTS = ("", "a", "usd", "cs_test_1", "Paid")
"""What strings are drawn from: no decision is about their letters."""
TIMES = st.datetimes(datetime(2026, 10, 1), datetime(2026, 12, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001 - timezones
    lambda time: time.replace(microsecond=0)
)


def instances(kind: type[Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw instances of a struct type; `fields` take the place of what the types allow, by name at any depth."""
    return _of(inspect.type_info(kind), fields)


def _of(info: inspect.Type, fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    match info:
        case inspect.Metadata():
            return _of(info.type, fields)
        case inspect.UnionType():
            return st.one_of(*(_of(each, fields) for each in info.types))
        case inspect.StructType():
            drawn = {
                each.name: fields[each.name] if each.name in fields else _of(each.type, fields) for each in info.fields
            }
            return st.builds(info.cls, **drawn)
        case inspect.ListType():
            return st.lists(_of(info.item_type, fields), max_size=3)
        case inspect.VarTupleType():
            return st.lists(_of(info.item_type, fields), max_size=3).map(tuple)
        case inspect.DictType():
            return st.dictionaries(_of(info.key_type, fields), _of(info.value_type, fields), max_size=3)
        case _:
            return _of_scalar(info)


def _of_scalar(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.EnumType():
            return st.sampled_from(list(info.cls))
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.DateTimeType():
            return TIMES
        case inspect.IntType():
            return st.integers(info.ge if info.ge is not None else -(2**31), 2**31)
        case inspect.StrType(pattern=str(pattern)):
            return st.sampled_from([each for each in _TEXTS if re.search(pattern, each)])
        case inspect.StrType():
            return st.sampled_from([each for each in _TEXTS if len(each) >= (info.min_length or 0)])
        case _:
            raise NotImplementedError(f"no strategy for {info}")
