# Prints the table of run.sh: a row for each measurement, a column for each broker, the median of all rounds in each cell.
BEGIN { FS = "\t" }

# value gives the figure in front of a unit.
function value(line, unit,    parts, n, i, pair) {
	n = split(line, parts, "\t")
	for (i = 1; i <= n; i++)
		if (split(parts[i], pair, " ") == 2 && pair[2] == unit) return pair[1] + 0
	return -1
}

function median(cell,    n, v, i, j, t) {
	n = split(cell, v, " ")
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
	return n == 0 ? -1 : v[int((n + 1) / 2)] + 0
}

function human(v,    s, i) {
	s = sprintf("%.0f", v)
	for (i = length(s) - 3; i > 0; i -= 3) s = substr(s, 1, i) "," substr(s, i + 1)
	return s
}

{
	line = $3
	for (i = 4; i <= NF; i++) line = line "\t" $i
	if (!($2 in row)) { row[$2] = ++rows; name[rows] = $2 }
	if (!($1 in column)) { column[$1] = ++columns; broker[columns] = $1 }
	if ($2 ~ /receipt ms$/) { a = value(line, "receipt-p50-ms"); b = value(line, "receipt-p99-ms") }
	else if ($2 ~ /ms$/) { a = value(line, "p50-ms"); b = value(line, "p99-ms") }
	else { a = value(line, $2 ~ /deliveries/ ? "deliveries/s" : "msg/s"); b = -1 }
	first[$2, $1] = first[$2, $1] " " a
	if (b >= 0) second[$2, $1] = second[$2, $1] " " b
}

END {
	printf "| |"
	for (c = 1; c <= columns; c++) printf " %s |", broker[c]
	printf "\n|---|"
	for (c = 1; c <= columns; c++) printf "---|"
	printf "\n"
	for (r = 1; r <= rows; r++) {
		printf "| %s%s |", name[r], name[r] ~ /ms$/ ? " p50 / p99" : ""
		for (c = 1; c <= columns; c++) {
			key = name[r] SUBSEP broker[c]
			if (!(key in first)) printf " |"
			else if (key in second) printf " %.2f / %.2f |", median(first[key]), median(second[key])
			else printf " %s |", human(median(first[key]))
		}
		printf "\n"
	}
}
