# Prints the longest time between two ticks of a schedule, in seconds: six cron fields in UTC, as the Functions host reads them.
# Ends with 1 where the schedule is none, or never ticks. A year that is no leap year stands for all.

# value(text, names): a number, or a name by its beginning; -1 is neither.
function value(text, names, i, n, list) {
	if (text ~ /^[0-9]+$/) return text + 0
	n = split(names, list, " ")
	for (i = 1; i <= n; i++) if (length(text) >= 3 && index(list[i], tolower(text)) == 1) return i - 1 + (n == 12)
	return -1
}

# field(text, low, high, set, names): what a field allows, into set; 0 is a fault.
function field(text, low, high, set, names, parts, n, i, from, to, step, bounds, v) {
	n = split(text, parts, ",")
	if (n == 0) return 0
	for (i = 1; i <= n; i++) {
		step = 1
		if (split(parts[i], bounds, "/") == 2) {
			if (bounds[2] !~ /^[0-9]+$/ || bounds[2] + 0 == 0) return 0
			step = bounds[2] + 0
			parts[i] = bounds[1]
		}
		if (parts[i] == "*") {
			from = low
			to = high
		} else if (split(parts[i], bounds, "-") == 2) {
			from = value(bounds[1], names)
			to = value(bounds[2], names)
		} else {
			from = value(parts[i], names)
			to = step > 1 ? high : from
		}
		if (from < low || to > high || from > to) return 0
		for (v = from; v <= to; v += step) set[v] = 1
	}
	return 1
}

{
	if (NF != 6 || !field($1, 0, 59, seconds) || !field($2, 0, 59, minutes) || !field($3, 0, 23, hours) || !field($4, 1, 31, days) ||
		!field($5, 1, 12, months, "january february march april may june july august september october november december") ||
		!field($6, 0, 6, weekdays, "sunday monday tuesday wednesday thursday friday saturday")) exit 1
	# Within a day.
	last = -1
	for (h = 0; h < 24; h++) if (h in hours) for (m = 0; m < 60; m++) if (m in minutes) for (s = 0; s < 60; s++) if (s in seconds) {
		now = h * 3600 + m * 60 + s
		if (last < 0) first = now
		else if (now - last > within) within = now - last
		last = now
	}
	# From day to day, from each weekday that a year may begin with.
	split("31 28 31 30 31 30 31 31 30 31 30 31", long, " ")
	for (begin = 0; begin < 7; begin++) {
		day = 0
		previous = -1
		for (year = 0; year < 2; year++) for (m = 1; m <= 12; m++) for (d = 1; d <= long[m]; d++) {
			if ((d in days) && (m in months) && (((begin + day) % 7) in weekdays)) {
				if (previous >= 0 && (day - previous) * 86400 - last + first > longest) longest = (day - previous) * 86400 - last + first
				previous = day
				ticks++
			}
			day++
		}
	}
	if (!ticks) exit 1
	print (within > longest ? within : longest)
}
