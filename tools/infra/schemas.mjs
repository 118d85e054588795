// Holds azure.yaml, host.json and the function.json files against their published schemas, and azure.yaml against what it names.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Ajv from 'ajv';
import Ajv2019 from 'ajv/dist/2019.js';
import AjvDraft4 from 'ajv-draft-04';
import { parse } from 'yaml';

const loose = { strict: false, unicodeRegExp: false, allErrors: true, validateFormats: false, logger: false };

const compiled = new Map(); // by name of the schema

/** The files that are checked, by path. */
export function readDeployment(root) {
  const paths = ['azure.yaml', 'host.json', 'infra/main.bicep', 'Makefile', ...readdirSync(join(root, 'functions')).map((name) => `functions/${name}/function.json`)];
  return new Map(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')]));
}

/** Faults of the files; those by schema need the folder of shared data. root is where the files that azure.yaml names are looked for. */
export function checkDeployment(texts, root, shared) {
  const faults = [...checkAzd(texts, root)];
  if (!shared) return faults;
  const schema = (name) => JSON.parse(readFileSync(join(shared, 'schemas', name), 'utf8'));
  const against = (ajv, name) => {
    if (!compiled.has(name)) compiled.set(name, ajv.compile(schema(name)));
    const validate = compiled.get(name);
    return (path, data) => {
      if (!validate(data)) faults.push(...validate.errors.map((e) => `${path}: ${e.instancePath || 'the whole'} ${e.message}`));
    };
  };
  against(new Ajv2019(loose), 'azure.yaml-v1.0.json')('azure.yaml', parse(texts.get('azure.yaml')));
  against(new Ajv(loose), 'functions-host.json')('host.json', JSON.parse(texts.get('host.json')));
  const functionJSON = against(new AjvDraft4(loose), 'functions-function.json');
  for (const [path, text] of texts) {
    if (!path.endsWith('/function.json')) continue;
    const data = JSON.parse(text);
    // The schema knows no settings in a schedule, the host does.
    for (const b of data.bindings ?? []) if (/^%\w+%$/.test(b.schedule ?? '')) b.schedule = '0 0 * * * *';
    functionJSON(path, data);
  }
  return [...new Set(faults)];
}

// What the schema leaves open: it takes any host, and azd would build a Go service in its own way.
function checkAzd(texts, root) {
  const faults = [];
  const say = (what) => faults.push(`azure.yaml: ${what}`);
  const azd = parse(texts.get('azure.yaml'));
  const services = Object.entries(azd.services ?? {});
  if (services.length !== 1) say(`want one service, got ${services.length}`);
  for (const [name, s] of services) {
    if (s.host !== 'function') say(`host: want function, got ${s.host}`);
    if (s.language !== 'custom') say(`language: want custom, got ${s.language}: azd leaves function.json out of what it builds itself`);
    if (!/\.zip$/.test(s.dist ?? '')) say(`dist: want a .zip, which azd uploads as it is, got ${s.dist}`);
    else if (!texts.get('Makefile').includes(s.dist)) say(`dist: make package does not write ${s.dist}`);
    if (!texts.get('infra/main.bicep').includes(`'azd-service-name': '${name}'`)) say(`no site of infra/main.bicep has the tag azd-service-name ${name}`);
    hooks(s.hooks, ['prepackage']);
  }
  if (azd.infra?.provider !== 'bicep' || !existsSync(join(root, azd.infra?.path ?? '', `${azd.infra?.module}.bicep`))) say('infra: there is no such template');
  hooks(azd.hooks, ['preprovision', 'postprovision']);
  return faults;

  function hooks(given, want) {
    for (const name of want) if (!given?.[name]) say(`hook ${name} is missing`);
    for (const [name, h] of Object.entries(typeof given === 'object' && given ? given : {})) {
      const script = /^sh (\S+\.sh)$/.exec(h.run ?? '')?.[1];
      if (h.shell !== 'sh' || !script) say(`hook ${name}: want shell sh and run "sh <script>"`);
      else if (!existsSync(join(root, script))) say(`hook ${name}: there is no ${script}`);
    }
  }
}
