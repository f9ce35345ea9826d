"""Files that appear whole or not at all."""

import os

import pytest

from jaxgan.files import write_atomically


def test_content_is_on_the_disk_before_it_has_its_name_and_the_name_before_it_returns(
    tmp_path, monkeypatch
):
    """No test can cut the power: what would be lost then is told by the order of the calls."""
    calls, rename = [], os.replace

    def synced(descriptor):
        calls.append((os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size))

    def renamed(source, target):
        calls.append("renamed")
        rename(source, target)

    monkeypatch.setattr("jaxgan.files.os.fsync", synced)
    monkeypatch.setattr("jaxgan.files.os.replace", renamed)
    path = write_atomically(tmp_path / "a.txt", b"new")
    content, after, (folder, _) = calls
    assert content == (path.stat().st_ino, 3)
    assert after == "renamed"
    assert folder == tmp_path.stat().st_ino


def test_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "a.txt", b"old")

    def fail(source, target):
        raise OSError("disk")

    monkeypatch.setattr("jaxgan.files.os.replace", fail)
    with pytest.raises(OSError, match="disk"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
