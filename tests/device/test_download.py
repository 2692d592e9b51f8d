"""Files come over networks that break."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaitway_device import DownloadError
from gaitway_device.download import Downloads
from tests.device.deliveries import Server

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def url(server: Server) -> str:
    (server.root / "file").write_bytes(CONTENT)
    return server.address("file")


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def downloads(pauses: list[float]) -> Downloads:
    return Downloads(attempts=3, pause=pauses.append)


def test_a_file_is_fetched_as_a_whole(downloads: Downloads, url: str, tmp_path: Path, pauses: list[float]) -> None:
    downloads.fetch(url, tmp_path / "got", len(CONTENT), len(CONTENT))
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert pauses == []


def test_a_download_that_breaks_off_goes_on_where_it_was(
    downloads: Downloads, url: str, server: Server, tmp_path: Path
) -> None:
    server.break_after = 3000
    downloads.fetch(url, tmp_path / "got", len(CONTENT), len(CONTENT))
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert [range_ for _, range_ in server.asked] == [None, "bytes=3000-", "bytes=6000-", "bytes=9000-"]


def test_what_is_there_is_not_fetched_again(downloads: Downloads, url: str, server: Server, tmp_path: Path) -> None:
    (tmp_path / "got").write_bytes(CONTENT[:5000])
    downloads.fetch(url, tmp_path / "got", len(CONTENT), len(CONTENT))
    downloads.fetch(url, tmp_path / "got", len(CONTENT), len(CONTENT))
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert server.asked == [("file", "bytes=5000-")]


def test_what_is_longer_than_the_file_is_fetched_anew(downloads: Downloads, url: str, tmp_path: Path) -> None:
    (tmp_path / "got").write_bytes(CONTENT + b"more")
    downloads.fetch(url, tmp_path / "got", len(CONTENT), len(CONTENT))
    assert (tmp_path / "got").read_bytes() == CONTENT


def test_a_server_that_is_away_for_a_while_is_waited_for(
    downloads: Downloads, url: str, server: Server, tmp_path: Path, pauses: list[float]
) -> None:
    server.refuse = 2
    downloads.fetch(url, tmp_path / "got", len(CONTENT), len(CONTENT))
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert pauses == [2.0, 4.0]


def test_a_server_that_stays_away_is_given_up(downloads: Downloads, url: str, server: Server, tmp_path: Path) -> None:
    server.refuse = 99
    with pytest.raises(DownloadError, match="got could not be fetched in 3 attempts: 503"):
        downloads.fetch(url, tmp_path / "got", len(CONTENT), len(CONTENT))


def test_nothing_listens(downloads: Downloads, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"in 3 attempts: .*refused"):
        downloads.fetch("http://127.0.0.1:9/file", tmp_path / "got", 1, 1)


def test_an_address_that_has_expired_is_not_tried_again(
    downloads: Downloads, server: Server, tmp_path: Path, pauses: list[float]
) -> None:
    with pytest.raises(DownloadError, match="may have expired; order it again"):
        downloads.fetch(server.address("absent"), tmp_path / "got", 1, 1)
    assert pauses == []


def test_a_server_that_sends_more_than_it_should_fills_no_disk(downloads: Downloads, url: str, tmp_path: Path) -> None:
    for size in (100, None):
        with pytest.raises(DownloadError, match="more than the 100 bytes"):
            downloads.fetch(url, tmp_path / "got", size, 100)
        assert not (tmp_path / "got").exists() or (tmp_path / "got").stat().st_size <= 100


def test_a_file_of_an_unknown_size_that_breaks_off_is_not_taken_for_whole(
    downloads: Downloads, url: str, server: Server, tmp_path: Path
) -> None:
    server.break_after = 3000
    downloads.fetch(url, tmp_path / "got", None, 1 << 20)
    assert (tmp_path / "got").read_bytes() == CONTENT
