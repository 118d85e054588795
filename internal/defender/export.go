package defender

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/defender2adx/defender2adx/internal/address"
	"github.com/defender2adx/defender2adx/internal/answer"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/schema"
	"github.com/defender2adx/defender2adx/internal/secret"
)

const (
	// exportQuery asks for addresses that are signed for as long as every export lets
	// one ask for. Source: Defender for Endpoint, export assessment methods.
	exportQuery = "sasValidHours=6"
	// maxExportBytes of an answer are read: half a kilobyte a file, and no tenant is
	// known to have ten thousand.
	maxExportBytes = 64 << 20
)

// Exports asks Defender for Endpoint for the files of its exports. It is safe for
// concurrent use.
type Exports struct{ client *Client }

// NewExports returns the exports that the client, which must be of Defender for
// Endpoint, can ask for.
func NewExports(client *Client) *Exports { return &Exports{client} }

// API names the interface, for the audit row.
func (e *Exports) API() string { return e.client.API() }

// Ready gets a token, which is kept by the credential.
func (e *Exports) Ready(ctx context.Context) error { return e.client.Ready(ctx) }

// Export asks for the files of a table's newest export. Their addresses are secret:
// each lets whoever has it read the file.
func (e *Exports) Export(ctx context.Context, call plan.Caller, t plan.Table) (out plan.Export, err error) {
	c := e.client
	source, ok := schema.SourceNamed(t.Source)
	if !ok || source.Kind != schema.Files {
		return out, c.named(fault.As(fault.Permanent, fmt.Errorf("%s is no file export", clip(t.Source, 80))))
	}
	at := c.base.JoinPath(source.Path)
	at.RawQuery = exportQuery
	q := question{table: t, source: &source}
	err = c.do(ctx, call, func(ctx context.Context) error {
		body, err := c.get(ctx, q, at.String(), maxExportBytes)
		if err != nil {
			return err
		}
		if out, err = parseExport(body); err != nil {
			return c.named(fault.As(fault.Unavailable, err))
		}
		return nil
	})
	return out, err
}

// get asks a question by GET and returns the body of its answer.
func (c *Client) get(ctx context.Context, q question, at string, most int64) ([]byte, error) {
	sent, err := c.tokens.get(ctx)
	if err != nil {
		return nil, err
	}
	ctx, watch := newWatchdog(ctx)
	defer watch.stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return nil, c.named(fault.As(fault.Permanent, fmt.Errorf("make request: %w", err)))
	}
	reply, err := c.send(ctx, watch, request, sent)
	if err != nil {
		return nil, c.named(err)
	}
	if reply.StatusCode != http.StatusOK {
		return nil, c.named(c.failure(q, c.readRefusal(watch, reply), sent))
	}
	defer reply.Body.Close()
	body, err := unpacked(watch.body(reply.Body, c.cfg.IdleTimeout), reply.Header)
	if err != nil {
		return nil, c.named(c.broken(ctx, watch, err))
	}
	text, err := io.ReadAll(io.LimitReader(body, most+1))
	switch {
	case err != nil:
		return nil, c.named(c.broken(ctx, watch, err))
	case int64(len(text)) > most:
		return nil, c.named(fault.As(fault.Permanent, fmt.Errorf("the answer is larger than %d bytes", most)))
	}
	return answer.TrimMark(text), nil
}

// parseExport reads the answer of an export. No error quotes an address.
func parseExport(body []byte) (out plan.Export, err error) {
	var a struct {
		ExportFiles   *[]string
		GeneratedTime string
	}
	if json.Unmarshal(body, &a) != nil || a.ExportFiles == nil {
		return out, errors.New("the answer is no list of files")
	}
	if out.Generated, err = plan.ParseStamp(a.GeneratedTime); err != nil {
		return out, fmt.Errorf("generatedTime: %w", err)
	}
	at := map[string]string{} // host by name
	for _, text := range *a.ExportFiles {
		u, err := url.Parse(text)
		if err != nil || !address.Trusted(u) || u.Path == "" {
			return out, errors.New("the list of files holds what is no https address")
		}
		switch host, twice := at[u.Path]; {
		case twice && host == u.Host:
			continue
		case twice:
			return out, errors.New("the list of files holds two of one name")
		}
		at[u.Path] = u.Host
		out.Files = append(out.Files, plan.ExportFile{Name: u.Path, URL: secret.New(text)})
	}
	return out, nil
}
