# What every integration test is made of: a mount of its own on the shared private Slurm.
# Sourced with: CLUSTER (folder of tests/cluster/up), TRANSPORT (ssh or local), SLURMOUNT (binary).
set -Eeuo pipefail
# A command that fails without a word would end the test without one.
trap 'echo "FAILED: line $LINENO of ${BASH_SOURCE[0]}: $BASH_COMMAND" >&2' ERR

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# mount_up: mounts on $MNT with the state in $STATE; may be called again after mount_down.
mount_up() {
    local profile=$CLUSTER/profile.ini host=$SSH_HOST
    if [ "$TRANSPORT" = local ]; then
        profile=$CLUSTER/local.ini host=local
    fi
    XDG_STATE_HOME=$STATE "$SLURMOUNT" -c "$profile" -o "scratch=$SCRATCH" ${MOUNT_OPTIONS:-} "$host" "$MNT"
    mountpoint -q "$MNT" || fail "nothing is mounted on $MNT"
}

not_mounted() { ! mountpoint -q "$MNT" || fusermount3 -u "$MNT"; }

has_ended() { ! pgrep -f -- "$SLURMOUNT .* $MNT\$" > /dev/null; }

mount_down() {
    # Busy for a moment while the daemon tells watchers of a change, through its own mount.
    until_true 5 not_mounted || fusermount3 -u "$MNT"
    until_true 30 has_ended || fail "the daemon of $MNT has not ended"
}

# until_true SECONDS COMMAND...: waits for it to succeed, SLOWER times as long under a sanitizer.
# It starts no process between two tries: where many tests wait at once, that is most of what they do.
exec {never}<> <(:)
until_true() {
    local end=$((SECONDS + $1 * ${SLOWER:-1})) tenths=1
    shift
    until "$@" 2> /dev/null; do
        [ "$SECONDS" -lt "$end" ] || return 1
        read -rt "0.$tenths" -u "$never" || true
        [ $tenths -eq 3 ] || tenths=$((tenths + 1))
    done
}

# Not grep -q, which ends before ldd has written all: that would fail, and the pipe with it.
is_sanitized() { ldd "$SLURMOUNT" 2> /dev/null | grep "libasan\|libtsan" > /dev/null; }

status_is() {
    local word=
    read -r word < "$MNT/jobs/$1/status"
    [ "$word" = "$2" ]
}

# expect_status SECONDS JOB WORD
expect_status() {
    until_true "$1" status_is "$2" "$3" || {
        echo "--- error and log of $2:" >&2
        cat "$MNT/jobs/$2/error" "$MNT/jobs/$2/log" "$MNT/cluster/connection" >&2 || true
        fail "$2 is $(cat "$MNT/jobs/$2/status" 2> /dev/null), not $3, after $1 s"
    }
}

# make_job FOLDER COMMAND [SLURM-LINE...]: a folder with a config.ini.
make_job() {
    local folder=$1 command=$2
    shift 2
    mkdir -p "$folder"
    {
        printf '[job]\ncommand = %s\n[slurm]\ntime = 00:05:00\nntasks = 1\nmem = 10M\n' "$command"
        printf '%s\n' "$@"
    } > "$folder/config.ini"
}

# submit_draft NAME: by mv, unless a slow machine let the settling time pass before.
submit_draft() {
    mv "$MNT/jobs/new/$1" "$MNT/jobs/$1" 2> /dev/null || until_true 10 test -d "$MNT/jobs/$1" ||
        fail "$1 was not submitted: $(cat "$MNT/drafts/$1/problems")"
}

# proxy_up FOLDER [OPTION...]: a line of this test's own to the cluster, which say makes bad (see
# tests/faults/proxy.c); PROXY_OPTIONS is what a mount needs to go through it.
proxy_up() {
    local folder=$1 host
    shift
    mkfifo "$folder/commands"
    "$PROXY" "$SSH_PORT" "$@" < "$folder/commands" > "$folder/port" &
    exec 8> "$folder/commands"
    until_true 10 test -s "$folder/port"
    host=$(sed -n 's/^\[127.0.0.1\]:[0-9]* //p' "$SSH_KNOWN_HOSTS" | head -n 1)
    echo "[127.0.0.1]:$(cat "$folder/port") $host" > "$folder/known_hosts"
    PROXY_OPTIONS="-o port=$(cat "$folder/port"),known_hosts=$folder/known_hosts"
}
say() { echo "$1" >&8; }

# How many records Slurm has of a job, by its work directory: earlier tests used the same name.
slurm_count() {
    local folder
    folder=$(sed -n "s/^workdir = //p" "$MNT/jobs/$1/info")
    squeue -h -a -t all -o "%i %Z" | awk -v folder="$folder" '$2 == folder' | wc -l
}

# Debian's GROMACS wants an instruction that not every (virtual) processor has.
gromacs_runs() { command -v gmx > /dev/null && grep -qw rdtscp /proc/cpuinfo; }

end_test() {
    local status=$?
    mount_down || status=1
    # A mount whose daemon died answers nothing, and would keep its folder.
    fusermount3 -uz "$MNT" 2> /dev/null || true
    rm -rf -- "$TEST_DIR"
    exit $status
}

# end_test_behind COMMAND...: a trap for EXIT, where something is to be undone first; the test's status stays.
end_test_behind() {
    local status=$?
    trap - ERR
    set +e
    "$@" 2> /dev/null
    (exit $status)
    end_test
}

. "$CLUSTER/client.env"
export SLURM_CONF
# As the cluster's sshd has it, for the local transport's login shells.
export HOME=$CLUSTER/home
TEST_DIR=$(mktemp -d)
MNT=$TEST_DIR/mnt STATE=$TEST_DIR/state
mkdir -p "$MNT" "$STATE"
# A scratch of its own: a new database finds all jobs that lie on one.
SCRATCH=$SCRATCH/${TEST_DIR##*/}
export SCRATCH
trap end_test EXIT
