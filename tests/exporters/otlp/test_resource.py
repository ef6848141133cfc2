import pytest

from exporters.otlp.resource import FILE_NAME, instance_id, resource
from tests.fakes.otlp_settings import settings


def test_an_id_is_made_once_for_a_data_folder(tmp_path):
    file = tmp_path / "run" / FILE_NAME
    assert instance_id(file) == instance_id(file)
    assert instance_id(tmp_path / "other") != instance_id(file)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\xfe"])
def test_a_file_that_holds_no_id_is_replaced(tmp_path, content):
    file = tmp_path / FILE_NAME
    file.write_bytes(content)
    made = instance_id(file)
    assert file.read_text().strip() == made


def test_the_operator_has_the_last_word(tmp_path):
    made = resource(settings(tmp_path), {"service.name": "meter", "service.instance.id": "i-1", "a": "b"})
    assert dict(made.attributes) == {
        "service.name": "meter",
        "service.version": made.attributes["service.version"],
        "service.instance.id": "i-1",
        "a": "b",
    }
    assert not (tmp_path / "run").exists()


def test_without_a_word_of_the_operator_the_service_is_us(tmp_path):
    made = resource(settings(tmp_path), {})
    assert made.attributes["service.name"] == "taximeter"
    assert made.attributes["service.instance.id"] == (tmp_path / "run" / FILE_NAME).read_text().strip()
