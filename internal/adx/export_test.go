package adx

// ControlScripts returns the commands for the control tables and their view.
func ControlScripts() []string { return scriptOf("schema.kql") }

// FunctionScripts returns the commands for the functions over the control tables.
func FunctionScripts() []string { return scriptOf("functions.kql") }

// RawTableScript returns the commands for one raw table.
func RawTableScript(table string) []string { return SplitScript(rawTableScript(table)) }
