package kusto

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/internal/sleep"
)

// message is the text of a queue message, as far as it is used.
type message struct {
	ID                   string `json:"Id"`
	BlobPath             string
	DatabaseName         string
	TableName            string
	ReportLevel          int // 0 failures, 1 none, 2 failures and successes
	ReportMethod         int // 0 queue, 1 table, 2 both
	AdditionalProperties struct {
		AuthorizationContext      string
		CreationTime              time.Time
		Format                    string
		IgnoreFirstRecord         looseBool
		IngestIfNotExists         string
		IngestionMapping          string
		IngestionMappingReference string
		IngestionMappingType      string
		Tags                      string
	}
	IngestionStatusInTable struct {
		TableConnectionString, PartitionKey, RowKey string
	}
}

// looseBool reads a bool that may be written as a string.
type looseBool bool

// UnmarshalJSON takes true, "true" and "True" alike.
func (b *looseBool) UnmarshalJSON(text []byte) error {
	*b = looseBool(strings.EqualFold(strings.Trim(string(text), `"`), "true"))
	return nil
}

// outcome is how an ingestion ended.
type outcome struct {
	status    string // Succeeded, PartiallySucceeded, Skipped or Failed
	failure   *Failed
	operation string
}

// Failure is an ingestion that failed, as .show ingestion failures lists it.
type Failure struct {
	Operation, Database, Table string
	At                         time.Time
	Source                     string // the blob's address without its signature
	Code, Details, Status      string
	Principal                  string
}

// unsigned is a blob's address without signature and without the suffix that names
// an identity.
func unsigned(blobPath string) string {
	path, _, _ := strings.Cut(blobPath, "?")
	path, _, _ = strings.Cut(path, ";")
	return path
}

// takeIn runs one ingestion to its end. alone is false for the twin of a delivery,
// which does not see the tags.
func (c *Cluster) takeIn(ctx context.Context, m *message, v Verdict, alone bool) outcome {
	operation := newID()
	dropped, failure := 0, v.Fail
	if failure == nil {
		dropped, failure = c.ingestBlob(ctx, m, v, alone)
	}
	switch {
	case failure == nil && dropped > 0:
		return outcome{"PartiallySucceeded", &Failed{Details: fmt.Sprintf("%d records were not ingested.", dropped)}, operation}
	case failure == nil:
		return outcome{"Succeeded", nil, operation}
	case failure.Code == skippedByTag && c.opts.SkippedAsFailed:
		return outcome{"Failed", failure, operation}
	case failure.Code == skippedByTag:
		return outcome{"Skipped", failure, operation}
	}
	if failure.Status == "" {
		failure = permanent(failure.Code, failure.Details)
	}
	c.record(m, failure, operation)
	return outcome{"Failed", failure, operation}
}

// skippedByTag is the code of a blob whose tag the table knows.
// Source: ADX documentation, "Ingestion error codes".
const skippedByTag = "Skipped_IngestByTagAlreadyExists"

func (c *Cluster) record(m *message, f *Failed, operation string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	db, err := c.database(m.DatabaseName)
	if err != nil {
		return // nowhere to list it
	}
	db.failures = append(db.failures, Failure{
		Operation: operation, Database: db.name, Table: m.TableName, At: c.opts.Now().UTC(),
		Source: unsigned(m.BlobPath), Code: f.Code, Details: f.Details, Status: f.Status,
		Principal: c.token.principal(m.AdditionalProperties.AuthorizationContext),
	})
}

// plan is what an ingestion needs to know of its table beforehand.
type plan struct {
	shape       *shaper
	format      string
	tags        []string
	ifNotExists []string // tags, with their prefix
}

// attempts is how often a blob that cannot be read for the moment is tried.
const attempts = 3

