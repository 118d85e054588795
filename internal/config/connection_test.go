package config_test

import (
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/config"
)

// A connection string stands for the settings of its instance, and for no other's.
func TestRead_ConnectionStringOfAnInstance(t *testing.T) {
	const tenant, other = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
	none := map[string]string{"DEFENDER_TENANT_ID": "", "DEFENDER_CLIENT_ID": "", "KEY_VAULT_URL": ""}
	with := func(settings map[string]string) func(string) string {
		return func(name string) string {
			if v, ok := settings[name]; ok {
				return v
			}
			if v, ok := none[name]; ok {
				return v
			}
			return complete[name]
		}
	}
	tests := []struct {
		name     string
		settings map[string]string
		instance string
		tenant   string
		client   string
		secret   string
	}{
		{"quoted", map[string]string{"DEFENDER_CONNECTION": "tenant_id='" + tenant + "'; client_id='c1'; client_secret='s;=1'"}, "", tenant, "c1", "s;=1"},
		{"in other forms", map[string]string{"DEFENDER_CONNECTION": `TenantId = ` + tenant + `;clientId="c1" ;ClientSecret=s1;`}, "", tenant, "c1", "s1"},
		{"an instance's own", map[string]string{"DEFENDER_INSTANCES": "b", "DEFENDER_TENANT_ID": other, "DEFENDER_CLIENT_ID": "c0", "DEFENDER_CLIENT_SECRET": "s0",
			"DEFENDER_B_CONNECTION": "tenant_id='" + tenant + "'; client_id='c1'; client_secret='s1'"}, "b", tenant, "c1", "s1"},
		{"for all but what an instance says", map[string]string{"DEFENDER_INSTANCES": "b", "DEFENDER_B_TENANT_ID": other,
			"DEFENDER_CONNECTION": "tenant_id='" + tenant + "'; client_id='c1'; client_secret='s1'"}, "b", other, "c1", "s1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Read(with(tt.settings))
			if err != nil {
				t.Fatal(err)
			}
			i, err := c.Instance(tt.instance)
			d := i.Defender
			if err != nil || i.Fault != nil || d.TenantID != tt.tenant || d.ClientID != tt.client || d.Credential.Secret.Value.Reveal() != tt.secret {
				t.Errorf("got %s, %s, %v, %v", d.TenantID, d.ClientID, i.Fault, err)
			}
		})
	}
	for text, want := range map[string]string{
		"hunter2":                      "a part of it is none of these",
		"password='hunter2'":           "a part of it is none of these",
		"client_secret='hunter2":       "a quote of it is not closed",
		"client_secret='hunter2' x":    "want ; between its parts",
		"client_id=; username=hunter2": "client_id of it is empty",
		"client_id='a';client_id='b'":  "it has client_id twice",
	} {
		_, err := config.Read(with(map[string]string{"DEFENDER_CONNECTION": text, "DEFENDER_TENANT_ID": tenant, "DEFENDER_CLIENT_ID": "c", "KEY_VAULT_URL": "https://v.vault.azure.net"}))
		if err == nil || !strings.HasPrefix(err.Error(), "DEFENDER_CONNECTION: want a connection string") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	_, err := config.Read(with(map[string]string{"DEFENDER_CONNECTION": "tenant_id='" + tenant + "'; client_id='c1'; client_secret='s1'", "DEFENDER_CLIENT_ID": "c2"}))
	if err == nil || !strings.Contains(err.Error(), "DEFENDER_CLIENT_ID: is set beside DEFENDER_CONNECTION, which has it, too") {
		t.Errorf("said twice: %v", err)
	}
	person, i, err := config.ReadInstance(with(map[string]string{"DEFENDER_CONNECTION": "tenant_id='" + tenant + "'; client_id='c1'; username='ana@contoso.com'"}), "")
	if err != nil || i.Defender.Credential.Username != "ana@contoso.com" || i.Defender.Credential.Kind == "secret" {
		t.Errorf("by username: %+v, %v, %v", i.Defender.Credential, person, err)
	}
}
