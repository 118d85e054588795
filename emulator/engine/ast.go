package engine

// place is a position in the text.
type place struct{ off, line, col int }

// node is an expression, scalar or tabular: the two look alike until their names
// are resolved.
type node interface{ at() place }

func (p place) at() place { return p }

type (
	literal struct {
		place
		typ Type
		val any
	}
	nameRef struct {
		place
		name string
	}
	star    struct{ place }
	pathRef struct { // x.name
		place
		x    node
		name string
	}
	indexRef struct { // x[i]
		place
		x, i node
	}
	call struct {
		place
		name string
		args []node
	}
	unaryOp struct {
		place
		op string
		x  node
	}
	binaryOp struct {
		place
		op   string
		l, r node
	}
	betweenOp struct {
		place
		not       bool
		x, lo, hi node
	}
	memberOp struct { // in, !in, in~, !in~, has_any, has_all
		place
		op   string
		x    node
		list []node
	}
	named struct { // a = x, (a, b) = x, or x alone
		place
		names []string
		x     node
	}
	typeRef struct { // typeof(…)
		place
		typ Type
	}
	pattern struct { // a column name with wildcards
		place
		text string
	}
	pipe struct { // source | op | op
		place
		source node
		ops    []operator
	}
	datatable struct {
		place
		cols []Column
		rows []node
	}
	rangeSource struct {
		place
		name           string
		from, to, step node
	}
	printSource struct {
		place
		items []named
	}
)

// function is a let or stored function, or the right side of invoke.
type function struct {
	place
	name   string
	params []param
	body   *body
	env    *env
	view   bool // named in withsource, and met by wildcards
}

type param struct {
	name    string
	typ     Type
	tabular bool
	cols    []Column // of a tabular parameter; empty means any
	def     node
}

type body struct {
	lets  []let
	final node
}

type let struct {
	place
	name string
	x    node      // a value or table, or
	fn   *function // a function
}

// operator is one step after a bar.
type operator struct {
	place
	name    string            // canonical: "where", "sort", "project-away"
	params  map[string]string // kind, withsource, … as written
	items   []named           // the list before by/on
	by      []named
	order   []ordering
	count   node   // of take, top, sample, limit
	right   node   // of join and lookup
	tables  []node // of union
	expand  []expansion
	inner   []operator // of mv-apply
	fn      *call      // of evaluate and invoke
	schema  []Column   // of evaluate
	anyLeft bool       // the schema begins with *
}

type ordering struct {
	x          node
	asc        bool
	nullsFirst bool
}

type expansion struct {
	place
	name string
	x    node
	typ  Type // 0: stays dynamic
}
