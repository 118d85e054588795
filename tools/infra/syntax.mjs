// Syntax: what the grammar finds, and what it lets through and the compiler does not. The templates keep to a plain dialect: one property,
// one item, one statement a line.
import { parts } from './bicep.mjs';

const row = (n) => n.startPosition.row;

export function syntax(file, say) {
  visit(file.root);

  function visit(n) {
    if (n.type === 'ERROR' || n.isMissing) {
      say(file, n, `syntax: ${n.isMissing ? `${n.type} is missing` : `cannot read ${JSON.stringify(n.text.slice(0, 40))}`}`);
      return;
    }
    if (n.type === 'infrastructure') ownLines(n.namedChildren.filter((c) => c.type !== 'comment'), 'statement');
    if (n.type === 'decorators') ownLines(parts(n), 'decorator');
    if (n.type === 'diagnostic_comment') say(file, n, 'syntax: # begins no comment: write //');
    if (n.type === 'object') brackets(n, 'property');
    if (n.type === 'array') brackets(n, 'item');
    if (n.type === 'string') escapes(n);
    if (/_declaration$|^object_property$|^if_statement$|^for_statement$/.test(n.type)) sameLine(n);
    n.children.forEach(visit);
  }

  // Each begins on a line after the one before has ended.
  function ownLines(nodes, what) {
    nodes.forEach((n, i) => {
      if (i > 0 && row(n) <= nodes[i - 1].endPosition.row) say(file, n, `syntax: a second ${what} on one line`);
    });
  }

  function brackets(n, what) {
    const kids = n.children.filter((c) => c.type !== 'comment');
    for (const comma of kids.filter((c) => c.type === ',')) say(file, comma, `syntax: a comma after a ${what}: end the line instead`);
    const inner = parts(n);
    ownLines(inner, what);
    if (inner.length > 0 && row(inner[0]) === row(n)) say(file, inner[0], `syntax: a ${what} on the line of its bracket`);
    if (inner.length > 0 && n.endPosition.row === inner.at(-1).endPosition.row) say(file, inner.at(-1), `syntax: a bracket on the line of the last ${what}`);
  }

  // What follows =, : or a condition begins on its line.
  function sameLine(n) {
    n.children.forEach((c, i) => {
      const before = n.children[i - 1];
      if (before && /^(=|:|parenthesized_expression)$/.test(before.type) && row(c) !== before.endPosition.row) {
        say(file, c, `syntax: ${JSON.stringify(c.text.slice(0, 10))} begins a new line`);
      }
    });
  }

  function escapes(n) {
    for (const bad of n.text.startsWith("'''") ? [] : n.text.matchAll(/\\(u\{[0-9A-Fa-f]+\}|.)/gs)) {
      if (!/^([\\'nrt$]|u\{.+\})$/.test(bad[1])) say(file, n, `syntax: ${bad[0]} is no escape`);
    }
  }
}
