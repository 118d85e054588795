package main

import (
	"fmt"

	"github.com/joho/godotenv"
)

// readEnvFile puts the settings of a file over those of the environment: who names a
// file means it, and a machine's own SSL_CERT_FILE or a variable left from another
// app must not mix two apps. The error quotes nothing of the file, which may hold
// secrets.
func (p *process) readEnvFile(path string) error {
	values, err := godotenv.Read(path)
	if err != nil {
		return settingsError{fmt.Errorf("--env-file %s: want lines NAME=value, values with blanks or # in single quotes", path)}
	}
	environment := p.getenv
	p.getenv = func(name string) string {
		if value := values[name]; value != "" {
			return value
		}
		return environment(name)
	}
	for name, value := range values {
		p.environ = append(p.environ, name+"="+value)
		if p.setenv == nil {
			continue
		}
		// For what reads the environment itself: certificates, managed identity, proxies.
		if err := p.setenv(name, value); err != nil {
			return settingsError{fmt.Errorf("--env-file %s: %s cannot be set", path, name)}
		}
	}
	return nil
}
