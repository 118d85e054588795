package cloud

import (
	"maps"
	"slices"
)

// All returns every cloud and every region of the global one, in a fixed order.
func All() []Cloud {
	var out []Cloud
	for _, name := range slices.Sorted(maps.Keys(table)) {
		out = append(out, Cloud{Name: name})
	}
	for _, region := range regions {
		out = append(out, Cloud{Global, region})
	}
	return out
}
