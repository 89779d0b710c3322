case $launcher in
multicore)
	"$program" "+p${SLURM_CPUS_ON_NODE:-1}" "$configuration"
	;;
mpirun)
	mpirun -np "${SLURM_NTASKS:-1}" "$program" "$configuration"
	;;
srun)
	srun "$program" "$configuration"
	;;
charmrun)
	charmrun "+p${SLURM_NTASKS:-1}" ++mpiexec ++remote-shell srun "$program" "$configuration"
	;;
esac
