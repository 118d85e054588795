package adx

import (
	"reflect"

	"github.com/Azure/azure-kusto-go/azkustoingest"
	"github.com/google/uuid"
)

// reportedAs is an option of the SDK for the id under which ADX reports an ingestion.
// The SDK takes an id that stands in a call's properties for the one to report under, and
// has no option of its own that puts it there; where it has changed, it chooses one
// itself, which sourceID reads.
func reportedAs(id string) azkustoingest.FileOption {
	u, err := uuid.Parse(id)
	if err != nil {
		return azkustoingest.FlushImmediately() // which is asked for in any case
	}
	return withProperties(azkustoingest.FlushImmediately(), azkustoingest.FlushImmediately().Run, u)
}

// properties is an option that sets the id in a call's properties, whose type P only the
// SDK can name.
type properties[P any] struct {
	azkustoingest.FileOption
	run func(P, azkustoingest.ClientScope, azkustoingest.SourceScope) error
	id  uuid.UUID
}

func withProperties[P any](o azkustoingest.FileOption, run func(P, azkustoingest.ClientScope, azkustoingest.SourceScope) error, id uuid.UUID) azkustoingest.FileOption {
	if own, ok := any(properties[P]{o, run, id}).(azkustoingest.FileOption); ok {
		return own
	}
	return o
}

// Run hides the Run of the option within.
func (o properties[P]) Run(p P, client azkustoingest.ClientScope, source azkustoingest.SourceScope) error {
	if at := reflect.Indirect(reflect.ValueOf(p)); at.Kind() == reflect.Struct {
		if of := at.FieldByName("Source"); of.Kind() == reflect.Struct {
			if id := of.FieldByName("ID"); id.IsValid() && id.CanSet() && id.Type() == reflect.TypeFor[uuid.UUID]() {
				id.Set(reflect.ValueOf(o.id))
			}
		}
	}
	return o.run(p, client, source)
}
