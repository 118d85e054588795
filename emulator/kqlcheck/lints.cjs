// What the parser accepts in silence and the service refuses or a reader regrets.
'use strict';

const parser = {};

function loadParser() {
	if (!parser.L) {
		// The first file defines the runtime that the second needs.
		require('@kusto/language-service-next/bridge.min.js');
		require('@kusto/language-service-next/Kusto.Language.Bridge.min.js');
		parser.L = globalThis.Kusto.Language;
	}
	return parser;
}

// problem places a message in the text; offsets count UTF-16 units.
function problem(text, offset, code, message) {
	const before = text.slice(0, offset);
	return { code, line: before.split('\n').length, column: offset - before.lastIndexOf('\n'), message };
}

const kindOf = (node) => System.Enum.toString(parser.L.Syntax.SyntaxKind, node.Kind);

function walk(node, visit) {
	visit(node);
	for (let i = 0; i < node.ChildCount; i++) {
		const child = node.GetChild(i);
		if (child) walk(child, visit);
	}
}

const textOf = (node) => node.ToString(parser.L.Syntax.IncludeTrivia.Interior);

// Kinds under which the parser hides what it did not understand.
const unread = new Set(['UnknownCommand', 'BadCommand', 'PartialCommand', 'BadQueryOperator']);

// Functions that the service refuses for a dynamic argument.
const wantText = new Set(['countof', 'extract', 'extract_all', 'replace_string', 'trim', 'trim_start', 'trim_end', 'url_encode', 'url_decode']);

const windowed = new Set(['row_number', 'prev', 'next', 'row_cumsum', 'row_rank_dense', 'row_rank_min', 'row_window_session']);
const serializes = new Set(['SerializeOperator', 'SortOperator', 'TopOperator', 'GetSchemaOperator']);
const scatters = new Set(['SampleOperator', 'DistinctOperator', 'JoinOperator', 'LookupOperator', 'CountOperator', 'SummarizeOperator',
	'MvExpandOperator', 'MvApplyOperator', 'EvaluateOperator', 'MakeSeriesOperator', 'UnionOperator']);

// serialized tells whether the rows that an operator gets have an order.
function serialized(node) {
	let pipe = node;
	while (pipe && kindOf(pipe) !== 'PipeExpression') pipe = pipe.Parent;
	for (let left = pipe && pipe.Expression; left; left = left.Expression) {
		const operator = kindOf(left) === 'PipeExpression' ? left.Operator : left;
		const kind = kindOf(operator);
		if (serializes.has(kind) || kind === 'RangeOperator') return true;
		if (scatters.has(kind) || kindOf(left) !== 'PipeExpression') return false;
	}
	return false;
}

const zeroes = { DateTimeLiteralExpression: /^[^0-9]*0001-01-01|min|null/i, TimespanLiteralExpression: /\(\s*(0|null|min|-?0[\d:.]*)|^0/i, GuidLiteralExpression: /0000|null/i };

function lint(code, text, errors) {
	const add = (node, name, message) => errors.push(problem(text, node.TextStart, name, message));
	walk(code.Syntax, (node) => {
		switch (kindOf(node)) {
		case 'EqualExpression': case 'NotEqualExpression':
			if (node.Left.ResultType?.Name === 'dynamic' && node.Right.ResultType?.Name === 'dynamic') {
				add(node, 'dynamic', 'two dynamic values are compared: convert one');
			}
			return;
		case 'FunctionCallExpression': {
			const name = node.Name.SimpleName;
			if (wantText.has(name)) {
				for (const argument of Bridge.toArray(node.ArgumentList.Expressions)) {
					if (argument.Element?.ResultType?.Name === 'dynamic') add(node, 'dynamic', `${name} of a dynamic value: convert it`);
				}
			}
			if (windowed.has(name) && !serialized(node)) add(node, 'order', `${name} of rows without an order`);
			return;
		}
		case 'JoinOnClause':
			for (const { Element: key } of Bridge.toArray(node.Expressions)) {
				if (key.ResultType?.Name === 'dynamic') add(key, 'key', 'a join by a dynamic value: convert it');
			}
			return;
		case 'TakeOperator': case 'TopOperator':
			if (kindOf(node.Expression) === 'UnaryMinusExpression') add(node, 'rows', 'fewer rows than none are asked for');
			return;
		case 'MatchesRegexExpression':
			if (kindOf(node.Right) === 'StringLiteralExpression' && !compiles(node.Right.LiteralValue)) add(node.Right, 'regex', `${textOf(node.Right)} is no regular expression`);
			return;
		case 'UnionOperator': {
			const types = new Map();
			const left = kindOf(node.Parent) === 'PipeExpression' && node.Parent.Operator === node ? [node.Parent.Expression] : [];
			for (const operand of [...left, ...Bridge.toArray(node.Expressions).map((item) => item.Element)]) {
				const columns = operand?.ResultType?.Columns;
				for (const c of columns ? Bridge.toArray(columns) : []) {
					const known = types.get(c.Name);
					if (known && known !== c.Type.Name) add(node, 'union', `the union has column ${c.Name} twice, as ${known} and ${c.Type.Name}`);
					types.set(c.Name, c.Type.Name);
				}
			}
			return;
		}
		default: {
			const zero = zeroes[kindOf(node)];
			if (zero && isZero(kindOf(node), node.LiteralValue) && !zero.test(textOf(node))) add(node, 'literal', `${textOf(node)} is no value of its type`);
		}
		}
	});
}

// compiles tells whether a regular expression is whole. The service's have flags at
// their head, which those of JavaScript lack.
function compiles(expression) {
	try { return Boolean(new RegExp(expression.replace(/^\(\?[a-z]+\)/i, ''))); } catch { return false; }
}

function isZero(kind, value) {
	const text = value?.toString?.() ?? '';
	return kind === 'DateTimeLiteralExpression' ? /0001/.test(text) : /^[0:-]*$/.test(text);
}

// problemsOf is all that is wrong with a parsed text. Our own texts are also held to
// manners: warnings and advice of the analyzers, and no empty line, at which some
// clients cut a text. Somebody else's query has to bind.
function problemsOf(code, text, { own }) {
	const L = parser.L, errors = [];
	for (const d of Bridge.toArray(code.GetDiagnostics())) {
		const fuzzy = d.Code === 'KS205' && /isfuzzy\s*=\s*true/.test(text);
		if (d.Severity === 'Error' || own && d.Severity === 'Warning' && !fuzzy) errors.push(problem(text, d.Start, d.Code, d.Message));
	}
	walk(code.Syntax, (node) => {
		const kind = kindOf(node);
		if (unread.has(kind)) errors.push(problem(text, node.TextStart, kind, 'not understood'));
		if (kind === 'SkippedTokens' && textOf(node).trim() !== '') errors.push(problem(text, node.TextStart, kind, `left over: ${textOf(node).slice(0, 60)}`));
	});
	if (!own || errors.length > 0) return errors;
	for (const d of Bridge.toArray(new L.Editor.KustoCodeService.ctor(code).GetAnalyzerDiagnostics(true))) {
		if (d.Severity === 'Error' || d.Severity === 'Warning') errors.push(problem(text, d.Start, d.Code, d.Message));
	}
	lint(code, text, errors);
	const empty = /\n[ \t]*\r?\n/.exec(text);
	if (empty) errors.push(problem(text, empty.index + 1, 'line', 'an empty line, at which some clients cut the text'));
	return errors;
}

module.exports = { loadParser, problemsOf, problem, walk, kindOf, textOf };
