# Bringing inputs to the cluster: the draft is complete, so what is timed is from `mv` to the moment
# when all of it lies, verified, in the job's directory.  For staging_*.bench.

# stage_draft: timed.
stage_draft() {
    mv "$MNT/jobs/new/job$ROUND" "$MNT/jobs/job$ROUND"
    until_true 600 is_staged "job$ROUND" || fail "job$ROUND is $(status_of "job$ROUND")"
}

# drop_draft FOLDER
drop_draft() {
    rm -rf "$DIR/drop"
    job_folder "$DIR/drop" 'submit = manual'
    cp -r "$1/." "$DIR/drop/"
    cp -r "$DIR/drop" "$MNT/jobs/new/job$ROUND"
    rm -rf "$DIR/drop"
    sync
    warm_memory "${SIZE:-16}"
}

# staged_right FOLDER: all of it came, byte for byte.
staged_right() {
    local to
    to=$(workdir_of "job$ROUND")
    diff -r "$1" "$to" | grep -v "^Only in $to" && fail "what was staged differs"
    remove_job "job$ROUND"
}

before_peer() {
    rm -rf "$BENCH_SCRATCH/$1" && mkdir -p "$BENCH_SCRATCH/$1" && sync
    warm_memory "${SIZE:-16}"
}
after_peer() {
    diff -r "$DIR/in" "$BENCH_SCRATCH/$1" || fail "what $1 brought differs"
    rm -rf "$BENCH_SCRATCH/$1"
}
peer_rsync() { rsync -a -e "ssh -F $SSH_CONFIG" "$DIR/in/" "line:$BENCH_SCRATCH/rsync/"; }
peer_sftp() { sftp -q -F "$SSH_CONFIG" -b - line <<< "put -r $DIR/in/* $BENCH_SCRATCH/sftp/" > /dev/null; }
peer_scp() { scp -q -r -F "$SSH_CONFIG" "$DIR/in/." "line:$BENCH_SCRATCH/scp/"; }
peer_tar() { tar -C "$DIR/in" -cf - . | ssh -F "$SSH_CONFIG" line "tar -C $BENCH_SCRATCH/tar -xf -"; }
