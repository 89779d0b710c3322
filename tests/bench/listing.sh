# Many ended jobs, against the same tree of plain files in memory behind libfuse's own example, which
# keeps all it can in the kernel.  For ls_jobs, find_jobs and cat_status.
MOUNT=none PEER_NAME=passthrough_ll
ulimit -Hn 1048576 2> /dev/null || true # root may
# The peer has a descriptor for every inode that the kernel knows; NODES says how many of a job these are.
most=$((($(ulimit -Hn) - 200) / NODES))
[ "$JOBS" -le $most ] || JOBS=$most
TREE=/dev/shm/slurmount-bench-tree.$$

prepare() {
    jobs_database "$JOBS"
    mount_up
    # The names of ours, files and links with what they hold; what lies on the cluster is an empty folder.
    mkdir -p "$TREE/jobs" "$DIR/through"
    python3 - "$MNT/jobs/job000001" "$TREE/jobs" "$JOBS" << 'END'
import os, sys
one, tree, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
names = sorted(os.listdir(one))
texts = {n: open(os.path.join(one, n)).read() for n in names if os.path.isfile(os.path.join(one, n)) and not os.path.islink(os.path.join(one, n))}
for i in range(1, count + 1):
    job = os.path.join(tree, "job%06d" % i)
    os.makedirs(os.path.join(job, "work"))
    for name in names:
        if name in texts:
            with open(os.path.join(job, name), "w") as file:
                file.write(texts[name])
        elif name != "work":
            os.symlink("work/out", os.path.join(job, name))
END
    passthrough_up cache=always "$TREE" "$DIR/through"
    # Twice: the kernel caches what it has been asked for before.
    for _ in 1 2; do
        peer_peer
        ours
    done
}
finish() {
    ! mountpoint -q "$DIR/through" || fusermount3 -u "$DIR/through"
    rm -rf -- "$TREE"
}
