#!/usr/bin/env bash
# How much SQLite's VFS for Unix writes with one call.
#
# A VFS that is put over another one, to gather what SQLite writes page by page, hands larger writes down than SQLite
# itself does. One would expect that `xWrite` takes any length that its 32-bit argument holds, or that it splits it. True is:
# the VFS `unix` hands down the lowest 17 bits of the length, and then finds that the rest, a multiple of 128 KiB, makes no
# progress. 131,071 bytes are written; of anything longer, the length modulo 131,072, and the answer is SQLITE_FULL on a disk
# that has room. SQLite never meets this, since its largest page has 64 KiB.
#
# Installs a pinned package from PyPI into a temporary folder. Wants python3 with venv. Exits 0 while this is so, and 1 when
# it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check apsw==3.46.1.0

cat >write.py <<'PY'
import os

import apsw

print("apsw", apsw.apsw_version(), "SQLite", apsw.sqlite_lib_version())
flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_MAIN_DB
seen = []
for length in (65536, 131071, 131072, 200000, 262144):
    path = os.path.abspath(f"file-{length}")
    file = apsw.VFSFile("unix", path, [flags, 0])
    try:
        file.xWrite(b"x" * length, 0)
        answer = "written"
    except apsw.Error as error:
        answer = type(error).__name__
    file.xClose()
    seen.append((length, answer, os.path.getsize(path)))
    print(f"{length:7} bytes: {answer}, the file has {seen[-1][2]}")
disk = os.statvfs(".")
print("free on the disk:", disk.f_bavail * disk.f_frsize // 2**20, "MiB")
expected = [(65536, "written", 65536), (131071, "written", 131071), (131072, "FullError", 0),
            (200000, "FullError", 200000 - 131072), (262144, "FullError", 0)]
if seen != expected:
    raise SystemExit(f"expected {expected}: it has changed")
PY
venv/bin/python write.py
