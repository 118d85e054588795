// Reads Bicep files by the grammar of tree-sitter-bicep: what a file declares, and what its expressions may be.
import { createRequire } from 'node:module';
import { Language, Parser } from 'web-tree-sitter';

const need = createRequire(import.meta.url);
await Parser.init();
const parser = new Parser();
parser.setLanguage(await Language.load(need.resolve('tree-sitter-bicep/tree-sitter-bicep.wasm')));

/** A node of the tree as a plain object: the parser's own nodes are fetched from its memory at each look. */
function plain(n, text, parent) {
  const out = { type: n.type, isNamed: n.isNamed, isMissing: n.isMissing, parent, text: text.slice(n.startIndex, n.endIndex), startPosition: n.startPosition, endPosition: n.endPosition };
  out.children = n.children.map((c) => plain(c, text, out));
  out.namedChildren = out.children.filter((c) => c.isNamed);
  return out;
}

/** The named children of a node that are neither comments nor decorators. */
export const parts = (n) => n.namedChildren.filter((c) => !/comment|decorators/.test(c.type));

/** The text of a string node without its quotes; undefined where a value is put in. */
export function literal(n) {
  if (n?.type !== 'string' || n.namedChildren.some((c) => c.type === 'interpolation')) return undefined;
  return n.text.replace(/^'''|'''$|^'|'$/g, '').replace(/\\(.)/g, '$1');
}

/** What a call returns, by the function's name. A function that is not here is no function. */
export const functions = {
  any: 'unknown', array: 'array', base64: 'string', bool: 'bool', cidrSubnet: 'string', concat: 'unknown', contains: 'bool',
  deployment: 'object', empty: 'bool', endsWith: 'bool', environment: 'object', first: 'unknown', format: 'string', guid: 'string',
  indexOf: 'int', int: 'int', items: 'array', join: 'string', json: 'unknown', last: 'unknown', length: 'int', loadTextContent: 'string',
  max: 'int', min: 'int', range: 'array', replace: 'string', resourceGroup: 'object', resourceId: 'string', skip: 'unknown', split: 'array',
  startsWith: 'bool', string: 'string', subscription: 'object', subscriptionResourceId: 'string', substring: 'string', take: 'unknown',
  tenant: 'object', toLower: 'string', toUpper: 'string', trim: 'string', union: 'unknown', uniqueString: 'string', uri: 'string',
};

/** A file: params, vars, resources, modules and outputs by name, each with its node; decorators are read into them. */
export class File {
  constructor(path, text) {
    this.path = path;
    this.root = plain(parser.parse(text).rootNode, text);
    this.params = new Map();
    this.vars = new Map();
    this.resources = new Map();
    this.modules = new Map();
    this.outputs = new Map();
    this.scope = 'resourceGroup';
    let decorators;
    for (const d of this.root.namedChildren) {
      if (d.type === 'decorators') {
        decorators = d;
        continue;
      }
      this.declare(d, decorations(decorators));
      if (!/comment/.test(d.type)) decorators = undefined;
    }
  }

  declare(d, marks) {
    const kids = parts(d);
    const name = kids[0]?.text;
    const kind = kids.find((k) => k.type === 'type')?.text;
    const hasValue = d.children.some((c) => c.type === '=');
    switch (d.type) {
      case 'target_scope_assignment':
        this.scope = literal(kids.at(-1));
        break;
      case 'parameter_declaration':
        this.params.set(name, { node: d, kind: kindOf(kind), value: hasValue ? kids.at(-1) : undefined, ...marks });
        break;
      case 'variable_declaration':
        this.vars.set(name, { node: d, value: kids.at(-1) });
        break;
      case 'output_declaration':
        this.outputs.set(name, { node: d, kind: kindOf(kind), value: kids.at(-1), ...marks });
        break;
      case 'resource_declaration':
        this.resources.set(name, { node: d, ...split(literal(kids[1])), existing: d.children.some((c) => c.type === 'existing'), ...body(kids.at(-1)), ...marks });
        break;
      case 'module_declaration':
        this.modules.set(name, { node: d, path: literal(kids[1]), ...body(kids.at(-1)), ...marks });
        break;
    }
  }

