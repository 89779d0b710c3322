# Dropping many small jobs at once.  For submit_*.bench.
COUNT=${COUNT:-1000}
MOUNT="-o submit_rate=0"

prepare_drops() {
    local i
    mkdir -p "$DIR/template" "$DIR/theirs" "$BENCH_SCRATCH/loop"
    job_folder "$DIR/template" 'submit = manual'
    job_script > "$DIR/theirs/run.sbatch"
}
before_ours() {
    local i
    rm -rf "$DIR/ours" && mkdir "$DIR/ours"
    for ((i = 1; i <= COUNT; i++)); do cp -r "$DIR/template" "$DIR/ours/r$ROUND-$i"; done
}
all_have_ids() { [ -z "$(find "$MNT"/jobs/r"$ROUND"-* -maxdepth 1 -name slurm_id -size 0 -print -quit)" ]; }
# From the first byte dropped to the last id.
ours() {
    cp -r "$DIR/ours/." "$MNT/jobs/new/"
    (cd "$MNT/jobs/new" && for job in r"$ROUND"-*; do mv "$job" "../$job" || exit 1; done)
    until_true 600 all_have_ids || fail "not all of the jobs have an id"
}
after_ours() {
    local found
    found=$(cat "$MNT"/jobs/r"$ROUND"-*/slurm_id | sort -u | wc -l)
    [ "$found" -eq "$COUNT" ] || fail "$COUNT jobs have $found ids"
}
