fail() {
	echo "gromacs: $1" >&2
	exit 2
}

# A requeued job goes on from its own checkpoint, in the same files.
continue_from=md.cpt
if [ -n "$tpr" ]; then
	[ -z "$mdp$structure$topology" ] || fail "either tpr, or mdp, structure and topology; not both"
	run_input=$tpr
	[ -e md.cpt ] || continue_from=${checkpoint:-md.cpt}
else
	[ -n "$mdp" ] && [ -n "$structure" ] && [ -n "$topology" ] ||
		fail "it needs tpr, or all of mdp, structure and topology"
	run_input=md.tpr
	"$program" grompp -f "$mdp" -c "$structure" -p "$topology" -o "$run_input" -po mdout.mdp \
		-maxwarn "$maxwarn" ${index:+-n "$index"} ${restraint_reference:+-r "$restraint_reference"} \
		${checkpoint:+-t "$checkpoint"} || exit
fi

options=(-s "$run_input" -deffnm md -cpi "$continue_from" -ntomp "${SLURM_CPUS_PER_TASK:-1}")
[ "$continue_from" = md.cpt ] || options+=(-noappend)
[ -z "$max_hours" ] || options+=(-maxh "$max_hours")
case $program in
gmx | gmx_d)
	[ "$launcher" = none ] || fail "launcher: $program starts its threads itself; take gmx_mpi with $launcher"
	[ "${SLURM_JOB_NUM_NODES:-1}" -le 1 ] || fail "program: $program runs on one node; take gmx_mpi for several"
	options+=(-ntmpi "${SLURM_NTASKS:-1}")
	;;
esac
case $launcher in
none) "$program" mdrun "${options[@]}" ;;
mpirun) mpirun -np "${SLURM_NTASKS:-1}" "$program" mdrun "${options[@]}" ;;
srun) srun "$program" mdrun "${options[@]}" ;;
esac
