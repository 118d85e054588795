package quota

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/blobstore/storedtest"
	"github.com/defender2adx/defender2adx/internal/fault"
)

func TestRecord_EveryMemberIsNamed(t *testing.T) { storedtest.Named(t, record{}) }

// In testdata stands what commit 868dea7 wrote; it is taken up for ever.
func TestRecord_StoredOnesAreTakenUp(t *testing.T) {
	stored, err := os.ReadFile("testdata/868dea7/quota.json")
	if err != nil {
		t.Fatal(err)
	}
	at := func(minute, second, nano int) time.Time {
		return time.Date(2026, 11, 1, 12, minute, second, nano, time.UTC)
	}
	want := record{
		Format: 1, Writer: "4KHXY356VGFXR4LSX3XU7AN4RP", WriteSeq: 33, NotBefore: at(6, 1, 101_249_250),
		Minute: tally{Next: at(1, 0, 722_915_917), Start: at(0, 0, 507_000_000), Calls: 30},
		Hour:   tally{Next: at(1, 30, 507_000_000), Start: at(0, 0, 507_000_000), Calls: 30},
		Line: []place{
			{Who: "DeviceTvmSoftwareInventory", Priority: true, Since: at(1, 1, 134_249_250), At: at(6, 1, 101_249_250)},
			{Who: "contoso/DeviceInfo", Since: at(1, 1, 181_249_250), At: at(6, 4, 101_249_250)},
		},
	}
	got, err := decode(stored, time.Time{})
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Fatalf("decode: %v (-want +got):\n%s", err, diff)
	}
	// Written again it is the same, so that the older program takes it back.
	if again, err := json.Marshal(got); err != nil || !bytes.Equal(again, stored) {
		t.Errorf("written again: %s, %v; want %s", again, err, stored)
	}
}

func TestRecord_UnknownMembersArePassedOver(t *testing.T) {
	got, err := decode([]byte(`{"Format":1,"WriteSeq":7,"Day":{"Calls":3},"Minute":{"Calls":2,"Burst":1}}`), time.Time{})
	if err != nil || got.WriteSeq != 7 || got.Minute.Calls != 2 {
		t.Errorf("decode: %+v, %v", got, err)
	}
}

func TestDecode_WhatItCannotRead(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name, body string
		kind       fault.Kind
	}{
		{"newer format", `{"Format":2,"Minute":[]}`, fault.Wait},
		{"no format", `{}`, fault.Permanent},
		{"no JSON", `{"Format":1,`, fault.Permanent},
		{"another shape", `{"Format":1,"Minute":[]}`, fault.Permanent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := decode([]byte(tt.body), now)
			if fault.KindOf(err) != tt.kind {
				t.Errorf("%v (%v), want kind %v", err, fault.KindOf(err), tt.kind)
			}
			until, wait := fault.Until(err)
			if wait != errors.Is(err, fault.ErrNewer) || wait && !until.Equal(now.Add(time.Hour)) {
				t.Errorf("%v waits until %v", err, until)
			}
		})
	}
}
