package adx

import (
	"testing"

	"github.com/defender2adx/defender2adx/internal/schema"
)

// Every table of the catalogue has a row, and each row is one that can be copied.
func TestRecommended_HasTheWholeCatalogue(t *testing.T) {
	for _, table := range schema.Catalogue() {
		row, ok := Recommended(table.Name)
		if !ok {
			t.Errorf("%s has no row", table.Name)
			continue
		}
		if _, err := row.Table(); err != nil || row.SourceTable != table.Name || row.DestinationTable != table.Name+"Raw" {
			t.Errorf("%s: %+v, %v", table.Name, row, err)
		}
	}
	if row, _ := Recommended("devicetvmsoftwareinventory"); row.LoadType != "Snapshot" || row.Frequency != "1d" || !row.IsActive {
		t.Errorf("a posture table: %+v", row)
	}
}
