import pytest

from proxy.config.hooks import HookFields
from proxy.config.problems import Report
from proxy.config.values import SecretRef

REF = SecretRef("env", "X")


def fields(secret):
    report = Report("a.yaml")
    return HookFields(
        report, secret=lambda ref, _path: None if ref is None else secret, readable=lambda name, _: name
    ), report


def test_a_url_is_itself_or_what_its_reference_stands_for():
    made, report = fields("https://x.example/?k=1")
    assert made.url("https://plain.example", ("a",)) == "https://plain.example"
    assert made.url(REF, ("a",)) == "https://x.example/?k=1"
    assert report.problems == []


def test_a_reference_to_what_is_no_url_is_reported_without_repeating_it():
    made, report = fields("not-a-url-but-a-secret")
    assert made.url(REF, ("a",)) is None
    assert [str(one) for one in report.problems] != []
    assert "not-a-url" not in str(report.problems[0])


@pytest.mark.parametrize(
    ("secret", "good"),
    [("s" * 24, True), ("s" * 23, False), ("whsec_" + "QUJD" * 6, True), ("whsec_" + "!" * 24, False)],
)
def test_a_secret_to_sign_with_is_long_and_whole(secret, good):
    made, report = fields(secret)
    assert made.signing_secret(REF, ("a",)) == secret
    assert (not report.problems) is good


def test_certificates_are_checked_and_reported_once(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    made, report = fields("")
    for _ in range(2):
        made.certificates(str(file), ("tls", "ca_file"))
    assert len(report.problems) == 1
    assert "PEM" in str(report.problems[0])
    assert made.certificates(None, ("tls",)) is None
