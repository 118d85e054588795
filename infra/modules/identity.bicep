metadata description = 'The identity of the app, user-assigned: it is there before the site, and so can its rights be.'

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Name of the identity.')
param name string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('Application (client) id.')
output clientId string = identity.properties.clientId

@description('Object id of the service principal.')
output principalId string = identity.properties.principalId
