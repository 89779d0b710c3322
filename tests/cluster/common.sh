# Shared by up and down: the folder's layout, and processes that are kept by pid and start time.

export PATH=$PATH:/usr/sbin:/sbin

# A pid alone may have been given to another process since.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

alive() {
    local pid start state
    [ -s "$dir/run/$1.pid" ] || return 1
    read -r pid start <"$dir/run/$1.pid"
    [ -n "$start" ] && [ "$(started_at "$pid")" = "$start" ] || return 1
    state=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -c1)
    [ -n "$state" ] && [ "$state" != Z ]
}

launch() {
    local name=$1 pid
    shift
    setsid "$@" </dev/null >>"$dir/log/$name.out" 2>&1 9>&- &
    pid=$!
    disown "$pid"
    echo "$pid $(started_at "$pid")" >"$dir/run/$name.pid"
}

wait_gone() {
    local tries
    for ((tries = $2 * 20; tries > 0; tries--)); do
        alive "$1" || return 0
        sleep 0.05
    done
    return 1
}

end_daemon() {
    local pid children
    if alive "$1"; then
        read -r pid _ <"$dir/run/$1.pid"
        # sshd leaves its sessions to themselves, and a client would keep them for ever.
        children=
        if [ "$1" = sshd ]; then children=$(pgrep -P "$pid" || true); fi
        # shellcheck disable=SC2086
        kill -TERM "$pid" $children 2>/dev/null || true
        if ! wait_gone "$1" 10; then
            kill -KILL "$pid" 2>/dev/null || true
            wait_gone "$1" 2 || true
        fi
    fi
    rm -f "$dir/run/$1.pid"
}
