/*
 * What staging runs on the cluster, as bash text.  Its variables (scratch, project, records, batch,
 * limit) stand before it; what is data comes on its input and is never read as code but for the
 * lines of `last`, in which every value is a quoted word.
 *
 * The keep: SCRATCH/.slurmount/keep has a file for each content, by its name (filesum.h), and beside it
 * NAME.ok, a line that tells size, times and inode of the file when it was verified.  A file that
 * fits its line is trusted.  Any other is NAME.part, which an upload completes, piece by piece.  The line
 * ends in "kept" once the file is on the disk for certain, else in what names this boot of the machine:
 * after a crash a file may have its size and times, but not its bytes.
 *
 * A large file is not copied into the last job that wants it, but given: renamed into its directory, which
 * takes no time.  Behind the job's back the keep gets a copy, NAME.back, which counts if the job's file was
 * not touched meanwhile.
 */
#ifndef SLURMOUNT_STAGE_SCRIPT_H
#define SLURMOUNT_STAGE_SCRIPT_H

/* look NAME...: what the keep has of them. */
#define STAGE_SCRIPT_KEEP \
	"root=$scratch/.slurmount keep=$scratch/.slurmount/keep\n" \
	"read -r boot 2> /dev/null < /proc/sys/kernel/random/boot_id || boot=$batch\n" \
	"declare -A now=()\n" \
	"look() {\n" \
	"  local name rest\n" \
	"  [ $# -gt 0 ] || return 0\n" \
	"  for name; do unset \"now[$name]\"; done\n" \
	"  while read -r name rest; do now[$name]=$rest; done < <(cd -- \"$keep\" && printf '%s\\0' \"$@\" |\n" \
	"    xargs -0 stat --printf '%n %s %.9Y %.9Z %i\\n' -- 2> /dev/null)\n" \
	"}\n" \
	"is_trusted() {\n" \
	"  local line=\n" \
	"  [ -n \"${now[$1]-}\" ] && { read -r line < \"$keep/$1.ok\"; } 2> /dev/null &&\n" \
	"    { [ \"$line\" = \"${now[$1]} $boot\" ] || [ \"$line\" = \"${now[$1]} kept\" ]; }\n" \
	"}\n" \
	/* record WORD NAME...: they are what they should be now. */ \
	"record() {\n" \
	"  local word=$1 name\n" \
	"  shift\n" \
	"  look \"$@\"\n" \
	"  for name; do\n" \
	"    [ -z \"${now[$name]-}\" ] || echo \"${now[$name]} $word\" > \"$keep/$name.ok\"\n" \
	"  done\n" \
	"}\n" \
	/* bring_back NAME FILE LINE...: a copy of what was given, where that still fits its line. */ \
	"bring_back() {\n" \
	"  while [ $# -ge 3 ]; do\n" \
	"    cp --reflink=auto -T -- \"$2\" \"$keep/$1.back\" &&\n" \
	"      [ \"$(stat --printf '%s %.9Y %.9Z %i' -- \"$2\")\" = \"$3\" ] &&\n" \
	"      mv -T -- \"$keep/$1.back\" \"$keep/$1\" && record \"$boot\" \"$1\" || rm -f -- \"$keep/$1.back\"\n" \
	"    shift 3\n" \
	"  done\n" \
	"}\n" \
	/* Behind a batch, detached: brings to the disk what is new (NAME...), keeps to the limit, and
	 * clears away what broken batches left. */ \
	"tidy() {\n" \
	"  local name bytes total=0 line\n" \
	"  local -A size=() used=()\n" \
	"  cd -- \"$keep\" || return\n" \
	"  for name; do\n" \
	"    look \"$name\"\n" \
	"    is_trusted \"$name\" && line=${now[$name]} && sync -- \"$name\" && look \"$name\" &&\n" \
	"      [ \"$line\" = \"${now[$name]-}\" ] && echo \"$line kept\" > \"$name.ok\"\n" \
	"  done\n" \
	"  while read -r name bytes; do used[$name]=yes; done < <(cat -- \"$root\"/staging/*/wanted)\n" \
	"  while read -r bytes name; do\n" \
	"    size[$name]=$bytes total=$((total + bytes))\n" \
	"  done < <(find . -maxdepth 1 -type f ! -name '*.ok' ! -name '*.part' ! -name '*.back' -printf '%s %f\\n')\n" \
	"  while [ \"$total\" -gt \"$limit\" ] && read -r line name; do\n" \
	"    name=${name%.ok}\n" \
	"    [ -n \"${size[$name]-}\" ] && [ -z \"${used[$name]-}\" ] || continue\n" \
	"    rm -f -- \"$name.ok\" \"$name\"\n" \
	"    total=$((total - size[$name]))\n" \
	"  done < <(find . -maxdepth 1 -name '*.ok' -printf '%T@ %f\\n' | sort -n)\n" \
	"  find . -maxdepth 1 -name '*.part' -mtime +7 -delete\n" \
	"  find . -maxdepth 1 -name '*.back' -mmin +60 -delete\n" \
	"  find \"$root/staging\" -mindepth 1 -maxdepth 1 -mtime +3 ! -name '*.gone' \\\n" \
	"    -exec mv -T -- {} {}.gone \\;\n" \
	"  rm -rf -- \"$root\"/staging/*.gone\n" \
	"}\n"

