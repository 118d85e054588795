metadata description = 'The app on App Service Premium v3. Elastic Premium is no choice: it opens its file share with a storage key.'

@description('Region.')
param location string

@description('Tags of the plan.')
param tags object

@description('Tags of the site.')
param siteTags object

@description('Name of the plan.')
param planName string

@description('Name of the site.')
param siteName string

@description('Resource id of the app\'s identity.')
param identityId string

@description('App settings; what this plan needs besides is added here.')
param settings object

@description('Size of the plan.')
@allowed([
  'P0v3'
  'P1v3'
  'P2v3'
])
param skuName string

@description('Subnet to call out from; empty is none.')
param subnetId string

// WEBSITE_RUN_FROM_PACKAGE stands here so that deploying the template again does not take the package away.
var planSettings = {
  FUNCTIONS_EXTENSION_VERSION: '~4'
  FUNCTIONS_WORKER_RUNTIME: 'custom'
  WEBSITE_RUN_FROM_PACKAGE: '1'
}

// The tier follows from the size, and is another for P0v3 than for the rest: it is left out.
resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'linux'
  sku: {
    name: skuName
    capacity: 1
  }
  properties: {
    reserved: true
  }
}

resource site 'Microsoft.Web/sites@2024-04-01' = {
  name: siteName
  location: location
  tags: siteTags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      alwaysOn: true
      ftpsState: 'Disabled'
      http20Enabled: true
      minTlsVersion: '1.2'
      remoteDebuggingEnabled: false
      scmMinTlsVersion: '1.2'
      vnetRouteAllEnabled: !empty(subnetId)
    }
  }
}

resource appSettings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: site
  name: 'appsettings'
  properties: union(settings, planSettings)
}

resource ftpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: site
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource scmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: site
  name: 'scm'
  properties: {
    allow: false
  }
}

@description('Name of the site.')
output name string = site.name

@description('Host name of the site.')
output hostName string = site.properties.defaultHostName
