// Checks everything that is deployed: the templates, azure.yaml, host.json and the function.json files.
//   node tools/infra/check.mjs [folder of the repository]
// Type definitions and schemas are read from $D2A_SHARED_DATA; without it those parts are left out, and said. A Bicep compiler on the PATH is
// used as well. Exit code 1 if anything was found.
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { File } from './bicep.mjs';
import { compile } from './compiler.mjs';
import { checkRules } from './rules.mjs';
import { checkDeployment, readDeployment } from './schemas.mjs';
import { checkParameters, checkSymbols } from './symbols.mjs';
import { syntax } from './syntax.mjs';
import { checkTypes, readTypes } from './types.mjs';

const parsed = new Map(); // by path and text: tests check the same files many times

/** Finds faults in templates: texts by path, infra/main.bicep among them. types may be undefined. Returns lines "path:line: what". */
export function checkTemplates(texts, types) {
  const faults = [];
  const into = (list) => (file, node, what) => list.push(`${file.path}${node ? `:${node.startPosition.row + 1}` : ''}: ${what}`);
  const say = into(faults);
  const files = new Map();
  for (const [path, text] of texts) {
    if (!path.endsWith('.bicep')) continue;
    const key = `${path}\n${text}`;
    if (!parsed.has(key)) parsed.set(key, new File(path, text));
    files.set(path, parsed.get(key));
  }
  const once = (file, name, check) => {
    if (!file[name]) check(file, into((file[name] = [])));
    faults.push(...file[name]);
  };
  for (const file of files.values()) once(file, 'syntaxFaults', syntax);
  if (faults.length > 0) return faults; // what cannot be read cannot be judged
  for (const file of files.values()) {
    checkSymbols(file, files, say);
    if (types) once(file, 'typeFaults', (f, report) => checkTypes(f, types, report));
  }
  checkRules(files, 'infra/main.bicep', say);
  checkParameters(files.get('infra/main.bicep'), 'infra/main.parameters.json', texts.get('infra/main.parameters.json'), say);
  return [...new Set(faults)];
}

/** The templates of a repository, by path. */
export function readTemplates(root) {
  const names = ['main.bicep', 'main.parameters.json', ...readdirSync(join(root, 'infra/modules')).map((n) => `modules/${n}`)];
  return new Map(names.map((n) => [`infra/${n}`, readFileSync(join(root, 'infra', n), 'utf8')]));
}

/** The type definitions; undefined where there is no shared data, which is an error with $D2A_REQUIRE. */
export function sharedTypes() {
  const shared = process.env.D2A_SHARED_DATA;
  if (!shared && process.env.D2A_REQUIRE) throw new Error('D2A_REQUIRE is set and D2A_SHARED_DATA is not');
  return shared ? readTypes(join(shared, 'bicep-types')) : undefined;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const root = resolve(process.argv[2] ?? '.');
  const types = sharedTypes();
  const faults = [...checkTemplates(readTemplates(root), types), ...checkDeployment(readDeployment(root), root, process.env.D2A_SHARED_DATA), ...compile(root)];
  faults.forEach((f) => console.error(f));
  const notes = types ? [] : ['without type definitions and schemas (D2A_SHARED_DATA)'];
  console.log(`infra: ${faults.length === 0 ? 'no faults' : `${faults.length} faults`}${notes.length > 0 ? `, ${notes.join(', ')}` : ''}`);
  process.exit(faults.length > 0 ? 1 : 0);
}
