# An sshd that takes passwords and answers, with no system file touched: the test runs in a mount
# namespace of its own, where passwd, shadow and the PAM stack are copies.  Sourced before lib.sh.
if [ "$TRANSPORT" != ssh ]; then
    echo "only SSH has logins"
    exit 77
fi
if [ "$(id -u)" != 0 ]; then
    echo "only root can run an sshd that takes passwords"
    exit 77
fi
. "$(dirname "${BASH_SOURCE[0]}")/namespace.sh"

# Long, so that its end is not what an allocator overwrites of a freed block.
PASSWORD='right; "word", and long enough to leave traces behind' CODE=271828
ANSWER=$(realpath "$(dirname "${BASH_SOURCE[0]}")")/answer.py

# cover FILE: later readers see a copy of it, which the caller fills, at $TEST_DIR/etc/NAME.
cover() {
    local copy
    copy=$TEST_DIR/etc/$(basename "$1")
    mkdir -p "$TEST_DIR/etc"
    cp "$1" "$copy"
    mount --bind "$copy" "$1"
}

cover_system_files() {
    [ -n "${OWN_NAMESPACE:-}" ] || fail "no namespace of its own: the machine's own files would be covered"
    local hash
    hash=$(openssl passwd -6 "$PASSWORD")
    cover /etc/passwd
    cover /etc/shadow
    cover /etc/pam.d/sshd
    mkdir -p "$TEST_DIR/home/.ssh"
    chmod 700 "$TEST_DIR/home/.ssh"
    # ssh reads ~/.ssh/config of the home that passwd names.
    awk -F: -v OFS=: -v user="$SSH_USER" -v home="$TEST_DIR/home" '$1 == user { $6 = home } { print }' \
        /etc/passwd > "$TEST_DIR/passwd"
    awk -F: -v OFS=: -v user="$SSH_USER" -v hash="$hash" '$1 == user { $2 = hash } { print }' \
        /etc/shadow > "$TEST_DIR/shadow"
    cat "$TEST_DIR/passwd" > "$TEST_DIR/etc/passwd"
    cat "$TEST_DIR/shadow" > "$TEST_DIR/etc/shadow"
    # pam_stress asks once more, pam_exec looks at that answer.  By the method "password" sshd
    # answers both with the password.
    printf '#!/bin/sh\nanswer=$(cat)\n[ "$answer" = %s ] || [ "$answer" = '\''%s'\'' ]\n' \
        "$CODE" "$PASSWORD" > "$TEST_DIR/look"
    chmod +x "$TEST_DIR/look"
    cat > "$TEST_DIR/etc/sshd" <<END
auth requisite pam_unix.so nodelay
auth required pam_echo.so A code was sent to your telephone.
auth required pam_stress.so
auth required pam_exec.so expose_authtok quiet $TEST_DIR/look
account required pam_permit.so
session required pam_permit.so
END
}

