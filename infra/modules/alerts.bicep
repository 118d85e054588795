metadata description = 'Alerts on lines that the handler logs. A test holds their texts and the handler together.'

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('What the names of the rules begin with.')
param namePrefix string

@description('Resource id of the workspace.')
param workspaceId string

@description('Mail address; empty sends none.')
param alertEmail string

@description('Hours without a tick; 0 leaves that alert out.')
@minValue(0)
@maxValue(23)
param heartbeatHours int

// Each line of the handler is one JSON object in AppTraces. A new workspace has no such table before the first line:
// the empty one in the union makes the query valid from the first day.
var lines = 'union isfuzzy=true (datatable(TimeGenerated: datetime, Message: string)[]), AppTraces | extend Line = parse_json(Message) | where isnotempty(Line.msg)'

// A query gives one row with a column Value, and more than zero is the alert.
var always = [
  {
    name: 'given-up'
    title: 'Defender2ADX: a wake-up was given up'
    text: 'The queue gave a wake-up up. The next tick wakes the table again; the audit log says what failed.'
    severity: 2
    window: 'PT15M'
    query: '${lines} | where Line.msg in ("wake-up was given up by the queue", "poisoned message is no wake-up") | summarize Value = count()'
  }
  {
    name: 'errors'
    title: 'Defender2ADX: errors'
    text: 'The handler logged errors.'
    severity: 3
    window: 'PT1H'
    query: '${lines} | where Line.level == "ERROR" | summarize Value = count()'
  }
]
var heartbeat = [
  {
    name: 'heartbeat'
    title: 'Defender2ADX: no tick'
    text: 'For ${heartbeatHours} hours the timer has woken no table: the app does not run, or its schedule is rarer than that.'
    severity: 1
    window: 'P1D'
    query: '${lines} | where Line.msg == "scheduled" | summarize Last = max(TimeGenerated) | project Value = toint(isnull(Last) or Last < ago(${heartbeatHours}h))'
  }
]
var alerts = concat(always, heartbeatHours > 0 ? heartbeat : [])

resource mail 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(alertEmail)) {
  name: '${namePrefix}-mail'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'defender2adx'
    emailReceivers: [
      {
        name: 'operator'
        emailAddress: alertEmail
        useCommonAlertSchema: true
      }
    ]
  }
}

resource rules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for alert in alerts: {
    name: '${namePrefix}-${alert.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: alert.title
      description: alert.text
      enabled: true
      severity: alert.severity
      scopes: [
        workspaceId
      ]
      evaluationFrequency: 'PT15M'
      windowSize: alert.window
      autoMitigate: true
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: alert.query
            timeAggregation: 'Maximum'
            metricMeasureColumn: 'Value'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: empty(alertEmail)
          ? []
          : [
              mail.id
            ]
      }
    }
  }
]
