# What every benchmark is made of; tests/bench/run sources it, then one NAME.bench, in a shell of its own.
#
# A NAME.bench sets
#   WHAT      what is measured, in a few words
#   GOAL      the ratio ours : peer that is aimed at; without PEERS the value of ours itself
#   PEERS     names of those it is measured against; the best of a round counts (default "peer")
#   UNIT      of what is measured (default s)
#   LINE      "slow": through the proxy, $DELAY ms each way; "direct": loopback (default slow)
#   MOUNT     options for the mount, such as "-o submit_rate=0"; "none": it mounts by itself
#   MOST      the most rounds, for what takes minutes
# and defines
#   prepare          once, with the mount up
#   before_ours      before each round, not timed; likewise before_peer NAME
#   ours             timed, or sets MEASURED itself; likewise peer_NAME
#   after_ours       checks what was made, and clears it away; likewise after_peer NAME
#   finish           once, at the end
# What is made is checked in each round: a fast copy of the wrong bytes is no result.
set -Eeuo pipefail
trap 'echo "FAILED: line $LINENO of ${BASH_SOURCE[0]}: $BASH_COMMAND" >&2' ERR

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# Nothing ever comes here: a wait that needs no process, whose making would be measured, too.
exec {never}<> <(:)

# until_true SECONDS COMMAND...: tries it every 5 ms.
until_true() {
    local end=$((SECONDS + $1)) nothing
    shift
    until "$@" 2> /dev/null; do
        [ "$SECONDS" -lt "$end" ] || return 1
        read -r -t 0.005 -u "$never" nothing || true
    done
}

