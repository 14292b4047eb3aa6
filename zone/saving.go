package zone

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"tacit/internal/place"
)

// NewFileMode is the mode of a zone file that is made; one that is there keeps its own.
const NewFileMode fs.FileMode = 0o640

// Edit changes a zone file: change is called with what is in it, and unless that fails or the zone would have grave problems, the
// file is replaced by another one, whole. Two that edit at once do so one after the other; waiting for one's turn ends with ctx.
// A running tacit takes the change up by itself.
//
// Errors are Problems where the file was bad before, and a *Refusal where the edit is.
func Edit(ctx context.Context, at File, now time.Time, o *Options, change func(*MasterFile) error) error {
	return edit(ctx, at, now, o, os.ReadFile, change)
}

// Create makes a zone file. It fails with fs.ErrExist when there is one.
func Create(ctx context.Context, at File, now time.Time, o *Options, change func(*MasterFile) error) error {
	return edit(ctx, at, now, o, func(path string) ([]byte, error) {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, fs.ErrExist)
		}
		return nil, nil
	}, change)
}

func edit(ctx context.Context, at File, now time.Time, o *Options, read func(string) ([]byte, error), change func(*MasterFile) error) error {
	if at.Replica {
		return errReplica
	}
	path := place.Follow(at.Path)
	unlock, err := place.Lock(ctx, path)
	if err != nil {
		return err
	}
	defer unlock()
	before, err := read(path)
	if err != nil {
		return err
	}
	m, problems := ReadMasterFile(at.Path, before, at.Origin)
	if m == nil {
		return problems
	}
	m.sheet.minTTL = o.MinTTL
	if err := change(m); err != nil {
		return err
	}
	after, err := m.Text(now)
	if err != nil {
		return err
	}
	if !m.sheet.edited && len(before) > 0 {
		return nil
	}
	if err := judge(at, before, after, now, o); err != nil {
		return err
	}
	place.Sweep(path)
	return place.Rewrite(path, after, NewFileMode)
}

// copyHead stands above what comes from a primary.
const copyHead = "; This zone is a copy of its primaries': what is changed below is lost. Settings are kept.\n"

const errSaving transferError = "zone file cannot be written"

// An unfitError says what keeps a zone that was transferred from being served, in the words of a problem, which are constants.
type unfitError string

func (e unfitError) Error() string {
	return "zone that was transferred cannot be served: " + string(e)
}

// ConstantText marks the type for the log.
func (unfitError) ConstantText() {}

// adopt puts what has come from a primary into the place of a zone file, below the settings that it had, if that can be served.
func adopt(ctx context.Context, at File, now time.Time, o *Options, text []byte) error {
	path := place.Follow(at.Path)
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errSaving
	}
	text = slices.Concat(settingLines(before), []byte(copyHead), text)
	_, _, problems := Build(&Source{File: at.Path, Text: text, Origin: at.Origin, Changed: now, Replica: true}, now, o)
	for i := range problems {
		switch p := &problems[i]; {
		case p.Warning:
		case p.Line == 0:
			return unfitError(p.Text)
		default:
			return unfitError("a record " + p.Text)
		}
	}
	unlock, err := place.Lock(ctx, path)
	if err != nil {
		return errSaving
	}
	defer unlock()
	place.Sweep(path)
	if place.Rewrite(path, text, NewFileMode) != nil || os.Chtimes(path, now, now) != nil {
		return errSaving
	}
	return nil
}

// judge reads the new text as who serves it will.
func judge(at File, before, after []byte, now time.Time, o *Options) error {
	_, _, problems := Build(&Source{File: at.Path, Text: after, Origin: at.Origin, Changed: now}, now, o)
	if !problems.Grave() {
		return nil
	}
	if _, _, old := Build(&Source{File: at.Path, Text: before, Origin: at.Origin, Changed: now}, now, o); old.Grave() {
		return problems // which the edit has not mended
	}
	for i := range problems {
		if p := &problems[i]; !p.Warning {
			text := refusals[p.Code]
			if text == "" {
				text = "the record " + p.Text
			}
			return &Refusal{Code: p.Code, Text: text}
		}
	}
	return nil
}
