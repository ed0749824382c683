from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import StartError


def test_constructing_touches_nothing(tmp_path: Path) -> None:
    DataDirectory(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_folders_are_for_the_owner_alone(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "deep" / "data")
    folder = data.folder("dns/zones")
    for path in (folder, folder.parent, data.path):
        assert path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x"])
def test_names_stay_inside(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a name inside"):
        DataDirectory(tmp_path).at(name)


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data")
    assert data.read("a/b") is None
    path = data.write("a/b", b"one")
    assert path.stat().st_mode & 0o777 == 0o600
    data.write("a/b", b"two", mode=0o644)
    assert data.read("a/b") == b"two"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in path.parent.iterdir()] == ["b"]


def test_a_lock_is_kept_until_released(tmp_path: Path) -> None:
    one, other = DataDirectory(tmp_path), DataDirectory(tmp_path)
    one.lock("netsuite")
    one.lock("netsuite")
    with pytest.raises(StartError) as refusal:
        other.lock("netsuite")
    text = str(refusal.value)
    assert f"process {os.getpid()}" in text
    assert "common.data" in text
    assert "\n" not in text
    other.lock("something-else")
    one.release()
    other.lock("netsuite")
    other.release("netsuite")
    one.lock("netsuite")
    one.release()
    other.release()


def test_a_lock_of_another_process_names_it_and_ends_with_it(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from netsuite.common.datadir import DataDirectory\n"
        "DataDirectory(Path(sys.argv[1])).lock('netsuite'); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StartError, match=f"process {holder.pid} "):
            DataDirectory(tmp_path).lock("netsuite")
        holder.kill()
    data = DataDirectory(tmp_path)
    data.lock("netsuite")
    data.release()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    data = DataDirectory(tmp_path)
    data.write("kept", b"old")

    def full(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(StartError) as refusal:
        data.write("kept", b"new")
    assert str(refusal.value) == f"no space left for {tmp_path}/kept: free some, or set another folder with common.data"
    assert data.read("kept") == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["kept"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match=r"^cannot use .*/file/data \(Not a directory\): set another folder"):
        DataDirectory(tmp_path / "file" / "data").folder()


def test_a_read_only_folder_is_one_line(tmp_path: Path) -> None:
    """As an unprivileged account, for root writes anywhere."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    for path in (tmp_path, *tmp_path.parents[:-1]):
        path.chmod(path.stat().st_mode | 0o055)
    script = (
        "import os, sys; from pathlib import Path; from netsuite.common.datadir import DataDirectory\n"
        "from netsuite.common.errors import StartError\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "else: os.chmod(sys.argv[1], 0o500)\n"
        "try: DataDirectory(Path(sys.argv[1])).check()\n"
        "except StartError as error: print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True, timeout=30
    )
    assert said.stdout == (
        f"cannot write {folder}/.probe.{said.stdout.partition('.probe.')[2].split(' ')[0]} (Permission denied): "
        "mend its permissions, or set another folder with common.data\n"
    )


def test_too_little_space_is_seen_before_the_start(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    data.check()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StartError, match="no space left for"):
        data.check(space=1 << 62)


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    data.folder("thing")
    with pytest.raises(StartError, match=r"cannot read .*/thing \(Is a directory\)"):
        data.read("thing")
