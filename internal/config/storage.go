package config

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/defender2adx/defender2adx/internal/address"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// connectionString checks what the storage SDKs would refuse one by one, each in
// words of its own. It quotes nothing: a connection string is a secret.
func connectionString(to *secret.String) func(string) error {
	return func(v string) error {
		if err := checkConnectionString(v); err != nil {
			return errors.New("want a connection string such as DefaultEndpointsProtocol=https;AccountName=...;AccountKey=... or UseDevelopmentStorage=true: " + err.Error())
		}
		*to = secret.New(v)
		return nil
	}
}

func checkConnectionString(v string) error {
	given := map[string]string{}
	for part := range strings.SplitSeq(address.ExpandStorage(v), ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return errors.New("a part of it is no name=value")
		}
		given[strings.ToLower(name)] = value
	}
	switch key := given["accountkey"]; {
	case given["accountname"] == "" && (given["blobendpoint"] == "" || given["queueendpoint"] == ""):
		return errors.New("it has no AccountName")
	case key == "" && given["sharedaccesssignature"] == "":
		return errors.New("it has no AccountKey")
	case key != "":
		if _, err := base64.StdEncoding.DecodeString(key); err != nil {
			return errors.New("its AccountKey is no base64")
		}
	}
	return nil
}
