// Package azcli stands in for the Azure CLI, as far as the scripts of infra/ call it: it
// keeps a directory, a vault and some resources in a file, records what changes them,
// and refuses what Azure refuses.
package azcli

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/jmespath/go-jmespath"
)

// Object is a JSON object, as the directory and the vault answer it.
type Object = map[string]any

// World is what the stand-in knows: one tenant and one vault of one cloud.
type World struct {
	Cloud, Graph, Tenant string
	Refuse               string // a call that begins so is refused, as for lack of a role
	Applications         []Object
	Principals           []Object // service principals, their app roles and assignments in them
	Secrets              []Object
	Certificates         []Object
	VaultOpen            bool
	Serial               int
	Providers            []string // registered
	Resources            []Object // clusters
	Deleted              []Object // vaults
	Changes              []string // what was called that changes something, bodies included
}

func (w *World) id() string {
	w.Serial++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", w.Serial)
}

// Run does one call of the CLI on the world in a file.
func Run(file string, args []string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var w World
	if err := json.Unmarshal(text, &w); err != nil {
		return err
	}
	var words []string
	flags := map[string][]string{}
	for i := 0; i < len(args); i++ {
		if name, ok := strings.CutPrefix(args[i], "--"); ok {
			for i+1 < len(args) && !strings.HasPrefix(args[i+1], "--") {
				i++
				flags[name] = append(flags[name], args[i])
			}
			continue
		}
		words = append(words, args[i])
	}
	flag := func(name string) string { return strings.Join(flags[name], " ") }
	verb := strings.Join(words, " ")
	if w.Refuse != "" && strings.HasPrefix(verb+" "+flag("method")+" "+flag("url"), w.Refuse) {
		return errors.New("Forbidden: Authorization_RequestDenied")
	}
	var result any
	changes := ""
	switch verb {
	case "cloud show":
		result = Object{"name": w.Cloud}
	case "account show":
		result = Object{"tenantId": w.Tenant}
	case "provider show":
		result = Object{"registrationState": "NotRegistered"}
		if slices.Contains(w.Providers, flag("namespace")) {
			result = Object{"registrationState": "Registered"}
		}
	case "resource list":
		result = append([]Object{}, w.Resources...)
	case "resource show":
		i := slices.IndexFunc(w.Resources, func(r Object) bool { return r["id"] == flag("ids") })
		if i < 0 {
			return errors.New("ResourceNotFound")
		}
		result = w.Resources[i]
	case "keyvault list-deleted":
		result = append([]Object{}, w.Deleted...)
	case "rest":
		if flag("resource") != w.Graph || !strings.HasPrefix(flag("url"), w.Graph+"/v1.0/") {
			return fmt.Errorf("%s is no directory of the cloud %s", flag("url"), w.Cloud)
		}
		path, err := url.PathUnescape(strings.TrimPrefix(flag("url"), w.Graph+"/v1.0/"))
		if err != nil {
			return err
		}
		var body Object
		if flag("method") != "GET" {
			if err := json.Unmarshal([]byte(flag("body")), &body); err != nil {
				return fmt.Errorf("body %s: %w", flag("body"), err)
			}
			changes = flag("method") + " " + path
		}
		if result, err = w.rest(flag("method"), path, body); err != nil {
			return err
		}
	default:
		if !w.VaultOpen && verb != "keyvault update" && verb != "keyvault show" { // those are of the vault, not in it
			return errors.New("(Forbidden) Public network access is disabled. Inner error: ForbiddenByConnection")
		}
		if result, changes, err = w.vault(verb, flag); err != nil {
			return err
		}
	}
	if changes != "" {
		w.Changes = append(w.Changes, changes)
	}
	if query := flag("query"); query != "" {
		// As the CLI's JSON has it, without Go types.
		plain, err := json.Marshal(result)
		if err != nil {
			return err
		}
		var value any
		if err := json.Unmarshal(plain, &value); err != nil {
			return err
		}
		if result, err = jmespath.Search(query, value); err != nil {
			return fmt.Errorf("--query %s: %w", query, err)
		}
	}
	switch flag("output") {
	case "tsv":
		printTSV(result)
	case "json":
		out, _ := json.MarshalIndent(result, "", "  ")
		fmt.Println(string(out))
	}
	out, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return os.WriteFile(file, out, 0o600)
}

