targetScope = 'resourceGroup'

metadata description = 'Defender2ADX in one resource group: a Functions app that copies Defender tables into Azure Data Explorer.'

// ---------------------------------------------------------------- where and whose

@description('Short name of this installation. Resource names are derived from it, so another name is another installation.')
@minLength(1)
@maxLength(40)
param environmentName string

@description('Region of all resources.')
@metadata({
  azd: {
    type: 'location'
  }
})
param location string = resourceGroup().location

@description('Tags that every resource gets, besides those of azd.')
param tags object = {}

@description('Object id of the person or pipeline that keeps the Defender credential in the vault. Empty: nobody gets that right here.')
param principalId string = ''

@description('Kind of that principal.')
@allowed([
  'User'
  'Group'
  'ServicePrincipal'
])
param principalType string = 'User'

// ---------------------------------------------------------------- plan

@description('flex is Flex Consumption; premium is App Service Premium v3, for clouds and regions without Flex.')
@allowed([
  'flex'
  'premium'
])
param hostingPlan string = 'flex'

@description('flex: memory of an instance in MB. The handler needs no more than the smallest.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = 512

@description('flex: how many instances there may be; Azure accepts nothing below 40.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('premium: size of the plan.')
@allowed([
  'P0v3'
  'P1v3'
  'P2v3'
])
param premiumSkuName string = 'P0v3'

@description('Copies that the storage account keeps: in one datacentre, or in three zones.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
])
param storageSkuName string = 'Standard_LRS'

// ---------------------------------------------------------------- network

@description('true: storage and vault have private endpoints only, and the app calls out through a network of its own.')
param privateNetwork bool = false

@description('Address space of that network, a /24 or larger.')
param networkAddressPrefix string = '10.20.0.0/24'

@description('Private DNS zone of the cluster, such as privatelink.westeurope.kusto.windows.net. Empty: the cluster is reached by its public address.')
param adxPrivateDnsZone string = ''

// ---------------------------------------------------------------- Defender

@description('App setting DEFENDER_API.')
@allowed([
  'graph'
  'mde'
  'auto'
])
param defenderApi string = 'graph'

@description('App setting DEFENDER_CLOUD.')
param defenderCloud string = 'global'

@description('App setting DEFENDER_TENANT_ID. Empty: the tenant of the subscription.')
param defenderTenantId string = ''

@description('App setting DEFENDER_CREDENTIAL: secret and certificate are read from the vault; managed-identity needs neither, and Defender in the tenant of the subscription; federated is an app registration, also of another Defender tenant, that trusts the identity made here.')
@allowed([
  'secret'
  'certificate'
  'managed-identity'
  'federated'
])
param defenderCredential string = 'secret'

@description('App setting DEFENDER_CLIENT_ID: the app registration. Of no account with managed-identity, whose id is known here.')
param defenderClientId string = ''

@description('App setting DEFENDER_SECRET_NAME.')
param defenderSecretName string = 'defender-client-secret'

// ---------------------------------------------------------------- Azure Data Explorer

@description('new makes a development cluster, existing takes one that is there, eventhouse takes a Fabric Eventhouse by its address.')
@allowed([
  'new'
  'existing'
  'eventhouse'
])
param adxMode string = 'new'

@description('existing: resource id of the cluster.')
param adxClusterId string = ''

@description('existing: region of the cluster. Empty: the region of all resources.')
param adxLocation string = ''

@description('eventhouse: query address.')
param adxClusterUrl string = ''

@description('eventhouse: ingestion address. Empty: the app derives it.')
param adxIngestUrl string = ''

@description('App setting ADX_DATABASE.')
param adxDatabase string = 'defender'

@description('new, existing: false leaves a database that is there as it is.')
param adxCreateDatabase bool = true

@description('How long the database keeps rows, ISO 8601.')
param adxSoftDeletePeriod string = 'P3650D'

@description('How long rows stay on fast disks, ISO 8601.')
param adxHotCachePeriod string = 'P31D'

// ---------------------------------------------------------------- work

@description('App setting MIGRATION_SCHEDULE: six cron fields in UTC.')
param schedule string = '0 0 * * * *'

@description('App setting LOG_LEVEL.')
@allowed([
  'debug'
  'info'
  'warn'
  'error'
])
param logLevel string = 'info'

@description('Any other setting of docs/config.md, by its name. What stands here wins.')
param extraSettings object = {}

// ---------------------------------------------------------------- logs and alerts

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionInDays int = 30

@description('Gigabytes of logs that a day may have; -1 sets no limit.')
param logDailyQuotaGb int = 1

@description('Mail address for alerts. Empty: alerts are shown in the portal and sent to nobody.')
param alertEmail string = ''

@description('Hours without a tick after which there is an alert: more than the schedule leaves between two. 0 makes no such alert, right for daily and rarer schedules.')
@minValue(0)
@maxValue(23)
param heartbeatHours int = 3

// ---------------------------------------------------------------- names

var token = toLower(uniqueString(resourceGroup().id, environmentName, location))
var names = {
  identity: 'id-${token}'
  storage: 'st${token}'
  vault: 'kv-${token}'
  workspace: 'log-${token}'
  component: 'appi-${token}'
  plan: 'plan-${token}'
  site: 'func-${token}'
  network: 'vnet-${token}'
  cluster: 'adx${token}'
}
var packageContainer = 'app-package'
var stateContainer = 'defender2adx'
var wakeups = 'migrations'

var commonTags = union(tags, {
  'azd-env-name': environmentName
})
// By this tag azd finds where to deploy the service of azure.yaml.
var siteTags = union(commonTags, {
  'azd-service-name': 'handler'
})

var isFlex = hostingPlan == 'flex'
var hasVault = defenderCredential == 'secret' || defenderCredential == 'certificate'
var hasCluster = adxMode != 'eventhouse'
var makesCluster = adxMode == 'new'

// Names, conditions and counts come from parameters alone: what only a module can tell would make what-if skip what follows.
var identityId = resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', names.identity)
var clusterId = adxMode == 'existing' ? adxClusterId : resourceId('Microsoft.Kusto/clusters', names.cluster)
// '', subscriptions, <id>, resourceGroups, <group>, providers, Microsoft.Kusto, clusters, <name>
var clusterParts = split(clusterId, '/')

// ---------------------------------------------------------------- private endpoints

var blobZone = 'privatelink.blob.${environment().suffixes.storage}'
var queueZone = 'privatelink.queue.${environment().suffixes.storage}'
var vaultZone = 'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'
var hasClusterEndpoint = hasCluster && !empty(adxPrivateDnsZone)
var storageEndpoints = [
  {
    name: 'blob'
    groupId: 'blob'
    targetId: resourceId('Microsoft.Storage/storageAccounts', names.storage)
    zoneNames: [
      blobZone
    ]
  }
  {
    name: 'queue'
    groupId: 'queue'
    targetId: resourceId('Microsoft.Storage/storageAccounts', names.storage)
    zoneNames: [
      queueZone
    ]
  }
]
var vaultEndpoint = [
  {
    name: 'vault'
    groupId: 'vault'
    targetId: resourceId('Microsoft.KeyVault/vaults', names.vault)
    zoneNames: [
      vaultZone
    ]
  }
]
// Blobs are staged in storage that the cluster lends, so its endpoint has names in the zones of blobs and queues, too.
var clusterEndpoint = [
  {
    name: 'adx'
    groupId: 'cluster'
    targetId: clusterId
    zoneNames: [
      adxPrivateDnsZone
      blobZone
      queueZone
    ]
  }
]
var endpointList = concat(storageEndpoints, hasVault ? vaultEndpoint : [], hasClusterEndpoint ? clusterEndpoint : [])
var storageZones = [
  blobZone
  queueZone
]
var vaultZones = [
  vaultZone
]
var clusterZones = [
  adxPrivateDnsZone
]
var zoneList = concat(storageZones, hasVault ? vaultZones : [], hasClusterEndpoint ? clusterZones : [])

// ---------------------------------------------------------------- what the app stands on

module identity 'modules/identity.bicep' = {
  name: 'identity'
  params: {
    location: location
    tags: commonTags
    name: names.identity
  }
}

module logs 'modules/logs.bicep' = {
  name: 'logs'
  params: {
    location: location
    tags: commonTags
    workspaceName: names.workspace
    componentName: names.component
    retentionInDays: logRetentionInDays
    dailyQuotaGb: logDailyQuotaGb
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    location: location
    tags: commonTags
    namePrefix: names.component
    workspaceId: logs.outputs.workspaceId
    alertEmail: alertEmail
    heartbeatHours: heartbeatHours
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    location: location
    tags: commonTags
    name: names.storage
    skuName: storageSkuName
    containerNames: [
      packageContainer
      stateContainer
    ]
    queueNames: [
      wakeups
      '${wakeups}-poison'
    ]
    private: privateNetwork
  }
}

module vault 'modules/vault.bicep' = if (hasVault) {
  name: 'vault'
  params: {
    location: location
    tags: commonTags
    name: names.vault
    private: privateNetwork
    workspaceId: logs.outputs.workspaceId
  }
}

module roles 'modules/roles.bicep' = {
  name: 'roles'
  params: {
    storageName: names.storage
    componentName: names.component
    vaultName: hasVault ? names.vault : ''
    hasCertificate: defenderCredential == 'certificate'
    identityId: identityId
    appPrincipalId: identity.outputs.principalId
    operatorPrincipalId: principalId
    operatorPrincipalType: principalType
  }
  dependsOn: [
    storage
    logs
    vault
  ]
}

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  params: {
    location: location
    tags: commonTags
    name: names.network
    addressPrefix: networkAddressPrefix
    delegation: isFlex ? 'Microsoft.App/environments' : 'Microsoft.Web/serverFarms'
    zoneNames: zoneList
  }
}

