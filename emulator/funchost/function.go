package funchost

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Trigger kinds of a Function.
const (
	TriggerTimer = "timer"
	TriggerQueue = "queue"
	TriggerHTTP  = "http"
)

// Function is one function folder as the host sees it.
type Function struct {
	Name     string
	Trigger  string // TriggerTimer, TriggerQueue or TriggerHTTP; empty if Err is set
	Disabled bool
	Route    string // HTTP functions: template with prefix, no leading slash
	Err      error  // why the function is not loaded; the others load all the same

	config   json.RawMessage
	trigger  binding
	outputs  []binding
	inputs   int // input bindings, the trigger included
	route    routeTemplate
	methods  []string // upper case; nil means all
	schedule schedule
}

// binding is one entry of function.json. Properties that name things are
// resolved: no %NAME% is left in them.
type binding struct {
	Type         string   `json:"type"`
	Name         string   `json:"name"`
	Direction    string   `json:"direction"`
	DataType     string   `json:"dataType"`
	QueueName    string   `json:"queueName"`
	Connection   string   `json:"connection"`
	Schedule     string   `json:"schedule"`
	RunOnStartup bool     `json:"runOnStartup"`
	UseMonitor   *bool    `json:"useMonitor"`
	Route        *string  `json:"route"`
	Methods      []string `json:"methods"`
}

func (b binding) is(kind string) bool { return strings.EqualFold(b.Type, kind) }
func (b binding) binary() bool        { return strings.EqualFold(b.DataType, "binary") }

// plainHTTP tells whether requests may be forwarded: an HTTP trigger as the only
// input and an http output as the only output.
func (f *Function) plainHTTP() bool {
	return f.Trigger == TriggerHTTP && f.inputs == 1 && len(f.outputs) == 1 && f.outputs[0].is("http")
}

var (
	functionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,127}$`)
	bindingName  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,127}$`)
)

// readFunctions loads every direct sub-folder of appRoot that holds a
// function.json and that the allow list admits. A function that cannot be loaded
// is returned with Err set.
func readFunctions(appRoot string, cfg hostConfig, s settings) ([]*Function, error) {
	entries, err := os.ReadDir(appRoot)
	if err != nil {
		return nil, fmt.Errorf("list functions: %w", err)
	}
	var all []*Function
	for _, entry := range entries {
		name := entry.Name()
		path := filepath.Join(appRoot, name, "function.json")
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			continue
		}
		allowed := cfg.functions == nil || slices.ContainsFunc(cfg.functions, func(s string) bool { return strings.EqualFold(s, name) })
		if !allowed {
			continue
		}
		f := &Function{
			Name: name,
			Disabled: s.enabled("AzureWebJobs."+name+".Disabled") ||
				s.enabled("AzureWebJobs_"+name+"_Disabled"),
		}
		if err := f.load(path, cfg, s); err != nil {
			f.Err = fmt.Errorf("load function %s: %w", name, err)
		} else if twin := conflicting(all, f); twin != nil {
			f.Err = fmt.Errorf("load function %s: its name or route %q is taken by %s", name, f.Route, twin.Name)
		}
		all = append(all, f)
	}
	return all, nil
}

// conflicting returns the function loaded earlier that has the name or, with
// overlapping methods, the route of f.
func conflicting(earlier []*Function, f *Function) *Function {
	for _, other := range earlier {
		if other.Err != nil {
			continue
		}
		if strings.EqualFold(other.Name, f.Name) {
			return other
		}
		sameRoute := f.Trigger == TriggerHTTP && other.Trigger == TriggerHTTP && strings.EqualFold(other.Route, f.Route)
		overlap := f.methods == nil || other.methods == nil ||
			slices.ContainsFunc(f.methods, func(m string) bool { return slices.Contains(other.methods, m) })
		if sameRoute && overlap {
			return other
		}
	}
	return nil
}

