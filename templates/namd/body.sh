# NAMD's own arguments: +name and plain values. Not --name, which NAMD runs as Tcl, nor ++name, which is charmrun's.
read -r -a options <<< "$arguments"
for word in "${options[@]}"; do
	if [[ ! $word =~ ^\+[A-Za-z][A-Za-z0-9_-]*$ && ! $word =~ ^[0-9][0-9A-Za-z.,:+-]*$ ]]; then
		echo "arguments: '$word' is not allowed; allowed: +name, and values of digits, letters and . , : + -" >&2
		exit 2
	fi
done

# The GPUs that Slurm gave, which are counted from 0 here, whatever their numbers on the node.
if [ -n "$CUDA_VISIBLE_DEVICES" ] && [ "$CUDA_VISIBLE_DEVICES" != NoDevFiles ]; then
	commas=${CUDA_VISIBLE_DEVICES//[^,]/}
	options+=(+devices "$(seq -s , 0 "${#commas}")")
fi

tasks=${SLURM_NTASKS:-1}
[ "$launcher" != mpirun ] && [ "$launcher" != srun ] || options+=(${threads:+"+ppn" "$threads"})
charm=("+p$((tasks * ${threads:-1}))" ${threads:+"++ppn" "$threads"})

case $launcher in
multicore)
	if [ "${SLURM_JOB_NUM_NODES:-1}" -gt 1 ]; then
		echo "launcher: multicore runs on one node, and this job has $SLURM_JOB_NUM_NODES; ask for one," \
			"or take the launcher that this NAMD was built for" >&2
		exit 2
	fi
	"$program" "+p${SLURM_CPUS_ON_NODE:-1}" "${options[@]}" "$configuration"
	;;
mpirun)
	mpirun -np "$tasks" "$program" "${options[@]}" "$configuration"
	;;
srun)
	srun "$program" "${options[@]}" "$configuration"
	;;
charmrun)
	charmrun "${charm[@]}" ++mpiexec ++remote-shell srun "$program" "${options[@]}" "$configuration"
	;;
charmrun-nodelist)
	{
		echo "group main"
		scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/^/host /'
	} > nodelist
	charmrun "${charm[@]}" ++nodelist nodelist ++remote-shell ssh "$program" "${options[@]}" "$configuration"
	;;
esac
