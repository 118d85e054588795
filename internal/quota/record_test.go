package quota

import (
	"testing"

	"github.com/defender2adx/defender2adx/internal/blobstore/storedtest"
)

func TestRecord_EveryMemberIsNamed(t *testing.T) { storedtest.Named(t, record{}) }
