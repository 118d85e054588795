package adx

import (
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/Azure/azure-kusto-go/azkustoingest"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/kql"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Probe sends one row with the id into MigrationProbe by queued ingestion, the
// way of every slice. id is alphanumeric.
func (c *Client) Probe(ctx context.Context, id string) error {
	if !runID.MatchString(id) {
		return fault.As(fault.Permanent, fmt.Errorf("ADX: want an id of letters and digits, got %q", id))
	}
	line, err := json.Marshal(map[string]string{"Id": id})
	if err != nil {
		return err
	}
	b, err := c.Stage(ctx, "probe-"+id+"-"+rand.Text()+".json.gz", func(w io.Writer) error {
		zw := gzip.NewWriter(w)
		if _, err := zw.Write(append(line, '\n')); err != nil {
			return err
		}
		return zw.Close()
	})
	if err != nil {
		return err
	}
	_, err = c.enqueue(ctx, b,
		azkustoingest.Table(probeTable),
		azkustoingest.IngestionMapping(probeMapping(id, c.now()), azkustoingest.JSON),
		azkustoingest.RawDataSize(int64(len(line)+1)),
		azkustoingest.FlushImmediately(),
	)
	return err
}

func probeMapping(id string, at time.Time) string {
	return mappingJSON([]columnMapping{constant("Id", id), constant("Timestamp", plan.Stamp(at))})
}

// Probed reports whether the row of that probe is queryable.
func (c *Client) Probed(ctx context.Context, id string) (bool, error) {
	type row struct {
		ID string `kusto:"Id"`
	}
	found, err := rows[row](ctx, c, strings.Join([]string{
		kql.Name(probeTable), "where Id == " + kql.String(id), "take 1", "project Id",
	}, " | "))
	if err != nil {
		return false, err
	}
	return len(found) > 0, nil
}
