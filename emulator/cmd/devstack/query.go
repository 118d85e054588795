package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/Azure/azure-kusto-go/azkustodata"
	"github.com/Azure/azure-kusto-go/azkustodata/kql"
	"github.com/Azure/azure-kusto-go/azkustodata/query"
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

// cellWidth is where a value is cut, in characters.
const cellWidth = 48

func (c queryCommand) Run(p *process) error {
	d, err := stack.ReadNotice(c.Stack)
	if err != nil {
		return err
	}
	table, err := ask(p.ctx, d, c.KQL)
	if err != nil {
		return err
	}
	width := cellWidth
	if c.Whole {
		width = 0
	}
	return printTable(os.Stdout, table, width)
}

func ask(ctx context.Context, d stack.Description, text string) (query.Table, error) {
	pem, err := os.ReadFile(d.CAFile)
	if err != nil {
		return nil, fmt.Errorf("the stack is gone: %w", err)
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
			return nil, err
		}
		return answer.Tables()[0], nil
	}
	answer, err := client.Query(ctx, d.Database, statement)
	if err != nil {
		return nil, err
	}
	for _, t := range answer.Tables() {
		if t.IsPrimaryResult() {
			return t, nil
		}
	}
	return nil, errors.New("the answer has no result")
}

// printTable writes a head and the rows in columns; width cuts values, 0 does not.
func printTable(out io.Writer, table query.Table, width int) error {
	w := tabwriter.NewWriter(out, 0, 1, 2, ' ', 0)
	var head []string
	for _, c := range table.Columns() {
		head = append(head, c.Name())
	}
	fmt.Fprintln(w, strings.Join(head, "\t"))
	for _, row := range table.Rows() {
		var cells []string
		for _, v := range row.Values() {
			cells = append(cells, cell(v.String(), width))
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "(%s)\n", stack.Counted(int64(len(table.Rows())), "row"))
	return err
}

// cell is a value on one line, cut after width characters.
func cell(text string, width int) string {
	text = strings.NewReplacer("\n", " ", "\r", " ", "\t", " ").Replace(text)
	if runes := []rune(text); width > 0 && len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}

type tokenCommand struct{ running }

// Run prints a bearer token of the emulated ADX's administrator, for curl and
// other clients.
func (c tokenCommand) Run(p *process) error {
	d, err := stack.ReadNotice(c.Stack)
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
