"""Files that appear whole or not at all."""

import pytest

from jaxgan.files import write_atomically


def test_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "a.txt", b"old")

    def fail(source, target):
        raise OSError("disk")

    monkeypatch.setattr("jaxgan.files.os.replace", fail)
    with pytest.raises(OSError, match="disk"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
