"""Hypothesis strategies for the texts of properties; many are almost values of a type."""

from __future__ import annotations

from hypothesis import strategies as st

from tap_hubspot_dw.records.schemas import columns, object_schema

TYPES = ["number", "bool", "date", "datetime", "string", "enumeration", "json", "phone_number", "of 2030"]
SCHEMA = object_schema({"name": type_name, "type": type_name} for type_name in TYPES)
COLUMNS = columns(SCHEMA, SCHEMA["properties"])

blanks = st.sampled_from(["", "", "", " ", "\t", "\n", "\u00a0", "\x1c"])
number_parts = st.sampled_from(
    ["", "0", "1", "9" * 18, "9" * 19, "0" * 17 + "1", "00", "12", "٣", "²", "1_0", "9" * 1001]
)
number_texts = st.tuples(
    blanks,
    st.sampled_from(["", "", "-", "+", "--", "\u2212"]),
    number_parts,
    st.sampled_from(["", ".", ",", ".."]),
    number_parts,
    st.sampled_from(["", "", "e", "E", "e-", "E+", "x"]),
    st.sampled_from(["", "0", "1", "999", "1000", "07"]),
    blanks,
).map("".join)
day_texts = st.tuples(
    st.sampled_from(["2026", "2024", "0001", "9999", "0000", "20225", "-001", "٢٠٢٦", "1970"]),
    st.sampled_from(["-", "-", "/", ""]),
    st.sampled_from(["01", "02", "12", "00", "13", "1", "W1"]),
    st.sampled_from(["-", "-", "-", "/", ""]),
    st.sampled_from(["01", "28", "29", "30", "31", "00", "1"]),
).map("".join)
time_texts = st.tuples(
    st.sampled_from(["T", "T", " ", "t", ""]),
    st.sampled_from(["00:00", "23:59", "24:00", "12:3", "1200", "00:00:00", "23:59:59", "23:59:60", "00:00:00:00"]),
    st.sampled_from(["", ".0", ".000", ".999", ".9999", ".999999", ".9999999", ",5", ".", ".5é"]),
    st.sampled_from(["", "Z", "z", "+00:00", "-23:59", "+14:00", "+24:00", "+0200", "+02", "+00:00:00.5", "ZZ"]),
).map("".join)
timestamp_texts = st.tuples(blanks, day_texts, st.just("") | time_texts, blanks).map("".join)
epoch_texts = st.integers(-(10**16), 10**16).map(str) | st.integers(-(10**5), 10**5).map(
    lambda day: str(86_400_000 * day)
)
words = st.sampled_from(
    [
        "",
        "true",
        "false",
        "TRUE",
        " False",
        "True\n",
        "yes",
        "0",
        "NaN",
        "Infinity",
        "-inf",
        "null",
        "\u017f",
        "fal\u017fe",
    ]
)
texts = st.one_of(number_texts, timestamp_texts, epoch_texts, words, st.text(max_size=12), day_texts, time_texts)
pages = st.lists(st.dictionaries(st.sampled_from(TYPES), st.none() | texts), min_size=1, max_size=6)
