package engine

import (
	"context"
	"errors"
)

// engine is the state of one query.
type engine struct {
	ctx        context.Context
	query      Query
	now        Datetime
	root       *env
	builtins   map[string]builtin
	aggregates map[string]aggregate
	err        error // the first error of the rows; ends the query
	depth      int
	calls      int // functions being expanded
	steps      int
	parsed     map[string]*function // stored functions met so far
	tabular    map[*body]bool       // what givesTable found
}

func newEngine(ctx context.Context, q Query) *engine {
	eng := &engine{ctx: ctx, query: q, now: FromTime(q.Now), builtins: builtins(), aggregates: aggregates(),
		parsed: map[string]*function{}, tabular: map[*body]bool{}}
	eng.root = &env{eng: eng, names: map[string]*binding{}, held: map[node]*held{}}
	return eng
}

func (eng *engine) fail(err error) {
	if eng.err == nil {
		eng.err = err
	}
}

// step is called once per row produced; false ends the query.
func (eng *engine) step() bool {
	if eng.steps++; eng.steps&1023 == 0 {
		if err := eng.ctx.Err(); err != nil {
			eng.fail(err)
		}
	}
	return eng.err == nil
}

// maxDepth bounds the expansion of functions and lets within each other.
const maxDepth = 4000

func (eng *engine) deeper(n node) error {
	if err := eng.ctx.Err(); err != nil {
		return err
	}
	if eng.depth++; eng.depth > maxDepth {
		eng.depth--
		return semantic(n.at(), "", "the query is nested too deep, or a function calls itself")
	}
	return nil
}

func (eng *engine) shallower() { eng.depth-- }

// maxCalls bounds how deep functions may call each other.
const maxCalls = 100

func (eng *engine) enterCall(n node) error {
	if eng.calls++; eng.calls > maxCalls {
		eng.calls--
		return semantic(n.at(), "", "the query is nested too deep, or a function calls itself")
	}
	return nil
}

func (eng *engine) leaveCall() { eng.calls-- }

// plan compiles the query into its result table. toscalar, materialize and plugins
// whose columns depend on the rows are answered here.
func (eng *engine) plan() (*rel, error) {
	prog, err := parseProgram(eng.query.Text)
	if err != nil {
		return nil, err
	}
	if err := eng.parameters(prog.declared); err != nil {
		return nil, err
	}
	e, err := eng.root.bindAll(prog.lets, nil)
	if err != nil {
		return nil, err
	}
	if !e.isTabular(prog.final) {
		if _, ok := prog.final.(*nameRef); ok {
			_, err := e.table(prog.final)
			return nil, err
		}
		x, err := (&scope{env: e}).compile(prog.final)
		if err != nil {
			return nil, err
		}
		return singleRow([]Column{{"print_0", x.typ}}, []*expr{x}), eng.err
	}
	out, err := e.table(prog.final)
	return out, errors.Join(err, eng.err)
}

func (eng *engine) parameters(declared []param) error {
	for _, p := range declared {
		if p.tabular {
			return unsupported(place{line: 1, col: 1}, "tabular query parameter '%s'", p.name)
		}
		text, ok := eng.query.Parameters[p.name]
		var x *expr
		switch {
		case ok:
			t, v, err := ParseLiteral(text)
			if err != nil {
				if p.typ != TypeString {
					return err
				}
				t, v = TypeString, text
			}
			x = cast(constant(t, v), p.typ)
		case p.def != nil:
			v, err := (&scope{env: eng.root}).compile(p.def)
			if err != nil {
				return err
			}
			x = cast(v, p.typ)
		default:
			return semantic(place{line: 1, col: 1}, "SEM0260", "Query parameter '%s' has no value", p.name)
		}
		eng.root.names[p.name] = &binding{name: p.name, scalar: func() (*expr, error) { return x, nil }}
	}
	return nil
}

// stored looks a function up in the catalog; nil if there is none.
func (eng *engine) stored(name string) (*function, error) {
	if eng.query.Catalog == nil {
		return nil, nil
	}
	if fn, ok := eng.parsed[name]; ok {
		return fn, nil
	}
	f, ok := eng.query.Catalog.Function(name)
	if !ok {
		return nil, nil
	}
	fn, err := storedFunction(f)
	if err != nil {
		return nil, err
	}
	eng.parsed[name] = fn
	return fn, nil
}

