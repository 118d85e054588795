package defender_test

import (
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/fault"
)

// A table that is refused for good is not offered; where every question is, as by a tenant
// without the role, nothing is known of any table, and that is no answer.
func TestOffered_ARefusalOfAllIsNoAnswer(t *testing.T) {
	refused := status(403, `{"error":{"code":"Forbidden","message":"Missing application roles. API required roles: ThreatHunting.Read.All"}}`)
	info := status(200, `{"schema":[{"name":"Name","type":"String"},{"name":"Rows","type":"Int64"},{"name":"Columns","type":"Int64"}],"results":[{"Name":"DeviceInfo","Rows":7,"Columns":40}]}`)

	c, _, _ := start(t, nil, refused)
	if offers, err := c.Offered(t.Context(), once{}, []string{"DeviceInfo", "EmailEvents"}); fault.KindOf(err) != fault.Permanent || len(offers) > 0 || !strings.Contains(err.Error(), "ThreatHunting.Read.All") {
		t.Errorf("all refused: %v, %v", offers, err)
	}
	c, _, _ = start(t, nil, refused, info, refused)
	if offers, err := c.Offered(t.Context(), once{}, []string{"DeviceInfo", "EmailEvents"}); err != nil || len(offers) != 1 || offers["DeviceInfo"].Rows != 7 {
		t.Errorf("one refused: %v, %v", offers, err)
	}
}
