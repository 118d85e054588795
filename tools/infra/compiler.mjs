// The real compiler, where `bicep` is on the PATH. A fault of type is a warning with exit code 0 there, so any line that it prints is a fault.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const cluster = '/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/data/providers/Microsoft.Kusto/clusters/adxone';

const operator = '22222222-2222-2222-2222-222222222222';

/** What each variant of the templates must make, must not make, and how often, by the end of a resource's type. */
export const variants = [
  { name: 'default', params: {}, counts: { roleAssignments: 4, principalAssignments: 2 }, makes: ['sites', 'vaults', 'clusters', 'databases', 'principalAssignments', 'scheduledQueryRules'], not: ['virtualNetworks', 'privateEndpoints', 'actionGroups', 'basicPublishingCredentialsPolicies'] },
  { name: 'premium', params: { hostingPlan: 'premium' }, makes: ['sites', 'basicPublishingCredentialsPolicies'], not: ['virtualNetworks'] },
  { name: 'managed identity', params: { defenderCredential: 'managed-identity' }, counts: { roleAssignments: 3 }, makes: ['sites', 'clusters'], not: ['vaults'] },
  { name: 'federated', params: { defenderCredential: 'federated', defenderClientId: operator, principalId: operator }, counts: { roleAssignments: 3 }, makes: ['sites', 'clusters'], not: ['vaults'] },
  { name: 'secret, kept by a person', params: { defenderClientId: operator, principalId: operator }, counts: { roleAssignments: 5 }, makes: ['vaults'], not: [] },
  { name: 'certificate, kept by a pipeline', params: { defenderCredential: 'certificate', defenderClientId: operator, principalId: operator, principalType: 'ServicePrincipal' }, counts: { roleAssignments: 6 }, makes: ['vaults'], not: [] },
  { name: 'database that is there', params: { adxMode: 'existing', adxClusterId: cluster, adxCreateDatabase: false }, counts: { principalAssignments: 2 }, makes: ['principalAssignments'], not: ['clusters', 'databases'] },
  { name: 'private network', params: { privateNetwork: true }, makes: ['virtualNetworks', 'privateEndpoints', 'privateDnsZones', 'privateDnsZoneGroups'], not: ['actionGroups'] },
  { name: 'existing cluster', params: { adxMode: 'existing', adxClusterId: cluster }, makes: ['databases', 'principalAssignments'], not: ['clusters'] },
  { name: 'eventhouse', params: { adxMode: 'eventhouse', adxClusterUrl: 'https://trd-one.z1.kusto.fabric.microsoft.com' }, makes: ['sites'], not: ['clusters', 'databases', 'principalAssignments'] },
  { name: 'mail', params: { alertEmail: 'soc@contoso.com' }, makes: ['actionGroups'], not: [] },
];

/** Builds, lints and expands the templates of a repository; returns faults, none where there is no compiler. */
export function compile(root) {
  const main = join(root, 'infra/main.bicep');
  const run = (...args) => spawnSync('bicep', args, { encoding: 'utf8' });
  if (run('--version').error) return [];
  const faults = [];
  const loud = (what, r) => {
    for (const line of r.stderr.split('\n').filter((l) => l.trim() !== '')) faults.push(`${what}: ${line}`);
    if (r.status !== 0) faults.push(`${what}: exit code ${r.status}`);
  };
  loud('bicep build', run('build', main, '--stdout'));
  loud('bicep lint', run('lint', main));
  const folder = mkdtempSync(join(tmpdir(), 'infra-'));
  try {
    for (const v of variants) {
      const params = join(folder, 'main.bicepparam');
      const lines = Object.entries({ environmentName: 'test', ...v.params }).map(([k, x]) => `param ${k} = ${typeof x === 'string' ? `'${x}'` : x}\n`);
      writeFileSync(params, `using '${main}'\n${lines.join('')}`);
      const r = run('snapshot', params, '--mode', 'overwrite', '--subscription-id', '11111111-1111-1111-1111-111111111111', '--resource-group', 'app', '--location', 'westeurope');
      loud(`bicep snapshot (${v.name})`, r);
      if (r.status === 0) faults.push(...judge(v, JSON.parse(readFileSync(join(folder, 'main.snapshot.json'), 'utf8'))));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return faults;
}

/** Holds a variant against what the compiler says it would make. */
export function judge(variant, snapshot) {
  const types = (snapshot.predictedResources ?? []).map((r) => r.type.split('/').at(-1));
  const made = new Set(types);
  const often = (type) => types.filter((t) => t === type).length;
  return [
    ...Object.entries(variant.counts ?? {}).filter(([t, n]) => often(t) !== n).map(([t, n]) => `variant ${variant.name}: makes ${often(t)} ${t}, want ${n}`),
    ...variant.makes.filter((t) => !made.has(t)).map((t) => `variant ${variant.name}: makes no ${t}`),
    ...variant.not.filter((t) => made.has(t)).map((t) => `variant ${variant.name}: makes ${t}`),
  ];
}
