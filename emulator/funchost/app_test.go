package funchost

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/address"
)

// writeApp makes an app root of the files, by path.
func writeApp(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestSettings_EnvironmentWinsOverTheFile(t *testing.T) {
	root := writeApp(t, map[string]string{"local.settings.json": `{"IsEncrypted": false, "Values": {"A": "file", "B": "file", "N": 5, "X": null}}`})
	s, err := readSettings(root, []string{"b=base", "C=base", "c=later", "E="})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"A=file", "E=", "b=base", "c=later"}, s.environ()); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if got, err := s.resolve("x-%a%-%B%"); got != "x-file-base" || err != nil {
		t.Errorf("resolve = %q, %v", got, err)
	}
	if _, err := s.resolve("%E%"); err == nil {
		t.Error("an empty setting was resolved")
	}
	if got := s.expand("%A% %nope%|"); got != "file |" {
		t.Errorf("expand = %q", got)
	}
}

func TestSettings_RefuseBadFilesWithoutQuotingThem(t *testing.T) {
	for _, text := range []string{`{"IsEncrypted": true}`, `{"Values": {"A": "s3cret"`, `{"Values": "s3cret"}`} {
		_, err := readSettings(writeApp(t, map[string]string{"local.settings.json": text}), nil)
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: error = %v", text, err)
		}
	}
}

