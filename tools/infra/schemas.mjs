// Holds host.json and the function.json files against their published schemas.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Ajv from 'ajv';
import AjvDraft4 from 'ajv-draft-04';

const loose = { strict: false, unicodeRegExp: false, allErrors: true, validateFormats: false, logger: false };

/** Faults of the files below root; without the folder of shared data none can be found. */
export function checkSchemas(root, shared) {
  if (!shared) return [];
  const faults = [];
  const schema = (name) => JSON.parse(readFileSync(join(shared, 'schemas', name), 'utf8'));
  const against = (validate, path, data) => {
    if (!validate(data)) faults.push(...validate.errors.map((e) => `${path}: ${e.instancePath || 'the whole'} ${e.message}`));
  };
  const json = (path) => JSON.parse(readFileSync(join(root, path), 'utf8'));
  against(new Ajv(loose).compile(schema('functions-host.json')), 'host.json', json('host.json'));
  const functionSchema = new AjvDraft4(loose).compile(schema('functions-function.json'));
  for (const name of readdirSync(join(root, 'functions'))) {
    const path = `functions/${name}/function.json`;
    const data = json(path);
    // The schema knows no settings in a schedule, the host does.
    for (const b of data.bindings ?? []) if (/^%\w+%$/.test(b.schedule ?? '')) b.schedule = '0 0 * * * *';
    against(functionSchema, path, data);
  }
  return faults;
}
