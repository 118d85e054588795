//go:build !unix

package funchost

import (
	"errors"
	"os"
)

func freezeProcess(*os.Process) error { return errors.ErrUnsupported }
func thawProcess(*os.Process) error   { return errors.ErrUnsupported }
