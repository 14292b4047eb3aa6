package management

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

//go:generate go test -run TestDescriptionIsFresh -update .

var update = flag.Bool("update", false, "write the generated files under docs")

const descriptionPath = "../docs/management.openapi.json"

// The description of the API is made of its routes and of the types that it reads and writes.
func TestDescriptionIsFresh(t *testing.T) {
	want := description(t)
	if *update {
		if err := os.WriteFile(descriptionPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := os.ReadFile(descriptionPath); err != nil || string(got) != want {
		t.Errorf("%s is stale: run go generate ./management (%v)", descriptionPath, err)
	}
}

type object = map[string]any

// Parameters of lists.
var (
	paging        = []string{"page", "per_page"}
	recordFilters = []string{
		"type", "name", "name.exact", "name.contains", "name.startswith", "name.endswith",
		"content", "content.exact", "content.contains", "content.startswith", "content.endswith",
		"comment", "comment.exact", "comment.contains", "comment.startswith", "comment.endswith", "comment.present", "comment.absent",
		"tag", "tag.exact", "tag.contains", "tag.startswith", "tag.endswith", "tag.present", "tag.absent", "proxied", "search",
	}
	// schemasOf are those of parameters that are not any text.
	schemasOf = map[string]object{
		"page": {"type": "integer", "minimum": 1}, "per_page": {"type": "integer", "minimum": 1}, "proxied": {"type": "boolean"},
		"match": {"type": "string", "enum": []string{"all", "any"}, "default": "all"}, "tag_match": {"type": "string", "enum": []string{"all", "any"}, "default": "all"},
		"order":     {"type": "string", "enum": []string{"name", "type", "content", "ttl", "proxied"}},
		"direction": {"type": "string", "enum": []string{"asc", "desc"}, "default": "asc"},
	}
)

// bodies are what requests take, queries the parameters of lists, and results what they give, by method and path.
var (
	bodies = map[string]any{
		"POST /zones": struct{ Name string }{},
		"PATCH /zones/{zone}": struct {
			Paused bool
			Type   string
		}{},
		"POST /zones/{zone}/dns_records":           sent{},
		"PUT /zones/{zone}/dns_records/{record}":   sent{},
		"PATCH /zones/{zone}/dns_records/{record}": sent{},
		"POST /zones/{zone}/dns_records/batch":     batchForm[sent]{},
		"PATCH /zones/{zone}/dnssec":               struct{ Status string }{},
	}
	queries = map[string][]string{
		"GET /zones":                    append([]string{"name", "status", "account.id"}, paging...),
		"GET /zones/{zone}/dns_records": slices.Concat(recordFilters, []string{"match", "tag_match", "order", "direction"}, paging),
	}
	results = map[string]any{
		"GET /zones":                                []zoneForm{},
		"POST /zones":                               zoneForm{},
		"GET /zones/{zone}":                         zoneForm{},
		"PATCH /zones/{zone}":                       zoneForm{},
		"DELETE /zones/{zone}":                      idOnly{},
		"GET /zones/{zone}/dns_records":             []recordForm{},
		"POST /zones/{zone}/dns_records":            recordForm{},
		"GET /zones/{zone}/dns_records/{record}":    recordForm{},
		"PUT /zones/{zone}/dns_records/{record}":    recordForm{},
		"PATCH /zones/{zone}/dns_records/{record}":  recordForm{},
		"DELETE /zones/{zone}/dns_records/{record}": idOnly{},
		"POST /zones/{zone}/dns_records/batch":      batchForm[recordForm]{},
		"GET /zones/{zone}/dnssec":                  dnssecForm{},
		"PATCH /zones/{zone}/dnssec":                dnssecForm{},
	}
)

func description(t *testing.T) string {
	t.Helper()
	paths := object{}
	for _, r := range routes {
		path, ok := paths[r.path].(object)
		if !ok {
			path = object{}
			paths[r.path] = path
		}
		path[strings.ToLower(r.method)] = operation(&r)
	}
	text, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "tacit: management of zones", "version": "1",
			"description": "Zones served by tacit and their records, in the shape of the part of Cloudflare's API, version 4, that is about them. " +
				"Off unless management.listen is set.",
		},
		"servers":    []object{{"url": "http://127.0.0.1:5380" + Base}},
		"security":   []object{{"token": []string{}}},
		"components": object{"schemas": schemas, "securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}}},
		"paths":      paths,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

func operation(r *route) object {
	key := r.method + " " + r.path
	o := object{"summary": r.about, "responses": object{
		"200":     object{"description": "Done.", "content": object{"application/json": object{"schema": answered(results[key])}}},
		"default": object{"description": "Not done: success is false, and errors has a code and a sentence.", "content": object{"application/json": object{"schema": answered(nil)}}},
	}}
	if strings.HasSuffix(r.path, "/export") {
		o["responses"].(object)["200"] = object{"description": "A master file (RFC 1035 section 5).", "content": object{"text/plain": object{}}}
	}
	if strings.HasSuffix(r.path, "/import") {
		o["requestBody"] = object{"content": object{"multipart/form-data": object{"schema": object{
			"type": "object", "properties": object{"file": object{"type": "string"}, "proxied": object{"type": "string", "enum": []string{"true", "false"}}},
		}}}}
	}
	if body, ok := bodies[key]; ok {
		o["requestBody"] = object{"content": object{"application/json": object{"schema": schemaOf(reflect.TypeOf(body))}}}
	}
	var parameters []object
	for _, name := range []string{"zone", "record"} {
		if strings.Contains(r.path, "{"+name+"}") {
			parameters = append(parameters, object{
				"name": name, "in": "path", "required": true, "schema": object{"type": "string", "pattern": "^[0-9a-f]{32}$"},
			})
		}
	}
	for _, name := range queries[key] {
		schema := schemasOf[name]
		if schema == nil {
			schema = object{"type": "string"}
		}
		parameters = append(parameters, object{"name": name, "in": "query", "schema": schema})
	}
	if parameters != nil {
		o["parameters"] = parameters
	}
	return o
}

// answered is the schema of an answer with a result.
func answered(result any) object {
	s := schemaOf(reflect.TypeFor[envelope]())
	if result == nil {
		return s
	}
	return object{"allOf": []object{s, {"type": "object", "properties": object{"result": schemaOf(reflect.TypeOf(result))}}}}
}

func schemaOf(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage](), t.Kind() == reflect.Interface:
		return object{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Struct:
		return refer(t)
	default:
		return object{"type": "integer"}
	}
}

// schemas are those of the types that have been referred to.
var schemas = object{}

// refer refers to the schema of a type; one without a name stands where it is.
func refer(t reflect.Type) object {
	name := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return -1
	}, strings.ReplaceAll(t.Name(), "tacit/management.", ""))
	if name == "" {
		return structure(t)
	}
	if schemas[name] == nil {
		schemas[name] = object{}
		schemas[name] = structure(t)
	}
	return object{"$ref": "#/components/schemas/" + name}
}

func structure(t reflect.Type) object {
	properties := object{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		properties[name] = schemaOf(f.Type)
	}
	return object{"type": "object", "properties": properties}
}
