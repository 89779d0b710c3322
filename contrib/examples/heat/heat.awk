# heat.ini first, then tables of CELL TEMPERATURE; the bar after the last step to stdout.
FNR == 1 { file++ }
file == 1 { if ($2 == "=") setting[$1] = $3; next }
NF == 2 { heat[$1] = $2; given = 1 }

function total(   i, sum) {
	for (i = 1; i <= cells; i++)
		sum += heat[i]
	return sum
}

END {
	cells = setting["cells"]
	if (!given)
		heat[int((cells + 1) / 2)] = 1
	for (step = 1; step <= setting["steps"]; step++) {
		insulated = setting["ends"] == "insulated"
		heat[0] = insulated ? heat[1] : 0
		heat[cells + 1] = insulated ? heat[cells] : 0
		for (i = 1; i <= cells; i++)
			next_heat[i] = heat[i] + setting["diffusion"] * (heat[i - 1] - 2 * heat[i] + heat[i + 1])
		for (i = 1; i <= cells; i++)
			heat[i] = next_heat[i]
		if (setting["every_step"] == "yes" || step == setting["steps"])
			printf "step %d of %d, heat %.6g\n", step, setting["steps"], total() > "/dev/stderr"
	}
	for (i = 1; i <= cells; i++)
		printf "%d %.6g\n", i, heat[i]
}
