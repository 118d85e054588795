package stack

import "context"

// Prepare sets the database up and returns what handler setup printed: with the
// recommended configuration, or, where the tenant came from files, with one row
// for each table that has rows, Full on arrival time.
func (e *Emulators) Prepare(ctx context.Context, app App, files bool) (string, error) {
	if !files {
		return e.Setup(ctx, app, "recommended")
	}
	if out, err := e.Setup(ctx, app, "none"); err != nil {
		return out, err
	}
	var tables []string
	for _, t := range e.Data.TableNames() {
		if e.Data.Count(t) > 0 {
			tables = append(tables, t)
		}
	}
	if err := e.Configure(ctx, tables); err != nil {
		return "", err
	}
	// Tables outside the catalogue get their raw tables now.
	return e.Setup(ctx, app, "none")
}
