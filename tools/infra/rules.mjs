// Our own rules: what the compiler lets through and Azure refuses, and what the product promises of its rights and its secrets.
import { below, identifiers, literal, parts } from './bicep.mjs';
import { posix } from 'node:path';

/** The version of each resource type: newer ones are not known to be there in every cloud. */
export const pins = {
  'Microsoft.Authorization/roleAssignments': '2022-04-01',
  'Microsoft.Insights/actionGroups': '2023-01-01',
  'Microsoft.Insights/components': '2020-02-02',
  'Microsoft.Insights/diagnosticSettings': '2021-05-01-preview',
  'Microsoft.Insights/scheduledQueryRules': '2023-12-01',
  'Microsoft.KeyVault/vaults': '2026-02-01',
  'Microsoft.Kusto/clusters': '2024-04-13',
  'Microsoft.ManagedIdentity/userAssignedIdentities': '2024-11-30',
  'Microsoft.Network/networkSecurityGroups': '2024-05-01',
  'Microsoft.Network/privateDnsZones': '2020-06-01',
  'Microsoft.Network/privateEndpoints': '2024-05-01',
  'Microsoft.Network/virtualNetworks': '2024-05-01',
  'Microsoft.OperationalInsights/workspaces': '2023-09-01',
  'Microsoft.Storage/storageAccounts': '2025-06-01',
  'Microsoft.Web/serverfarms': '2024-04-01',
  'Microsoft.Web/sites': '2024-04-01',
};

/** Built-in roles that we may assign: id, name, and the only type of resource where. */
export const roles = {
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b': { name: 'Storage Blob Data Owner', at: 'Microsoft.Storage/storageAccounts', to: 'appPrincipalId' },
  '974c5e8b-45b9-4653-ba55-5f855dd0fb88': { name: 'Storage Queue Data Contributor', at: 'Microsoft.Storage/storageAccounts', to: 'appPrincipalId' },
  '3913510d-42f4-4e42-8a64-420c390055eb': { name: 'Monitoring Metrics Publisher', at: 'Microsoft.Insights/components', to: 'appPrincipalId' },
  '4633458b-17de-408a-b874-0445c86b69e6': { name: 'Key Vault Secrets User', at: 'Microsoft.KeyVault/vaults', to: 'appPrincipalId' },
  'b86a8fe4-44ce-4948-aee5-eccb2c155cd7': { name: 'Key Vault Secrets Officer', at: 'Microsoft.KeyVault/vaults', to: 'operatorPrincipalId' },
  'a4417e6f-fecd-4de8-b567-7b0420556985': { name: 'Key Vault Certificates Officer', at: 'Microsoft.KeyVault/vaults', to: 'operatorPrincipalId' },
};
const clusterRoles = ['Ingestor', 'Viewer'];

// Flex Consumption refuses or ignores these settings.
const notOnFlex = /^(FUNCTIONS_(WORKER_RUNTIME|EXTENSION_VERSION|WORKER_PROCESS_COUNT|MAX_HTTP_CONCURRENCY)|WEBSITE_(RUN_FROM_PACKAGE|CONTENT|VNET_ROUTE_ALL|DNS_SERVER|MOUNT_ENABLED|TIME_ZONE|NODE_DEFAULT|MAX_DYNAMIC|SKIP_CONTENTSHARE|LOAD_CERT)|SCM_DO_BUILD|ENABLE_ORYX|TZ$)/;

const hosts = /\b(core\.windows\.net|vault\.azure\.net|vaultcore\.azure\.net|login\.microsoftonline\.|management\.azure\.com|graph\.microsoft\.|security\.microsoft\.com|azurewebsites\.net|kusto\.windows\.net|core\.usgovcloudapi\.net)/;

// Hardening: path, and what it must be wherever such a resource is made.
const hardening = {
  'Microsoft.Web/sites': {
    'properties.httpsOnly': [true],
    'properties.siteConfig.ftpsState': ['Disabled'],
    'properties.siteConfig.minTlsVersion': ['1.2', '1.3'],
    'properties.siteConfig.scmMinTlsVersion': ['1.2', '1.3'],
    'properties.siteConfig.remoteDebuggingEnabled': [false],
    'identity.type': ['UserAssigned'],
  },
  'Microsoft.Storage/storageAccounts': {
    'properties.allowBlobPublicAccess': [false],
    'properties.allowSharedKeyAccess': [false],
    'properties.minimumTlsVersion': ['TLS1_2', 'TLS1_3'],
    'properties.supportsHttpsTrafficOnly': [true],
  },
  'Microsoft.KeyVault/vaults': {
    'properties.enableRbacAuthorization': [true],
    'properties.enableSoftDelete': [true],
    'properties.enablePurgeProtection': [true],
  },
  'Microsoft.Insights/components': { 'properties.DisableLocalAuth': [true] },
  'Microsoft.Web/sites/basicPublishingCredentialsPolicies': { 'properties.allow': [false] },
  'Microsoft.Kusto/clusters/databases/principalAssignments': { 'properties.role': clusterRoles, 'properties.principalType': ['App'] },
  'Microsoft.Authorization/roleAssignments': {},
};

