package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/Azure/azure-kusto-go/azkustodata"
	kustoerrors "github.com/Azure/azure-kusto-go/azkustodata/errors"
	"github.com/Azure/azure-kusto-go/azkustodata/kql"
	"github.com/Azure/azure-kusto-go/azkustodata/query"
	queryv2 "github.com/Azure/azure-kusto-go/azkustodata/query/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/stack"
)

// running finds the stack that runs in another terminal.
type running struct {
	Stack string `help:"Where a running stack says what it is." default:"${notice}" type:"path"`
}

// administrator signs in as who may do everything in the emulated ADX.
func administrator(d stack.Description) (*azidentity.ManagedIdentityCredential, error) {
	if err := errors.Join(os.Setenv("IDENTITY_ENDPOINT", d.IdentityEndpoint), os.Setenv("IDENTITY_HEADER", d.IdentityHeader)); err != nil {
		return nil, err
	}
	return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: azidentity.ClientID(d.AdminIdentity)})
}

type queryCommand struct {
	running
	KQL   string `arg:"" name:"kql" help:"Query, or management command that begins with a dot."`
	Whole bool   `help:"Do not shorten long values."`
}

func (c queryCommand) Run(p *process) error {
	d, err := c.find(p.ctx)
	if err != nil {
		return err
	}
	table, err := ask(p.ctx, d, c.KQL)
	if err != nil {
		return err
	}
	if c.Whole {
		return printTable(os.Stdout, table, 0, 0)
	}
	return printTable(os.Stdout, table, cellWidth, stack.Width(os.Stdout))
}

func ask(ctx context.Context, d stack.Description, text string) (query.Table, error) {
	pem, err := os.ReadFile(d.CAFile)
	if err != nil {
		return nil, fmt.Errorf("the stack has ended: %w; run make start in another terminal", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	login, err := administrator(d)
	if err != nil {
		return nil, err
	}
	client, err := azkustodata.New(azkustodata.NewConnectionStringBuilder(d.Kusto).WithTokenCredential(login),
		azkustodata.WithHttpClient(&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	// The text is the user's own, whole.
	statement := kql.New("").AddUnsafe(text)
	if strings.HasPrefix(strings.TrimSpace(text), ".") {
		answer, err := client.Mgmt(ctx, d.Database, statement)
		if err != nil {
			return nil, explained(err)
		}
		return answer.Tables()[0], nil
	}
	answer, err := client.Query(ctx, d.Database, statement)
	if err != nil {
		return nil, explained(err)
	}
	for _, t := range answer.Tables() {
		if t.IsPrimaryResult() {
			return t, nil
		}
	}
	return nil, errors.New("the answer has no result")
}

// explained is the sentence with which ADX refuses a text, without the report that
// the SDK makes of it; any other error stays as it is.
func explained(err error) error {
	var broken *queryv2.OneApiError
	if errors.As(err, &broken) && broken.ErrorMessage.Description != "" {
		return fmt.Errorf("ADX broke the answer off: %s", broken.ErrorMessage.Description)
	}
	var refused *kustoerrors.HttpError
	if !errors.As(err, &refused) {
		return err
	}
	body, _ := refused.UnmarshalREST()["error"].(map[string]any)
	says, _ := body["@message"].(string)
	if inner, ok := body["innererror"].(map[string]any); ok {
		if text, ok := inner["@message"].(string); ok {
			says = text // the cause, where the outer one repeats it
		}
	}
	if says == "" {
		return err
	}
	return fmt.Errorf("ADX answers %d: %s", refused.StatusCode, says)
}

// reach looks whether the stack of a description still runs: one that was killed
// leaves its description behind.
func reach(ctx context.Context, d stack.Description) error {
	u, err := url.Parse(d.Kusto)
	if err != nil {
		return fmt.Errorf("read the stack's description: %w", err)
	}
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return fmt.Errorf("the stack does not answer at %s: it was killed, perhaps; run make start again", d.Kusto)
	}
	return conn.Close()
}

// find reads the description of the stack that runs.
func (r running) find(ctx context.Context) (stack.Description, error) {
	d, err := stack.ReadNotice(r.Stack)
	if err != nil {
		return d, err
	}
	return d, reach(ctx, d)
}

type tokenCommand struct{ running }

// Run prints a bearer token of the emulated ADX's administrator, for curl and
// other clients.
func (c tokenCommand) Run(p *process) error {
	d, err := c.find(p.ctx)
	if err != nil {
		return err
	}
	login, err := administrator(d)
	if err != nil {
		return err
	}
	token, err := login.GetToken(p.ctx, policy.TokenRequestOptions{Scopes: []string{identity.AudienceKusto + "/.default"}})
	if err != nil {
		return err
	}
	fmt.Println(token.Token)
	return nil
}

// self is how the user starts this program: what to print before its commands.
func self() string {
	name := os.Args[0]
	if strings.Contains(filepath.ToSlash(name), "/go-build") {
		return "go run ./emulator/cmd/devstack"
	}
	return name
}

// curlLine asks the emulated ADX with a token, as any client must.
func curlLine(d stack.Description) string {
	return fmt.Sprintf(`curl --cacert %s -H "Authorization: Bearer $(%s token)" -H 'Content-Type: application/json' -d '{"db":"%s","csl":"print 1"}' %s/v1/rest/query`,
		d.CAFile, self(), d.Database, d.Kusto)
}
