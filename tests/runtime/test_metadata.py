from __future__ import annotations

import json

import pytest

from keras_affect import emotions
from keras_affect.runtime import metadata
from tests.runtime import tiny_models

MODEL = b"\x1c\x00\x00\x00TFL3" + bytes(range(256)) * 8


def test_names_and_fields():
    found = metadata.read(tiny_models.described(MODEL, quantization="int8"), "model")
    assert found.class_names == emotions.NAMES
    assert found.fields["quantization"] == "int8"


def test_what_export_writes_is_read():
    from keras_affect.export import metadata as written

    fields = written.describe(
        class_names=("calm", "not calm"),
        input_shape=(48, 48, 1),
        input_dtype="uint8",
        outputs=("emotion",),
        quantization="int8",
        description="A test's.",
        licence="Apache-2.0",
        limits=written.LIMITS,
    )
    found = metadata.read(written.append(MODEL, fields), "model")
    assert found.class_names == ("calm", "not calm")
    assert found.fields == fields


def test_labels_alone_are_enough():
    found = metadata.read(tiny_models.with_files(MODEL, labels_txt="a\nb\r\nc\n"), "model")
    assert found.class_names == ("a", "b", "c")
    assert found.fields == {}


def test_a_file_without_an_archive_says_nothing():
    for content in (MODEL, MODEL + b"PK\x05\x06", tiny_models.with_files(MODEL, readme_txt="hi")):
        found = metadata.read(content, "model")
        assert found.class_names is None
        assert found.fields == {}


@pytest.mark.parametrize(
    "text", ["{", "[1]", "3", '{"class_names": [1]}', '{"class_names": 3}', '{"input": 3}']
)
def test_damaged_metadata_is_named(text):
    content = tiny_models.with_files(MODEL, keras_affect_json=text)
    with pytest.raises(ValueError, match=r"^my model: the metadata behind the model is damaged"):
        metadata.read(content, "my model")


def test_a_flipped_byte_is_seen():
    content = bytearray(tiny_models.described(MODEL))
    content[content.index(b"contempt")] ^= 1
    with pytest.raises(ValueError, match=r"damaged \(Bad CRC-32"):
        metadata.read(bytes(content), "my model")


def test_a_later_format_asks_for_a_newer_package():
    with pytest.raises(ValueError, match=r"format 2, and 1 is the newest .* pip install --upgrade"):
        metadata.read(tiny_models.described(MODEL, format=2), "model")


def test_other_pixels_are_refused():
    content = tiny_models.described(MODEL, input={"range": [0, 1]})
    with pytest.raises(ValueError, match=r"takes pixels in \[0, 1\]; expected .*\[0, 255\]"):
        metadata.read(content, "model")


def test_an_archive_of_gigabytes_is_not_unpacked():
    text = json.dumps({"class_names": ["a"], "padding": " " * (1 << 20)})
    found = metadata.read(tiny_models.with_files(MODEL, keras_affect_json=text), "model")
    assert found.fields == {}
