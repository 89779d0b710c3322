# The period of a pendulum, in s, of the length, in m, in that line of the table.
NR == line { printf "%.3f\n", 2 * atan2(0, -1) * sqrt($1 / 9.80665) }