  /** Everything that an expression may be, as {kind, node, text?, number?, bool?, props?, items?}; kind is unknown where only Azure can tell. */
  values(n, depth = 0) {
    const unknown = [{ kind: 'unknown', node: n }];
    if (!n || depth > 20) return unknown;
    const kids = parts(n);
    const down = (c) => this.values(c, depth + 1);
    switch (n.type) {
      case 'parenthesized_expression':
        return down(kids[0]);
      case 'ternary_expression':
        return [...down(kids[1]), ...down(kids[2])];
      case 'if_statement':
        return down(kids.at(-1));
      case 'for_statement':
        return [{ kind: 'array', node: n, items: [kids.at(-1)] }];
      case 'array':
        return [{ kind: 'array', node: n, items: kids }];
      case 'object':
        return [{ kind: 'object', node: n, props: properties(n) }];
      case 'number':
        return [{ kind: 'int', node: n, number: Number(n.text) }];
      case 'boolean':
        return [{ kind: 'bool', node: n, bool: n.text === 'true' }];
      case 'null':
        return [{ kind: 'null', node: n }];
      case 'string':
        return [{ kind: 'string', node: n, text: literal(n) }];
      case 'unary_expression':
        return n.text.startsWith('!') ? [{ kind: 'bool', node: n }] : [{ kind: 'int', node: n, number: Number(n.text) }];
      case 'binary_expression':
        return [{ kind: /^(==|!=|<|>|<=|>=|&&|\|\||=~|!~)$/.test(n.children[1].type) ? 'bool' : 'unknown', node: n }];
      case 'call_expression': {
        const given = kids[1] ? parts(kids[1]) : [];
        if (kids[0].text === 'concat') {
          const arrays = given.flatMap(down);
          if (arrays.every((a) => a.kind === 'array')) return [{ kind: 'array', node: n, items: arrays.flatMap((a) => a.items ?? []) }];
        }
        if (kids[0].text === 'union') {
          const objects = given.flatMap(down);
          if (objects.some((o) => o.kind === 'object')) return [{ kind: 'object', node: n, props: objects.flatMap((o) => o.props ?? []), open: objects.some((o) => !o.props) }];
        }
        return [{ kind: functions[kids[0].text] ?? 'unknown', node: n }];
      }
      case 'member_expression': {
        if (kids.at(-1).text === 'id' && this.resources.has(kids[0].text)) return [{ kind: 'string', node: n }];
        const of = kids[0].type === 'identifier' ? down(kids[0]) : [];
        const found = of.flatMap((o) => o.props?.filter((p) => p.name === kids.at(-1).text) ?? []);
        return found.length > 0 ? found.flatMap((p) => down(p.value)) : unknown;
      }
      case 'identifier': {
        const loop = loopOver(n);
        if (loop) return down(loop).flatMap((v) => (v.items ? v.items.flatMap(down) : [{ kind: 'unknown', node: n }]));
        if (this.vars.has(n.text)) return down(this.vars.get(n.text).value).map((v) => ({ ...v, node: n }));
        const param = this.params.get(n.text);
        if (param?.allowed) return param.allowed.map((a) => ({ ...down(a)[0], node: n }));
        return [{ kind: param?.kind ?? 'unknown', node: n, range: param }];
      }
      default:
        return unknown;
    }
  }

  /** The objects that a body may be, with the values of each path below it. */
  objects(n) {
    return this.values(n).flatMap((v) => (v.kind === 'array' ? (v.items ?? []).flatMap((i) => this.values(i)) : [v])).filter((v) => v.kind === 'object');
  }

  /** What stands at a path such as properties.siteConfig.ftpsState below an object value: a list of values, empty where it is not given. */
  at(object, path) {
    let here = [object];
    for (const step of path.split('.')) {
      here = here.flatMap((o) => (o.props ?? []).filter((p) => p.name === step).flatMap((p) => this.values(p.value)));
    }
    return here;
  }
}

/** The properties of an object node: name (undefined where it is computed), key and value. */
export function properties(n) {
  return parts(n).filter((p) => p.type === 'object_property').map((p) => {
    const [key, value] = parts(p);
    return { name: key.type === 'string' ? literal(key) : key.text, key, value, node: p };
  });
}

/** The iterated expression of the loop whose variable the identifier is; undefined where it is none. */
export function loopOver(identifier) {
  for (let n = identifier.parent; n; n = n.parent) {
    if (n.type !== 'for_statement') continue;
    const kids = parts(n);
    const names = kids[0].type === 'for_loop_parameters' ? parts(kids[0]) : [kids[0]];
    if (names[0].text === identifier.text) return kids[1];
  }
  return undefined;
}

/** True where the identifier is the counter of a loop around it. */
export function isCounter(identifier) {
  for (let n = identifier.parent; n; n = n.parent) {
    if (n.type === 'for_statement' && parts(n)[0].namedChildren.some((c) => c.type === 'loop_enumerator' && c.text === identifier.text)) return true;
  }
  return false;
}

/** Every identifier below a node that stands for a declaration. */
export const identifiers = (n) => below(n, (c) => c.type === 'identifier' && !isName(c));

/** Every node below one that is wanted, itself included. */
export function below(n, wanted, out = []) {
  if (wanted(n)) out.push(n);
  for (const c of n.namedChildren) below(c, wanted, out);
  return out;
}

// A property's key and a declaration's name are spelled as identifiers and stand for nothing.
function isName(n) {
  const p = n.parent;
  return (p.type === 'object_property' && p.namedChildren[0] === n) || (/_declaration$/.test(p.type) && p.namedChildren[0] === n);
}

// The condition, the loop and the object of a resource's or a module's body.
function body(n) {
  let loop, condition, object = n;
  if (object.type === 'for_statement') [loop, object] = [parts(object)[1], parts(object).at(-1)];
  if (object.type === 'if_statement') [condition, object] = [parts(object)[0], parts(object).at(-1)];
  return { body: n, loop, condition, props: object.type === 'object' ? properties(object) : [] };
}

function split(name) {
  const [type, version] = (name ?? '').split('@');
  return { type, version };
}

const kindOf = (text) => (/\[\]$|^array$/.test(text ?? '') ? 'array' : ['string', 'int', 'bool', 'object'].includes(text) ? text : 'unknown');

function decorations(n) {
  const out = { decorators: new Set() };
  for (const d of n ? parts(n) : []) {
    const call = parts(d)[0];
    const name = parts(call)[0]?.text ?? call.text;
    const argument = call.type === 'call_expression' ? parts(parts(call)[1] ?? call)[0] : undefined;
    out.decorators.add(name);
    if (name === 'description') out.description = literal(argument);
    if (name === 'allowed') out.allowed = parts(argument);
    if (name === 'minValue') out.minValue = Number(argument.text);
    if (name === 'maxValue') out.maxValue = Number(argument.text);
    if (name === 'batchSize') out.batchSize = Number(argument.text);
  }
  return out;
}
