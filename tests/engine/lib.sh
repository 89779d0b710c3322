# What every engine test is made of.  Sourced with: CLUSTER (folder of tests/cluster/up), TRANSPORT
# (ssh or local), TRY (the program).
set -euo pipefail
. "$CLUSTER/client.env"
export SLURM_CONF
# As the cluster's sshd has it, for the local transport's login shells.
export HOME=$CLUSTER/home
TEST_DIR=$(mktemp -d)
trap 'rm -rf -- "$TEST_DIR"' EXIT
NEW=$TEST_DIR/state/spool/new
mkdir -p "$NEW"
PROFILE=$CLUSTER/profile.ini
if [ "$TRANSPORT" = local ]; then PROFILE=$CLUSTER/local.ini; fi

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# run SECONDS [ACTION...]: the output is in $TEST_DIR/out, too.  SLOWER times as long under valgrind.
run() {
    local seconds=$(($1 * ${SLOWER:-1}))
    shift
    "$TRY" "$PROFILE" "$TEST_DIR/state" "$seconds" "$@" | tee "$TEST_DIR/out" ||
        fail "not all jobs have ended after $seconds s"
}

# make_job NAME COMMAND [SLURM-LINE...]: a draft with a config.ini.
make_job() {
    local folder=$NEW/$1 command=$2
    shift 2
    mkdir -p "$folder"
    {
        printf '[job]\ncommand = %s\nfiles = config.ini\n' "$command"
        printf '[slurm]\ntime = 00:05:00\nntasks = 1\nmem = 10M\n'
        printf '%s\n' "$@"
    } > "$folder/config.ini"
}

# was JOB STATE: it was seen in that state.
was() { grep -qE "^$1 $2( |\$)" "$TEST_DIR/out"; }
expect() { was "$1" "$2" || fail "$1 was never $2"; }
# The id that Slurm gave to a job, and its directory.
id_of() { awk -v job="$1" '$1 == job && $3 { id = $3 } END { print id }' "$TEST_DIR/out"; }
workdir_of() { sacct_field "$1" WorkDir; }
sacct_field() {
    local i value
    for i in $(seq 50); do
        value=$(sacct -n -P -X -j "$(id_of "$1")" -o "$2")
        if [ -n "$value" ]; then break; fi
        sleep 0.1
    done
    printf '%s\n' "$value"
}