// ingestBlob takes the blob in, or says why not. What may pass is tried again.
func (c *Cluster) ingestBlob(ctx context.Context, m *message, v Verdict, alone bool) (dropped int, failure *Failed) {
	for attempt := 1; ; attempt++ {
		p, err := c.planIngestion(m, alone)
		if err == nil {
			dropped, err = c.fill(ctx, m, v, p, alone)
		}
		if err == nil {
			return dropped, nil
		}
		if !errors.As(err, &failure) {
			failure = transient("Download_UnknownError", err.Error())
		}
		if failure.Status != "Transient" {
			return 0, failure
		}
		if attempt == attempts || sleep.For(ctx, time.Duration(attempt)*100*time.Millisecond) != nil {
			failure.Status = "Exhausted"
			return 0, failure
		}
	}
}

// planIngestion checks everything that does not need the blob.
func (c *Cluster) planIngestion(m *message, alone bool) (*plan, error) {
	props := &m.AdditionalProperties
	p := &plan{format: strings.ToLower(props.Format)}
	if p.format == "" {
		p.format = "csv" // Source: ADX documentation, the default of ingestion properties
	}
	var err error
	if p.tags, err = tagList("tags", props.Tags); err != nil {
		return nil, err
	}
	values, err := tagList("ingestIfNotExists", props.IngestIfNotExists)
	if err != nil {
		return nil, err
	}
	for _, value := range values {
		p.ifNotExists = append(p.ifNotExists, ingestBy+value)
	}

	c.mu.RLock()
	defer c.mu.RUnlock()
	db, err := c.database(m.DatabaseName)
	if err != nil {
		return nil, permanent("BadRequest_DatabaseNotExist", fmt.Sprintf("Database '%s' does not exist.", m.DatabaseName))
	}
	who := c.sender(m)
	if !who.has(db, Ingestor) {
		return nil, permanent("Forbidden", fmt.Sprintf("Principal '%s' is not authorized to ingest into database '%s'.", who.principal, db.name))
	}
	t, ok := db.tables[m.TableName]
	if !ok {
		return nil, permanent("BadRequest_TableNotExist", fmt.Sprintf("Table '%s' does not exist in database '%s'.", m.TableName, db.name))
	}
	kind := mappingKind(p.format)
	var using *mapping
	switch {
	case props.IngestionMapping != "":
		parsed, err := parseMapping("", kind, props.IngestionMapping)
		if err != nil {
			return nil, permanent("BadRequest_InvalidMapping", err.Error())
		}
		using = &parsed
	case props.IngestionMappingReference != "":
		stored, ok := t.mappings[mappingKey(kind, props.IngestionMappingReference)]
		if !ok {
			return nil, permanent("BadRequest_MappingReferenceWasNotFound",
				fmt.Sprintf("Mapping reference '%s' of type '%s' in table '%s' was not found.", props.IngestionMappingReference, kind, t.name))
		}
		using = &stored
	}
	if p.shape, err = newShaper(t.columns, using, kind); err != nil {
		return nil, err
	}
	return p, skipped(t, p.ifNotExists, alone)
}

// ingestBy is the prefix of the tags that ingestIfNotExists looks for.
const ingestBy = "ingest-by:"

func skipped(t *table, tags []string, alone bool) error {
	if !alone {
		return nil
	}
	if tag, known := t.tagged(tags); known {
		return permanent(skippedByTag, fmt.Sprintf("Ingestion was skipped: the table already has data tagged '%s'.", tag))
	}
	return nil
}

// sender is the principal whose identity token the message carries.
func (c *Cluster) sender(m *message) caller {
	if c.opts.Authorize == nil {
		return caller{open: true}
	}
	return caller{principal: c.token.principal(m.AdditionalProperties.AuthorizationContext)}
}

// tagList reads a JSON array of strings; empty text is no tag.
func tagList(property, text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	var tags []string
	if json.Unmarshal([]byte(text), &tags) != nil {
		return nil, permanent("BadRequest_CorruptedMessage", fmt.Sprintf("Ingestion property '%s' is not a JSON array of strings.", property))
	}
	return tags, nil
}

