"""What nobody should send, and somebody will."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.from_models import Json, requests


def nested(depth: int, core: object = 1) -> Json:
    """Nest an object in itself."""
    for _ in range(depth):
        core = {"a": core}
    assert isinstance(core, dict)
    return core


def nested_list(depth: int) -> list[object]:
    """Nest a list in itself."""
    core: list[object] = []
    for _ in range(depth):
        core = [core]
    return core


odd_values: st.SearchStrategy[Any] = st.sampled_from(
    [
        None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, 10**400, -(10**30), 0.5, 1.0, 1e308, 5e-324,
        float("inf"), float("-inf"), float("nan"), "", " ", "0", "1", "null", "NaN", "true", "{}", "[]", "\x00", "\n",
        "\ud800", "a\udfff", "\ufeff", "\u202e", "💥" * 300, "x" * 5_000, "--help", "$(reboot)", "a=\x00", "=", "+",
        "../../etc/passwd", "/", "./", ".", "s3://", "s3:///", "s3://b", "s3://bucket", "s3://bucket/", "s3://UPPER/key",
        "s3://a..b/key", "s3://bucket/\ud800", "s3://bucket/" + "k" * 1_020, "s3://bucket/" + "ü" * 600, "S3://bucket/k",
        "https://bucket.s3.amazonaws.com/key", "s3://bucket/folder/",
        "s3://assets/p/*/files/", "s3://assets/${aws:userid}/", "s3://assets//", "policy.pt", "a.zip", "train", "Train",
        "evaluate", [], {}, [None], [[]], {"a": 1}, {"": ""}, {"\ud800": 1}, {"TaskToken": "another"},
    ]
).map(copy.deepcopy)  # fmt: skip
_depths = st.sampled_from([40, 150, 300])
"""What is much deeper, Lambda's own runtime cannot read."""
deep_values = st.builds(nested, _depths) | st.builds(nested_list, _depths)

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(categories=None)),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(st.characters(categories=None)), children, max_size=4)
    ),
    max_leaves=8,
)


@st.composite
def near_requests(draw: st.DrawFn) -> Json:
    """Draw a valid request with a few things wrong with it."""
    request = copy.deepcopy(draw(requests()))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from([part for part in (request, *request.values()) if isinstance(part, dict)]))
        _spoil(draw, request, place)
    return request


def _spoil(draw: st.DrawFn, request: Json, place: Json) -> None:
    known = ["trainingConfig", "computeConfig", "name", "mode", "numEnvs", "policyS3Uri", "hydraOverrides", "numNodes"]
    key = draw(st.sampled_from(sorted(place) or known))
    match draw(st.sampled_from(["value", "key", "new key", "place", "kind", "depth"])):
        case "value":
            place[key] = draw(odd_values | any_json)
        case "key":
            place[draw(_misspelt(key))] = place.pop(key, 1)
        case "new key":
            place[draw(st.sampled_from(known) | st.text(st.characters(categories=None)))] = draw(odd_values)
        case "place":
            request[key] = place.get(key)
        case "kind":
            value = place.get(key)
            place[key] = draw(st.sampled_from([[value], str(value), {"value": value}]))
        case "depth":
            place[key] = draw(deep_values)


@st.composite
def _misspelt(draw: st.DrawFn, key: str) -> str:
    at = draw(st.integers(0, len(key) - 1)) if key else 0
    ways = [key[:at] + key[at + 1 :], f"{key}s", key.lower(), key.upper(), f" {key}", f"{key}\x00", key * 400]
    return draw(st.sampled_from(ways))


@st.composite
def _deep_texts(draw: st.DrawFn) -> str:
    depth = draw(st.sampled_from([50, 900, 5_000, 100_000]))
    opening, closing = draw(st.sampled_from([("[", "]"), ('{"a":', "}"), ('{"trainingConfig":', "}")]))
    return opening * depth + "1" + closing * draw(st.sampled_from([depth, 0]))


@st.composite
def _spoilt_texts(draw: st.DrawFn) -> str:
    text = json.dumps(draw(requests() | near_requests()), ensure_ascii=draw(st.booleans()))
    at = draw(st.integers(0, len(text)))
    return draw(st.sampled_from([text[:at], text + text, f"\ufeff{text}", json.dumps(text), text.replace('"', "'")]))


odd_texts = st.one_of(
    _deep_texts(),
    _spoilt_texts(),
    st.text(st.characters(categories=None)),
    st.sampled_from(
        [
            "null", "[]", "3", '"train"', "NaN", "Infinity", "1e999", "9" * 5_000, "{} {}",
            '{"trainingConfig": {"seed": ' + "9" * 5_000 + "}}", '{"name": NaN}', '{"a": 1, "a": 2}',
            '{"trainingConfig": {"seed": 1e999}}',
            '{"trainingConfig": {"numEnvs": 1, "numEnvs": 0}}', '{"name": "\\ud800"}', '{"\\udfff": 1}', "// {}",
        ]
    ),
)  # fmt: skip

parameters = st.one_of(near_requests(), any_json, odd_values, deep_values, odd_texts)
"""What stands in `inputParameters`."""

config_files = st.one_of(
    st.binary(max_size=200),
    odd_texts.map(lambda text: text.encode(errors="surrogatepass")),
    near_requests().map(lambda request: json.dumps(request).encode()),
    near_requests().map(lambda request: json.dumps(request).encode("utf-16")),
    near_requests().map(lambda request: b"\xef\xbb\xbf" + json.dumps(request).encode()),
    st.sampled_from([b"", b"\x00" * 100, b" " * 2_000_000, b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"\xff\xfe{\x00}\x00"]),
    # Each of thousands of unknown keys, or wrong values, would be a sentence of its own.
    st.sampled_from([20, 3_000]).map(lambda count: json.dumps({f"numEnv{i}": i for i in range(count)}).encode()),
    st.sampled_from([20, 3_000]).map(
        lambda count: json.dumps({"trainingConfig": {"hydraOverrides": ["a=" + "b" * 20] * count}}).encode()
    ),
)
"""What stands in the file beside it."""


@st.composite
def messages(draw: st.DrawFn, message: Json) -> Json:
    """Spoil a message's own fields.

    Args:
        draw: Draws values.
        message: A message that could be taken.
    """
    fields = [
        "outputS3AssetFilesPath", "inputS3AssetFilePath", "outputS3AssetMetadataPath", "bucketAsset", "assetId",
        "inputAssetLocationKey", "inputParameters", "workflowId", "outputType",
    ]  # fmt: skip
    spoilt = dict(message)
    for field in draw(st.lists(st.sampled_from(fields), max_size=3)):
        spoilt[field] = draw(odd_values | any_json | deep_values)
    return spoilt
