// A database that commands are run against, as far as names and types go.
'use strict';
const { loadParser, problemsOf, problem, walk, kindOf } = require('./lints.cjs');
const { L } = loadParser();
const S = L.Symbols;

const key = (name) => `['${name}']`;

// policies are the keys that each policy may have, for those that are JSON.
const policies = {
	update: ['IsEnabled', 'Source', 'SourceIsWildCard', 'Query', 'IsTransactional', 'PropagateIngestionProperties', 'ManagedIdentity'],
	extent_tags_retention: ['TagPrefix', 'RetentionPeriod'],
	ingestionbatching: ['MaximumBatchingTimeSpan', 'MaximumNumberOfItems', 'MaximumRawDataSizeMB'],
	retention: ['SoftDeletePeriod', 'Recoverability'],
	merge: ['RowCountUpperBoundForMerge', 'OriginalSizeMBUpperBoundForMerge', 'MaxExtentsToMerge', 'AllowRebuild', 'AllowMerge', 'MaxRangeInHours', 'Lookback'],
};

class Deployment {
	constructor(tables = []) {
		this.tables = new Map(tables.map((t) => [t.name, new S.TableSymbol.$ctor7(t.name, t.columns, '')]));
		this.functions = new Map();
		this.views = new Map();
		this.cached = null;
		this.shapes = new Map();
	}

	// shapeOf is a command with the name of its table taken out, and what is known of
	// that table. Raw tables differ in their names alone, and the parser is slow.
	shapeOf(text) {
		const name = /^\.[a-z-]+ (?:table|column) \['(\w+)'\]|^\.create-or-alter function .*? (\w+)Visible\(\) \{/.exec(text);
		if (!name) return null;
		const table = name[1] ?? name[2], symbol = this.tables.get(table);
		const columns = symbol ? Bridge.toArray(symbol.Columns).map((c) => `${c.Name}: ${c.Type.Name}`).join(', ') : '';
		return { table, key: text.replaceAll(table, '\u0000') + '\u0000' + columns };
	}

	globals() {
		if (!this.cached) {
			const database = new S.DatabaseSymbol.$ctor1('db1', [...this.tables.values(), ...this.functions.values(), ...this.views.values()], false);
			this.cached = L.GlobalState.Default.WithCluster(new S.ClusterSymbol.ctor('cluster', [database])).WithDatabase(database);
		}
		return this.cached;
	}

	// command checks one command and, with apply, keeps what it makes.
	command(text, apply, columns) {
		const shape = this.shapeOf(text), like = shape && this.shapes.get(shape.key);
		if (like) {
			if (apply) this.repeat(like, shape.table, text);
			return [];
		}
		const made = this.plainFunction(text);
		if (made) return this.function(made, text, apply, columns);
		const code = L.KustoCode.ParseAndAnalyze(text, this.globals());
		const errors = code.Kind === 'Command' ? problemsOf(code, text, { own: true }) : [problem(text, 0, 'command', 'no control command')];
		if (errors.length > 0) return errors;
		const effect = this.inspect(code, text, errors, apply);
		if (shape && errors.length === 0) this.shapes.set(shape.key, { table: shape.table, made: effect });
		return errors;
	}

	// plainFunction takes apart a function in the form in which this project writes them.
	plainFunction(text) {
		const m = /^\.create-or-alter function with \(folder = '[^']*', docstring = '[^']*'\) (\w+)\(([^()]*)\) \{\n([^]*)\n\}$/.exec(text);
		return m && { name: m[1], parameters: m[2], body: m[3] };
	}

	// function checks the head as a command, once for each form of it, and the body as
	// the query that it is: the grammar of commands takes the parser ten times as long.
	function({ name, parameters, body }, text, apply, columns) {
		if (this.tables.has(name) && !body.includes(`table("${name}")`)) return [problem(text, text.indexOf(name), 'shadow', `function ${name} hides the table of its name`)];
		if (this.functions.get(name)?.text === parameters + body) return [];
		const form = `.create-or-alter function with (folder = 'F', docstring = 'D') N(${parameters}) {\n    print X = 1\n}`;
		if (!this.shapes.has(form)) {
			const errors = problemsOf(L.KustoCode.ParseAndAnalyze(form, this.globals()), form, { own: true });
			if (errors.length > 0) return errors;
			this.shapes.set(form, {});
		}
		const given = parameters.split(',').filter((p) => p.trim()).map((p) => {
			const [variable, type] = p.split('=')[0].split(':').map((part) => part.trim());
			return `let ${variable} = ${type === 'string' ? "''" : `${type}(null)`}; `;
		});
		const query = given.join('') + '\n' + body;
		const code = L.KustoCode.ParseAndAnalyze(query, this.globals());
		const errors = problemsOf(code, query, { own: true });
		if (errors.length === 0 && columns) {
			const got = Bridge.toArray(code.ResultType.Columns).map((c) => `${c.Name} ${c.Type.Name}`).join(', ');
			if (got !== columns) errors.push(problem(text, 0, 'columns', `the result is (${got}), want (${columns})`));
		}
		if (errors.length > 0 || !apply) return errors;
		const symbol = new S.FunctionSymbol.$ctor16(name, `(${parameters})`, `{\n${body}\n}`, '');
		symbol.text = parameters + body;
		this.functions.set(name, symbol);
		this.cached = null;
		const shape = this.shapeOf(text);
		if (shape) this.shapes.set(shape.key, { table: shape.table, made: { name, parameters, body } });
		return [];
	}

	// repeat does for another table what the command of that shape did for its own.
	repeat({ table, made }, other, text) {
		if (!made) return;
		this.cached = null;
		if (made.columns) {
			this.tables.set(other, new S.TableSymbol.$ctor7(other, made.columns, ''));
			return;
		}
		const body = made.body.replaceAll(table, other), name = made.name.replaceAll(table, other);
		this.functions.set(name, Object.assign(new S.FunctionSymbol.$ctor16(name, `(${made.parameters})`, `{\n${body}\n}`, ''), { text: made.parameters + body }));
	}

	inspect(code, text, errors, apply) {
		const fault = (at, name, message) => errors.push(problem(text, Math.max(at, 0), name, message));
		const found = { columns: [], names: [] };
		walk(code.Syntax, (node) => {
			switch (node.NameInParent) {
			case 'ColumnName': found.columns.push({ name: node.SimpleName ?? node.ToString(0), at: node.TextStart }); break;
			case 'ColumnType': if (found.columns.length) found.columns.at(-1).type = node.ToString(L.Syntax.IncludeTrivia.Interior); break;
			case 'TableName': found.table ??= node.SimpleName ?? node.ToString(L.Syntax.IncludeTrivia.Interior); break;
			case 'FunctionName': found.function ??= node.SimpleName ?? node.ToString(L.Syntax.IncludeTrivia.Interior); break;
			}
			if (kindOf(node) === 'FunctionDeclaration') found.declaration ??= node;
		});
		const head = /^\.([a-z-]+)\s+(table|function|materialized-view)\b/.exec(text) ?? [];
		if (head[1] === 'create-merge' || head[1] === 'create') {
			if (head[2] === 'table') return this.makeTable(found, fault, apply);
		}
		if (head[1] === 'show') return;
		if (head[2] === 'function') return fault(0, 'function', 'want the form that the other functions have: with (folder = ..., docstring = ...), name, parameters, braces on lines of their own');
		const mapping = /^\.create-or-alter table (?:\['(\w+)'\]|(\w+)) ingestion \w+ mapping '[^']*' '([^']*)'/.exec(text);
		if (mapping) return this.mapping(mapping[1] ?? mapping[2], mapping[3], text.indexOf(mapping[3]), fault);
		const policy = /^\.alter(?:-merge)? (?:table|database) (?:\['(\w+)'\]|(\w+)) policy (\w+) (?:'((?:[^']|'')*)'|@'((?:[^']|'')*)'|"((?:[^"\\]|\\.)*)")/.exec(text);
		if (policy && policies[policy[3]]) {
			return this.policy(policy[1] ?? policy[2], policy[3], policy[4] ?? policy[5]?.replaceAll("''", "'") ?? JSON.parse(`"${policy[6]}"`), fault);
		}
		const drop = /^\.drop (?:materialized-view|function) (\w+)/.exec(text);
		if (drop && apply) {
			this.views.delete(drop[1]);
			this.functions.delete(drop[1]);
			this.cached = null;
		}
	}