/* Before the others: takes what is wanted and what is last from its input, where that is much. */
#define STAGE_SCRIPT_INPUT \
	"read_input() {\n" \
	"  local first second\n" \
	"  read -r first second && head -c \"$first\" > \"$part/wanted\" && head -c \"$second\" > \"$part/last\" &&\n" \
	"    [ \"$(wc -c < \"$part/last\")\" -eq \"$second\" ] || exit 73\n" \
	"}\n" \
	"last() { . \"$part/last\"; }\n"

/* Until it says "ready": what is wanted of the keep, and what of it must be sent. */
#define STAGE_SCRIPT_BEGIN \
	/* The user's own may be stricter; and nobody else writes what a job runs. */ \
	"export slurmount_umask=$(umask)\n" \
	"umask go-w\n" \
	"trap '' PIPE HUP\n" \
	"part=$root/staging/$batch\n" \
	"mkdir -p -- \"$part/jobs\" \"$part/new\" && { [ -d \"$records\" ] || mkdir -p -- \"$records\"; } &&\n" \
	"  { [ -d \"$keep\" ] || mkdir -m 700 -- \"$keep\"; } || exit 73\n" \
	"fresh=()\n" \
	"declare -A given=() line_of=()\n" \
	/* Nobody waits for it.  What the jobs have by now is brought back, what no job got is taken back. */ \
	"behind() {\n" \
	"  local name back=()\n" \
	"  for name in \"${!given[@]}\"; do\n" \
	"    if [ -e \"$part/jobs/${given[$name]}\" ]; then\n" \
	"      mv -T -- \"$part/jobs/${given[$name]}\" \"$keep/$name\" && record \"$boot\" \"$name\"\n" \
	"    elif [ \"${size[$name]}\" -le \"$limit\" ]; then\n" \
	"      back+=(\"$name\" \"$scratch/${given[$name]}\" \"${line_of[$name]}\") && continue\n" \
	"    fi\n" \
	"    rm -f -- \"$keep/$name.back\"\n" \
	"  done\n" \
	"  [ ${#fresh[@]} -gt 0 ] || [ ${#back[@]} -gt 0 ] || return 0\n" \
	"  rm -f -- \"$part/wanted\"\n" \
	"  export root keep boot limit\n" \
	"  setsid nice bash -c \"declare -A now=(); $(declare -f look is_trusted record bring_back tidy)\"'\n" \
	"    bring_back \"${@:2:$1}\"; tidy \"${@:$1 + 2}\"' - ${#back[@]} \"${back[@]}\" \"${fresh[@]}\" \"${!given[@]}\"" \
	" > /dev/null 2>&1 < /dev/null &\n" \
	"  fresh=() given=()\n" \
	"}\n" \
	"leave() {\n" \
	"  cd / || return\n" \
	"  behind\n" \
	"  rm -rf -- \"$part\" > /dev/null 2>&1 < /dev/null &\n" \
	"}\n" \
	/* await NAME: while it is being brought back; 10 s without a byte more are too long. */ \
	"await() {\n" \
	"  local size=-1 last tries=0\n" \
	"  while [ ! -e \"$keep/$1\" ] && [ -e \"$keep/$1.back\" ] && [ $tries -lt 100 ]; do\n" \
	"    last=$size size=$(stat -c %s -- \"$keep/$1.back\") tries=$((tries + 1))\n" \
	"    [ \"$size\" = \"$last\" ] || tries=0\n" \
	"    sleep 0.1\n" \
	"  done\n" \
	"}\n" \
	"trap leave EXIT\n" \
	"read_input\n" \
	"names=() used=()\n" \
	"declare -A inode=() size=()\n" \
	"if [ -e \"$part/wanted\" ]; then while read -r name bytes node; do\n" \
	"  names+=(\"$name\") size[$name]=$bytes inode[$name]=$node\n" \
	"done < \"$part/wanted\"; fi\n" \
	"for name in \"${names[@]}\"; do await \"$name\"; done\n" \
	"look \"${names[@]}\"\n" \
	"printf -v time '%(%s)T' -1\n" \
	"for name in \"${names[@]}\"; do\n" \
	"  if [ -z \"${now[$name]-}\" ] && [ \"${inode[$name]}\" != - ] &&\n" \
	"    [ \"$(stat -c '%s %i' -- \"$keep/$name.part\" 2> /dev/null)\" = \"${size[$name]} ${inode[$name]}\" ]; then\n" \
	/* All its pieces were verified in this very file. */ \
	"    mv -T -- \"$keep/$name.part\" \"$keep/$name\" && fresh+=(\"$name\") && continue\n" \
	"  elif is_trusted \"$name\"; then\n" \
	"    line=${now[$name]#* }\n" \
	/* Scratch is purged by age. */ \
	"    if [ $((time - ${line%%.*})) -gt 3600 ]; then touch -c -- \"$keep/$name\"; used+=(\"$name\")\n" \
	"    else read -r line < \"$keep/$name.ok\" && echo \"$line\" > \"$keep/$name.ok\"; fi\n" \
	"    continue\n" \
	"  elif [ -n \"${now[$name]-}\" ]; then\n" \
	"    mv -T -- \"$keep/$name\" \"$keep/$name.part\"; rm -f -- \"$keep/$name.ok\"\n" \
	"  fi\n" \
	"  if [ -e \"$keep/$name.part\" ]; then echo \"part $name\"; else echo \"need $name\"; fi\n" \
	"done\n" \
	"record \"$boot\" \"${fresh[@]}\" \"${used[@]}\"\n" \
	"echo ready\n" \
	"read -r go || exit 0\n"

