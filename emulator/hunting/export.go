package hunting

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/tenant"
)

const (
	// exportPeriod is how often exports are made anew, and exportOffset when: as seen,
	// a minute past the hour. Source: Defender for Endpoint, export software
	// vulnerabilities assessment per device; the time of its example.
	exportPeriod = 6 * time.Hour
	exportOffset = 5*time.Hour + time.Minute

	// maxSignatureHours is the most that sasValidHours may ask for. Source: the same
	// pages; that of certificates says 24, which is not granted here.
	maxSignatureHours = 6

	// fileRows is how many rows a file holds at most, unless REST says otherwise. The
	// service's own figure is not published.
	fileRows = 25_000

	// keptGenerations is how many earlier generations of all exports can still be read.
	keptGenerations = 24
)

// generation is one export as it was made at one time.
type generation struct {
	frozen *tenant.Frozen
	at     time.Time
	files  []exportFile
}

// exportFile is one file: rows from one number to before another.
type exportFile struct {
	path     string // on the storage account, with the account in front
	from, to int
	moved    string // device whose rows of the files before are repeated behind them
}

// account is the storage account that holds the files. The path has its name, for
// one address serves everything here.
const account = "tvmexportlocal"

// filesPrefix is what paths of files begin with.
const filesPrefix = "/" + account + "/"

// Regenerate makes all exports anew, as the service does every six hours.
func (s *Server) Regenerate() {
	s.rest.mu.Lock()
	defer s.rest.mu.Unlock()
	s.rest.extra++
	s.rest.retire()
}

// retire lets every export be made anew when it is next asked for. The caller holds
// the lock.
func (r *rest) retire() {
	for _, g := range r.exports {
		r.older = append(r.older, g)
	}
	r.older = r.older[max(0, len(r.older)-keptGenerations):]
	r.exports = map[string]*generation{}
}

// current gives an export's newest generation, and makes it if its time has come.
func (s *Server) current(name string) *generation {
	r := &s.rest
	r.mu.Lock()
	defer r.mu.Unlock()
	cycle := s.cycle()
	if !cycle.Equal(r.cycle) {
		if !r.cycle.IsZero() {
			r.retire()
		}
		r.cycle, r.extra = cycle, 0
	}
	if g := r.exports[name]; g != nil {
		return g
	}
	frozen, _ := s.o.Tenant.Freeze(name) // a route names one that is there
	g := &generation{frozen: frozen, at: cycle.Add(time.Duration(r.extra) * time.Minute)}
	g.divide(r.o)
	r.exports[name] = g
	return g
}

// cycle is when the present period of exports and scores began.
func (s *Server) cycle() time.Time {
	return s.o.Now().UTC().Add(-exportOffset).Truncate(exportPeriod).Add(exportOffset)
}

// divide cuts an export into its files: at least two where there are rows for them.
func (g *generation) divide(o REST) {
	rows := g.frozen.Len()
	if rows == 0 || o.NoFiles {
		return
	}
	most := o.FileRows
	if most <= 0 {
		most = fileRows
	}
	files := max((rows+most-1)/most, min(rows, 2))
	id := strconv.FormatInt(g.at.Unix(), 16)
	for i := range files {
		f := exportFile{from: rows * i / files, to: rows * (i + 1) / files}
		if o.MovedDevices && i == files-1 {
			f.moved = g.frozen.FirstDevice()
		}
		f.path = fmt.Sprintf("%stvm-export/%s/%s/json/OrgId=%s/part-%05d-%s-4c69-4490-8769-a4f5468c4f25.c000.json.gz",
			filesPrefix, g.at.Format("2006-01-02/1504"), g.frozen.Folder, organization, 393+i, id)
		g.files = append(g.files, f)
	}
}

// organization is the tenant's id in the paths of files.
const organization = "12345678-195f-4223-9c7a-99fb420fd000"

// exportRoute serves one file export.
func exportRoute(e tenant.Export) route {
	return route{name: e.Name, api: MDE, quota: QuotaFiles, roles: []string{e.Role}, serve: func(c *call, o REST) (*document, *refusal) {
		life := o.SignatureLife
		for name, values := range c.r.URL.Query() {
			if !strings.EqualFold(name, "sasValidHours") {
				return nil, badRequest("The query parameter '" + name + "' is not supported.")
			}
			hours, err := strconv.Atoi(values[0])
			if err != nil || hours < 1 || hours > maxSignatureHours {
				return nil, &refusal{status: http.StatusBadRequest, mde: "InvalidInput", message: fmt.Sprintf("sasValidHours must be between 1 and %d.", maxSignatureHours)}
			}
			if life <= 0 {
				life = time.Duration(hours) * time.Hour
			}
		}
		if life <= 0 {
			life = time.Hour
		}
		g := c.s.current(e.Name)
		body := struct {
			Context   string   `json:"@odata.context"`
			Files     []string `json:"exportFiles"`
			Generated string   `json:"generatedTime"`
		}{contextOf("microsoft.windowsDefenderATP.api.ExportFilesResponse"), []string{}, g.at.Format(time.RFC3339)}
		for _, f := range g.files {
			body.Files = append(body.Files, c.origin()+f.path+"?"+c.s.sign(f.path, life))
		}
		// As the service writes it, with & as it is.
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(body) // strings always encode
		return &document{body: []byte(b.String())}, nil
	}}
}

// contextOf is the @odata.context of Defender for Endpoint.
func contextOf(what string) string {
	return "https://api.securitycenter.microsoft.com/api/$metadata#" + what
}

// origin is the address that the call came to.
func (c *call) origin() string {
	if c.r.TLS == nil {
		return "http://" + c.r.Host
	}
	return "https://" + c.r.Host
}

// sign gives the query of a file's address, good for the life from now: by the
// machine's clock, for storage is another service.
func (s *Server) sign(path string, life time.Duration) string {
	now := s.o.Wall().UTC()
	q := url.Values{
		"sv": {"2020-08-04"}, "sr": {"b"}, "sp": {"r"},
		"st": {now.Add(-time.Minute).Format(time.RFC3339)}, "se": {now.Add(life).Format(time.RFC3339Nano)},
	}
	q.Set("sig", s.signature(path, q))
	return q.Encode()
}

func (s *Server) signature(path string, q url.Values) string {
	h := hmac.New(sha256.New, s.rest.key)
	_, _ = fmt.Fprintf(h, "%s\n%s\n%s\n%s", path, q.Get("sp"), q.Get("st"), q.Get("se")) // a hash takes everything
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func newKey() []byte {
	var key [32]byte
	_, _ = rand.Read(key[:])
	return key[:]
}
