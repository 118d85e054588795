// Checks KQL with Microsoft's own parser. Reads JSON lines and answers each with one:
//
//	{"op": "reset", "tables": [{"name", "columns": "(A: string)"}]}   an empty database, but for the tables
//	{"op": "command", "text", "apply"}         one control command; with apply its effect stays
//	{"op": "query", "text", "columns"?}        one query, with the columns that it must return
//	{"op": "hunting", "text"}                  a query of somebody else: it must bind, manners aside
//
//	{"op": "words"}                            the words of the language: an error of code "word" each
//
// Answers are {"errors": [{"code", "line", "column", "message"}]}. The parser lets much
// pass in silence; what it lets pass is refused here by the rules in lints.cjs.
'use strict';
const { loadParser, problemsOf, problem } = require('./lints.cjs');
const { Deployment } = require('./deployment.cjs');
const readline = require('node:readline');

const { L } = loadParser();
let deployment = new Deployment();

function keywords() {
	const kinds = Bridge.toArray(System.Enum.getValues(L.Syntax.SyntaxKind)).filter((kind) => System.Enum.toString(L.Syntax.SyntaxKind, kind).endsWith('Keyword'));
	const words = new Set(kinds.map((kind) => L.Syntax.SyntaxFacts.GetText(kind)).filter((text) => /^[A-Za-z_]\w*$/.test(text)));
	return [...words].map((word) => ({ code: 'word', message: word }));
}

function check(request) {
	switch (request.op) {
	case 'words':
		return keywords();
	case 'reset':
		deployment = new Deployment(request.tables ?? []);
		return [];
	case 'command':
		return deployment.command(request.text, request.apply, request.columns);
	case 'query': {
		const code = L.KustoCode.ParseAndAnalyze(request.text, deployment.globals());
		const errors = problemsOf(code, request.text, { own: true });
		if (errors.length === 0 && request.columns) {
			const got = Bridge.toArray(code.ResultType.Columns).map((c) => `${c.Name} ${c.Type.Name}`).join(', ');
			if (got !== request.columns) {
				errors.push(problem(request.text, 0, 'columns', `the result is (${got}), want (${request.columns})`));
			}
		}
		return errors;
	}
	case 'hunting':
		return problemsOf(L.KustoCode.ParseAndAnalyze(request.text, deployment.globals()), request.text, { own: false });
	default:
		throw new Error(`unknown request ${request.op}`);
	}
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
	let answer;
	try {
		answer = { errors: check(JSON.parse(line)) };
	} catch (e) { // the parser's own failures carry megabytes of source with them
		answer = { errors: [{ code: 'crash', line: 1, column: 1, message: String(e.message).slice(0, 300) }] };
	}
	
	process.stdout.write(JSON.stringify(answer) + '\n');
});
