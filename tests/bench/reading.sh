# Reading outputs: of a job that has run, in whose directory files are put.  For read_*.bench.
SIZE=${SIZE:-256}
COPY=/dev/shm/slurmount-bench.$$

prepare_reading() {
    a_job reader
    WORKDIR=$(workdir_of reader)
    random_file "$WORKDIR/big" "$SIZE"
    # So old that its time says for certain whether it has changed.
    touch -d '1 hour ago' "$WORKDIR/big"
    sshfs_up "$WORKDIR" "$DIR/sshfs"
}
# A name that nobody has read yet: for the kernel a new file.
fresh_name() { ln "$WORKDIR/big" "$WORKDIR/$1"; }
copied_right() {
    cmp "$WORKDIR/big" "$COPY" || fail "what was read differs"
    rm -f "$COPY"
}
finish() {
    rm -f "$COPY"
    ! mountpoint -q "$DIR/sshfs" || fusermount3 -u "$DIR/sshfs"
}