// printTSV prints as the CLI does: nothing for null, a list a line each, null in it as None.
func printTSV(v any) {
	switch v := v.(type) {
	case nil:
	case []any:
		for _, item := range v {
			if item == nil {
				item = "None"
			}
			fmt.Println(item)
		}
	default:
		fmt.Println(v)
	}
}

var filterBy = regexp.MustCompile(`^(\w+)\?\$filter=(\w+) eq '([^']*)'`)

// rest is Microsoft Graph, as far as scripts call it.
func (w *World) rest(method, path string, body Object) (any, error) {
	if m := filterBy.FindStringSubmatch(path); m != nil && method == "GET" {
		list := w.Applications
		if m[1] == "servicePrincipals" {
			list = w.Principals
		}
		found := []Object{}
		for _, o := range list {
			if o[m[2]] == m[3] {
				found = append(found, o)
			}
		}
		return Object{"value": found}, nil
	}
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	switch {
	case method == "POST" && path == "applications":
		o := Object{"id": w.id(), "appId": w.id(), "passwordCredentials": []any{}, "keyCredentials": []any{}, "federated": []any{}}
		for k, v := range body {
			o[k] = v
		}
		w.Applications = append(w.Applications, o)
		return o, nil
	case method == "POST" && path == "servicePrincipals":
		for _, p := range w.Principals {
			if p["appId"] == body["appId"] {
				return nil, errors.New("Conflict: the service principal exists already")
			}
		}
		o := Object{"id": w.id(), "appId": body["appId"], "appRoles": []any{}, "assignments": []any{}}
		w.Principals = append(w.Principals, o)
		return o, nil
	}
	list := w.Applications
	if parts[0] == "servicePrincipals" {
		list = w.Principals
	}
	i := slices.IndexFunc(list, func(o Object) bool { return len(parts) > 1 && o["id"] == parts[1] })
	if i < 0 {
		return nil, fmt.Errorf("Not Found: %s %s", method, path)
	}
	o := list[i]
	add := func(key string, v Object) Object {
		items, _ := o[key].([]any)
		o[key] = append(items, v)
		return v
	}
	switch method + " " + strings.Join(parts[2:], "/") {
	case "GET ":
		return o, nil
	case "PATCH ":
		for k, v := range body {
			o[k] = v
		}
		return nil, nil
	case "GET appRoleAssignments":
		return Object{"value": o["assignments"]}, nil
	case "POST appRoleAssignments":
		return w.assign(o, body, add)
	case "GET federatedIdentityCredentials":
		return Object{"value": o["federated"]}, nil
	case "POST federatedIdentityCredentials":
		body["id"] = w.id()
		return add("federated", body), nil
	case "POST addPassword":
		given := body["passwordCredential"].(map[string]any)
		given["keyId"] = w.id()
		add("passwordCredentials", given)
		return Object{"keyId": given["keyId"], "secretText": "SECRET~" + fmt.Sprint(given["keyId"])}, nil
	case "POST removePassword":
		items := o["passwordCredentials"].([]any)
		o["passwordCredentials"] = slices.DeleteFunc(items, func(p any) bool { return p.(map[string]any)["keyId"] == body["keyId"] })
		if len(o["passwordCredentials"].([]any)) == len(items) {
			return nil, errors.New("no such password")
		}
		return nil, nil
	}
	return nil, fmt.Errorf("%s %s: unknown to this stand-in", method, path)
}