func (f *Function) load(path string, cfg hostConfig, s settings) error {
	if !functionName.MatchString(f.Name) || strings.EqualFold(f.Name, "host") {
		return errors.New("want a name of a letter, then letters, digits, _ or -, at most 128 characters, not host")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	var file struct {
		Bindings   []binding       `json:"bindings"`
		ScriptFile string          `json:"scriptFile"`
		Retry      json.RawMessage `json:"retry"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return fmt.Errorf("parse function.json (%d bytes): %w", len(text), err)
	}
	f.config = text
	if file.ScriptFile != "" {
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), file.ScriptFile)); err != nil {
			return fmt.Errorf("find scriptFile: %w", err)
		}
	}
	if file.Retry != nil {
		return errors.New("retry policies are not supported by the local host")
	}
	if len(file.Bindings) == 0 {
		return errors.New("want at least one binding")
	}
	names := make(map[string]bool)
	for _, b := range file.Bindings {
		if b.Type == "" {
			return fmt.Errorf("binding %q has no type", b.Name)
		}
		if b.Name != "$return" && !bindingName.MatchString(b.Name) {
			return fmt.Errorf("binding name %q: want a letter, then letters and digits, at most 128 characters", b.Name)
		}
		if lower := strings.ToLower(b.Name); names[lower] {
			return fmt.Errorf("binding name %q is used twice", b.Name)
		} else {
			names[lower] = true
		}
		if err := f.bind(b, cfg, s); err != nil {
			return fmt.Errorf("binding %s: %w", b.Name, err)
		}
	}
	if f.Trigger == "" {
		return errors.New("want exactly one trigger, found none")
	}
	return nil
}

func (f *Function) bind(b binding, cfg hostConfig, s settings) error {
	var err error
	isTrigger := strings.HasSuffix(strings.ToLower(b.Type), "trigger")
	resolve := func(text string) string {
		out, problem := s.resolve(text)
		err = errors.Join(err, problem)
		return out
	}
	b.QueueName, b.Schedule = resolve(b.QueueName), resolve(b.Schedule)
	b.Connection = resolve(b.Connection)
	if err != nil {
		return err
	}
	if strings.HasPrefix(strings.ToLower(b.Type), "queue") {
		b.QueueName = strings.ToLower(b.QueueName)
		if !validQueueName(b.QueueName) {
			return fmt.Errorf("queue name %q: want 3 to 63 lower-case letters, digits and single dashes", b.QueueName)
		}
		if !cfg.hasBundle {
			return errors.New("queue bindings need an extensionBundle in host.json")
		}
		// A trigger's missing AzureWebJobsStorage is not the function's fault: the
		// whole host refuses to start then.
		hostStorage := b.Connection == "" || strings.EqualFold(b.Connection, defaultConnection)
		if _, err := s.connection(b.Connection); err != nil && !(isTrigger && hostStorage) {
			return err
		}
	}
	if isTrigger && f.Trigger != "" {
		return errors.New("want exactly one trigger, found a second")
	}
	switch {
	case b.is("timerTrigger"):
		if f.schedule, err = parseSchedule(b.Schedule); err != nil {
			return err
		}
		f.Trigger = TriggerTimer
	case b.is("queueTrigger"):
		f.Trigger = TriggerQueue
	case b.is("httpTrigger"):
		route := f.Name
		if b.Route != nil && *b.Route != "" {
			route = *b.Route
		}
		route = strings.Trim(resolve(route), "/")
		for _, reserved := range []string{"admin", "runtime"} {
			if strings.HasPrefix(strings.ToLower(route), reserved) {
				return fmt.Errorf("route %q: must not begin with %s", route, reserved)
			}
		}
		f.Route = strings.TrimPrefix(cfg.routePrefix+"/"+route, "/")
		var problem error
		f.route, problem = parseRoute(f.Route)
		if err = errors.Join(err, problem); err != nil {
			return err
		}
		for _, method := range b.Methods {
			f.methods = append(f.methods, strings.ToUpper(method))
		}
		f.Trigger = TriggerHTTP
	case (b.is("http") || b.is("queue")) && strings.EqualFold(b.Direction, "out"):
		f.outputs = append(f.outputs, b)
		return nil
	default:
		return fmt.Errorf("type %s with direction %q is not supported by the local host", b.Type, b.Direction)
	}
	f.trigger = b
	f.inputs++
	return nil
}

var queueNamePattern = regexp.MustCompile(`^[a-z0-9](?:-?[a-z0-9])+$`)

func validQueueName(name string) bool {
	return len(name) >= 3 && len(name) <= 63 && queueNamePattern.MatchString(name)
}