// env holds the names a query has given: lets, parameters, as.
type env struct {
	eng    *engine
	parent *env
	names  map[string]*binding
	held   map[node]*held
}

// binding is what a name stands for; one of scalar, build and fn is set.
type binding struct {
	name   string
	scalar func() (*expr, error)
	build  func() (*rel, error) // makes the table afresh
	fn     *function
}

// held is a materialized table.
type held struct {
	cols []Column
	rows []*Record
}

func newEnv(parent *env) *env {
	return &env{eng: parent.eng, parent: parent, names: map[string]*binding{}, held: map[node]*held{}}
}

func (e *env) find(name string) *binding {
	for ; e != nil; e = e.parent {
		if b := e.names[name]; b != nil {
			return b
		}
	}
	return nil
}

// bindAll binds lets one by one; each sees those before it.
func (e *env) bindAll(lets []let, win *window) (*env, error) {
	for i := range lets {
		l, outer := &lets[i], e
		e = newEnv(outer)
		b := &binding{name: l.name}
		switch {
		case l.fn != nil:
			fn := *l.fn
			fn.env = outer
			b.fn = &fn
		case outer.isTabular(l.x):
			b.build = func() (*rel, error) { return outer.table(l.x) }
		default:
			if ref, ok := l.x.(*nameRef); ok && outer.find(ref.name) == nil {
				_, err := outer.table(ref)
				return nil, err
			}
			var memo *expr
			b.scalar = func() (x *expr, err error) {
				if memo == nil {
					memo, err = (&scope{env: outer, win: win}).compile(l.x)
				}
				return memo, err
			}
			if _, err := b.scalar(); err != nil {
				return nil, err
			}
		}
		e.names[l.name] = b
	}
	return e, nil
}

// isTabular tells whether an expression gives a table, without running it.
func (e *env) isTabular(n node) bool {
	switch x := n.(type) {
	case *pipe, *datatable, *printSource, *rangeSource, *pattern:
		return true
	case *nameRef:
		if b := e.find(x.name); b != nil {
			return b.build != nil || b.fn != nil && e.givesTable(b.fn)
		}
		if c := e.eng.query.Catalog; c != nil {
			if _, ok := c.Table(x.name); ok {
				return true
			}
		}
		fn, err := e.eng.stored(x.name)
		return err == nil && fn != nil && e.givesTable(fn)
	case *pathRef:
		c, ok := x.x.(*call)
		return ok && (c.name == "database" || c.name == "cluster")
	case *call:
		if b := e.find(x.name); b != nil {
			return b.fn != nil && e.givesTable(b.fn)
		}
		switch x.name {
		case "table", "materialized_view", "external_table":
			return true
		case "materialize":
			return len(x.args) == 1 && e.isTabular(x.args[0])
		}
		fn, err := e.eng.stored(x.name)
		return err == nil && fn != nil && e.givesTable(fn)
	}
	return false
}

// givesTable looks at the shape of a function's body.
func (e *env) givesTable(fn *function) bool {
	if known, ok := e.eng.tabular[fn.body]; ok {
		return known
	}
	e.eng.tabular[fn.body] = true // for one that calls itself
	parent := fn.env
	if parent == nil {
		parent = e.eng.root
	}
	shape := newEnv(parent)
	for _, p := range fn.params {
		b := &binding{name: p.name}
		if p.tabular {
			b.build = func() (*rel, error) { return nil, nil }
		} else {
			b.scalar = func() (*expr, error) { return constant(p.typ, nil), nil }
		}
		shape.names[p.name] = b
	}
	for i := range fn.body.lets {
		l := &fn.body.lets[i]
		b := &binding{name: l.name, fn: l.fn}
		switch {
		case l.fn != nil:
			f := *l.fn
			f.env = shape
			b.fn = &f
		case shape.isTabular(l.x):
			b.build = func() (*rel, error) { return nil, nil }
		default:
			b.scalar = func() (*expr, error) { return nil, nil }
		}
		shape = newEnv(shape)
		shape.names[l.name] = b
	}
	is := shape.isTabular(fn.body.final)
	e.eng.tabular[fn.body] = is
	return is
}
