// The settings files of deployment: no fault as they are, one for each planted mistake.
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import test from 'node:test';
import { checkDeployment, readDeployment } from './schemas.mjs';

const root = resolve(import.meta.dirname, '../..');
const shared = process.env.D2A_SHARED_DATA;
const texts = readDeployment(root);

const cases = [
  ['another host', 'azure.yaml', 'host: function', 'host: functions', /host: want function/],
  ['Go as azd builds it', 'azure.yaml', 'language: custom', 'language: go', /language: want custom/],
  ['a folder for the package', 'azure.yaml', 'dist: build/defender2adx.zip', 'dist: build/app', /dist: want a .zip/],
  ['a package that nobody makes', 'azure.yaml', 'dist: build/defender2adx.zip', 'dist: build/app.zip', /make package does not write/],
  ['a service that no site is tagged with', 'azure.yaml', '  handler:\n    project', '  ingest:\n    project', /no site of infra\/main.bicep/],
  ['a template that is not there', 'azure.yaml', 'module: main', 'module: all', /there is no such template/],
  ['a hook that is not there', 'azure.yaml', 'sh infra/hooks/preprovision.sh', 'sh infra/hooks/before.sh', /there is no infra\/hooks\/before.sh/],
  ['a hook for PowerShell', 'azure.yaml', 'shell: sh\n    run: sh infra/hooks/preprovision.sh', 'shell: pwsh\n    run: infra/hooks/preprovision.ps1', /want shell sh/],
  ['no hook before provisioning', 'azure.yaml', /  preprovision:\n.*\n.*\n/, '', /hook preprovision is missing/],
  ['hooks that are no object', 'azure.yaml', /\nhooks:\n[\s\S]*/, '\nhooks: none\n', /hooks must be object/, true],
  ['another version of the host', 'host.json', '"version": "2.0"', '"version": "3.0"', /host.json/, true],
  ['a batch that is too large', 'host.json', '"batchSize": 16', '"batchSize": "many"', /host.json.*batchSize/, true],
  ['a schedule that is none', 'functions/schedule/function.json', '%MIGRATION_SCHEDULE%', 'every hour', /schedule\/function.json/, true],
  ['a binding without a direction', 'functions/migrate/function.json', '"direction": "in",', '', /migrate\/function.json/, true],
];

test('the files have no fault', () => assert.deepEqual(checkDeployment(texts, root, shared), []));

for (const [name, path, from, to, want, needsSchema] of cases) {
  test(name, { skip: needsSchema && !shared && 'no schemas' }, () => {
    const planted = texts.get(path).replace(from, () => to);
    assert.notEqual(planted, texts.get(path), 'the mistake could not be planted');
    assert.match(checkDeployment(new Map(texts).set(path, planted), root, shared).join('\n'), want);
  });
}
