// Holds each resource's body against the type definitions of Azure Resource Manager, written out as trees: one file a type and version.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Reads a folder of <Provider>.<type>_<version>.json files; the key is type@version in lower case. */
export function readTypes(folder) {
  const types = new Map();
  for (const name of readdirSync(folder).filter((f) => f.endsWith('.json'))) {
    const [, provider, rest, version] = /^(Microsoft\.[^.]+)\.(.+)_(.+)\.json$/.exec(name);
    types.set(`${provider}/${rest.replaceAll('.', '/')}@${version}`.toLowerCase(), JSON.parse(readFileSync(join(folder, name), 'utf8')));
  }
  return types;
}

// What every body may have besides the properties of its type.
const common = ['parent', 'scope', 'dependsOn'];

export function checkTypes(file, types, say) {
  for (const r of file.resources.values()) {
    const type = types.get(`${r.type}@${r.version}`.toLowerCase());
    if (!type) {
      say(file, r.node, `${r.type}@${r.version}: no such type or version in the type definitions`);
      continue;
    }
    const parent = r.props.find((p) => p.name === 'parent');
    const owner = parent && file.resources.get(parent.value.text.replace(/[[!].*$/, ''))?.type;
    const above = r.type.split('/').slice(0, -1).join('/');
    if (owner && owner.toLowerCase() !== above.toLowerCase()) say(file, parent.node, `${r.type}: its parent is ${owner}, want ${above}`);
    if (r.existing) {
      if (!r.props.some((p) => p.name === 'name')) say(file, r.node, `${r.type}.name is missing`);
      continue;
    }
    for (const v of file.objects(r.body)) object(v, type, r.type, common);
  }

  function any(node, type, path) {
    for (const v of file.values(node)) value(v, type, path);
  }

  function value(v, type, path) {
    if (v.kind === 'unknown' || v.kind === 'null' || type.type === 'any') return;
    if (type.oneOf) return union(v, type.oneOf, path);
    if ('const' in type) return union(v, [type], path);
    const want = type.array ? 'array' : type.object || type.properties ? 'object' : type.type;
    if (v.kind !== want) return say(file, v.node, `${path}: want ${want}, got ${v.kind}`);
    if (want === 'array') (v.items ?? []).forEach((i) => any(i, type.array, `${path}[]`));
    if (want === 'object' && v.props) object(v, type, path);
    if (v.text !== undefined) {
      if (v.text.length < type.minLength || v.text.length > type.maxLength) say(file, v.node, `${path}: length ${v.text.length}, want ${type.minLength ?? 0} to ${type.maxLength}`);
      if (type.pattern && !new RegExp(type.pattern).test(v.text)) say(file, v.node, `${path}: '${v.text}' does not match ${type.pattern}`);
    }
    if (v.number < type.minValue || v.number > type.maxValue) say(file, v.node, `${path}: ${v.number}, want ${type.minValue ?? 'any'} to ${type.maxValue ?? 'any'}`);
  }

  // A list that is open in the definitions is closed here: what it does not name is a slip, or is new and belongs into known.
  function union(v, options, path) {
    const constants = options.filter((o) => 'const' in o).map((o) => o.const);
    if (constants.length === 0) return;
    if (v.kind !== 'string') return say(file, v.node, `${path}: want one of ${constants.join(', ')}, got ${v.kind}`);
    if (v.text === undefined || constants.includes(v.text) || known[path]?.includes(v.text)) return;
    const near = constants.find((c) => c.toLowerCase() === v.text.toLowerCase());
    say(file, v.node, `${path}: '${v.text}' is none of ${constants.join(', ')}${near ? `: write ${near}` : ''}`);
  }

  function object(v, type, path, extra = []) {
    const given = v.props.filter((p) => p.name !== undefined);
    for (const p of v.props.filter((p) => p.name === undefined)) if (typeof type.additional === 'object') any(p.value, type.additional, `${path}{}`);
    given.forEach((p, i) => {
      if (!v.open && v.node.type === 'object' && given.findIndex((q) => q.name === p.name) < i) say(file, p.node, `${path}.${p.name} is given twice`);
    });
    let fields = { ...type.properties };
    let additional = type.additional;
    if (type.discriminator) {
      const which = given.find((p) => p.name === type.discriminator);
      if (!which) return say(file, v.node, `${path}.${type.discriminator} is missing, which says what it is`);
      for (const x of file.values(which.value)) {
        if (x.text === undefined) return;
        if (x.text.includes('/')) return say(file, which.node, `${path}.${type.discriminator}: give a parent instead of a name with slashes`);
        const variant = type.variants[x.text];
        if (!variant) return say(file, which.node, `${path}.${type.discriminator}: '${x.text}' is none of ${Object.keys(type.variants).join(', ')}`);
        fields = { ...fields, ...variant.properties };
        additional = variant.additional ?? additional;
      }
    }
    for (const p of given) {
      if (extra.includes(p.name)) continue;
      if (fields[p.name]) any(p.value, fields[p.name], `${path}.${p.name}`);
      else if (typeof additional === 'object') any(p.value, additional, `${path}.${p.name}`);
      else if (!additional) {
        const near = Object.keys(fields).find((k) => k.toLowerCase() === p.name.toLowerCase());
        say(file, p.node, `${path}.${p.name} is no property that can be set${near ? `: write ${near}` : ''}`);
      }
    }
    if (v.open || v.props.some((p) => p.name === undefined)) return;
    for (const [name, p] of Object.entries(fields)) if (p.required && !given.some((g) => g.name === name)) say(file, v.node, `${path}.${name} is missing`);
  }
}

// Values that a service takes although its definitions do not name them.
const known = {};
