# slurm_errors.tsv -> the rows of a C table.
BEGIN { FS = "\t" }

# Letter by letter: what gsub makes of backslashes differs between kinds of awk.
function c_string(s,    i, c, out) {
	for (i = 1; i <= length(s); i++) {
		c = substr(s, i, 1)
		out = out (c == "\\" || c == "\"" ? "\\" : "") c
	}
	return "\"" out "\""
}

NR > 1 && NF >= 5 {
	reconcile = $5 ~ /^RECONCILE FIRST/ ? "true" : "false"
	sub(/^RECONCILE FIRST \([^)]*\); */, "", $5)
	printf "\t{%s, %s, CLASS_%s, %s, %s, %s},\n", c_string($1), c_string($2), toupper($3), \
		c_string($4), c_string($5), reconcile
}