now() { printf %s "$EPOCHREALTIME"; }
since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.4f", b - a }'; }
median() { sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
least() { sort -g | head -n 1; }
defined() { declare -F "$1" > /dev/null; }
if_defined() { ! defined "$1" || "$@"; }

# ---- the way to the cluster: `line` in $SSH_CONFIG for the peers, LINE_OPTIONS for a mount ----

# line_up [PROXY-OPTION...]
line_up() {
    local port=$SSH_PORT
    if [ "$LINE" = slow ] && { [ "$DELAY" != 0 ] || [ $# -gt 0 ]; }; then
        rm -f "$DIR/proxy"
        mkfifo "$DIR/proxy"
        "$PROXY" "$SSH_PORT" "delay=$DELAY" "$@" < "$DIR/proxy" > "$DIR/port" 2> "$DIR/proxy.log" &
        exec 8> "$DIR/proxy"
        until_true 10 test -s "$DIR/port"
        port=$(cat "$DIR/port")
    fi
    sed -n 's/^\[127.0.0.1\]:[0-9]* /* /p' "$SSH_KNOWN_HOSTS" | head -n 1 > "$DIR/known_hosts"
    LINE_OPTIONS="-o port=$port,known_hosts=$DIR/known_hosts"
    cat > "$SSH_CONFIG" << END
Host line shared
    HostName 127.0.0.1
    Port $port
    User $SSH_USER
    IdentityFile $SSH_KEY
    IdentitiesOnly yes
    BatchMode yes
    UserKnownHostsFile $DIR/known_hosts
Host shared
    ControlMaster auto
    ControlPath $DIR/master
    ControlPersist 600
END
}

line_down() { exec 8>&-; }

# The shared connection of what a user's script would do.
master_up() { ssh -F "$SSH_CONFIG" shared true; }
master_down() { ssh -F "$SSH_CONFIG" -O exit shared 2> /dev/null || true; }

# ---- the mount ----

# mount_up [OPTION...]: on $MNT with its state in $STATE.
mount_up() {
    # shellcheck disable=SC2086 # options are words
    XDG_STATE_HOME=$STATE "$SLURMOUNT" -c "$CLUSTER/profile.ini" -o "scratch=$BENCH_SCRATCH" $LINE_OPTIONS "$@" \
        "$SSH_HOST" "$MNT"
    mountpoint -q "$MNT" || fail "nothing is mounted on $MNT"
    DAEMON=$(pgrep -n -f -- "^$SLURMOUNT .* $MNT\$") || fail "no daemon of $MNT"
}

is_down() { ! mountpoint -q "$MNT" || fusermount3 -u "$MNT"; }
has_ended() { ! kill -0 "$DAEMON"; }
mount_down() {
    until_true 10 is_down || fail "$MNT stays mounted"
    until_true 20 has_ended || fail "the daemon of $MNT has not ended"
}

# CPU seconds that a process has used: its user and system time.
cpu_of() { sed 's/.*) //' "/proc/$1/stat" | awk -v hz="$(getconf CLK_TCK)" '{ printf "%.2f", ($12 + $13) / hz }'; }
# MiB of memory that it had at most since reset_peak, of its own (not of files).
peak_of() { awk '/^VmHWM/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
reset_peak() { echo 5 > "/proc/$1/clear_refs"; }

# ---- files and jobs ----

# random_file PATH MIB: bytes that do not compress.
random_file() {
    openssl enc -aes-128-ctr -nosalt -K 00112233445566778899aabbccddeeff -iv "$(printf %032x "$RANDOM$RANDOM")" \
        -in /dev/zero 2> /dev/null | head -c "$2M" > "$1" || true
    [ "$(stat -c %s "$1")" -eq $(($2 << 20)) ] || fail "$1 was not made"
}

# warm_memory MIB: has that much be free to be used at once.  A virtual machine may have given its freed memory
# back to its host, and to get it again takes longer than a copy: who comes first would pay for all.
warm_memory() {
    head -c "$1M" /dev/zero > "$DIR/warm"
    rm "$DIR/warm"
}

# small_files FOLDER COUNT BYTES: files with random content.
small_files() {
    local i
    mkdir -p "$1"
    random_file "$DIR/seed" $(($2 * $3 / 1048576 + 1))
    (cd "$1" && split -d -a 6 -b "$3" "$DIR/seed" f)
    for i in "$1"/f*; do [ "${i##*/f}" -lt "$2" ] || rm "$i"; done 2> /dev/null
    rm "$DIR/seed"
    [ "$(find "$1" -type f | wc -l)" -eq "$2" ] || fail "$1 has not $2 files"
}

# job_folder FOLDER [LINE...]: what is dropped; LINE... are further lines of config.ini's [job].
job_folder() {
    local folder=$1
    shift
    mkdir -p "$folder"
    printf '%s\n' '[job]' 'command = true' "$@" '[slurm]' 'time = 00:05:00' 'ntasks = 1' 'mem = 10M' > "$folder/config.ini"
}

# The same for sbatch alone.
job_script() {
    printf '%s\n' '#!/bin/bash' '#SBATCH --time=00:05:00' '#SBATCH --ntasks=1' '#SBATCH --mem=10M' true
}

status_of() { cat "$MNT/jobs/$1/status"; }
is_staged() {
    local status
    read -r status < "$MNT/jobs/$1/status"
    case $status in
    WAITING* | STAGING*) return 1 ;;
    REJECTED* | FAILED* | UNKNOWN*) fail "$1 is $status: $(cat "$MNT/jobs/$1/error")" ;;
    esac
}
has_id() {
    [ -s "$MNT/jobs/$1/slurm_id" ] || {
        [ "$(status_of "$1")" != REJECTED ] || fail "$1 is REJECTED: $(cat "$MNT/jobs/$1/error")"
        return 1
    }
}
has_ended_well() { [ "$(status_of "$1")" = COMPLETED ]; }
workdir_of() { sed -n 's/^workdir = //p' "$MNT/jobs/$1/info"; }
is_gone() { rmdir "$MNT/jobs/$1" || [ ! -d "$MNT/jobs/$1" ]; }
remove_job() {
    echo cancel > "$MNT/jobs/$1/ctl" 2> /dev/null || true
    until_true 60 is_gone "$1" || fail "$1 cannot be removed"
}

# a_job NAME: a job that has run and whose directory is there to be read.
a_job() {
    job_folder "$DIR/$1" 'submit = manual'
    cp -r "$DIR/$1" "$MNT/jobs/new/"
    mv "$MNT/jobs/new/$1" "$MNT/jobs/$1"
    until_true 120 has_ended_well "$1" || fail "$1 is $(status_of "$1")"
}

# passthrough_up OPTIONS SOURCE TARGET: libfuse's example, built from Debian's package.
passthrough_up() {
    local from=/usr/share/doc/libfuse3-dev/examples
    if [ ! -x "$BENCH/passthrough_ll" ]; then
        if [ ! -f $from/passthrough_ll.c ]; then
            # Small images leave out /usr/share/doc.
            (cd "$BENCH" && apt-get -q download libfuse3-dev > /dev/null && dpkg-deb -x libfuse3-dev_*.deb fuse)
            from=$BENCH/fuse$from
        fi
        # shellcheck disable=SC2046 # flags are words
        gcc -O2 -D_GNU_SOURCE -DFUSE_USE_VERSION=34 -w -o "$BENCH/passthrough_ll" $from/passthrough_ll.c \
            $(pkg-config --cflags --libs fuse3)
    fi
    # The background process closes none of our descriptors: the proxy would never see its input's end.
    (ulimit -n "$(ulimit -Hn)" && "$BENCH/passthrough_ll" -o "source=$2,$1" "$3" 8>&-)
    mountpoint -q "$3" || fail "nothing is mounted on $3"
}

# sshfs_up REMOTE-FOLDER TARGET
sshfs_up() {
    mkdir -p "$2"
    sshfs -F "$SSH_CONFIG" "line:$1" "$2" 8>&-
    mountpoint -q "$2" || fail "nothing is mounted on $2"
}

# jobs_database COUNT: a state with so many ended jobs, as an earlier mount would have left it.
jobs_database() {
    local db
    mount_up
    mount_down
    db=$(echo "$STATE"/slurmount/*/jobs.db)
    # Nine files' times; flags: staged, taken, moved, recorded.
    sqlite3 "$db" << END
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
INSERT INTO job (serial, uuid, name, state, flags, attempt, slurm_id, workdir, records, stdout_path, stderr_path, reason,
    facts, error, log_size, created_ns, taken_ns, submitted_ns, ended_ns, state_ns, file_ns, seen_ns)
SELECT i, printf('00000000-0000-4000-8000-%012x', i), printf('job%06d', i), 'COMPLETED', 142, 1, 1000000 + i,
    printf('$BENCH_SCRATCH/job%06d', i), '$BENCH_SCRATCH/.slurmount/records', printf('$BENCH_SCRATCH/job%06d/slurm-%d.out', i,
    1000000 + i), printf('$BENCH_SCRATCH/job%06d/slurm-%d.out', i, 1000000 + i), '',
    'exit_code = 0' || char(10) || 'nodes = node1' || char(10), '', 0, 1700000000000000000 + i, 1700000000000000000 + i,
    1700000000000000000 + i, 1700000100000000000 + i, 1700000100000000000 + i, zeroblob(72), 1700000100000000000 FROM n;
INSERT INTO text (serial, kind, content) SELECT serial, 0, CAST('[job]' || char(10) || 'command = true' || char(10) AS BLOB) FROM job;
INSERT INTO text (serial, kind, content) SELECT serial, 1, CAST('#!/bin/bash' || char(10) || 'true' || char(10) AS BLOB) FROM job;
INSERT OR REPLACE INTO setting (key, value) VALUES ('last_serial', $1);
COMMIT;
END
    (mkdir -p "$BENCH_SCRATCH" && cd "$BENCH_SCRATCH" && seq -f 'job%06.0f' "$1" | xargs mkdir)
    # Jobs that ended long ago.
    find "$BENCH_SCRATCH" -maxdepth 1 -exec touch -d '1 hour ago' {} +
    [ "$(sqlite3 "$db" 'SELECT count(*) FROM job')" -eq "$1" ] || fail "the database has not $1 jobs"
}
