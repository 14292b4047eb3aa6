package config

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// A File is what a configuration file says and where, before any of it has been checked.
type File struct {
	Name string

	text     []byte
	sections []section
}

// A section is a table of the file, one of its array of tables, or a part of either.
type section struct {
	name     string // dotted; empty above the first header
	repeated bool   // [[name]]
	at       Place
	settings []setting
}

type setting struct {
	key   string // dotted
	at    Place
	value value
}

// A value is one of TOML's.
type value struct {
	kind     kind
	at       Place
	text     string // of a text
	flag     bool   // of a boolean
	number   int64  // of a number
	elements []value
	inner    []setting // of an inline table
}

// Read takes a file apart. The error is Problems with the first mistake in its grammar.
func Read(name string, text []byte) (*File, error) {
	f := &File{Name: name, text: text}
	// The grammar is judged by the decoder, which knows what may not be said twice; the walk below only wants places.
	var discarded map[string]any
	if err := toml.Unmarshal(text, &discarded); err != nil {
		return nil, Problems{f.grammarProblem(err)}
	}
	w := walker{file: f}
	w.parser.Reset(text)
	for w.parser.NextExpression() {
		w.take(w.parser.Expression())
	}
	if err := w.parser.Error(); err != nil {
		return nil, Problems{f.grammarProblem(err)}
	}
	return f, nil
}

func (f *File) grammarProblem(err error) Problem {
	var at Place
	if de, ok := errors.AsType[*toml.DecodeError](err); ok {
		at.Line, at.Column = de.Position()
	}
	return f.problem(at, "", "not TOML: "+strings.TrimPrefix(err.Error(), "toml: "))
}

func (f *File) problem(at Place, key, text string) Problem {
	return Problem{File: f.Name, Place: at, Key: key, Text: text, Line: f.line(at.Line)}
}

// line returns the text of a line, counted from 1.
func (f *File) line(number int) string {
	if number < 1 {
		return ""
	}
	rest := f.text
	for ; number > 1; number-- {
		_, rest, _ = bytes.Cut(rest, []byte("\n"))
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return string(bytes.TrimRight(line, "\r"))
}

// A walker goes through the expressions of a file.
type walker struct {
	file   *File
	parser unstable.Parser
}

func (w *walker) take(n *unstable.Node) {
	switch n.Kind {
	case unstable.Table, unstable.ArrayTable:
		name, at, _ := w.key(n.Key())
		w.file.sections = append(w.file.sections, section{name: name, repeated: n.Kind == unstable.ArrayTable, at: at})
	case unstable.KeyValue:
		if len(w.file.sections) == 0 {
			w.file.sections = append(w.file.sections, section{})
		}
		s := &w.file.sections[len(w.file.sections)-1]
		s.settings = append(s.settings, w.setting(n))
	default: // comments are not kept
	}
}

func (w *walker) setting(n *unstable.Node) setting {
	name, at, end := w.key(n.Key())
	for end < len(w.file.text) && strings.IndexByte(" \t=", w.file.text[end]) >= 0 {
		end++
	}
	return setting{key: name, at: at, value: w.value(n.Value(), w.placeOf(unstable.Range{Offset: uint32(end)}))}
}

func (w *walker) key(it unstable.Iterator) (name string, at Place, end int) {
	var parts []string
	for it.Next() {
		n := it.Node()
		if len(parts) == 0 {
			at = w.placeOf(n.Raw)
		}
		parts = append(parts, string(n.Data))
		end = int(n.Raw.Offset + n.Raw.Length)
	}
	return strings.Join(parts, "."), at, end
}

// value takes the place from the caller: the parser keeps none for an array.
func (w *walker) value(n *unstable.Node, at Place) value {
	v := value{at: at}
	switch n.Kind {
	case unstable.String:
		v.kind, v.text = textKind, string(n.Data)
	case unstable.Bool:
		v.kind, v.flag = boolKind, string(n.Data) == "true"
	case unstable.Integer:
		number, err := strconv.ParseInt(string(n.Data), 0, 64)
		if err == nil {
			v.kind, v.number = numberKind, number
		}
	case unstable.Array:
		v.kind = listKind
		for it := n.Children(); it.Next(); {
			v.elements = append(v.elements, w.element(it.Node(), at))
		}
	case unstable.InlineTable:
		v.kind = tableKind
		for it := n.Children(); it.Next(); {
			v.inner = append(v.inner, w.setting(it.Node()))
		}
	default: // floats and times: no option takes one
	}
	return v
}

func (w *walker) element(n *unstable.Node, array Place) value {
	if n.Kind == unstable.Array {
		return w.value(n, array)
	}
	return w.value(n, w.placeOf(n.Raw))
}

func (w *walker) placeOf(r unstable.Range) Place {
	start := w.parser.Shape(r).Start
	return Place{start.Line, start.Column}
}

// A kind is a kind of value, as far as options tell them apart.
type kind uint8

const (
	otherKind kind = iota
	textKind
	boolKind
	numberKind
	listKind
	tableKind
)

var kindNames = [...]string{
	otherKind: "of a kind that no option takes", textKind: "a text in quotes", boolKind: "true or false",
	numberKind: "a whole number", listKind: "a list of texts in quotes", tableKind: "a table",
}

func (k kind) String() string { return kindNames[k] }
