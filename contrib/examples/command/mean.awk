# The number of values, their mean, and the standard deviation of one of them.
{ sum += $1; squares += $1 * $1 }
END {
	mean = sum / NR
	printf "%d values, mean %g, deviation %g\n", NR, mean, sqrt((squares - NR * mean * mean) / (NR - 1))
}
