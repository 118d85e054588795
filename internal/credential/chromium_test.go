package credential

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

// chromium is a browser without a window, driven by its own protocol.
type chromium struct {
	t    *testing.T
	page *websocket.Conn
	id   int
}

var debugAddress = regexp.MustCompile(`DevTools listening on ws://([^/]+)/`)

// startChromium starts the browser that is installed here, or skips the test.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless_shell"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium is installed here")
	}
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--ignore-certificate-errors", "--remote-debugging-port=0", "--remote-allow-origins=*", "--user-data-dir="+profile, "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+profile)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		// Its children go after it, and write into the profile until then.
		for range 100 {
			if os.RemoveAll(profile) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	var host string
	lines := bufio.NewScanner(stderr)
	for host == "" && lines.Scan() {
		if found := debugAddress.FindStringSubmatch(lines.Text()); found != nil {
			host = found[1]
		}
	}
	if host == "" {
		t.Fatal("Chromium did not say where it listens")
	}
	go func() {
		for lines.Scan() { // or it would stand still
		}
	}()
	response, err := http.Get("http://" + host + "/json/list")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var pages []struct {
		Type string
		At   string `json:"webSocketDebuggerUrl"`
	}
	if err := json.NewDecoder(response.Body).Decode(&pages); err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		if p.Type != "page" {
			continue
		}
		conn, err := websocket.Dial(p.At, "", "http://"+host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return &chromium{t: t, page: conn}
	}
	t.Fatal("Chromium has no page")
	return nil
}

// call sends a command and returns what it gives.
func (c *chromium) call(method string, params map[string]any) map[string]any {
	c.id++
	if err := websocket.JSON.Send(c.page, map[string]any{"id": c.id, "method": method, "params": params}); err != nil {
		c.t.Errorf("%s: %v", method, err)
		return nil
	}
	for {
		var answer struct {
			ID     int
			Result map[string]any
			Error  map[string]any
		}
		if err := websocket.JSON.Receive(c.page, &answer); err != nil {
			c.t.Errorf("%s: %v", method, err)
			return nil
		}
		if answer.ID == c.id {
			// What is asked while a page gives way to the next has no answer; it is asked again.
			if text := fmt.Sprint(answer.Error["message"]); answer.Error != nil && !strings.Contains(text, "navigated") {
				c.t.Errorf("%s: %v", method, answer.Error)
			}
			return answer.Result
		}
	}
}

// shows waits until an expression is true on the page.
func (c *chromium) shows(expression string) {
	for range 2000 {
		result := c.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true})
		if inner, _ := result["result"].(map[string]any); inner["value"] == true {
			return
		}
		if c.t.Failed() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.t.Errorf("the page never came to %s", expression)
}

// A person signs in in a real browser: a wrong password first, then the right one, and
// the page that ends it comes from the program.
func TestBrowser_InHeadlessChromium(t *testing.T) {
	skipWithoutShell(t)
	browser := startChromium(t)
	d := withPeople(t)
	address := opened(t)
	cfg := d.config(KindBrowser)
	cfg.Say, cfg.Username = func(string) {}, ana
	done := make(chan struct{})
	go func() {
		defer close(done)
		browser.call("Page.navigate", map[string]any{"url": address()})
		for _, try := range []string{"wrong", password} {
			browser.shows(fmt.Sprintf(`!!document.getElementById("passwd") && document.getElementById("login").value === %q`, ana))
			browser.call("Runtime.evaluate", map[string]any{"expression": fmt.Sprintf(`document.getElementById("passwd").value = %q; document.getElementById("accept").click()`, try)})
			if try == "wrong" {
				browser.shows(`(document.getElementById("said") || {textContent: ""}).textContent.includes("AADSTS50126")`)
			}
		}
		browser.shows(`document.title === "Authentication Complete"`)
	}()
	got, err := d.signIn(t, cfg)
	if err != nil || got.UserName != ana || got.Scopes != "ThreatHunting.Read.All" {
		t.Errorf("got %+v, %v; want a token of %s", got, err, ana)
	}
	<-done
}