// fill reads the blob and commits its rows as one extent.
func (c *Cluster) fill(ctx context.Context, m *message, v Verdict, p *plan, alone bool) (dropped int, err error) {
	body, err := c.download(ctx, m.BlobPath)
	if err != nil {
		return 0, err
	}
	defer func() { _ = body.Close() }() // read to its end, or given up
	rows := newBuilder(p.shape.columns)
	seen := 0
	err = readRecords(body, p.format, bool(m.AdditionalProperties.IgnoreFirstRecord), p.shape, func(row []any) {
		at := seen
		seen++
		if v.Drop != nil && v.Drop(at) {
			dropped++
			return
		}
		if v.Null != nil && v.Null(at) {
			for i, col := range p.shape.columns {
				if col.Type == engine.TypeDynamic {
					row[i] = nil
				}
			}
		}
		rows.add(row)
	})
	if err != nil {
		return 0, err
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	db, err := c.database(m.DatabaseName)
	if err != nil {
		return 0, permanent("BadRequest_DatabaseNotExist", err.Error())
	}
	t, ok := db.tables[m.TableName]
	if !ok {
		return 0, permanent("BadRequest_TableNotExist", fmt.Sprintf("Table '%s' was dropped.", m.TableName))
	}
	if err := skipped(t, p.ifNotExists, alone); err != nil {
		return 0, err
	}
	e := c.commit(t, rows.blocks(), p.tags, m.AdditionalProperties.CreationTime, v.Invisible)
	return dropped, c.update(db, t, e)
}

// download opens the blob at the address as it was given, and unzips by name.
func (c *Cluster) download(ctx context.Context, blobPath string) (io.ReadCloser, error) {
	address, _, _ := strings.Cut(blobPath, ";")
	address = c.opts.Storage.readable(address)
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, permanent("Download_BadRequest", "The blob's address is not a URL.")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, permanent("Download_BadRequest", "The blob's address is not a URL.")
	}
	r.Header.Set("Accept-Encoding", "identity") // bytes as stored, whatever their encoding header says
	r.Header.Set("x-ms-version", "2021-12-02")
	res, err := c.opts.Client.Do(r)
	if err != nil {
		var broken *url.Error
		if errors.As(err, &broken) {
			err = broken.Err // the address holds a signature
		}
		return nil, transient("Download_UnknownError", fmt.Sprintf("Downloading '%s': %v", unsigned(blobPath), err))
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close() // nothing in it is used
		return nil, downloadFailure(res.StatusCode, unsigned(blobPath))
	}
	arrived := &keptError{r: res.Body}
	buffered := bufio.NewReaderSize(arrived, 64<<10)
	body := &blobBody{Reader: buffered, body: res.Body}
	if _, err := buffered.Peek(1); errors.Is(err, io.EOF) {
		_ = body.Close()
		return nil, permanent("BadRequest_EmptyBlob", "The blob is empty.")
	}
	if strings.HasSuffix(strings.ToLower(u.Path), ".gz") {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			_ = body.Close()
			return nil, permanent("BadRequest_InvalidArchive", "The blob's name says gzip, but its bytes do not.")
		}
		body.Reader = &archive{unzipped, arrived}
	}
	return body, nil
}

// downloadFailure names a blob that could not be read.
// Source of the codes: ADX documentation, "Ingestion error codes".
func downloadFailure(status int, blob string) *Failed {
	details := fmt.Sprintf("Downloading '%s': the storage service answered %d.", blob, status)
	switch {
	case status == http.StatusNotFound:
		return permanent("Download_SourceNotFound", details)
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return permanent("Download_Forbidden", details)
	case status == http.StatusTooManyRequests, status >= 500:
		return transient("Download_UnknownError", details)
	}
	return permanent("Download_NotTransient", details)
}

type blobBody struct {
	io.Reader
	body io.Closer
}

func (b *blobBody) Close() error { return b.body.Close() }

// archive names damage in compressed data, as opposed to a broken connection.
type archive struct {
	unzipped io.Reader
	arrived  *keptError
}

func (a *archive) Read(p []byte) (int, error) {
	n, err := a.unzipped.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if a.arrived.err != nil {
		return n, a.arrived.err
	}
	return n, permanent("BadRequest_InvalidArchive", "The compressed data is damaged or cut off.")
}
