# What the hostile tests share: an sshd of this test's own on the cluster's machine, whose SFTP is sftp_server.py.
HOSTILE=$(cd "$(dirname "$0")" && pwd)
. "$HOSTILE/../integration/lib.sh"

# evil_sshd: sets EVIL_PORT, EVIL_OPTIONS (what a mount needs to go there) and EVIL_SSHD (its pid).
evil_sshd() {
    local folder=$TEST_DIR/evil-sshd etc=$CLUSTER/etc
    mkdir "$folder"
    EVIL_PORT=$(python3 -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
    sed -e "s,^Port .*,Port $EVIL_PORT," -e "/^PidFile/d" \
        -e "s,^Subsystem .*,Subsystem sftp /usr/bin/env EVIL_TARGET=$TEST_DIR/secret python3 $HOSTILE/sftp_server.py," \
        "$etc/sshd_config" > "$folder/config"
    echo "PidFile none" >> "$folder/config"
    echo "[127.0.0.1]:$EVIL_PORT $(cut -d' ' -f1,2 "$etc/host_key.pub")" > "$folder/known_hosts"
    EVIL_OPTIONS="-o port=$EVIL_PORT,known_hosts=$folder/known_hosts"
    "$(PATH=$PATH:/usr/sbin command -v sshd)" -D -f "$folder/config" -E "$folder/log" &
    EVIL_SSHD=$!
    until_true 10 grep -q "Server listening" "$folder/log" || fail "sshd: $(cat "$folder/log")"
}

end_hostile_test() {
    local status=$? sessions
    trap - EXIT ERR
    set +e
    if [ -n "${EVIL_SSHD:-}" ]; then
        sessions=$(pgrep -P "$EVIL_SSHD")
        # shellcheck disable=SC2086
        kill "$EVIL_SSHD" $sessions 2> /dev/null
    fi
    (exit $status)
    end_test
}
trap end_hostile_test EXIT

# The daemon of the mount; what it holds of memory, in KiB.
daemon() { pgrep -f -- "^$SLURMOUNT .* $MNT\$" | head -n 1; }
memory() { awk '/^VmHWM/ { print $2 }' "/proc/$(daemon)/status"; }

# readable: every text of the mount but the user's own is free of what steers a terminal.
readable() { python3 "$HOSTILE/readable.py" "$MNT"; }
