metadata description = 'A development cluster: one node, no service level, stops itself when idle. For production bring a cluster of your own.'

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Name of the cluster.')
@minLength(4)
@maxLength(22)
param name string

@description('Resource id of the workspace that gets the log of ingestions.')
param workspaceId string

resource cluster 'Microsoft.Kusto/clusters@2024-04-13' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: 'Dev(No SLA)_Standard_E2a_v4'
    tier: 'Basic'
    capacity: 1
  }
  properties: {
    enableAutoStop: true
    enableDiskEncryption: true
    enablePurge: false
    enableStreamingIngest: false
    publicNetworkAccess: 'Enabled'
  }
}

resource ingestionLog 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: cluster
  name: 'ingestion'
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [
      {
        category: 'FailedIngestion'
        enabled: true
      }
      {
        category: 'IngestionBatching'
        enabled: true
      }
    ]
  }
}
