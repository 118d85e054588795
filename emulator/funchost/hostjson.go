package funchost

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// hostConfig is what this host reads from host.json.
type hostConfig struct {
	functions       []string // allow list of function names; nil means all
	functionTimeout time.Duration
	routePrefix     string
	hasBundle       bool
	handler         handlerConfig
	queues          queueConfig
}

type handlerConfig struct {
	executable       string
	workerDirectory  string
	workingDirectory string
	arguments        []string
	workerPath       string
	workerArguments  []string
	stderrIsError    bool
	forwardHTTP      bool
	initialization   time.Duration
	port             int // 0: any free port
}

type queueConfig struct {
	batchSize         int
	newBatchThreshold int
	maxPolling        time.Duration
	visibility        time.Duration // before a failed message shows again
	maxDequeueCount   int64
	base64            bool
}

// Defaults of the host and its queue extension. Source: host.json reference of
// Azure Functions 2.x and later.
const (
	defaultFunctionTimeout = 30 * time.Minute
	defaultInitialization  = 30 * time.Second
	defaultMaxPolling      = time.Minute

	// developmentMaxPolling replaces a maxPollingInterval that stands at its
	// default when the environment is Development, which it always is here.
	developmentMaxPolling = 2 * time.Second
)

// overridePrefix marks app settings that override a value of host.json; the rest
// of the name is the value's path joined with double underscores.
const overridePrefix = "azurefunctionsjobhost__"

