metadata description = 'Key Vault for the credential of the Defender app. No template holds its value: a person or a script stores it afterwards.'

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Name of the vault.')
@minLength(3)
@maxLength(24)
param name string

@description('true closes the public address; a private endpoint is the only way then.')
param private bool

@description('Resource id of the workspace that gets the audit log.')
param workspaceId string

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    enabledForDeployment: false
    enabledForDiskEncryption: false
    enabledForTemplateDeployment: false
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: private ? 'Deny' : 'Allow'
    }
  }
}

resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'audit'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

@description('Address; it ends without a slash.')
output url string = 'https://${vault.name}${environment().suffixes.keyvaultDns}'
