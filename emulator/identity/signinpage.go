package identity

import (
	"html/template"
	"net/http"
	"net/url"
)

// devicePage is where people enter the code of another device.
const devicePage = "/common/oauth2/deviceauth"

// page shows what a person sees: a form to sign in, an end, or the way back.
var page = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in</title></head>
<body{{if .Back}} onload="document.forms[0].submit()"{{end}}>
{{if .Said}}<p id="said">{{.Said}}</p>{{end}}
{{if .Back}}<form method="post" action="{{.Back}}">{{range $name, $value := .Hidden}}<input type="hidden" name="{{$name}}" value="{{$value}}">{{end}}
<noscript><button type="submit">Continue</button></noscript></form>
{{else if .Form}}<form method="post">
{{if .Device}}<label>Code <input id="otc" name="otc" value="{{.Code}}" autocomplete="off"></label>{{end}}
<label>User <input id="login" name="login" value="{{.Hint}}" autocomplete="username"></label>
<label>Password <input id="passwd" name="passwd" type="password" autocomplete="current-password"></label>
<button id="accept" type="submit" name="answer" value="yes">Sign in</button>
<button id="decline" type="submit" name="answer" value="no" formnovalidate>Cancel</button></form>{{end}}
</body></html>
`))

// shown fills the page.
type shown struct {
	Said   string
	Form   bool
	Device bool
	Code   string
	Hint   string
	Back   string            // where the browser is sent to
	Hidden map[string]string // with these
}

func show(w http.ResponseWriter, status int, what shown) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store, no-cache")
	w.WriteHeader(status)
	_ = page.Execute(w, what) // the person may be gone
}

// authorize is the page where a person signs in, for a program that waits on this
// machine. What is wrong with the program is shown and never sent on to its address.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.mu.Lock()
	p, tenant, refused := s.client(q.Get("client_id"), r.PathValue("tenant"))
	s.mu.Unlock()
	if refused == nil {
		refused = asks(p, q)
	}
	if refused != nil {
		show(w, http.StatusBadRequest, shown{Said: refused.text()})
		return
	}
	if r.Method != http.MethodPost {
		show(w, http.StatusOK, shown{Form: true, Hint: q.Get("login_hint")})
		return
	}
	back := shown{Back: q.Get("redirect_uri"), Hidden: map[string]string{"state": q.Get("state")}}
	if r.PostFormValue("answer") == "no" {
		back.Hidden["error"], back.Hidden["error_description"] = "access_denied", "AADSTS65004: User declined to consent to access the app."
		show(w, http.StatusOK, back)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.person(tenant, r.PostFormValue("login"), r.PostFormValue("passwd"))
	if err != nil {
		show(w, http.StatusOK, shown{Said: err.Error(), Form: true, Hint: r.PostFormValue("login")})
		return
	}
	code := newCode()
	s.codes[code] = &pass{clientID: p.ClientID, tenant: tenant, user: u, expires: s.now().Add(authCodeLife),
		redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge")}
	back.Hidden["code"] = code
	show(w, http.StatusOK, back)
}

// asks checks what a program asks of the page.
func asks(p *principal, q url.Values) *refusal {
	switch _, unclear := resourceOf(q.Get("scope")); {
	case !p.redirectsTo(q.Get("redirect_uri")):
		return &refusal{http.StatusBadRequest, 50011, "invalid_request", "The redirect URI '" + q.Get("redirect_uri") + "' specified in the request does not match the redirect URIs configured for the application '" + p.ClientID + "'."}
	case q.Get("response_type") != "code":
		return missingParameter("response_type")
	case q.Get("response_mode") != "form_post":
		return missingParameter("response_mode") // the only one that is served here
	case q.Get("code_challenge") == "" || q.Get("code_challenge_method") != "S256":
		return &refusal{http.StatusBadRequest, 9002325, "invalid_request", "Proof Key for Code Exchange is required for cross-origin authorization code redemption."}
	case unclear != nil:
		return unclear
	}
	return nil
}

// enterCode is the page where a person signs in for another device.
func (s *Server) enterCode(w http.ResponseWriter, r *http.Request) {
	form := shown{Form: true, Device: true, Code: r.FormValue("otc"), Hint: r.FormValue("login")}
	if r.Method != http.MethodPost {
		show(w, http.StatusOK, form)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var waiting *pass
	for _, p := range s.device {
		if p.userCode == r.PostFormValue("otc") && p.user == nil && !p.refused && s.now().Before(p.expires) {
			waiting = p
		}
	}
	switch {
	case waiting == nil:
		form.Said = "That code didn't work. Check the code and try again."
		show(w, http.StatusOK, form)
	case r.PostFormValue("answer") == "no":
		waiting.refused = true
		show(w, http.StatusOK, shown{Said: "You have declined. You may now close this window."})
	default:
		u, err := s.person(waiting.tenant, r.PostFormValue("login"), r.PostFormValue("passwd"))
		if err != nil {
			form.Said = err.Error()
			show(w, http.StatusOK, form)
			return
		}
		waiting.user = u
		show(w, http.StatusOK, shown{Said: "You have signed in to the application on your device. You may now close this window."})
	}
}
