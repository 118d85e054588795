package answer_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/answer"
	"github.com/defender2adx/defender2adx/internal/fault"
)

// Every line says where it is from, what is to be done, and can be reached.
func TestTable_EachRowIsSoundAndReached(t *testing.T) {
	rows := answer.Rows()
	for i, r := range rows {
		if r.Source == "" || r.Meaning == answer.Unknown {
			t.Errorf("row %d has no source or no meaning: %+v", i, r)
		}
		if (r.Min > 0) && r.Max == 0 || r.Max > 0 && r.Min > r.Max {
			t.Errorf("row %d: statuses %d to %d", i, r.Min, r.Max)
		}
		for _, text := range r.Texts {
			if text != strings.ToLower(text) || strings.TrimSpace(text) == "" {
				t.Errorf("row %d: the text %q is not in lower case", i, text)
			}
		}
		if !slices.ContainsFunc(sayings(r), func(s answer.Said) bool { return same(answer.For(s), r) }) {
			t.Errorf("row %d is hidden by those above it: %+v", i, r)
		}
	}
}

// sayings are refusals that the row is made for.
func sayings(r answer.Row) []answer.Said {
	var all []answer.Said
	for _, status := range []int{r.Min, r.Max, 0, 200, 399, 402, 409, 500} {
		for _, code := range append([]string{""}, r.Codes...) {
			for _, text := range append([]string{""}, r.Texts...) {
				s := answer.Said{Service: r.Service, Status: status, Code: code, Text: text, Flag: r.Flag}
				all = append(all, s)
			}
		}
	}
	return all
}

func same(a, b answer.Row) bool {
	return a.Service == b.Service && a.Min == b.Min && a.Max == b.Max && a.Meaning == b.Meaning && a.Kind == b.Kind && a.Source == b.Source &&
		a.Remedy == b.Remedy && slices.Equal(a.Codes, b.Codes) && slices.Equal(a.Texts, b.Texts) && a.Flag == b.Flag
}

func TestFor_WhatDecidesBetweenRows(t *testing.T) {
	tests := []struct {
		name string
		said answer.Said
		want answer.Meaning
		kind fault.Kind
	}{
		{"a throttle that speaks of time-outs", answer.Said{Status: 400, Text: "The query timed out. You can run queries again in 5 minutes."}, answer.Throttled, fault.Wait},
		{"a missing right that speaks of time-outs", answer.Said{Status: 400, Text: "Timeout: access is denied."}, answer.MissingRight, fault.Permanent},
		{"an unknown name that sounds like load", answer.Said{Status: 400, Text: "Failed to resolve scalar expression named 'preempted'"}, answer.UnknownName, fault.Permanent},
		{"load under the code of a faulty request", answer.Said{Status: 400, Code: "InvalidInput", Text: "Query exceeded the timeout period."}, answer.TooMuch, fault.Split},
		{"a faulty request by its code", answer.Said{Status: 400, Code: "InvalidRequestBody", Text: "?"}, answer.BadQuery, fault.Permanent},
		{"any other 400", answer.Said{Status: 400, Text: "?"}, answer.Undecided, fault.Unavailable},
		{"a code in another letter case", answer.Said{Status: 200, Code: "toomanyrequests"}, answer.Throttled, fault.Wait},
		{"Entra's own trouble with 400", answer.Said{Service: answer.Entra, Status: 400, Code: "AADSTS90033", Text: "invalid_request"}, answer.Busy, fault.Retry},
		{"Entra's refusal with 400", answer.Said{Service: answer.Entra, Status: 400, Code: "AADSTS700016", Text: "unauthorized_client"}, answer.WrongTenant, fault.Permanent},
		{"a secret without a number", answer.Said{Service: answer.Entra, Status: 401, Text: "invalid_client"}, answer.WrongSecret, fault.Permanent},
		{"Kusto's flag against its status", answer.Said{Service: answer.Kusto, Status: 400, Flag: answer.Passing}, answer.Busy, fault.Retry},
		{"Kusto's flag with a server error", answer.Said{Service: answer.Kusto, Status: 500, Flag: answer.Permanent, Text: "SEM0100"}, answer.UnknownName, fault.Permanent},
		{"a database that is not there", answer.Said{Service: answer.Kusto, Status: 400, Flag: answer.Permanent, Code: "BadRequest_EntityNotFound", Text: "Entity ID 'db' of kind 'Database' was not found."}, answer.UnknownDatabase, fault.Permanent},
		{"a table that is not there", answer.Said{Service: answer.Kusto, Status: 400, Flag: answer.Permanent, Code: "BadRequest_EntityNotFound", Text: "Entity ID 'T' of kind 'Table' was not found."}, answer.UnknownName, fault.Permanent},
		{"Kusto without a flag", answer.Said{Service: answer.Kusto, Status: 503}, answer.Busy, fault.Retry},
		{"a tag that is there already", answer.Said{Service: answer.Ingestion, Code: "Skipped_IngestByTagAlreadyExists", Text: "Failed Permanent"}, answer.AlreadyIngested, fault.None},
		{"a blob without a record", answer.Said{Service: answer.Ingestion, Code: "BadRequest_EmptyBlob", Text: "Failed Permanent"}, answer.EmptyBlob, fault.Permanent},
		{"another reason to skip", answer.Said{Service: answer.Ingestion, Code: "Skipped_NoRecords"}, answer.IngestionFailed, fault.Permanent},
	}
	for _, tt := range tests {
		if got := answer.For(tt.said); got.Meaning != tt.want || got.Kind != tt.kind {
			t.Errorf("%s: %v, %v; want %v, %v", tt.name, got.Meaning, got.Kind, tt.want, tt.kind)
		}
	}
}

