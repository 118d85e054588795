// Names: what is used is declared, what is declared is used, and modules get what they ask for and give what is taken from them.
import { posix } from 'node:path';
import { below, functions, identifiers, isCounter, literal, loopOver, parts } from './bicep.mjs';

export function checkSymbols(file, files, say) {
  const declared = (name) => ['params', 'vars', 'resources', 'modules'].some((k) => file[k].has(name));
  const used = new Set();
  for (const id of identifiers(file.root)) {
    if (id.parent.type === 'call_expression' && id.parent.namedChildren[0] === id) {
      if (!decorator(id) && !functions[id.text]) say(file, id, `${id.text}: no such function`);
      continue;
    }
    if (/metadata_declaration|decorator/.test(id.parent.type) || decorator(id)) continue;
    if (loopOver(id) || isCounter(id)) continue;
    if (!declared(id.text)) say(file, id, `${id.text} is not declared`);
    used.add(id.text);
  }
  for (const [what, map] of [['param', file.params], ['var', file.vars]]) {
    for (const [name, d] of map) if (!used.has(name)) say(file, d.node, `${what} ${name} is not used`);
  }
  for (const [name, r] of file.resources) if (r.existing && !used.has(name)) say(file, r.node, `existing resource ${name} is not used`);
  for (const [name, p] of file.params) {
    if (!p.description) say(file, p.node, `param ${name} has no description`);
    if (p.value && p.kind !== 'unknown') wrongKind(p.value, p.kind, `param ${name}`);
    const text = p.value && literal(p.value);
    if (text && p.allowed && !p.allowed.some((a) => literal(a) === text)) say(file, p.value, `param ${name}: '${text}' is not allowed`);
  }
  for (const [name, o] of file.outputs) wrongKind(o.value, o.kind, `output ${name}`);
  for (const m of file.modules.values()) checkModule(m);
  for (const n of below(file.root, (c) => c.type === 'member_expression')) checkMember(n);
  for (const [name, d] of [...file.resources, ...file.modules]) needlessWait(name, d);

  function wrongKind(node, want, what) {
    for (const v of file.values(node)) {
      if (want !== 'unknown' && v.kind !== 'unknown' && v.kind !== 'null' && v.kind !== want) say(file, v.node, `${what}: want ${want}, got ${v.kind}`);
    }
  }

  function target(m) {
    return files.get(posix.join(posix.dirname(file.path), m.path));
  }

  function checkModule(m) {
    const to = target(m);
    if (!to) return say(file, m.node, `module ${m.path}: no such file`);
    const given = m.props.find((p) => p.name === 'params');
    const params = file.objects(given?.value)[0]?.props ?? [];
    for (const p of params) {
      const want = to.params.get(p.name);
      if (!want) {
        say(file, p.node, `${m.path} has no param ${p.name}`);
        continue;
      }
      wrongKind(p.value, want.kind, `${m.path} param ${p.name}`);
      const texts = want.allowed?.map(literal);
      for (const v of texts ? file.values(p.value) : []) if (v.text !== undefined && !texts.includes(v.text)) say(file, p.node, `${m.path} param ${p.name}: '${v.text}' is not allowed`);
    }
    for (const [name, p] of to.params) if (!p.value && !params.some((g) => g.name === name)) say(file, m.node, `${m.path} needs param ${name}`);
  }

  // module.outputs.x, and members of objects that stand in this file.
  function checkMember(n) {
    const [of, last] = [parts(n)[0], parts(n).at(-1).text];
    if (of.type === 'member_expression' && parts(of).at(-1).text === 'outputs') {
      const m = file.modules.get(parts(of)[0].text.replace(/\[.*$/, ''));
      const to = m && target(m);
      if (to && !to.outputs.has(last)) say(file, n, `${m.path} has no output ${last}`);
    }
    if (of.type === 'identifier' && file.vars.has(of.text) && !loopOver(of)) {
      const objects = file.values(of).filter((v) => v.kind === 'object' && !v.open);
      for (const o of objects) if (!o.props.some((p) => p.name === last)) say(file, n, `${of.text} has no member ${last}`);
    }
  }

  // What the body names is waited for anyway.
  function needlessWait(name, d) {
    const wait = d.props.find((p) => p.name === 'dependsOn');
    if (!wait) return;
    const named = new Set(d.props.filter((p) => p !== wait).flatMap((p) => identifiers(p.value).map((i) => i.text)));
    for (const i of identifiers(wait.value)) if (named.has(i.text)) say(file, i, `${name} waits for ${i.text}, which its body names`);
  }
}

function decorator(n) {
  for (let p = n.parent; p; p = p.parent) if (p.type === 'decorators') return true;
  return false;
}

/** What main.parameters.json gives: every param, of a fitting kind: azd users set no other. */
export function checkParameters(main, path, text, say) {
  let given;
  try {
    given = JSON.parse(text).parameters;
  } catch (e) {
    return say({ path }, undefined, `no JSON: ${e.message}`);
  }
  for (const [name, { value }] of Object.entries(given)) {
    const param = main.params.get(name);
    if (!param) {
      say({ path }, undefined, `${name} is no param of ${main.path}`);
      continue;
    }
    const standin = /^\$\{[A-Z_]+=(.*)\}$/.exec(value)?.[1];
    if (param.kind === 'bool' && !/^(true|false)$/.test(standin ?? value)) say({ path }, undefined, `${name}: want true or false, got ${value}`);
    if (param.kind === 'int' && !/^-?\d+$/.test(standin ?? value)) say({ path }, undefined, `${name}: want a number, got ${value}`);
    if (standin && param.allowed && !param.allowed.some((a) => (literal(a) ?? a.text) === standin)) say({ path }, undefined, `${name}: '${standin}' is not allowed`);
    const own = param.value && (literal(param.value) ?? param.value.text);
    if (standin !== undefined && own !== undefined && standin !== own) say({ path }, undefined, `${name}: the default is '${standin}' here and '${own}' in ${main.path}`);
  }
  for (const name of main.params.keys()) if (!given[name]) say({ path }, undefined, `${name} is not given, so that azd could not set it`);
}
