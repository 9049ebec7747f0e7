#!/usr/bin/env bash
# What PostgreSQL says of a commit that waits for a synchronous standby when the requirement is taken off the server.
#
# A commit whose wait is cancelled is answered as done with a warning (01000): "the transaction has already committed locally,
# but might not have been replicated". One would expect the same where synchronous_standby_names is emptied meanwhile, as
# managers of failovers do once no standby is left. True is: such a commit is let go without a warning, and its client cannot
# tell it from one that a standby has.
#
# Unpacks pinned packages of Debian 12 into a temporary folder. Wants apt-get and dpkg, and the libraries that PostgreSQL
# needs. Exits 0 while this is so, and 1 when it changes.
set -euo pipefail
version=15.18-0+deb12u1
work=$(mktemp -d)
chmod 755 "$work"
cd "$work"
apt-get download --quiet "postgresql-15=$version" "postgresql-client-15=$version" "libpq5=$version" >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" root; done
libraries=("$work"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH="${libraries[0]}"
bin="$work/root/usr/lib/postgresql/15/bin"
# PostgreSQL does not run as root.
as=()
if [ "$(id -u)" -eq 0 ]; then
    chown -R nobody "$work"
    as=(setpriv --reuid=nobody --regid=nogroup --clear-groups --)
fi
run() { "${as[@]}" env LD_LIBRARY_PATH="$LD_LIBRARY_PATH" "$bin/$1" "${@:2}"; }
trap 'run pg_ctl -D "$work/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
run initdb -A trust -U me -D "$work/data" >/dev/null
port=$((20000 + RANDOM % 20000))
run pg_ctl -w -D "$work/data" -l "$work/log" -o "-p $port -k $work -c listen_addresses=" start >/dev/null
sql() { run psql -X -h "$work" -p "$port" -U me -d postgres -At "$@" 2>&1; }
sql -qc "CREATE TABLE t (n int)"

# Commits while no standby is there, has `$1` end the wait, and tells what the client was told.
told_when() {
    sql -qc "ALTER SYSTEM SET synchronous_standby_names = 'absent'" -c "SELECT pg_reload_conf()" >/dev/null
    until [ "$(sql -c 'SHOW synchronous_standby_names')" = absent ]; do :; done
    sql -c "INSERT INTO t VALUES (1)" >told &
    until [ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")" = 1 ]; do :; done
    sql -qc "SET synchronous_commit = local" -c "$1" -c "SELECT pg_reload_conf()" >/dev/null
    wait $!
    tr '\n' ' ' <told
}
cancelled=$(told_when "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
released=$(told_when "ALTER SYSTEM RESET synchronous_standby_names")
run postgres --version
echo "the wait was cancelled:     $cancelled"
echo "the names were taken away:  $released"
case "$cancelled|$released" in
*WARNING*'INSERT 0 1 |INSERT 0 1 ') ;;
*) echo "expected a warning in the first case and none in the second: it has changed"; exit 1 ;;
esac
