metadata description = 'One private endpoint, with its names in the DNS zones.'

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Name of the endpoint.')
param name string

@description('Subnet for private endpoints.')
param subnetId string

@description('Resource behind the endpoint.')
param targetId string

@description('Which part of it: blob, queue, vault or cluster.')
param groupId string

@description('DNS zones of this resource group that get its names.')
param zoneNames array

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: groupId
        properties: {
          privateLinkServiceId: targetId
          groupIds: [
            groupId
          ]
        }
      }
    ]
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2020-06-01' existing = [
  for zoneName in zoneNames: {
    name: zoneName
  }
]

resource zoneGroup 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      for (zoneName, i) in zoneNames: {
        name: replace(zoneName, '.', '-')
        properties: {
          privateDnsZoneId: zones[i].id
        }
      }
    ]
  }
}