// A storage account takes one new endpoint at a time.
@batchSize(1)
module endpoints 'modules/endpoint.bicep' = [
  for endpoint in endpointList: if (privateNetwork) {
    name: 'endpoint-${endpoint.name}'
    params: {
      location: location
      tags: commonTags
      name: '${names.network}-${endpoint.name}'
      subnetId: network!.outputs.endpointSubnetId
      targetId: endpoint.targetId
      groupId: endpoint.groupId
      zoneNames: endpoint.zoneNames
    }
    dependsOn: [
      storage
      vault
      cluster
    ]
  }
]

module cluster 'modules/cluster.bicep' = if (makesCluster) {
  name: 'cluster'
  params: {
    location: location
    tags: commonTags
    name: names.cluster
    workspaceId: logs.outputs.workspaceId
  }
}

module database 'modules/database.bicep' = if (hasCluster) {
  name: 'database-${token}'
  scope: resourceGroup(clusterParts[2], clusterParts[4])
  params: {
    clusterName: clusterParts[8]
    clusterLocation: makesCluster || empty(adxLocation) ? location : adxLocation
    databaseName: adxDatabase
    createDatabase: adxCreateDatabase
    softDeletePeriod: adxSoftDeletePeriod
    hotCachePeriod: adxHotCachePeriod
    identityId: identityId
    clientId: identity.outputs.clientId
    tenantId: tenant().tenantId
  }
  // The roles are waited for to gain time: a cluster may not know an identity that is seconds old.
  dependsOn: [
    cluster
    roles
  ]
}

