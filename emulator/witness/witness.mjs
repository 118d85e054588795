// Checks of the emulators by clients for Node: the Kusto SDK, azure-identity and the
// schema normalisation of Microsoft's query editor. Prints one line a check; argv[2] is
// the description that devstack emulators --json gives, as a file.
import './resolve.mjs';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';
import vm from 'node:vm';

import { ClientSecretCredential } from '@azure/identity';
import { Client, ClientRequestProperties, KustoConnectionStringBuilder } from 'azure-kusto-data';
import {
  CompressionType, DataFormat, IngestClient, IngestionProperties, IngestStatusQueues, JsonColumnMapping, ReportLevel, ReportMethod, StreamDescriptor,
} from 'azure-kusto-ingest';

const d = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const require = createRequire(import.meta.url);

async function check(name, run) {
  try {
    await run();
    console.log('ok', name);
  } catch (error) {
    console.log('FAILED', name + ':', String(error?.message ?? error).split('\n')[0]);
  }
}

function same(got, want) {
  if (JSON.stringify(got) !== JSON.stringify(want)) {
    throw new Error(`got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
  }
}

async function refused(promise, text) {
  try {
    await promise;
  } catch (error) {
    const body = JSON.stringify(error?.response?.data ?? '') + String(error?.message ?? error);
    if (body.includes(text)) return;
    throw new Error(`refused without "${text}": ${body.slice(0, 200)}`);
  }
  throw new Error(`passed, want a refusal with "${text}"`);
}

async function until(what, ready) {
  const end = Date.now() + 60_000;
  while (!(await ready())) {
    if (Date.now() > end) throw new Error(`not within a minute: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

const credential = new ClientSecretCredential(d.tenantId, d.clientId, d.clientSecret, {
  authorityHost: d.authority, disableInstanceDiscovery: true,
});
const connect = () => KustoConnectionStringBuilder.withTokenCredential(d.kusto, credential);
const kusto = new Client(connect());
const rows = (answer) => [...answer.primaryResults[0].rows()].map((row) => row.toJSON());

for (const scope of ['https://graph.microsoft.com', 'https://api.securitycenter.windows.com', d.kusto]) {
  await check(`javascript identity: token for ${scope.replace(d.kusto, 'the cluster')}`, async () => {
    const token = await credential.getToken(scope + '/.default');
    if (!token?.token) throw new Error('no token');
  });
}
await check('javascript kusto: query', async () => {
  const answer = await kusto.execute(d.database, "print n = 5, s = 'text', d = dynamic({'a': [1]}), r = 1.5");
  same(rows(answer), [{ n: 5, s: 'text', d: { a: [1] }, r: 1.5 }]);
});
await check('javascript kusto: query without a database', async () => {
  same(rows(await kusto.execute(null, 'print n = 5')), [{ n: 5 }]);
});
await check('javascript kusto: 50,000 rows', async () => {
  same(rows(await kusto.execute(d.database, 'range n from 1 to 50000 step 1')).length, 50_000);
});
await check('javascript kusto: parameters and options', async () => {
  const properties = new ClientRequestProperties();
  properties.setParameter('p', 7);
  properties.setTimeout(30_000);
  same(rows(await kusto.execute(d.database, 'declare query_parameters(p: long); print n = p', properties)), [{ n: 7 }]);
});
await check('javascript kusto: too many rows are an error', async () => {
  const properties = new ClientRequestProperties();
  properties.setOption('truncationmaxrecords', 3);
  await refused(kusto.execute(d.database, 'range n from 1 to 5 step 1', properties), 'E_QUERY_RESULT_SET_TOO_LARGE');
});
await check('javascript kusto: an unknown table is an error', () => refused(kusto.execute(d.database, 'Nowhere | count'), 'SEM0100'));
await check('javascript kusto: management', async () => {
  same(rows(await kusto.execute(d.database, '.show database details'))[0].DatabaseName, d.database);
});
await check("javascript kusto: a command beyond the caller's rights is an error", () =>
  refused(kusto.executeMgmt(d.database, '.drop table Witness ifexists'), 'Forbidden'));
await check('javascript kusto: a command that is none is an error', () => refused(kusto.executeMgmt(d.database, '.nosuchverb x'), 'BadRequest'));

const ingest = new IngestClient(connect(), undefined, false);
const told = new IngestStatusQueues(ingest);
const columns = [JsonColumnMapping.withPath('N', '$.n'), JsonColumnMapping.withPath('By', '$.by')];

// send queues a text and returns the id that its blob's name holds: the SDK reports a
// stream under another one.
async function send(table, format, mapping, text) {
  const source = crypto.randomUUID();
  const properties = new IngestionProperties({
    database: d.database, table, format, reportLevel: ReportLevel.FailuresAndSuccesses, reportMethod: ReportMethod.Queue, ...mapping,
  });
  await ingest.ingestFromStream(new StreamDescriptor(Readable.from([text]), source, CompressionType.None), properties);
  return source;
}
const reported = (queue, source) => async () => (await queue.pop(10)).some((m) => m.IngestionSourcePath.includes(source));

for (const [by, format, mapping, text] of [
  ['javascript json', DataFormat.JSON, { ingestionMappingColumns: columns }, '{"n":1,"by":"?"}\n{"n":2,"by":"?"}\n'],
  ['javascript multijson', DataFormat.MULTIJSON, { ingestionMappingReference: 'Named' }, '[{"n":1,\n"by":"?"},{"n":2,"by":"?"}]'],
]) {
  await check(`javascript ingest: ${format} with a mapping, told as a success`, async () => {
    const source = await send('Witness', format, mapping, text.replaceAll('?', by));
    await until('two rows', async () => rows(await kusto.execute(d.database, `Witness | where By == '${by}' | count`))[0].Count === 2);
    await until('a message of success', reported(told.success, source));
  });
}
for (const [why, table, mapping] of [
  ['an unknown table', 'Nowhere', { ingestionMappingColumns: columns }],
  ['an unknown mapping', 'Witness', { ingestionMappingReference: 'Nothing' }],
]) {
  await check(`javascript ingest: ${why} is told as a failure`, async () => {
    await until('a message of failure', reported(told.failure, await send(table, DataFormat.JSON, mapping, '{"n":1,"by":"nobody"}\n')));
  });
}
ingest.close();
await check('query editor: schema is normalised', async () => {
  for (const file of [
    '@kusto/language-service/bridge.min.js', '@kusto/language-service/Kusto.JavaScript.Client.min.js',
    '@kusto/language-service/newtonsoft.json.min.js', '@kusto/language-service-next/Kusto.Language.Bridge.min.js',
  ]) {
    vm.runInThisContext(fs.readFileSync(require.resolve(file), 'utf8'));
  }
  const editor = await import('@kusto/monaco-kusto/release/esm/languageServiceManager/kustoLanguageService.js');
  const answer = rows(await kusto.execute(d.database, '.show schema as json'));
  const schema = JSON.parse(Object.values(answer[0])[0]);
  const normal = await editor.getKustoLanguageService().normalizeSchema(schema, d.kusto, d.database);
  const known = normal.database.functions.find((f) => f.name === 'WitnessOf');
  same(known.inputParameters.map((p) => [p.name, p.cslType]), [['who', 'string'], ['most', 'long']]);
  same(normal.database.tables.find((t) => t.name === 'Witness').columns.map((c) => c.name), ['N', 'By']);
});
kusto.close();
