#!/usr/bin/env bash
# What the Autobahn testsuite says of our link code, as a server and as a client.
#
# One would expect that every case passes. True is: those that send binary messages fail, because a link closes with 1003
# on them, and so do those that go beyond a limit or want ten pongs for ten pings (docs/rfc6455.md). No other case fails.
#
# The testsuite is Python 2 code, and no Python 3 runs it. Debian 12 has no Python 2.7 and no PyPy for it; pyenv builds one
# (`pyenv install 2.7.18`). PYTHON2 names it. The report goes to target/autobahn/*/report/index.html.
#
# Exits 0 while this is so, and 1 when it changes.
set -euo pipefail
cd "$(dirname "$0")/.."
folder="$PWD/target/autobahn"
python2="${PYTHON2:-$(command -v python2.7 || echo "$HOME/.pyenv/versions/2.7.18/bin/python2.7")}"
"$python2" -c 'import pip' || { echo "PYTHON2 must name a Python 2.7 with pip" >&2; exit 2; }
if [ ! -x "$folder/venv/bin/wstest" ]; then
    mkdir -p "$folder"
    "$python2" -m pip install --quiet --target "$folder/virtualenv" virtualenv==20.15.1
    PYTHONPATH="$folder/virtualenv" "$python2" -m virtualenv --quiet "$folder/venv"
    "$folder/venv/bin/pip" install --quiet autobahntestsuite==25.10.1
fi
SLIPSTREAM_WSTEST="$folder/venv/bin/wstest" cargo test --test rfc6455 "$@" autobahn -- --ignored --nocapture --test-threads=1
