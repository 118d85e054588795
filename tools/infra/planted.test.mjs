// Every mistake that the check knows is planted once and must be found. A case is a file below infra/, what is replaced by what, and what
// the fault says. Those of types need the type definitions.
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import test from 'node:test';
import { checkTemplates, readTemplates, sharedTypes } from './check.mjs';

const root = resolve(import.meta.dirname, '../..');
const texts = readTemplates(root);
const types = sharedTypes();

const cases = {
  syntax: [
    ['an open bracket', 'modules/flex.bicep', '    reserved: true\n  }', '    reserved: true\n', /syntax/],
    ['two properties on one line', 'modules/flex.bicep', "    name: 'FC1'\n    tier:", "    name: 'FC1' tier:", /second property on one line/],
    ['two items on one line', 'main.bicep', "  'flex'\n  'premium'", "  'flex' 'premium'", /second item on one line/],
    ['two statements on one line', 'main.bicep', "var wakeups = 'migrations'\n", "var wakeups = 'migrations' var more = 1\n", /second statement on one line/],
    ['a comma at the end of a line', 'modules/flex.bicep', "name: 'FC1'\n", "name: 'FC1',\n", /a comma after a property/],
    ['a comma in an array', 'main.bicep', "  'flex'\n  'premium'", "  'flex',\n  'premium'", /a comma after a item/],
    ['a bracket on a line of its own', 'modules/identity.bicep', "@2024-11-30' = {", "@2024-11-30' =\n{", /begins a new line/],
    ['an object on one line', 'modules/flex.bicep', "sku: {\n    name: 'FC1'\n    tier: 'FlexConsumption'\n  }", "sku: { name: 'FC1' }", /on the line of its bracket/],
    ['a comment with #', 'modules/flex.bicep', '// The runtime', '# The runtime', /begins no comment/],
    ['an escape that is none', 'modules/roles.bicep', 'The host keeps', 'The \\qhost keeps', /is no escape/],
    ['a boolean with a capital', 'modules/flex.bicep', 'httpsOnly: true', 'httpsOnly: True', /True is not declared/],
    ['a spread', 'modules/flex.bicep', 'properties: settings\n', 'properties: {\n    ...settings\n  }\n', /syntax/],
    ['a directive', 'modules/flex.bicep', '// The runtime', '#disable-next-line BCP037\n// The runtime', /begins no comment/],
  ],
  names: [
    ['a symbol that is not declared', 'modules/flex.bicep', 'serverFarmId: plan.id', 'serverFarmId: farm.id', /farm is not declared/],
    ['a function that does not exist', 'modules/storage.bicep', "private ? 'Deny'", "isTrue(private) ? 'Deny'", /isTrue: no such function/],
    ['a param that is not used', 'modules/storage.bicep', "@description('Redundancy.')", "@description('Unused.')\nparam unused string\n\n@description('Redundancy.')", /param unused is not used/],
    ['a var that is not used', 'modules/storage.bicep', 'resource blobService', 'var unused = 1\n\nresource blobService', /var unused is not used/],
    ['an existing resource that is not used', 'modules/roles.bicep', 'resource appBlobs', "resource other 'Microsoft.Insights/components@2020-02-02' existing = {\n  name: componentName\n}\n\nresource appBlobs", /existing resource other is not used/],
    ['a param without a description', 'modules/vault.bicep', "@description('Tags.')\n", '', /param tags has no description/],
    ['a module that is not there', 'main.bicep', "'modules/vault.bicep'", "'modules/safe.bicep'", /safe.bicep: no such file/],
    ['a param that a module lacks', 'main.bicep', '    skuName: storageSkuName\n', '    skuName: storageSkuName\n    colour: 1\n', /has no param colour/],
    ['a param that a module needs', 'main.bicep', '    skuName: storageSkuName\n', '', /needs param skuName/],
    ['a param of another kind', 'main.bicep', '    private: privateNetwork\n    workspaceId', "    private: 'yes'\n    workspaceId", /param private: want bool, got string/],
    ['a value that a module does not allow', 'main.bicep', '    skuName: storageSkuName\n', "    skuName: 'Standard_GRS'\n", /'Standard_GRS' is not allowed/],
    ['an output that a module lacks', 'main.bicep', 'identity.outputs.principalId\n    operator', 'identity.outputs.objectId\n    operator', /has no output objectId/],
    ['a member that an object lacks', 'main.bicep', 'name: names.identity', 'name: names.person', /names has no member person/],
    ['an output of another kind', 'modules/identity.bicep', 'output clientId string = identity.properties.clientId', 'output clientId string = 1', /output clientId: want string, got int/],
    ['a default that is not allowed', 'main.bicep', "param hostingPlan string = 'flex'", "param hostingPlan string = 'dedicated'", /'dedicated' is not allowed/],
    ['a wait for what is named anyway', 'main.bicep', '    storage\n    logs\n    vault', '    storage\n    identity\n    vault', /roles waits for identity/],
    ['a parameter that main does not have', 'main.parameters.json', '"schedule"', '"rhythm"', /rhythm is no param/],
    ['a parameter of another kind', 'main.parameters.json', 'HEARTBEAT_HOURS=3', 'HEARTBEAT_HOURS=often', /heartbeatHours: want a number/],
    ['a parameter with another default', 'main.parameters.json', 'ADX_DATABASE=defender', 'ADX_DATABASE=security', /the default is 'security' here/],
    ['a parameter without a value', 'main.parameters.json', '    "environmentName": { "value": "${AZURE_ENV_NAME}" },\n', '', /environmentName is not given/],
    ['a parameter with a default that azd cannot set', 'main.parameters.json', '    "extraSettings": { "value": {} },\n', '', /extraSettings is not given/],
  ],
  azure: [
    ['Flex: linuxFxVersion', 'modules/flex.bicep', "      ftpsState: 'Disabled'", "      linuxFxVersion: 'CUSTOM'\n      ftpsState: 'Disabled'", /linuxFxVersion: Flex Consumption refuses it/],
    ['Flex: alwaysOn', 'modules/flex.bicep', "      ftpsState: 'Disabled'", "      alwaysOn: true\n      ftpsState: 'Disabled'", /alwaysOn: Flex Consumption refuses it/],
    ['Flex: FUNCTIONS_WORKER_RUNTIME among all settings', 'main.bicep', '  DEFENDER_API: defenderApi', "  FUNCTIONS_WORKER_RUNTIME: 'custom'\n  DEFENDER_API: defenderApi", /FUNCTIONS_WORKER_RUNTIME: Flex/],
    ['Flex: WEBSITE_RUN_FROM_PACKAGE in its module', 'modules/flex.bicep', 'properties: settings\n', "properties: union(settings, {\n    WEBSITE_RUN_FROM_PACKAGE: '1'\n  })\n", /WEBSITE_RUN_FROM_PACKAGE: Flex/],
    ['Flex: no functionAppConfig', 'modules/flex.bicep', /    functionAppConfig: \{[\s\S]*?\n    \}\n/, '', /functionAppConfig is missing/],
    ['Flex: no runtime', 'modules/flex.bicep', /      runtime: \{[\s\S]*?\n      \}\n/, '', /runtime.name is missing/],
    ['Flex: runtime of another name', 'modules/flex.bicep', "name: 'custom'", "name: 'go'", /runtime.name: go, want custom/],
    ['Flex: another memory', 'modules/flex.bicep', '  512\n', '  1024\n', /instanceMemoryMB: 1024/],
    ['Flex: too few instances', 'modules/flex.bicep', '@minValue(40)', '@minValue(10)', /maximumInstanceCount/],
    ['Flex: too few instances in main', 'main.bicep', '@minValue(40)', '@minValue(1)', /maximumInstanceCount: Flex Consumption takes 40/],
    ['Flex: another sku', 'modules/flex.bicep', "name: 'FC1'", "name: 'FC2'", /sku FC2/],
    ['Flex: another delegation', 'main.bicep', "isFlex ? 'Microsoft.App/environments' : 'Microsoft.Web/serverFarms'", "isFlex ? 'Microsoft.Web/serverFarms' : 'Microsoft.App/environments'", /delegation: Flex/],
    ['Flex: package by connection string', 'modules/flex.bicep', "type: 'UserAssignedIdentity'", "type: 'StorageAccountConnectionString'", /authentication.type/],
    ['Flex: package by an identity that the site lacks', 'modules/flex.bicep', "'${identityId}': {}", "'${planName}': {}", /an identity of the site/],
    ['Flex: deployment without identity', 'modules/flex.bicep', '            userAssignedIdentityResourceId: identityId\n', '', /userAssignedIdentityResourceId is missing/],
    ['Premium: not always on', 'modules/premium.bicep', 'alwaysOn: true', 'alwaysOn: false', /alwaysOn must be true/],
    ['Premium: without WEBSITE_RUN_FROM_PACKAGE', 'modules/premium.bicep', "  WEBSITE_RUN_FROM_PACKAGE: '1'\n", '', /WEBSITE_RUN_FROM_PACKAGE is missing/],
    ['Premium: Elastic', 'modules/premium.bicep', "  'P0v3'\n", "  'EP1'\n", /sku EP1/],
    ['Premium: publishing by password', 'modules/premium.bicep', "  name: 'scm'\n  properties: {\n    allow: false", "  name: 'scm'\n  properties: {\n    allow: true", /properties.allow: true, want false/],
    ['storage: keys', 'modules/storage.bicep', 'allowSharedKeyAccess: false', 'allowSharedKeyAccess: true', /allowSharedKeyAccess: true, want false/],
    ['storage: no word about keys', 'modules/storage.bicep', '    allowSharedKeyAccess: false\n', '', /allowSharedKeyAccess is missing/],
    ['storage: old TLS', 'modules/storage.bicep', "'TLS1_2'", "'TLS12'", /minimumTlsVersion: 'TLS12'/],
    ['storage: a connection string', 'main.bicep', '  AzureWebJobsStorage__credential:', "  AzureWebJobsStorage: 'UseDevelopmentStorage=true'\n  AzureWebJobsStorage__credential:", /takes no keys/],
    ['storage: settings without the identity', 'main.bicep', '  AzureWebJobsStorage__clientId: identity.outputs.clientId\n', '', /AzureWebJobsStorage__clientId is missing/],
    ['storage: endpoints at once', 'main.bicep', '@batchSize(1)\nmodule endpoints', 'module endpoints', /takes one at a time/],
    ['vault: no purge protection', 'modules/vault.bicep', 'enablePurgeProtection: true', 'enablePurgeProtection: false', /enablePurgeProtection: false/],
    ['vault: access policies', 'modules/vault.bicep', '    enableRbacAuthorization: true\n', '', /enableRbacAuthorization is missing/],
    ['site: not https alone', 'modules/premium.bicep', 'httpsOnly: true', 'httpsOnly: false', /httpsOnly: false/],
    ['site: ftps', 'modules/flex.bicep', "ftpsState: 'Disabled'", "ftpsState: 'Off'", /ftpsState: 'Off'/],
    ['logs: keys', 'modules/logs.bicep', 'DisableLocalAuth: true', 'DisableLocalAuth: false', /DisableLocalAuth: false/],
    ['a role id that is none of ours', 'modules/roles.bicep', '974c5e8b', '974c5e8c', /974c5e8c-.* is none that we assign/],
    ['a role that is missing', 'modules/roles.bicep', /resource appQueues [\s\S]*?\n\}\n\n/, '', /role Storage Queue Data Contributor .* is assigned nowhere/],
    ['a role without a scope', 'modules/roles.bicep', '  scope: account\n  name: guid(account.id, identityId, storageBlobDataOwner)', '  name: guid(account.id, identityId, storageBlobDataOwner)', /without a scope/],
    ['a role at another resource', 'modules/roles.bicep', '  scope: component', '  scope: account', /Monitoring Metrics Publisher is assigned at/],
    ['the officer\'s role for the app', 'modules/roles.bicep', 'principalId: operatorPrincipalId', 'principalId: appPrincipalId', /Key Vault Secrets Officer is assigned to appPrincipalId/],
    ['a role without principalType', 'modules/roles.bicep', "    principalType: 'ServicePrincipal'\n", '', /principalType must be ServicePrincipal/],
    ['two assignments of one name', 'modules/roles.bicep', 'guid(account.id, identityId, storageQueueDataContributor)', 'guid(account.id, identityId, storageBlobDataOwner)', /is not made from its role/],
    ['the scope of a subscription', 'modules/roles.bicep', "metadata description = 'Rights", "targetScope = 'subscription'\n\nmetadata description = 'Rights", /scope subscription/],
    ['a database role too many', 'modules/database.bicep', "  'Ingestor'\n", "  'Ingestor'\n  'Admin'\n", /properties.role: .*want Ingestor or Viewer/],
    ['a database role too few', 'modules/database.bicep', "  'Viewer'\n", '', /database role Viewer is granted nowhere/],
    ['cluster: changes at once', 'modules/database.bicep', '@batchSize(1)\n', '', /one change at a time/],
    ['another API version', 'modules/flex.bicep', 'serverfarms@2024-04-01', 'serverfarms@2022-03-01', /version 2022-03-01, want 2024-04-01/],
    ['a resource type that nobody pinned', 'modules/vault.bicep', 'Microsoft.KeyVault/vaults@', 'Microsoft.KeyVault/vault@', /no version is pinned/],
    ['keys in an output', 'modules/storage.bicep', "@description('Queue address", "@description('Key.')\noutput firstKey string = account.listKeys().keys[0].value\n\n@description('Queue address", /output firstKey may hold a secret/],
    ['a password in an output', 'modules/vault.bicep', 'output url string', 'output secretUrl string', /output secretUrl may hold a secret/],
    ['a secure param in an output', 'modules/vault.bicep', "@description('Address; it ends", "@description('Given.')\n@secure()\nparam given string\n\n@description('Given.')\noutput same string = given\n\n@description('Address; it ends", /output same may hold a secret/],
    ['a secret in a plain param', 'main.bicep', "@description('App setting LOG_LEVEL.')", "@description('Secret.')\nparam clientSecret string = ''\n\n@description('App setting LOG_LEVEL.')", /clientSecret is not @secure/],
    ['a secure param with a default', 'modules/vault.bicep', "@description('Tags.')", "@description('Given.')\n@secure()\nparam given string = 'x'\n\n@description('Tags.')", /a secure param has no default/],
    ['a host of one cloud', 'modules/vault.bicep', '${environment().suffixes.keyvaultDns}', '.vault.azure.net', /vault.azure.net is another in other clouds/],
    ['a name that only a deployment knows', 'main.bicep', '    vaultName: hasVault ? names.vault', '    vaultName: hasVault ? vault!.outputs.url', /known only when it is deployed, and modules\/roles.bicep/],
    ['a condition that only a deployment knows', 'main.bicep', '= if (!isFlex) {', "= if (storage.outputs.blobEndpoint == '') {", /known only when it is deployed/],
  ],
  types: [
    ['an unknown property', 'modules/flex.bicep', 'httpsOnly: true', 'httpOnly: true', /httpOnly is no property/],
    ['a property in another case', 'modules/flex.bicep', 'http20Enabled', 'Http20Enabled', /write http20Enabled/],
    ['text for a bool', 'modules/flex.bicep', 'http20Enabled: true', "http20Enabled: 'true'", /http20Enabled: want bool, got string/],
    ['text for a number', 'modules/alerts.bicep', 'threshold: 0', "threshold: '0'", /threshold: want int, got string/],
    ['an array for text', 'modules/alerts.bicep', "evaluationFrequency: 'PT15M'", 'evaluationFrequency: []', /evaluationFrequency: want string, got array/],
    ['an object for an array', 'modules/alerts.bicep', 'scopes: [\n        workspaceId\n      ]', 'scopes: {}', /scopes: want array, got object/],
    ['another type through a param', 'modules/vault.bicep', 'enableSoftDelete: true', 'enableSoftDelete: name', /enableSoftDelete: want bool, got string/],
    ['an open list: another runtime', 'modules/flex.bicep', "name: 'custom'", "name: 'rust'", /'rust' is none of/],
    ['a word in another case', 'modules/database.bicep', "principalType: 'App'", "principalType: 'app'", /'app' is none of App/],
    ['a required property missing', 'modules/roles.bicep', '    principalId: appPrincipalId\n', '', /principalId is missing/],
    ['a location missing', 'modules/storage.bicep', '  location: location\n', '', /Microsoft.Storage\/storageAccounts.location is missing/],
    ['properties missing altogether', 'modules/logs.bicep', /  properties: \{\n    sku[\s\S]*?\n  \}\n\}/, '}', /is not used|is missing/],
    ['a property that is only read', 'modules/flex.bicep', 'httpsOnly: true', "httpsOnly: true\n    defaultHostName: 'x'", /defaultHostName is no property/],
    ['a version that does not exist', 'modules/vault.bicep', '2026-02-01', '2026-02-02', /no such type or version/],
    ['a property one level too high', 'modules/flex.bicep', 'httpsOnly: true', "httpsOnly: true\n    ftpsState: 'Disabled'", /sites.properties.ftpsState is no property/],
    ['siteUpdateStrategy', 'modules/flex.bicep', '      runtime: {', "      siteUpdateStrategy: {\n        type: 'Recreate'\n      }\n      runtime: {", /siteUpdateStrategy is no property/],
    ['another variant', 'modules/database.bicep', "kind: 'ReadWrite'", "kind: 'ReadWriteDatabase'", /'ReadWriteDatabase' is none of/],
    ['no variant', 'modules/database.bicep', "  kind: 'ReadWrite'\n", '', /kind is missing, which says what it is/],
    ['a child of another name', 'modules/flex.bicep', "name: 'appsettings'", "name: 'appsetting'", /'appsetting' is none of/],
    ['a name with slashes', 'modules/flex.bicep', "  parent: site\n  name: 'appsettings'", "  name: 'site/appsettings'", /give a parent instead/],
    ['another parent', 'modules/storage.bicep', 'parent: queueService', 'parent: blobService', /its parent is/],
    ['a number below the least', 'modules/alerts.bicep', 'numberOfEvaluationPeriods: 1', "numberOfEvaluationPeriods: 'one'", /numberOfEvaluationPeriods/],
    ['a text that is too long', 'modules/alerts.bicep', "'defender2adx'", "'defender2adx-alerts'", /groupShortName: length 19/],
    ['a setting that is a number', 'modules/premium.bicep', "WEBSITE_RUN_FROM_PACKAGE: '1'", 'WEBSITE_RUN_FROM_PACKAGE: 1', /WEBSITE_RUN_FROM_PACKAGE: want string, got int/],
    ['a number for an open list', 'modules/flex.bicep', "type: 'blobContainer'", 'type: 1', /want one of/],
    ['a property twice', 'modules/flex.bicep', 'httpsOnly: true', 'httpsOnly: true\n    httpsOnly: true', /httpsOnly is given twice/],
    ['a level too many', 'modules/cluster.bicep', '    enableAutoStop: true', '    properties: {}\n    enableAutoStop: true', /properties.properties is no property/],
    ['an identity of another type', 'modules/flex.bicep', "type: 'UserAssigned'\n", "type: 'UserAsigned'\n", /'UserAsigned'/],
    ['a name that no account may have', 'modules/storage.bicep', '  name: name\n  location', "  name: 'Storage-One'\n  location", /'Storage-One' does not match/],
  ],
};

test('the templates have no fault', () => assert.deepEqual(checkTemplates(texts, types), []));

for (const [group, list] of Object.entries(cases)) {
  for (const [name, file, from, to, want] of list) {
    test(`${group}: ${name}`, { skip: group === 'types' && !types && 'no type definitions' }, () => {
      const path = `infra/${file}`;
      const text = texts.get(path);
      const planted = text.replace(from, () => to);
      assert.notEqual(planted, text, 'the mistake could not be planted: the template no longer has what it replaces');
      const faults = checkTemplates(new Map(texts).set(path, planted), group === 'types' ? types : undefined);
      assert.match(faults.join('\n'), want);
    });
  }
}
