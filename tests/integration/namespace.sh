# Sourced first by a test that needs a mount namespace of its own: runs the test again inside one.
if [ -z "${OWN_NAMESPACE:-}" ]; then
    if ! unshare --mount true 2> /dev/null; then
        echo "no mount namespace can be had here"
        exit 77
    fi
    # A copy of another test's mount would keep that alive when it is unmounted outside.
    OWN_NAMESPACE=yes exec unshare --mount bash -c '
        while read -r _ where type _; do
            if [ "$type" = fuse.slurmount ]; then umount -l "$where" || true; fi
        done < /proc/self/mounts
        exec bash "$0"' "$0"
fi
