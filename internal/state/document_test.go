package state

import (
	"testing"

	"github.com/defender2adx/defender2adx/internal/blobstore/storedtest"
)

func TestDocuments_EveryMemberIsNamed(t *testing.T) {
	storedtest.Named(t, stateDocument{})
	storedtest.Named(t, ledgerDocument{})
}