// ---------------------------------------------------------------- the app

// One object for both plans, which add what they force. An empty value is the app's default.
var settings = {
  AzureWebJobsStorage__blobServiceUri: storage.outputs.blobEndpoint
  AzureWebJobsStorage__queueServiceUri: storage.outputs.queueEndpoint
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.outputs.clientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: logs.outputs.connectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.outputs.clientId};Authorization=AAD'
  DEFENDER_API: defenderApi
  DEFENDER_CLOUD: defenderCloud
  DEFENDER_TENANT_ID: empty(defenderTenantId) ? tenant().tenantId : defenderTenantId
  DEFENDER_CREDENTIAL: defenderCredential
  DEFENDER_CLIENT_ID: defenderCredential == 'managed-identity' ? identity.outputs.clientId : defenderClientId
  DEFENDER_SECRET_NAME: defenderSecretName
  KEY_VAULT_URL: hasVault ? vault!.outputs.url : ''
  ADX_CLUSTER_URL: hasCluster ? database!.outputs.queryUrl : adxClusterUrl
  ADX_INGEST_URL: hasCluster ? database!.outputs.ingestUrl : adxIngestUrl
  ADX_DATABASE: adxDatabase
  ADX_CREDENTIAL: 'managed-identity'
  ADX_CLIENT_ID: identity.outputs.clientId
  MIGRATION_SCHEDULE: schedule
  MIGRATION_QUEUE: wakeups
  MIGRATION_CONTAINER: stateContainer
  LOG_LEVEL: logLevel
}

module flex 'modules/flex.bicep' = if (isFlex) {
  name: 'flex'
  params: {
    location: location
    tags: commonTags
    siteTags: siteTags
    planName: names.plan
    siteName: names.site
    identityId: identityId
    packageUrl: '${storage.outputs.blobEndpoint}${packageContainer}'
    settings: union(settings, extraSettings)
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    subnetId: privateNetwork ? network!.outputs.appSubnetId : ''
  }
  dependsOn: [
    roles
    endpoints
  ]
}

module premium 'modules/premium.bicep' = if (!isFlex) {
  name: 'premium'
  params: {
    location: location
    tags: commonTags
    siteTags: siteTags
    planName: names.plan
    siteName: names.site
    identityId: identityId
    settings: union(settings, extraSettings)
    skuName: premiumSkuName
    subnetId: privateNetwork ? network!.outputs.appSubnetId : ''
  }
  dependsOn: [
    roles
    endpoints
  ]
}

// ---------------------------------------------------------------- what the hooks and people need; no secret among it

output AZURE_FUNCTION_NAME string = isFlex ? flex!.outputs.name : premium!.outputs.name
output AZURE_FUNCTION_HOST string = isFlex ? flex!.outputs.hostName : premium!.outputs.hostName
output APP_CLIENT_ID string = identity.outputs.clientId
output APP_PRINCIPAL_ID string = identity.outputs.principalId
output KEY_VAULT_URL string = hasVault ? vault!.outputs.url : ''
output ADX_CLUSTER_URL string = hasCluster ? database!.outputs.queryUrl : adxClusterUrl
output ADX_INGEST_URL string = hasCluster ? database!.outputs.ingestUrl : adxIngestUrl
output ADX_DATABASE string = adxDatabase