/* Then: the stream, and all that follows it. */
#define STAGE_SCRIPT_END \
	"declare -A result=() folder=()\n" \
	"good=() bad=()\n" \
	/* answer INDEX STATUS FILE */ \
	"answer() {\n" \
	"  local LC_ALL=C text=\n" \
	"  [ ! -s \"$3\" ] || text=$(head -c 4000 -- \"$3\")\n" \
	"  printf 'staged %d %d %d\\n%s' \"$1\" \"$2\" \"${#text}\" \"$text\"\n" \
	"}\n" \
	/* judge INDEX NAME STATUS: of what was done in its directory. */ \
	"judge() {\n" \
	"  if [ \"$3\" != 0 ] || ! : > \"$part/jobs/$2/.slurmount/staged\"; then\n" \
	"    answer \"$1\" \"$([ \"$3\" = 0 ] && echo 76 || echo \"$3\")\" \"$part/$1.err\"\n" \
	"  else good+=(\"$1\") folder[$1]=$2; fi\n" \
	"}\n" \
	"fills=()\n" \
	/* fill NAME MODE PATH */ \
	"fill() {\n" \
	"  fills+=(\"$1\")\n" \
	"  nice cp --reflink=auto -T -- \"$keep/$1\" \"./$3\" && chmod \"$2\" -- \"./$3\" || exit 79\n" \
	"}\n" \
	"filled() {\n" \
	"  local name\n" \
	"  look \"${fills[@]}\"\n" \
	"  for name in \"${fills[@]}\"; do\n" \
	"    is_trusted \"$name\" || { echo \"$keep/$name changed while it was copied\" >&2; exit 79; }\n" \
	"  done\n" \
	"}\n" \
	/* give NAME MODE PATH: as fill, and as the last of all. */ \
	"give() {\n" \
	"  look \"$1\"\n" \
	"  is_trusted \"$1\" && : >> \"$keep/$1.back\" && mv -T -- \"$keep/$1\" \"./$3\" && chmod \"$2\" -- \"./$3\" || exit 79\n" \
	"}\n" \
	/* gave NAME PATH: what came of it, outside of the subshell that did it. */ \
	"gave() {\n" \
	"  if [ ! -e \"$part/jobs/$2\" ]; then rm -f -- \"$keep/$1.back\"; return; fi\n" \
	"  given[$1]=$2 line_of[$1]=$(stat --printf '%s %.9Y %.9Z %i' -- \"$part/jobs/$2\")\n" \
	"}\n" \
	"nice tar -xmpf - --no-same-owner -C \"$part\" || exit 74\n" \
	"cd -- \"$part\" || exit 74\n" \
	"nice sha256sum --quiet --strict -c SHA256SUMS >&2 || exit 75\n" \
	"names=(new/*)\n" \
	"if [ -e \"${names[0]}\" ]; then\n" \
	"  mv -t \"$keep\" -- \"${names[@]}\" || exit 76\n" \
	"  record \"$boot\" \"${names[@]#new/}\"\n" \
	"  fresh+=(\"${names[@]#new/}\")\n" \
	"fi\n" \
	"last\n" \
	"names=()\n" \
	"for index in \"${good[@]}\"; do names+=(\"jobs/${folder[$index]}\"); done\n" \
	"if [ -n \"$project\" ] && [ ${#names[@]} -gt 0 ]; then\n" \
	"  if ! to_project 2> \"$part/err\"; then\n" \
	"    for index in \"${good[@]}\"; do answer \"$index\" 77 \"$part/err\"; done\n" \
	"    good=() names=()\n" \
	"  fi\n" \
	"fi\n" \
	"[ ${#names[@]} -eq 0 ] || mv -t \"$scratch\" -- \"${names[@]}\" 2> \"$part/err\"\n" \
	"for index in \"${good[@]}\"; do\n" \
	"  if [ -e \"$scratch/${folder[$index]}/.slurmount/staged\" ]; then answer \"$index\" 0 \"$part/$index.out\"\n" \
	"  else answer \"$index\" 76 \"$part/err\"; fi\n" \
	"done\n" \
	"behind\n"

/* With a project folder: names... of the batch stand there first. */
#define STAGE_SCRIPT_PROJECT \
	"to_project() {\n" \
	"  local there=$project/.slurmount/staging/$batch name\n" \
	"  local -a copies=()\n" \
	"  trap 'rm -rf -- \"$project/.slurmount/staging/$batch\"; leave' EXIT\n" \
	"  mkdir -p -- \"$there/jobs\" && nice cp -R --preserve=mode,timestamps,links --reflink=auto\\\n" \
	"    -t \"$there/jobs\" -- \"${names[@]}\" || return\n" \
	"  (cd -- \"$there\" && nice diff -r --no-dereference -q -- \"$part/jobs\" jobs >&2) || return\n" \
	"  for name in \"${names[@]}\"; do copies+=(\"$there/$name\"); done\n" \
	"  mv -t \"$project\" -- \"${copies[@]}\" 2> \"$part/moved\" && return\n" \
	"  for name in \"${names[@]#jobs/}\"; do\n" \
	"    [ -e \"$project/$name/.slurmount/staged\" ] || { cat -- \"$part/moved\" >&2; return 1; }\n" \
	"  done\n" \
	"}\n"

#endif
