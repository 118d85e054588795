package credential

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// source is where a secret is read; its text says where, for messages. Errors of read
// carry a fault kind.
type source interface {
	fmt.Stringer
	read(ctx context.Context) (secret.String, error)
}

// newSource returns the source of ref; what names the secret in messages. One that was
// left out is empty.
func newSource(cfg Config, ref secret.Ref, what string) (source, error) {
	switch {
	case ref.Name != "":
		return newVaultSecret(cfg, ref.Name)
	case ref.File != "":
		return fileSecret(ref.File), nil
	}
	return givenSecret{ref.Value, what + " in the settings"}, nil
}

// givenSecret stands in the settings.
type givenSecret struct {
	value secret.String
	where string
}

func (g givenSecret) String() string { return g.where }

func (g givenSecret) read(context.Context) (secret.String, error) { return g.value, nil }

// fileSecret is the path of a file that holds it.
type fileSecret string

func (f fileSecret) String() string { return "file " + string(f) }

// maxSecretFile is more than a certificate with its chain and its key has.
const maxSecretFile = 1 << 20

func (f fileSecret) read(context.Context) (secret.String, error) {
	info, err := os.Stat(string(f))
	if err == nil && info.Size() > maxSecretFile {
		err = fmt.Errorf("it has %d bytes, more than any certificate", info.Size())
	}
	var content []byte
	if err == nil {
		content, err = os.ReadFile(string(f))
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	if err != nil {
		return secret.String{}, fault.As(fault.Permanent, fmt.Errorf("read %s: %w: check path and rights", f, err))
	}
	return secret.New(string(content)), nil
}
