"""Tests that files and folders are closed to other users under every umask."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import private
from local.gateway.server import _PrivateLog


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_folder_and_new_file_are_closed_to_other_users(tmp_path: Path) -> None:
    private.make_folder(tmp_path / "folder")
    private.make_file(tmp_path / "folder" / "file")
    assert (mode(tmp_path / "folder"), mode(tmp_path / "folder" / "file")) == (0o700, 0o600)


def test_open_folder_and_open_file_are_closed_and_keep_their_content(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    for path in (tmp_path, file):
        path.chmod(0o775)
    private.make_folder(tmp_path)
    private.make_file(file)
    assert (mode(tmp_path), mode(file), file.read_text()) == (0o700, 0o700, "kept")


def test_a_folder_that_many_users_write_to_is_refused_and_left_open(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with pytest.raises(PermissionError, match="shared with other users"):
        private.make_folder(tmp_path)
    assert mode(tmp_path) == 0o1777


def test_missing_file_is_not_created(tmp_path: Path) -> None:
    private.close_files(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_open_file_is_found_two_levels_deep(tmp_path: Path) -> None:
    private.make_folder(tmp_path / "log")
    for name in ("log/open.log", "log/closed.log", "open.pem", "closed.pem"):
        private.make_file(tmp_path / name)
    (tmp_path / "link").symlink_to(os.devnull)
    assert private.open_to_others(tmp_path) == []
    for name in ("log/open.log", "open.pem"):
        (tmp_path / name).chmod(0o640)
    assert private.open_to_others(tmp_path) == [tmp_path / "open.pem", tmp_path / "log" / "open.log"]


def test_log_of_the_gateway_is_closed_to_other_users_from_its_first_line(tmp_path: Path) -> None:
    log = _PrivateLog(tmp_path / "gateway.log", delay=True)
    assert not (tmp_path / "gateway.log").exists()
    log.emit(logging.makeLogRecord({"msg": "first"}))
    log.close()
    assert mode(tmp_path / "gateway.log") == 0o600
