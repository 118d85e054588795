package config

// Lookup returns getenv as one instance sees it.
func Lookup(getenv func(string) string, instance string) func(string) string {
	return source{getenv: getenv, instance: instance}.value
}
