# A state with many ended jobs, each with all that a real one has: facts of the accounting, a script, a log of
# eight lines, results in project.  For scale_*.bench.
MOUNT=none PEERS=

# ended_jobs STATE-FOLDER COUNT
ended_jobs() {
    local STATE=$1 db
    mount_up
    mount_down
    db=$(echo "$STATE"/slurmount/*/jobs.db)
    sqlite3 "$db" << END
PRAGMA synchronous = OFF;
BEGIN;
CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)
    SELECT i, printf('equilibration-%06d', i) AS name, printf('%08x-%04x-4000-8000-%012x', i * 2654435761 % 4294967296, i % 65536, i) AS uuid,
    1700000000 + 60 * i AS t FROM n;
INSERT INTO job (serial, uuid, name, state, flags, attempt, slurm_id, workdir, records, stdout_path, stderr_path, reason,
    facts, error, log_size, created_ns, taken_ns, submitted_ns, ended_ns, state_ns, file_ns, seen_ns, project_dir, results)
SELECT i, uuid, name, 'COMPLETED', 142 + 16, 1, 1000000 + i, printf('$BENCH_SCRATCH/%s-%.8s', name, uuid),
    '$BENCH_SCRATCH/.slurmount/records', printf('$BENCH_SCRATCH/%s-%.8s/slurm-%d.out', name, uuid, 1000000 + i),
    printf('$BENCH_SCRATCH/%s-%.8s/slurm-%d.out', name, uuid, 1000000 + i), '',
    printf('exit_code = 0%snode_list = node%d%spartition = normal%saccount = chem42%sqos = normal%stime_limit = 01:00:00%sreq_mem = 4G%s'
        || 'max_rss = %dK%ssubmit_time = %s%sstart_time = %s%send_time = %s%selapsed = 00:12:%02d%s', char(10), i % 97, char(10), char(10), char(10),
        char(10), char(10), char(10), 100000 + i, char(10), strftime('%Y-%m-%dT%H:%M:%SZ', t, 'unixepoch'), char(10),
        strftime('%Y-%m-%dT%H:%M:%SZ', t + 30, 'unixepoch'), char(10), strftime('%Y-%m-%dT%H:%M:%SZ', t + 780, 'unixepoch'), char(10), i % 60, char(10)),
    '', 0, t * 1000000000, t * 1000000000, t * 1000000000, t * 1000000000 + 780000000000, t * 1000000000 + 780000000000, zeroblob(72),
    t * 1000000000, printf('/projects/ann/slurmount/%s-%.8s', name, uuid), 'kept' FROM n;
INSERT INTO text (serial, kind, content) SELECT i, 0, CAST(printf('[job]%scommand = ./a.out in.dat%s[slurm]%stime = 01:00:00%smem = 4G%s',
    char(10), char(10), char(10), char(10), char(10)) AS BLOB) FROM n;
INSERT INTO text (serial, kind, content) SELECT i, 1, CAST(printf('#!/bin/bash%s%s', char(10), hex(zeroblob(1500))) AS BLOB) FROM n;
INSERT INTO origin (serial, draft) SELECT i, name FROM n;
INSERT INTO log (serial, line, time_ns, content) SELECT i, l, t * 1000000000 + l, w FROM n, (SELECT 1 AS l, 'accepted as equilibration' AS w
    UNION SELECT 2, 'its files are on the cluster, verified' UNION SELECT 3, 'sbatch is run (attempt 1)' UNION SELECT 4, 'Slurm has it as job 1000000'
    UNION SELECT 5, 'RUNNING' UNION SELECT 6, 'COMPLETING' UNION SELECT 7, 'COMPLETED' UNION SELECT 8, 'the results are in project, verified');
UPDATE job SET log_size = (SELECT sum(21 + length(content) + 1) FROM log WHERE log.serial = job.serial);
INSERT OR REPLACE INTO setting (key, value) VALUES ('last_serial', $2);
COMMIT;
END
    [ "$(sqlite3 "$db" 'SELECT count(*) FROM job')" -eq "$2" ] || fail "the database has not $2 jobs"
}

# rss PROCESS: MiB of its own memory.
rss() { awk '/^VmRSS/ { print $2 / 1024 }' "/proc/$1/status"; }
