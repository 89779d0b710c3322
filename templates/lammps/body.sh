# Each value is one word of an argument list: -var NAME VALUE.
read -r -a words <<< "$variables"
options=()
for ((i = 0; i < ${#words[@]}; i += 2)); do
	if [[ ! ${words[i]} =~ ^[A-Za-z][A-Za-z0-9_]*$ ]]; then
		echo "variables: '${words[i]}' is no name of a variable; it takes NAME VALUE NAME VALUE ..." >&2
		exit 2
	fi
	if [[ ! ${words[i + 1]} =~ ^-?[0-9.]*[0-9]([eE][-+]?[0-9]+)?$ && ! ${words[i + 1]} =~ ^[A-Za-z0-9_./][A-Za-z0-9_./:+=@%,-]*$ ]]; then
		echo "variables: ${words[i]} has no value, or one that is not allowed: '${words[i + 1]}'" >&2
		exit 2
	fi
	options+=(-var "${words[i]}" "${words[i + 1]}")
done

export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
case $suffix in
none) ;;
omp) options+=(-sf omp -pk omp "$OMP_NUM_THREADS") ;;
gpu) options+=(-sf gpu -pk gpu "${SLURM_GPUS_ON_NODE:-1}") ;;
kk) options+=(-sf kk -k on t "$OMP_NUM_THREADS" ${SLURM_GPUS_ON_NODE:+g "$SLURM_GPUS_ON_NODE"}) ;;
*) options+=(-sf "$suffix") ;;
esac

case $launcher in
serial) "$program" -in "$input" "${options[@]}" ;;
mpirun) mpirun -np "${SLURM_NTASKS:-1}" "$program" -in "$input" "${options[@]}" ;;
srun) srun "$program" -in "$input" "${options[@]}" ;;
esac