func TestRedact_SecretsOfEveryForm(t *testing.T) {
	const secret = "S3cr3t-0123456789abcdefghij"
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"
	for _, text := range []string{
		"Authorization: Bearer " + secret, `{"Authorization":"Bearer ` + secret + `"}`, `\"authorization\":\"Bearer ` + secret + `\"`,
		"authorization=" + secret, "Authorization: SharedKey account:" + secret, "bearer " + secret, "Bearer%20" + secret, "Basic " + secret,
		"token " + token + " was refused", token, "client_secret=" + secret + "&grant_type=x", `"client_secret":"` + secret + `"`, `"access_token": "` + secret + `"`,
		"client_assertion=" + secret, "password=" + secret, "AccountName=a;AccountKey=" + secret + ";EndpointSuffix=x", "SharedAccessSignature=" + secret,
		"https://a.blob.core.windows.net/c/b?sv=2026&sig=" + secret, "?sig=" + secret, "sig%3d" + secret, "x-functions-key: " + secret, "Signature=" + secret,
	} {
		if got := answer.Redact(text); strings.Contains(got, secret) || strings.Contains(got, "eyJ") || !strings.Contains(got, "[redacted]") {
			t.Errorf("Redact(%q) = %q", text, got)
		}
	}
	for _, text := range []string{
		"Lifetime validation failed, the token is expired.", "Maximum allowed 30 per 00:01:00 for the key. You can send requests again in 8 seconds.",
		"Failed to resolve scalar expression named 'Token'", "AADSTS7000215: Invalid client secret provided.", "https://graph.microsoft.com/v1.0",
		"Missing application roles. API required roles: ThreatHunting.Read.All", "Authorization_RequestDenied",
	} {
		if got := answer.Redact(text); got != text {
			t.Errorf("Redact(%q) = %q, want it as it was", text, got)
		}
	}
}

func TestQuote_OneShortLine(t *testing.T) {
	if got := answer.Quote("a\r\n b\u2028c  d", 100); got != "a b c d" {
		t.Errorf("got %q", got)
	}
	if got := answer.Quote(strings.Repeat("ä", 10), 5); got != "ää…" {
		t.Errorf("got %q", got)
	}
}

func TestTrimMark_OnlyInFront(t *testing.T) {
	for text, want := range map[string]string{"\ufeff{}": "{}", "{}": "{}", "": "", "{\ufeff}": "{\ufeff}"} {
		if got := string(answer.TrimMark([]byte(text))); got != want {
			t.Errorf("TrimMark(%q) = %q", text, got)
		}
	}
}