export function checkRules(files, mainPath, say) {
  const assigned = new Set();
  for (const file of files.values()) {
    if (file.scope !== 'resourceGroup') say(file, file.root, `scope ${file.scope}: the templates stay in one resource group, so that no right is given above it`);
    for (const r of file.resources.values()) {
      const pin = Object.entries(pins).find(([type]) => r.type === type || r.type?.startsWith(`${type}/`))?.[1];
      if (!pin) say(file, r.node, `${r.type}: no version is pinned for this type`);
      else if (r.version !== pin) say(file, r.node, `${r.type}: version ${r.version}, want ${pin}`);
      if (!r.existing) for (const o of file.objects(r.body)) hardened(file, r, o);
      if (r.type === 'Microsoft.Authorization/roleAssignments') assigned.add(role(file, r));
      if (/principalAssignments$/.test(r.type) && r.batchSize !== 1) say(file, r.node, `${r.type}: a cluster takes one change at a time: @batchSize(1)`);
    }
    for (const m of file.modules.values()) {
      if (m.path.endsWith('/endpoint.bicep') && m.batchSize !== 1) say(file, m.node, 'endpoints: a storage account takes one at a time: @batchSize(1)');
    }
    plan(file, files.get(mainPath));
    secrets(file);
    addresses(file.root, file);
    early(file, files);
  }
  for (const [id, r] of Object.entries(roles)) if (!assigned.has(id)) say(files.get(mainPath), undefined, `role ${r.name} (${id}) is assigned nowhere`);
  const granted = [...files.values()].flatMap((f) => [...f.resources.values()].filter((r) => /databases\/principalAssignments$/.test(r.type)).flatMap((r) => f.objects(r.body).flatMap((o) => f.at(o, 'properties.role').map((v) => v.text))));
  for (const r of clusterRoles) if (!granted.includes(r)) say(files.get(mainPath), undefined, `database role ${r} is granted nowhere`);

  function hardened(file, r, o) {
    for (const [path, want] of Object.entries(hardening[r.type] ?? {})) {
      const got = file.at(o, path);
      if (got.length === 0) say(file, r.node, `${r.type}.${path} is missing, want ${want.join(' or ')}`);
      for (const v of got) if (!want.includes(v.text ?? v.bool)) say(file, v.node, `${r.type}.${path}: ${v.node.text}, want ${want.join(' or ')}`);
    }
  }

  // A role assignment: at one resource, of a known role, to whom it is for; returns the role's id.
  function role(file, r) {
    const get = (name) => r.props.find((p) => p.name === name)?.value;
    const [o] = file.objects(r.body);
    const at = file.resources.get(get('scope')?.text)?.type;
    const call = file.at(o, 'properties.roleDefinitionId')[0]?.node;
    const named = call?.type === 'call_expression' && call.namedChildren[0].text === 'subscriptionResourceId' ? parts(parts(call)[1])[1] : undefined;
    const id = named && file.values(named)[0].text;
    const known = roles[id];
    if (!at) say(file, r.node, 'role assignment without a scope: it would be for the whole resource group');
    if (!known) {
      say(file, r.node, `role ${id ?? 'that cannot be read'} is none that we assign`);
      return undefined;
    }
    if (at && at !== known.at) say(file, r.node, `${known.name} is assigned at ${at}, want ${known.at}`);
    const to = o.props.find((p) => p.name === 'properties') && file.at(o, 'properties.principalId')[0]?.node.text;
    if (to !== known.to) say(file, r.node, `${known.name} is assigned to ${to}, want ${known.to}`);
    const kind = file.at(o, 'properties.principalType')[0];
    if (!kind || (known.to === 'appPrincipalId' && kind.text !== 'ServicePrincipal')) say(file, r.node, `${known.name}: principalType must be ServicePrincipal, or a new identity is not found`);
    if (!get('name')?.text.includes(named.text)) say(file, r.node, `${known.name}: the name of the assignment is not made from its role`);
    return id;
  }

  function plan(file, main) {
    for (const farm of [...file.resources.values()].filter((r) => r.type === 'Microsoft.Web/serverfarms')) {
      const skus = file.objects(farm.body).flatMap((o) => file.at(o, 'sku.name').map((v) => v.text));
      const flex = skus.includes('FC1');
      for (const sku of skus) if (!['FC1', 'P0v3', 'P1v3', 'P2v3'].includes(sku)) say(file, farm.node, `sku ${sku}: want FC1 (Flex Consumption) or P0v3, P1v3, P2v3`);
      for (const site of [...file.resources.values()].filter((r) => r.type === 'Microsoft.Web/sites')) {
        for (const o of file.objects(site.body)) flex ? onFlex(file, site, o, main) : onPremium(file, site, o);
      }
    }
    const settings = main && file === main ? main.vars.get('settings') : undefined;
    for (const o of settings ? main.objects(settings.value) : []) {
      if (o.props.some((p) => p.name === 'AzureWebJobsStorage')) say(main, settings.node, 'AzureWebJobsStorage: the account takes no keys, so there is no connection string');
      for (const p of o.props) if (notOnFlex.test(p.name)) say(main, p.node, `${p.name}: Flex Consumption does not take this setting`);
      for (const name of ['AzureWebJobsStorage__blobServiceUri', 'AzureWebJobsStorage__queueServiceUri', 'AzureWebJobsStorage__credential', 'AzureWebJobsStorage__clientId']) {
        if (!o.props.some((p) => p.name === name)) say(main, settings.node, `${name} is missing: storage is reached by identity`);
      }
    }
    for (const m of file === main ? main.modules.values() : []) {
      const delegation = main.objects(m.props.find((p) => p.name === 'params')?.value)[0]?.props.find((p) => p.name === 'delegation');
      if (delegation && delegation.value.text !== "isFlex ? 'Microsoft.App/environments' : 'Microsoft.Web/serverFarms'") say(main, delegation.node, 'delegation: Flex Consumption wants Microsoft.App/environments, Premium Microsoft.Web/serverFarms');
    }
  }

  function onFlex(file, site, o, main) {
    const config = file.at(o, 'properties.functionAppConfig')[0];
    if (!config) return say(file, site.node, 'functionAppConfig is missing: Flex Consumption demands it');
    const want = (path, ok, what) => {
      const got = file.at(config, path);
      if (got.length === 0) say(file, config.node, `functionAppConfig.${path} is missing`);
      for (const v of got) if (!ok(v)) say(file, v.node, `functionAppConfig.${path}: ${v.text ?? v.number ?? v.node.text}, want ${what}`);
    };
    want('deployment.storage.type', (v) => v.text === 'blobContainer', 'blobContainer');
    want('deployment.storage.value', (v) => v.kind === 'string', 'an address');
    want('deployment.storage.authentication.type', (v) => v.text === 'UserAssignedIdentity', 'UserAssignedIdentity');
    const keys = file.at(o, 'identity.userAssignedIdentities').flatMap((v) => (v.props ?? []).map((p) => p.key.text));
    want('deployment.storage.authentication.userAssignedIdentityResourceId', (v) => keys.includes(`'\${${v.node.text}}'`), 'an identity of the site');
    want('runtime.name', (v) => v.text === 'custom', 'custom');
    want('runtime.version', (v) => v.text === '1.0', '1.0');
    want('scaleAndConcurrency.instanceMemoryMB', (v) => [512, 2048, 4096].includes(v.number), '512, 2048 or 4096');
    want('scaleAndConcurrency.maximumInstanceCount', (v) => (v.number ?? v.range?.minValue) >= 40 && (v.number ?? v.range?.maxValue) <= 1000, '40 to 1000');
    for (const p of file.at(o, 'properties.siteConfig').flatMap((v) => v.props ?? [])) {
      if (/FxVersion$|FrameworkVersion$|^alwaysOn$/.test(p.name)) say(file, p.node, `siteConfig.${p.name}: Flex Consumption refuses it`);
    }
    for (const r of file.resources.values()) if (r.type.endsWith('/basicPublishingCredentialsPolicies')) say(file, r.node, 'Flex Consumption has no site for publishing with a password');
    for (const p of objectsBelow(file.root).filter((p) => notOnFlex.test(p.name))) say(file, p.node, `${p.name}: Flex Consumption does not take this setting`);
    for (const name of ['instanceMemoryMB', 'maximumInstanceCount']) {
      const p = main?.params.get(name);
      if (p && name === 'maximumInstanceCount' && !(p.minValue >= 40)) say(main, p.node, 'maximumInstanceCount: Flex Consumption takes 40 and more');
    }
  }

  function onPremium(file, site, o) {
    const on = file.at(o, 'properties.siteConfig.alwaysOn');
    if (on.length === 0 || on.some((v) => v.bool !== true)) say(file, site.node, 'alwaysOn must be true: without it timer and queue sleep');
    const names = objectsBelow(file.root).map((p) => p.name);
    for (const name of ['FUNCTIONS_EXTENSION_VERSION', 'FUNCTIONS_WORKER_RUNTIME', 'WEBSITE_RUN_FROM_PACKAGE']) {
      if (!names.includes(name)) say(file, site.node, `${name} is missing: this plan needs it`);
    }
    for (const name of ['ftp', 'scm']) {
      const has = [...file.resources.values()].some((r) => r.type.endsWith('/basicPublishingCredentialsPolicies') && r.props.some((p) => p.name === 'name' && literal(p.value) === name));
      if (!has) say(file, site.node, `publishing by password over ${name} is not switched off`);
    }
  }

  // Outputs and secrets.
  function secrets(file) {
    const secure = [...file.params].filter(([, p]) => p.decorators.has('secure')).map(([name]) => name);
    for (const [name, o] of file.outputs) {
      const why = /\blist[A-Z]\w*\s*\(|getSecret\s*\(/.exec(o.value.text) ?? /secret|password|accountkey|sastoken/i.exec(name) ?? identifiers(o.value).find((i) => secure.includes(i.text));
      if (why) say(file, o.node, `output ${name} may hold a secret`);
    }
    for (const [name, p] of file.params) {
      if (/(secret|password|token|key)(value)?$/i.test(name) && !p.decorators.has('secure')) say(file, p.node, `param ${name} is not @secure()`);
      if (p.decorators.has('secure') && p.value && literal(p.value) !== '') say(file, p.node, `param ${name}: a secure param has no default`);
    }
  }

  function addresses(n, file) {
    if (/decorators|metadata_declaration|comment/.test(n.type)) return;
    if (n.type === 'string' && hosts.test(n.text)) say(file, n, `${hosts.exec(n.text)[0]} is another in other clouds: use environment()`);
    n.namedChildren.forEach((c) => addresses(c, file));
  }

  // Names, conditions and counts that only a deployment knows make what-if skip what follows.
  function early(file, files) {
    const atStart = new Map(); // param -> node that needs it before anything is deployed
    for (const d of [...file.resources.values(), ...file.modules.values()]) {
      const name = d.existing ? undefined : d.props.find((p) => p.name === 'name')?.value;
      for (const n of [d.loop, d.condition, name].filter(Boolean)) {
        for (const leaf of leaves(file, n)) {
          if (leaf.late) say(file, n, `${leaf.text} is known only when it is deployed: no name, condition or count may come from it`);
          else if (file.params.has(leaf.text)) atStart.set(leaf.text, n);
        }
      }
    }
    file.atStart = atStart;
    for (const caller of files.values()) {
      for (const m of caller.modules.values()) {
        if (files.get(posix.join(posix.dirname(caller.path), m.path)) !== file) continue;
        for (const p of caller.objects(m.props.find((x) => x.name === 'params')?.value).flatMap((x) => x.props)) {
          if (!atStart.has(p.name)) continue;
          for (const leaf of leaves(caller, p.value)) if (leaf.late) say(caller, p.node, `${leaf.text} is known only when it is deployed, and ${m.path} makes a name, a condition or a count from ${p.name}`);
        }
      }
    }
  }

  // The params that an expression comes from, through vars; late where a module or a property of a resource is one of its sources.
  function* leaves(file, n, depth = 0) {
    if (depth > 10) return;
    if (n.type === 'member_expression') {
      const [of, last] = [parts(n)[0], parts(n).at(-1).text];
      const root = /^\w+/.exec(n.text)[0];
      if (file.modules.has(root) || (file.resources.has(root) && !(of.type === 'identifier' && /^(id|name|type)$/.test(last)))) {
        yield { text: n.text, late: true };
        return;
      }
    }
    if (n.type === 'identifier') {
      if (file.vars.has(n.text)) yield* leaves(file, file.vars.get(n.text).value, depth + 1);
      else yield { text: n.text };
      return;
    }
    for (const c of n.namedChildren) yield* leaves(file, c, depth);
  }
}

// Every property of every object below a node, by name.
function objectsBelow(n) {
  return below(n, (c) => c.type === 'object_property').map((node) => ({ name: literal(node.namedChildren[0]) ?? node.namedChildren[0].text, node }));
}
