package hunting

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/gzip"
)

// serveFile answers like Azure's blob service for the files of exports: the signature
// in the address decides, and nothing else.
func (s *Server) serveFile(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	h := w.Header()
	h.Set("x-ms-version", q.Get("sv"))
	h.Set("x-ms-request-id", uuid.NewString())
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		storageError(w, r, http.StatusForbidden, "AuthorizationPermissionMismatch", "This request is not authorized to perform this operation using this permission.")
		return
	}
	expiry, err := time.Parse(time.RFC3339Nano, q.Get("se"))
	switch {
	case r.Header.Get("Authorization") != "":
		storageError(w, r, http.StatusBadRequest, "InvalidAuthenticationInfo", "Authentication information is not given in the correct format. Check the value of Authorization header.")
		return
	case q.Get("sig") == "":
		storageError(w, r, http.StatusConflict, "PublicAccessNotPermitted", "Public access is not permitted on this storage account.")
		return
	case err != nil, q.Get("sig") != s.signature(r.URL.Path, q), !s.o.Wall().Before(expiry):
		s.counters.file(true)
		storageError(w, r, http.StatusForbidden, "AuthenticationFailed", "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.")
		return
	}
	s.counters.file(false)
	g, f, ok := s.file(r.URL.Path)
	if !ok {
		storageError(w, r, http.StatusNotFound, "BlobNotFound", "The specified blob does not exist.")
		return
	}
	h.Set("Content-Type", "application/octet-stream")
	h.Set("x-ms-blob-type", "BlockBlob")
	h.Set("Last-Modified", g.at.Format(http.TimeFormat))
	h.Set("ETag", fmt.Sprintf(`"0x%X"`, g.at.UnixNano()))
	if r.Method == http.MethodHead {
		var size counted
		_ = g.write(&size, f) // counting takes everything
		h.Set("Content-Length", strconv.FormatInt(int64(size), 10))
		return
	}
	_ = g.write(w, f) // the reader may be gone
}

// file finds a file of the newest generations or of those before.
func (s *Server) file(path string) (*generation, exportFile, bool) {
	s.rest.mu.Lock()
	defer s.rest.mu.Unlock()
	find := func(g *generation) (exportFile, bool) {
		for _, f := range g.files {
			if f.path == path {
				return f, true
			}
		}
		return exportFile{}, false
	}
	for _, g := range s.rest.exports {
		if f, ok := find(g); ok {
			return g, f, true
		}
	}
	for _, g := range s.rest.older {
		if f, ok := find(g); ok {
			return g, f, true
		}
	}
	return nil, exportFile{}, false
}

// write makes the file: one object a line, packed.
func (g *generation) write(w io.Writer, f exportFile) error {
	zip, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is valid
	line := func(row []byte) bool {
		_, err := zip.Write(append(row, '\n'))
		return err == nil
	}
	for row := range g.frozen.Rows(f.from, f.to) {
		if !line(row) {
			break
		}
	}
	if f.moved != "" {
		for row := range g.frozen.RowsOf(f.moved, f.from) {
			if !line(row) {
				break
			}
		}
	}
	return zip.Close()
}

// counted counts what is written.
type counted int64

// Write implements io.Writer.
func (c *counted) Write(b []byte) (int, error) {
	*c += counted(len(b))
	return len(b), nil
}

func storageError(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	w.Header().Set("x-ms-error-code", code)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = fmt.Fprintf(w, "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>%s</Code><Message>%s</Message></Error>", code, message) // the client may be gone
	}
}
