metadata description = 'The app on Flex Consumption.'

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

@description('Address of the container that holds the package.')
param packageUrl string

@description('App settings.')
param settings object

@description('Memory of an instance in MB.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int

@description('How many instances there may be.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int

@description('Subnet to call out from; empty is none.')
param subnetId string

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

// The runtime stands in functionAppConfig; linuxFxVersion, alwaysOn and FUNCTIONS_WORKER_RUNTIME are refused on this plan.
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
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'custom'
        version: '1.0'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
      }
    }
    siteConfig: {
      ftpsState: 'Disabled'
      http20Enabled: true
      minTlsVersion: '1.2'
      remoteDebuggingEnabled: false
      scmMinTlsVersion: '1.2'
    }
  }
}

resource appSettings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: site
  name: 'appsettings'
  properties: settings
}

@description('Name of the site.')
output name string = site.name

@description('Host name of the site.')
output hostName string = site.properties.defaultHostName
