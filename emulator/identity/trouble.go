package identity

import "net/http"

// trouble is a refusal for reasons of the service's own, which comes with status 400
// as those of the caller's do.
func (s *Server) trouble() *refusal {
	if s.ownTrouble == nil {
		return nil
	}
	code := s.ownTrouble()
	if code == 0 {
		return nil
	}
	return &refusal{http.StatusBadRequest, code, "invalid_request", "A transient error has occurred. Please try again."}
}
