metadata description = 'The database and the two roles of the app in it. Deployed into the resource group of the cluster.'

@description('Name of the cluster.')
param clusterName string

@description('Region of the cluster, and so of a new database.')
param clusterLocation string

@description('Name of the database.')
param databaseName string

@description('false leaves a database that is there, and how long it keeps rows, alone.')
param createDatabase bool

@description('How long rows are kept, ISO 8601.')
param softDeletePeriod string

@description('How long rows stay on fast disks, ISO 8601.')
param hotCachePeriod string

@description('Resource id of the app\'s identity. Assignments get their names from it, since client ids are not known before the deployment.')
param identityId string

@description('Client id of the app\'s identity.')
param clientId string

@description('Tenant of the app\'s identity.')
param tenantId string

// With these the app reads and appends; it can neither make a table nor change one.
var roles = [
  'Ingestor'
  'Viewer'
]

resource cluster 'Microsoft.Kusto/clusters@2024-04-13' existing = {
  name: clusterName
}

resource newDatabase 'Microsoft.Kusto/clusters/databases@2024-04-13' = if (createDatabase) {
  parent: cluster
  name: databaseName
  location: clusterLocation
  kind: 'ReadWrite'
  properties: {
    softDeletePeriod: softDeletePeriod
    hotCachePeriod: hotCachePeriod
  }
}

resource database 'Microsoft.Kusto/clusters/databases@2024-04-13' existing = {
  parent: cluster
  name: databaseName
}

// One after the other: a cluster takes one change at a time.
@batchSize(1)
resource grants 'Microsoft.Kusto/clusters/databases/principalAssignments@2024-04-13' = [
  for role in roles: {
    parent: database
    name: guid(database.id, identityId, role)
    properties: {
      principalId: clientId
      principalType: 'App'
      role: role
      tenantId: tenantId
    }
    dependsOn: [
      newDatabase
    ]
  }
]

@description('Query address.')
output queryUrl string = cluster.properties.uri

@description('Ingestion address.')
output ingestUrl string = cluster.properties.dataIngestionUri
