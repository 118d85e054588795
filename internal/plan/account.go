package plan

// Account says why the rows verified are not those planned.
type Account struct{}