// readHostConfig reads host.json in appRoot and lays the AzureFunctionsJobHost__
// settings over it. All refusals are reported together.
func readHostConfig(appRoot string, s settings) (hostConfig, error) {
	text, err := os.ReadFile(filepath.Join(appRoot, "host.json"))
	if err != nil {
		return hostConfig{}, fmt.Errorf("read host.json: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))))
	decoder.UseNumber()
	var root map[string]any
	if err := decoder.Decode(&root); err != nil {
		return hostConfig{}, fmt.Errorf("parse host.json (%d bytes): %w", len(text), err)
	}
	tree := configTree{values: make(map[string]string)}
	tree.add("", root)
	for name, entry := range s.byName {
		if path, ok := strings.CutPrefix(name, overridePrefix); ok {
			tree.values[strings.ReplaceAll(path, "__", ":")] = entry.value
		}
	}

	if version := tree.text("version", ""); version != "2.0" {
		tree.refuse("version", version, `"2.0"`)
	}
	for _, path := range []string{"customHandler:enableProxyingHttpRequest", "customHandler:http:routes:0:route", "configurationProfile", "httpWorker:description:defaultExecutablePath"} {
		if value := tree.text(path, ""); value != "" && !strings.EqualFold(value, "false") {
			tree.errs = append(tree.errs, fmt.Errorf("%s: not supported by the local host", strings.ReplaceAll(path, ":", ".")))
		}
	}
	const description = "customHandler:description:"
	cfg := hostConfig{
		functions:       tree.list("functions"),
		functionTimeout: tree.span("functionTimeout", defaultFunctionTimeout, -1),
		routePrefix:     strings.Trim(tree.text("extensions:http:routePrefix", "api"), "/"),
		hasBundle:       tree.text("extensionBundle:id", "") != "",
		handler: handlerConfig{
			executable:       s.expand(tree.text(description+"defaultExecutablePath", "")),
			workerDirectory:  s.expand(tree.text(description+"workerDirectory", "")),
			workingDirectory: s.expand(tree.text(description+"workingDirectory", "")),
			arguments:        tree.list(description + "arguments"),
			workerPath:       s.expand(tree.text(description+"defaultWorkerPath", "")),
			workerArguments:  tree.list(description + "workerArguments"),
			stderrIsError:    tree.flag(description+"useStdErrorStreamForErrorsOnly", true),
			forwardHTTP:      tree.flag("customHandler:enableForwardingHttpRequest", false),
			initialization:   tree.span("customHandler:initializationTimeout", defaultInitialization, time.Millisecond),
			port:             tree.number("customHandler:port", 0, 0, 65535),
		},
		queues: queueConfig{
			batchSize:       tree.number("extensions:queues:batchSize", 16, 1, 32),
			maxPolling:      tree.span("extensions:queues:maxPollingInterval", defaultMaxPolling, 100*time.Millisecond),
			visibility:      tree.span("extensions:queues:visibilityTimeout", 0, 0),
			maxDequeueCount: int64(tree.number("extensions:queues:maxDequeueCount", 5, 1, 1<<30)),
		},
	}
	cfg.queues.newBatchThreshold = tree.number("extensions:queues:newBatchThreshold", cfg.queues.batchSize/2*runtime.NumCPU(), 0, 1<<30)
	if cfg.queues.maxPolling == defaultMaxPolling {
		cfg.queues.maxPolling = developmentMaxPolling
	}
	if cfg.handler.executable == "" {
		tree.errs = append(tree.errs, errors.New("customHandler.description.defaultExecutablePath: missing, but this host runs custom handlers only"))
	}
	switch encoding := tree.text("extensions:queues:messageEncoding", "base64"); strings.ToLower(encoding) {
	case "base64":
		cfg.queues.base64 = true
	case "none":
	default:
		tree.refuse("extensions:queues:messageEncoding", encoding, "base64 or none")
	}
	if err := errors.Join(tree.errs...); err != nil {
		return hostConfig{}, fmt.Errorf("read host.json: %w", err)
	}
	return cfg, nil
}

// configTree is a JSON document as the real host's configuration holds it: flat,
// all values text, paths joined with colons and compared without case, array
// elements named by their index. It gathers what it refuses in errs.
type configTree struct {
	values map[string]string
	errs   []error
}

func (t *configTree) add(path string, value any) {
	switch value := value.(type) {
	case nil:
	case map[string]any:
		for name, child := range value {
			t.add(strings.TrimPrefix(path+":"+strings.ToLower(name), ":"), child)
		}
	case []any:
		for i, child := range value {
			t.add(path+":"+strconv.Itoa(i), child)
		}
	default:
		t.values[path] = fmt.Sprint(value)
	}
}

func (t *configTree) refuse(path, got, want string) {
	t.errs = append(t.errs, fmt.Errorf("%s: want %s, got %q", strings.ReplaceAll(path, ":", "."), want, got))
}

func (t *configTree) text(path, otherwise string) string {
	if value, ok := t.values[strings.ToLower(path)]; ok {
		return value
	}
	return otherwise
}

func (t *configTree) list(path string) []string {
	var list []string
	for i := 0; ; i++ {
		value, ok := t.values[strings.ToLower(path)+":"+strconv.Itoa(i)]
		if !ok {
			return list
		}
		list = append(list, value)
	}
}

func (t *configTree) flag(path string, otherwise bool) bool {
	value := t.text(path, strconv.FormatBool(otherwise))
	switch strings.ToLower(value) {
	case "true":
		return true
	case "false":
		return false
	}
	t.refuse(path, value, "true or false")
	return otherwise
}

func (t *configTree) number(path string, otherwise, least, most int) int {
	value := t.text(path, "")
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		t.refuse(path, value, fmt.Sprintf("a number from %d to %d", least, most))
		return otherwise
	}
	return n
}

// span reads a .NET time span. A least of -1 admits the text "-1", which gives 0
// and means without limit.
func (t *configTree) span(path string, otherwise, least time.Duration) time.Duration {
	value := t.text(path, "")
	switch {
	case value == "":
		return otherwise
	case least < 0 && (value == "-1" || value == "-00:00:00.001"):
		return 0
	}
	d, err := parseTimeSpan(value)
	if err != nil || d < least || (least < 0 && d == 0) {
		t.refuse(path, value, "a time span such as 00:05:00")
		return otherwise
	}
	return d
}

var timeSpan = regexp.MustCompile(`^(?:(\d+)\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?$`)

// parseTimeSpan reads [d.]hh:mm[:ss[.fffffff]].
func parseTimeSpan(text string) (time.Duration, error) {
	m := timeSpan.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("parse time span %q: want [d.]hh:mm:ss", text)
	}
	part := func(i int) time.Duration {
		n, _ := strconv.Atoi(m[i]) // the pattern admits digits only; absent is 0
		return time.Duration(n)
	}
	if part(2) > 23 || part(3) > 59 || part(4) > 59 || part(1) > 10_000 {
		return 0, fmt.Errorf("parse time span %q: a part is out of range", text)
	}
	ticks, _ := strconv.Atoi((m[5] + "0000000")[:7]) // of 100 ns
	return part(1)*24*time.Hour + part(2)*time.Hour + part(3)*time.Minute + part(4)*time.Second +
		time.Duration(ticks)*100, nil
}
