"""Tests that operating systems other than Linux work or are refused in one line."""

import os
import sys
from pathlib import Path

import pytest

from local import cli
from local import postgres_files as files
from local.postgres import PostgresError


def test_system_that_is_neither_linux_nor_macos_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "argv", ["pantheon", "status"])
    assert cli.main() == 1
    assert capsys.readouterr().err == "pantheon: Pantheon runs on Linux and macOS, and this is win32.\n"


def test_root_on_macos_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(
        PostgresError, match=r"^PostgreSQL does not run as root here: start Pantheon as another user\.$"
    ):
        files.server_user(tmp_path)


def test_other_user_on_macos_runs_the_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "geteuid", lambda: 501)
    assert files.server_user(tmp_path) is None