func TestSettings_Connection(t *testing.T) {
	s, err := readSettings(t.TempDir(), []string{"AzureWebJobsStorage=UseDevelopmentStorage=true", "Other=plain", "AzureWebJobsOther=prefixed", "Keyless__accountName=x"})
	if err != nil {
		t.Fatal(err)
	}
	developmentStorage := address.ExpandStorage("UseDevelopmentStorage=true")
	for name, want := range map[string]string{"": developmentStorage, "AzureWebJobsStorage": developmentStorage, "Storage": developmentStorage, "other": "prefixed", "Keyless": "", "Nope": ""} {
		got, err := s.connection(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("connection(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
}

const minimalHost = `{"version": "2.0", "customHandler": {"description": {"defaultExecutablePath": "handler"}}, "extensionBundle": {"id": "b"}}`

func readHost(t *testing.T, text string, environ ...string) (hostConfig, error) {
	t.Helper()
	root := writeApp(t, map[string]string{"host.json": text})
	s, err := readSettings(root, environ)
	if err != nil {
		t.Fatal(err)
	}
	return readHostConfig(root, s)
}

func TestHostConfig_Defaults(t *testing.T) {
	got, err := readHost(t, minimalHost, "AzureFunctionsJobHost__extensions__queues__newBatchThreshold=8")
	if err != nil {
		t.Fatal(err)
	}
	want := hostConfig{
		functionTimeout: 30 * time.Minute, routePrefix: "api", hasBundle: true,
		handler: handlerConfig{executable: "handler", stderrIsError: true, initialization: 30 * time.Second},
		queues:  queueConfig{batchSize: 16, newBatchThreshold: 8, maxPolling: 2 * time.Second, maxDequeueCount: 5, base64: true},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(hostConfig{}, handlerConfig{}, queueConfig{})); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

func TestHostConfig_SettingsOverrideTheFile(t *testing.T) {
	got, err := readHost(t, `{"version": "2.0", "functionTimeout": -1, "functions": ["a"],
		"customHandler": {"description": {"defaultExecutablePath": "%BIN%", "arguments": ["-p", "x"]}, "enableForwardingHttpRequest": true},
		"extensions": {"Queues": {"batchSize": 16, "visibilityTimeout": "00:01:00", "messageEncoding": "none"}, "http": {"routePrefix": ""}}}`,
		"BIN=bin/handler",
		"AzureFunctionsJobHost__extensions__queues__batchSize=1",
		"azurefunctionsjobhost__functions__1=b",
		"AzureFunctionsJobHost__extensions__queues__maxPollingInterval=00:00:00.5",
		"AzureFunctionsJobHost__extensions__queues__newBatchThreshold=0")
	if err != nil {
		t.Fatal(err)
	}
	want := hostConfig{
		functions: []string{"a", "b"},
		handler:   handlerConfig{executable: "bin/handler", arguments: []string{"-p", "x"}, stderrIsError: true, forwardHTTP: true, initialization: 30 * time.Second},
		queues:    queueConfig{batchSize: 1, maxPolling: 500 * time.Millisecond, visibility: time.Minute, maxDequeueCount: 5},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(hostConfig{}, handlerConfig{}, queueConfig{})); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

func TestHostConfig_ReportsAllRefusalsTogether(t *testing.T) {
	_, err := readHost(t, `{"version": "1.0", "functionTimeout": "soon",
		"customHandler": {"enableProxyingHttpRequest": true},
		"extensions": {"queues": {"batchSize": 33, "messageEncoding": "utf7"}}}`)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"version", "functionTimeout", "enableProxyingHttpRequest", "batchSize", "messageEncoding", "defaultExecutablePath"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s: %v", want, err)
		}
	}
}

func TestParseTimeSpan_AsTheHost(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"00:30:00": 30 * time.Minute, "00:05": 5 * time.Minute, "1.02:03:04": 26*time.Hour + 3*time.Minute + 4*time.Second,
		"00:00:00.25": 250 * time.Millisecond, "24:00:00": -1, "00:60:00": -1, "30": -1, "": -1, "-1": -1,
	} {
		got, err := parseTimeSpan(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("parseTimeSpan(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
}

func TestReadFunctions_RefusesWhatTheHostRefuses(t *testing.T) {
	const (
		timer = `{"bindings": [{"type": "timerTrigger", "name": "tick", "direction": "in", "schedule": "%SCHEDULE%"}]}`
		queue = `{"bindings": [{"type": "queueTrigger", "name": "job", "direction": "in", "queueName": "%QUEUE%"}]}`
		web   = `{"bindings": [{"type": "httpTrigger", "name": "req", "direction": "in", "route": "ROUTE", "methods": ["get"]}, {"type": "http", "name": "res", "direction": "out"}]}`
	)
	route := func(r string) string { return strings.Replace(web, "ROUTE", r, 1) }
	tests := []struct {
		name    string
		folder  string
		text    string
		environ string
		want    string // trigger, or part of the error after "error: "
	}{
		{"timer", "fanout", timer, "", TriggerTimer},
		{"queue", "migrate", queue, "", TriggerQueue},
		{"http", "status", route("tables/{table?}"), "", TriggerHTTP},
		{"disabled", "fanout", timer, "AzureWebJobs.fanout.Disabled=true", "disabled"},
		{"disabled in the form of Linux", "fanout", timer, "AzureWebJobs_Fanout_Disabled=1", "disabled"},
		{"not in the allow list", "fanout", timer, "AzureFunctionsJobHost__functions__0=other", "absent"},
		{"in the allow list", "fanout", timer, "AzureFunctionsJobHost__functions__0=FANOUT", TriggerTimer},
		{"name host", "host", timer, "", "error: want a name"},
		{"name with a digit first", "1st", timer, "", "error: want a name"},
		{"unset setting", "fanout", strings.ReplaceAll(timer, "SCHEDULE", "NOPE"), "", "error: no app setting for %NOPE%"},
		{"bad schedule", "fanout", strings.ReplaceAll(timer, "%SCHEDULE%", "daily"), "", "error: parse schedule"},
		{"broken json", "fanout", "{", "", "error: parse function.json"},
		{"no bindings", "fanout", "{}", "", "error: at least one binding"},
		{"no trigger", "fanout", `{"bindings": [{"type": "http", "name": "res", "direction": "out"}]}`, "", "error: exactly one trigger"},
		{"two triggers", "fanout", strings.Replace(timer, "]", `, {"type": "httpTrigger", "name": "req"}]`, 1), "", "error: exactly one trigger"},
		{"same name twice", "status", strings.Replace(route("x"), `"res"`, `"REQ"`, 1), "", "error: used twice"},
		{"binding name with a dash", "fanout", strings.Replace(timer, `"tick"`, `"ti-ck"`, 1), "", "error: binding name"},
		{"unknown binding", "fanout", `{"bindings": [{"type": "blobTrigger", "name": "b"}]}`, "", "error: not supported"},
		{"bad queue name", "migrate", strings.ReplaceAll(queue, "%QUEUE%", "a_b"), "", "error: queue name"},
		{"unknown connection", "migrate", strings.Replace(queue, `"direction"`, `"connection": "Nope", "direction"`, 1), "", "error: find connection Nope"},
		{"reserved route", "status", route("administer"), "", "error: must not begin with admin"},
		{"strange route", "status", route("a/{id:guid}"), "", "error: not supported"},
		{"missing script file", "fanout", strings.Replace(timer, "{", `{"scriptFile": "run.sh", `, 1), "", "error: find scriptFile"},
		{"retry block", "fanout", strings.Replace(timer, "{", `{"retry": {"strategy": "fixedDelay"}, `, 1), "", "error: retry"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := writeApp(t, map[string]string{
				"host.json": minimalHost, tt.folder + "/function.json": tt.text,
				"data/readme.txt": "no function", tt.folder + "/deep/function.json": "not looked at",
			})
			all := functionsOf(t, root, "AzureWebJobsStorage=UseDevelopmentStorage=true", "SCHEDULE=0 0 * * * *", "QUEUE=jobs", tt.environ)
			got := "absent"
			if len(all) == 1 {
				switch f := all[0]; {
				case f.Err != nil:
					got = "error: " + f.Err.Error()
				case f.Disabled:
					got = "disabled"
				default:
					got = f.Trigger
				}
			}
			part, isError := strings.CutPrefix(tt.want, "error: ")
			if got != tt.want && !(isError && strings.Contains(got, part)) {
				t.Errorf("function = %s, want %s", got, tt.want)
			}
		})
	}
}

// functionsOf reads the functions of an app whose host.json is sound.
func functionsOf(t *testing.T, root string, environ ...string) []*Function {
	t.Helper()
	s, err := readSettings(root, environ)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := readHostConfig(root, s)
	if err != nil {
		t.Fatal(err)
	}
	all, err := readFunctions(root, cfg, s)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestReadFunctions_SameRouteIsAnErrorForTheSecond(t *testing.T) {
	web := func(route, methods string) string {
		return `{"bindings": [{"type": "httpTrigger", "name": "req", "route": "` + route + `"` + methods + `}]}`
	}
	root := writeApp(t, map[string]string{
		"host.json":       minimalHost,
		"a/function.json": web("x/{id}", `, "methods": ["get", "put"]`),
		"b/function.json": web("X/{id}", `, "methods": ["PUT"]`),
		"c/function.json": web("x/{id}", `, "methods": ["post"]`),
		"d/function.json": web("x/{id}", ``),
	})
	all := functionsOf(t, root)
	got := make(map[string]bool)
	for _, f := range all {
		got[f.Name] = f.Err == nil
	}
	if diff := cmp.Diff(map[string]bool{"a": true, "b": false, "c": true, "d": false}, got); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
}

func TestRouteTemplate_Match(t *testing.T) {
	tests := []struct {
		template, path string
		want           map[string]string // nil: no match
	}{
		{"api/status", "API/Status", map[string]string{}},
		{"api/status", "api", nil},
		{"api/run/{id}", "api/run/42", map[string]string{"id": "42"}},
		{"api/run/{id}", "api/run", nil},
		{"api/run/{id}", "api/run/4/2", nil},
		{"api/run/{id?}", "api/run", map[string]string{}},
		{"api/run/{id:int}", "api/run/42", map[string]string{"id": "42"}},
		{"api/run/{id:int}", "api/run/x", nil},
		{"api/run/{id:int?}", "api/run", map[string]string{}},
		{"api/{a}/{b?}", "api/x/y", map[string]string{"a": "x", "b": "y"}},
		{"files/{*rest}", "files/a/b", map[string]string{"rest": "a/b"}},
		{"files/{*rest}", "files", map[string]string{}},
		{"", "", map[string]string{}},
	}
	for _, tt := range tests {
		template, err := parseRoute(tt.template)
		if err != nil {
			t.Fatal(err)
		}
		var path []string
		if tt.path != "" {
			path = strings.Split(tt.path, "/")
		}
		got, ok := template.match(path)
		if !ok {
			got = nil
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s against %s (-want +got):\n%s", tt.template, tt.path, diff)
		}
	}
}

func TestRouteTemplate_Before(t *testing.T) {
	order := []string{"api/tables/all", "api/tables/{id:int}", "api/tables/{id}", "api/{*rest}"}
	for i := range order {
		for j := range order {
			a, _ := parseRoute(order[i])
			b, _ := parseRoute(order[j])
			if got := a.before(b); got != (i < j) {
				t.Errorf("%s before %s = %v", order[i], order[j], got)
			}
		}
	}
}

func TestSettings_OfTheHostAloneStayWithIt(t *testing.T) {
	s, err := readSettings(t.TempDir(), []string{"AzureWebJobsStorage=mine", "Other=x"})
	if err != nil {
		t.Fatal(err)
	}
	rest := s.without([]string{"azurewebjobsSTORAGE", "Absent"})
	if got := rest.environ(); len(got) != 1 || got[0] != "Other=x" {
		t.Errorf("the handler gets %q, want Other alone", got)
	}
	if got, _ := s.lookup("AzureWebJobsStorage"); got != "mine" {
		t.Errorf("the host reads %q, want its own setting", got)
	}
}
