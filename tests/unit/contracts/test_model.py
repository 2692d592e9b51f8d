import pytest

from gaitway.contracts.model import S3Uri


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("s3://assets/a/b.pt", "assets", "a/b.pt"),
        ("s3://assets/a/", "assets", "a/"),
        ("s3://assets", "assets", ""),
        ("s3://assets/", "assets", ""),
        ("s3://my.bucket-1/a b/ü", "my.bucket-1", "a b/ü"),
    ],
)
def test_an_address_has_a_bucket_and_a_key(text: str, bucket: str, key: str) -> None:
    assert S3Uri.parse(text) == S3Uri(bucket, key)


@pytest.mark.parametrize(
    "text", ["", "assets/a", "s3:/assets/a", "https://assets/a", "s3://A/b", "s3://-x/b", "s3://ab", " s3://assets/a"]
)
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="s3://bucket/key"):
        S3Uri.parse(text)


def test_addresses_are_taken_apart_and_put_together() -> None:
    uri = S3Uri("assets", "a/b/model.pt")
    assert (uri.name, str(uri.parent)) == ("model.pt", "s3://assets/a/b/")
    assert str(uri.parent / "c.pt") == "s3://assets/a/b/c.pt"
    assert str(S3Uri("assets", "a") / "c.pt") == "s3://assets/a/c.pt"
    assert str(S3Uri("assets", "c.pt").parent / "d.pt") == "s3://assets/d.pt"
