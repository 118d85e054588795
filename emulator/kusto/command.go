package kusto

import (
	"context"
	"iter"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// execution is one management command under way.
type execution struct {
	c    *Cluster
	ctx  context.Context
	who  caller
	db   *database // nil for the pseudo database of data management
	s    *scanner
	text string
}

// managementDatabase is the name the ingest clients send for commands that belong
// to no database.
const managementDatabase = "NetDefaultDB"

// execute runs one command. Its errors are *Error or the evaluator's.
func (c *Cluster) execute(ctx context.Context, who caller, databaseName, text string) (*result, error) {
	x := &execution{c: c, ctx: ctx, who: who, s: newScanner(text), text: text}
	if databaseName != managementDatabase && databaseName != "" {
		var err error
		c.mu.RLock()
		x.db, err = c.database(databaseName)
		c.mu.RUnlock()
		if err != nil {
			return nil, err
		}
	}
	if !x.s.punct(".") {
		return nil, badRequest("BadRequest_NotACommand", "The text is not a management command: it does not start with '.'.")
	}
	verb := x.s.word()
	res, err := x.dispatch(verb)
	if x.s.err != nil {
		err = x.s.err // what could not be read explains more than what was made of it
	}
	if err != nil {
		return nil, err
	}
	if verb == "show" && x.s.punct("|") {
		return x.pipe(res, x.s.rest())
	}
	return res, x.s.finish()
}

func (x *execution) dispatch(verb string) (*result, error) {
	switch {
	case verb == "get":
		return x.get()
	case verb == "show":
		return x.locked(x.show)
	case x.db == nil:
		return nil, badRequest("BadRequest_DatabaseNotSpecified", "The command '.%s' needs a database.", verb)
	case verb == "set" && x.s.accept("database"):
		return x.locked(func() (*result, error) { return x.alterRole("set") })
	}
	switch verb {
	case "create", "create-merge", "create-or-alter":
		return x.locked(func() (*result, error) { return x.create(verb) })
	case "alter", "alter-merge":
		return x.locked(func() (*result, error) { return x.alter(verb) })
	case "drop":
		return x.drop()
	case "delete":
		return x.delete()
	case "clear":
		return x.locked(x.clear)
	case "set", "append", "set-or-append", "set-or-replace":
		return x.appendQuery(verb)
	case "ingest":
		return x.ingestInline()
	case "add":
		return x.locked(func() (*result, error) {
			x.s.want("database")
			return x.alterRole("add")
		})
	case "execute":
		return x.script()
	}
	return nil, x.unknown(verb)
}

// locked runs a command that evaluates no query of the user's.
func (x *execution) locked(command func() (*result, error)) (*result, error) {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	return command()
}

// unknown refuses the command by its first words.
func (x *execution) unknown(words ...string) error {
	if x.s.err != nil {
		return x.s.err
	}
	if next := x.s.word(); next != "" {
		words = append(words, next)
	}
	return unknownCommand(strings.Join(words, " "))
}

// require refuses callers without one of the roles. The caller holds the lock.
func (x *execution) require(operation, entity string, roles ...Role) error {
	if x.db == nil {
		return badRequest("BadRequest_DatabaseNotSpecified", "The operation '%s' needs a database.", operation)
	}
	if !x.who.has(x.db, roles...) {
		return forbidden(x.who.principal, operation, x.db.name+"/"+entity)
	}
	return nil
}

// table checks the rights, then finds the table: who may not look is not told
// what exists.
func (x *execution) table(operation, name string, roles ...Role) (*table, error) {
	if err := x.require(operation, name, roles...); err != nil {
		return nil, err
	}
	return x.db.table(name)
}

// get answers what the ingest clients ask of data management.
func (x *execution) get() (*result, error) {
	x.c.mu.RLock()
	defer x.c.mu.RUnlock()
	allowed := false
	for _, db := range x.c.databases {
		allowed = allowed || x.who.has(db, Ingestor)
	}
	refused := func(operation string) error {
		if !allowed {
			return forbidden(x.who.principal, operation, "the cluster")
		}
		return nil
	}
	switch {
	case x.s.accept("kusto", "identity", "token"):
		if err := refused("IdentityTokenGet"); err != nil {
			return nil, err
		}
		return answer("AuthorizationContext", []any{x.c.token.sign(x.who.principal)}), nil
	case x.s.accept("ingestion", "resources"):
		if err := refused("IngestionResourcesGet"); err != nil {
			return nil, err
		}
		res := answer("ResourceTypeName,StorageRoot")
		for _, address := range x.c.opts.Storage.Containers {
			res.rows = append(res.rows, []any{"TempStorage", address})
		}
		for _, queue := range []struct{ kind, address string }{
			{"SecuredReadyForAggregationQueue", x.c.opts.Storage.Queue},
			{"SuccessfulIngestionsQueue", x.c.opts.Storage.Succeeded},
			{"FailedIngestionsQueue", x.c.opts.Storage.Failed},
		} {
			if queue.address != "" {
				res.rows = append(res.rows, []any{queue.kind, queue.address})
			}
		}
		if table := x.c.opts.Storage.Table; table != "" {
			res.rows = append(res.rows, []any{"IngestionsStatusTable", table})
		}
		return res, nil
	}
	return nil, x.unknown("get")
}

// shown is a command's answer as a table for the operators behind it.
type shown struct{ *result }

// Columns gives the answer's columns.
func (s shown) Columns() []engine.Column { return s.columns }

// Scan yields the answer's rows.
func (s shown) Scan() iter.Seq[engine.Record] {
	return func(yield func(engine.Record) bool) {
		for _, row := range s.rows {
			if !yield(engine.Record{Values: row}) {
				return
			}
		}
	}
}

// answerTable is the name under which operators see what a command shows.
const answerTable = "__CommandResult"

// pipe applies operators to what a command showed.
func (x *execution) pipe(res *result, operators string) (*result, error) {
	cat := &catalog{
		names: []string{answerTable}, tables: map[string]engine.Source{answerTable: shown{res}}, mayRead: true,
	}
	out, err := engine.Run(x.ctx, engine.Query{Text: answerTable + " | " + operators, Catalog: cat, Now: x.c.opts.Now(), MaxRows: maxResultRows})
	if err != nil {
		return nil, limited(err)
	}
	return fromQuery(out), nil
}

func fromQuery(out *engine.Result) *result {
	res := &result{columns: out.Columns}
	for _, r := range out.Rows {
		res.rows = append(res.rows, r.Values)
	}
	return res
}