# start_login_sshd: sets PASSWORD_PORT, QUESTIONS_PORT, KEY_PORT, FIRST_KEY_PORT, LAST_KEY_PORT and
# SSHD (its pid); its log is $TEST_DIR/sshd.log.
start_login_sshd() {
    local ports port
    cover_system_files
    : > "$TEST_DIR/authorized"
    ssh-keygen -q -t ed25519 -N '' -f "$TEST_DIR/host_key"
    ports=$(python3 -c 'import socket
taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
print(*(one.getsockname()[1] for one in taken))')
    read -r PASSWORD_PORT QUESTIONS_PORT KEY_PORT FIRST_KEY_PORT LAST_KEY_PORT <<< "$ports"
    {
        for port in $ports; do
            echo "ListenAddress 127.0.0.1:$port"
            echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 "$TEST_DIR/host_key.pub")" >> "$TEST_DIR/known_hosts"
        done
        cat <<END
HostKey $TEST_DIR/host_key
AuthorizedKeysFile $TEST_DIR/authorized
PidFile none
UsePAM yes
PermitRootLogin yes
StrictModes no
PrintMotd no
PrintLastLog no
MaxAuthTries 3
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
SetEnv HOME=$CLUSTER/home SLURM_CONF=$CLUSTER/etc/slurm.conf PATH=$CLUSTER/bin:/usr/local/bin:/usr/bin:/bin
Match LocalPort $PASSWORD_PORT
    PasswordAuthentication yes
Match LocalPort $QUESTIONS_PORT
    KbdInteractiveAuthentication yes
Match LocalPort $FIRST_KEY_PORT
    PasswordAuthentication yes
    AuthenticationMethods publickey,password
Match LocalPort $LAST_KEY_PORT
    PasswordAuthentication yes
    AuthenticationMethods password,publickey
END
    } > "$TEST_DIR/sshd_config"
    mkdir -p -m 0755 /run/sshd
    "$(PATH=$PATH:/usr/sbin command -v sshd)" -D -f "$TEST_DIR/sshd_config" -E "$TEST_DIR/sshd.log" &
    SSHD=$!
    until_true 20 grep -q "Server listening.*port $LAST_KEY_PORT" "$TEST_DIR/sshd.log" ||
        fail "sshd: $(cat "$TEST_DIR/sshd.log")"
}

stop_login_sshd() {
    local sessions
    sessions=$(pgrep -P "$SSHD" || true)
    # shellcheck disable=SC2086
    kill "$SSHD" $sessions 2> /dev/null || true
}

# cut_lines: ends every session of the sshd, as a network that breaks would.
cut_lines() {
    local sessions
    sessions=$(pgrep -P "$SSHD")
    # shellcheck disable=SC2086
    kill -KILL $sessions
}

# login_profile PORT [LINE...]: the cluster's profile for that port, with these lines in [cluster].
login_profile() {
    local port=$1
    shift
    {
        echo "[cluster]"
        printf '%s\n' "port = $port" "known_hosts = $TEST_DIR/known_hosts" "$@"
        sed '/^\[cluster\]\|^port\|^identity\|^known_hosts/d' "$CLUSTER/profile.ini"
    } > "$TEST_DIR/login.ini"
}

# asked [QUESTION ANSWER]...: mounts on a terminal; what that showed is in $TEST_DIR/said.
asked() {
    local status=0
    XDG_STATE_HOME=$STATE python3 "$ANSWER" "$@" -- "$SLURMOUNT" -c "$TEST_DIR/login.ini" 127.0.0.1 "$MNT" \
        > "$TEST_DIR/said" 2>&1 || status=$?
    return $status
}

# logged_in [QUESTION ANSWER]...: the same, and it must work.
logged_in() {
    asked "$@" || fail "status $?: $(cat "$TEST_DIR/said" "$TEST_DIR/sshd.log")"
    is_online || fail "not online: $(cat "$MNT/cluster/connection" "$TEST_DIR/sshd.log")"
    if grep -qF -e "$PASSWORD" -e "$CODE" "$TEST_DIR/said"; then fail "a secret was shown"; fi
}

# forgotten: no trace of the password is in the daemon's memory.
forgotten() {
    local daemon
    daemon=$(pgrep -f -- "$SLURMOUNT .* $MNT\$")
    python3 "$(dirname "$ANSWER")/holds.py" "$daemon" "leave traces behind" || fail "the password is still in memory"
}

is_online() { grep -q "online" "$MNT/cluster/connection"; }

# refused [QUESTION ANSWER]...: the mount must be refused.
refused() {
    local status=0
    asked "$@" || status=$?
    [ $status = 1 ] || fail "status $status, not 1: $(cat "$TEST_DIR/said")"
    if mountpoint -q "$MNT"; then fail "it is mounted"; fi
}

said() { grep -qF -- "$1" "$TEST_DIR/said" || fail "does not say '$1': $(cat "$TEST_DIR/said")"; }