// assign gives an app role: one of the resource's own, for applications, and once.
func (w *World) assign(to, body Object, add func(string, Object) Object) (any, error) {
	if body["principalId"] != to["id"] {
		return nil, errors.New("Bad Request: principalId is another")
	}
	for _, a := range to["assignments"].([]any) {
		if a := a.(map[string]any); a["appRoleId"] == body["appRoleId"] && a["resourceId"] == body["resourceId"] {
			return nil, errors.New("Bad Request: Permission being assigned already exists on the object")
		}
	}
	for _, p := range w.Principals {
		for _, r := range p["appRoles"].([]any) {
			role := r.(map[string]any)
			if p["id"] == body["resourceId"] && role["id"] == body["appRoleId"] && slices.Contains(role["allowedMemberTypes"].([]any), any("Application")) {
				body["id"] = w.id()
				return add("assignments", body), nil
			}
		}
	}
	return nil, fmt.Errorf("Bad Request: %v is no app role of %v", body["appRoleId"], body["resourceId"])
}

// vault is `az keyvault`.
func (w *World) vault(verb string, flag func(string) string) (result any, changes string, err error) {
	byName := func(list []Object, name string) int {
		return slices.IndexFunc(list, func(o Object) bool { return o["name"] == name })
	}
	switch verb {
	case "keyvault update":
		w.VaultOpen = flag("public-network-access") == "Enabled"
		return nil, verb + " " + flag("public-network-access") + " " + flag("default-action"), nil
	case "keyvault show":
		access := "Disabled"
		if w.VaultOpen {
			access = "Enabled"
		}
		return Object{"name": flag("name"), "properties": Object{"publicNetworkAccess": access}}, "", nil
	case "keyvault secret list":
		return append([]Object{}, w.Secrets...), "", nil
	case "keyvault secret set":
		value, err := os.ReadFile(flag("file"))
		if err != nil {
			return nil, "", err
		}
		if info, _ := os.Stat(flag("file")); info.Mode().Perm()&0o077 != 0 {
			return nil, "", fmt.Errorf("%s can be read by others", flag("file"))
		}
		tags := Object{}
		for _, tag := range strings.Fields(flag("tags")) {
			k, v, _ := strings.Cut(tag, "=")
			tags[k] = v
		}
		o := Object{"name": flag("name"), "value": string(value), "tags": tags, "attributes": Object{"expires": strings.Replace(flag("expires"), "Z", "+00:00", 1)}}
		if i := byName(w.Secrets, flag("name")); i >= 0 {
			w.Secrets[i] = o
		} else {
			w.Secrets = append(w.Secrets, o)
		}
		return o, verb + " " + flag("name"), nil
	case "keyvault certificate list":
		return append([]Object{}, w.Certificates...), "", nil
	case "keyvault certificate show":
		if i := byName(w.Certificates, flag("name")); i >= 0 {
			return w.Certificates[i], "", nil
		}
		return nil, "", errors.New("CertificateNotFound")
	case "keyvault certificate create":
		var policy struct {
			KeyProperties   struct{ Exportable bool }
			LifetimeActions []struct{ Action struct{ ActionType string } }
		}
		if err := json.Unmarshal([]byte(flag("policy")), &policy); err != nil {
			return nil, "", err
		}
		if !policy.KeyProperties.Exportable || len(policy.LifetimeActions) != 1 || policy.LifetimeActions[0].Action.ActionType != "EmailContacts" {
			return nil, "", fmt.Errorf("a certificate that the handler cannot read, or that renews itself: %s", flag("policy"))
		}
		o := Object{"name": flag("name"), "id": w.id(), "cer": base64.StdEncoding.EncodeToString([]byte("certificate " + w.id()))}
		if i := byName(w.Certificates, flag("name")); i >= 0 {
			w.Certificates[i] = o
		} else {
			w.Certificates = append(w.Certificates, o)
		}
		return o, verb + " " + flag("name"), nil
	}
	return nil, "", fmt.Errorf("%s: unknown to this stand-in", verb)
}