	makeTable(found, fault, apply) {
		const have = new Map();
		for (const c of this.columnsOf(found.table) ?? []) have.set(c.Name, c.Type.Name);
		const before = have.size;
		const seen = new Set();
		for (const c of found.columns) {
			if (seen.has(c.name)) fault(c.at, 'column', `column ${c.name} twice`);
			seen.add(c.name);
			const known = have.get(c.name);
			if (known && known !== c.type) fault(c.at, 'type', `column ${c.name} is ${known}, not ${c.type}`);
			have.set(c.name, known ?? c.type);
		}
		if (!apply || have.size === before && before > 0) return;
		const columns = '(' + [...have].map(([n, t]) => `${key(n)}: ${t}`).join(', ') + ')';
		this.tables.set(found.table, new S.TableSymbol.$ctor7(found.table, columns, ''));
		this.cached = null;
		return { columns };
	}

	columnsOf(table) {
		const symbol = this.tables.get(table);
		return symbol && Bridge.toArray(symbol.Columns);
	}

	mapping(table, json, at, fault) {
		let entries;
		try { entries = JSON.parse(json); } catch (e) { return fault(at, 'json', e.message); }
		const columns = new Set((this.columnsOf(table) ?? []).map((c) => c.Name));
		for (const e of entries) {
			if (!columns.has(e.Column ?? e.column)) fault(at, 'mapping', `table ${table} has no column ${e.Column ?? e.column}`);
			const path = (e.Properties ?? {}).Path;
			if (path !== undefined && !String(path).startsWith('$')) fault(at, 'mapping', `path ${path} does not begin with $`);
		}
	}

	policy(table, name, json, fault) {
		let value;
		try { value = JSON.parse(json); } catch (e) { return fault(0, 'json', `policy ${name}: ${e.message}`); }
		for (const entry of Array.isArray(value) ? value : [value]) {
			for (const k of Object.keys(entry)) if (!policies[name].includes(k)) fault(0, 'policy', `policy ${name} has no key ${k}`);
			if (name === 'update') this.updatePolicy(table, entry, fault);
		}
	}

	// updatePolicy wants the query's columns equal to the target's, in order.
	updatePolicy(table, entry, fault) {
		if (!this.tables.has(entry.Source)) fault(0, 'policy', `the update policy reads table ${entry.Source}, which does not exist`);
		const code = L.KustoCode.ParseAndAnalyze(entry.Query, this.globals());
		const errors = problemsOf(code, entry.Query, { own: true });
		for (const e of errors) fault(0, e.code, `query of the update policy: ${e.message}`);
		if (errors.length > 0) return;
		const list = (columns) => columns.map((c) => `${c.Name}: ${c.Type.Name}`).join(', ');
		const got = list(Bridge.toArray(code.ResultType.Columns)), want = list(this.columnsOf(table));
		if (got !== want) fault(0, 'policy', `the update policy gives (${got}), table ${table} has (${want})`);
	}
}

module.exports = { Deployment };
