package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"tacit/internal/wire"
	"tacit/management"
	"tacit/zone"
)

// A manager gives the management API the zones of the running configuration. Their files are what it reads and edits; what it has
// changed is served before it says so.
type manager struct{ server *Server }

var _ management.Manager = manager{}

// editTime bounds how long an edit waits for another one of the same file.
const editTime = 10 * time.Second

// What the API is told.
var (
	errNoDirectory = &management.Error{Code: 1004, Text: "zones.directory is not configured, so there is no place for a new zone"}
	errZoneExists  = &management.Error{Code: 1061, Text: "the zone exists"}
	errZoneName    = &management.Error{Code: 9000, Text: "the name of the zone is invalid"}
	errBadFile     = &management.Error{Code: 1004, Text: "the zone file has mistakes; tacit check lists them"}
)

func (k manager) parts() *parts { return k.server.current.Load() }

func zoneID(origin wire.Name) string { return management.IDOf("zone", apiName(origin)) }

// apiName is a name as the API writes it.
func apiName(name wire.Name) string { return strings.TrimSuffix(name.Reveal(), ".") }

func (k manager) describe(f *zone.FileState) management.Zone {
	z := management.Zone{
		ID: zoneID(f.Origin), Name: apiName(f.Origin), Status: f.Settings.Status.String(), Paused: f.Settings.Paused,
		Partial: f.Settings.Partial, Modified: f.Changed,
	}
	for _, name := range k.parts().config.Zones.Nameservers {
		z.NameServers = append(z.NameServers, apiName(name))
	}
	return z
}

// Zones leaves out what is deleted: it is served for a while, and gone for who manages.
func (k manager) Zones() ([]management.Zone, error) {
	var list []management.Zone
	for _, f := range k.parts().zones.Files() {
		if f.Settings.Status != zone.Deleted {
			list = append(list, k.describe(&f))
		}
	}
	slices.SortFunc(list, func(a, b management.Zone) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (k manager) find(id string) (*zone.FileState, error) {
	for _, f := range k.parts().zones.Files() {
		if zoneID(f.Origin) == id {
			return &f, nil
		}
	}
	return nil, management.ErrNoZone
}

// CreateZone makes an empty zone in the directory; one that was deleted is emptied.
func (k manager) CreateZone(name string) (management.Zone, error) {
	origin, err := wire.ParseName(name)
	if err != nil || origin.IsRoot() || strings.ContainsAny(name, "/\\") {
		return management.Zone{}, errZoneName
	}
	c := k.parts().config
	if f, err := k.find(zoneID(origin)); err == nil {
		if f.Settings.Status != zone.Deleted {
			return management.Zone{}, errZoneExists
		}
		err := k.edit(f.File, func(m *zone.MasterFile) error {
			for _, setting := range []string{"status", "paused", "type"} {
				m.Unset(setting)
			}
			for _, r := range k.managed(m) {
				if err := m.Delete(r); err != nil {
					return err
				}
			}
			return nil
		})
		return k.now(origin, err)
	}
	if c.Zones.Directory == "" {
		return management.Zone{}, errNoDirectory
	}
	at := zone.File{Origin: origin, Path: filepath.Join(c.Zones.Directory, apiName(origin)+".zone")}
	return k.now(origin, k.do(func(ctx context.Context, now time.Time, o *zone.Options) error {
		return zone.Create(ctx, at, now, o, func(*zone.MasterFile) error { return nil })
	}))
}

// now is what a zone is after a change.
func (k manager) now(origin wire.Name, err error) (management.Zone, error) {
	if err != nil {
		return management.Zone{}, err
	}
	f, err := k.find(zoneID(origin))
	if err != nil {
		return management.Zone{}, err
	}
	return k.describe(f), nil
}

func (k manager) ChangeZone(id string, change management.ZoneChange) (management.Zone, error) {
	f, err := k.find(id)
	if err != nil {
		return management.Zone{}, err
	}
	return k.now(f.Origin, k.edit(f.File, func(m *zone.MasterFile) error {
		var err error
		set := func(is *bool, name, setting string) {
			switch {
			case is == nil:
			case *is:
				err = errors.Join(err, m.Set(setting))
			default:
				m.Unset(name)
			}
		}
		set(change.Paused, "paused", "paused")
		if change.Type != nil {
			partial := *change.Type == "partial"
			set(&partial, "type", "type=partial")
		}
		return err
	}))
}

func (k manager) DeleteZone(id string) error {
	f, err := k.find(id)
	if err != nil {
		return err
	}
	return k.edit(f.File, func(m *zone.MasterFile) error { return m.Set("status=deleted") })
}

// managed are the records that the API knows: not what is made here, or follows from the configuration.
func (manager) managed(m *zone.MasterFile) []zone.Record {
	return slices.DeleteFunc(m.Records(), func(r zone.Record) bool {
		return r.Name == m.Origin() && (r.Type == wire.TypeSOA || r.Type == wire.TypeNS)
	})
}

// recordID is what a record is called that has no ID of its own.
func recordID(origin wire.Name, r *zone.Record) string {
	if r.ID != "" {
		return r.ID
	}
	return management.IDOf("record", apiName(origin), apiName(r.Name), zone.TypeText(r.Type), r.Content.RevealOrigin())
}

func describeRecord(origin wire.Name, r *zone.Record, changed time.Time) management.Record {
	return management.Record{
		ID: recordID(origin, r), Name: apiName(r.Name), Type: zone.TypeText(r.Type), Content: r.Content.RevealOrigin(), TTL: r.TTL,
		Proxied: r.Proxied, Flatten: r.Flatten, IPv4Only: r.IPv4Only, IPv6Only: r.IPv6Only, Comment: r.Comment, Tags: r.Tags, Modified: changed,
	}
}

func (k manager) Records(id string) ([]management.Record, error) {
	f, err := k.find(id)
	if err != nil {
		return nil, err
	}
	m, err := read(f)
	if err != nil {
		return nil, err
	}
	var list []management.Record
	for _, r := range k.managed(m) {
		list = append(list, describeRecord(f.Origin, &r, f.Changed))
	}
	return list, nil
}

func read(f *zone.FileState) (*zone.MasterFile, error) {
	text, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, err
	}
	m, _ := zone.ReadMasterFile(f.Path, text, f.Origin)
	if m == nil {
		return nil, errBadFile
	}
	return m, nil
}

// Apply edits a zone file once. A record keeps its ID whatever becomes of it.
func (k manager) Apply(id string, edits []management.Edit) ([]management.Record, error) {
	f, err := k.find(id)
	if err != nil {
		return nil, err
	}
	var left []management.Record
	err = k.edit(f.File, func(m *zone.MasterFile) error {
		left = left[:0]
		ids := map[string]zone.Record{}
		for _, r := range k.managed(m) {
			ids[recordID(m.Origin(), &r)] = r
		}
		for _, e := range edits {
			r, err := apply(m, ids, &e)
			if err != nil {
				return err
			}
			left = append(left, describeRecord(f.Origin, &r, k.server.env.Now()))
		}
		return nil
	})
	return left, err
}

// apply makes one edit, and keeps ids, which are all that there are, up to date.
func apply(m *zone.MasterFile, ids map[string]zone.Record, e *management.Edit) (r zone.Record, err error) {
	old, there := ids[e.ID]
	switch {
	case e.ID != "" && !there:
		return r, management.ErrNoRecord
	case e.Delete:
		delete(ids, e.ID)
		return old, m.Delete(old)
	}
	if e.Change != nil {
		if e.Record, err = e.Change(describeRecord(m.Origin(), &old, time.Time{})); err != nil {
			return r, err
		}
	}
	if r, err = recordOf(m.Origin(), &e.Record); err != nil {
		return r, err
	}
	if r.ID = e.ID; e.ID == "" {
		r, err = addRecord(m, ids, r)
	} else {
		r, err = settled(m, r, m.Replace(old, r))
	}
	ids[recordID(m.Origin(), &r)] = r
	return r, err
}

// addRecord adds a record. If another one had this content before, and with it this ID, it gets one of its own.
func addRecord(m *zone.MasterFile, ids map[string]zone.Record, r zone.Record) (zone.Record, error) {
	made, err := settled(m, r, m.Add(r))
	if err != nil {
		return r, err
	}
	if _, taken := ids[recordID(m.Origin(), &made)]; !taken {
		return made, nil
	}
	r = made
	r.ID = freshID()
	return settled(m, r, m.Replace(made, r))
}

// settled finds a record that was just written: its content is in the words of the library.
func settled(m *zone.MasterFile, r zone.Record, err error) (zone.Record, error) {
	if err != nil {
		return r, err
	}
	for _, at := range slices.Backward(m.At(r.Name, r.Type)) {
		if at.ID == r.ID && (r.ID != "" || at.Line == 0) {
			return at, nil
		}
	}
	return r, nil
}

func freshID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func recordOf(origin wire.Name, from *management.Record) (zone.Record, error) {
	name, err := zone.ParseNameIn(from.Name, origin)
	if err != nil {
		return zone.Record{}, err
	}
	kind, err := zone.ParseType(from.Type)
	if err != nil {
		return zone.Record{}, err
	}
	return zone.Record{
		Name: name, Type: kind, TTL: from.TTL, Content: zone.NewContent(from.Content), Proxied: from.Proxied, Flatten: from.Flatten,
		IPv4Only: from.IPv4Only, IPv6Only: from.IPv6Only, Comment: from.Comment, Tags: from.Tags,
	}, nil
}

func (k manager) Export(id string) ([]byte, error) {
	f, err := k.find(id)
	if err != nil {
		return nil, err
	}
	m, err := read(f)
	if err != nil {
		return nil, err
	}
	return m.Export(), nil
}

func (k manager) Import(id string, text []byte, proxied bool) (added, parsed int, err error) {
	f, err := k.find(id)
	if err != nil {
		return 0, 0, err
	}
	err = k.edit(f.File, func(m *zone.MasterFile) error {
		done, problems := m.Import(zone.Import{File: "import", Text: text, Proxied: proxied}, k.options())
		added, parsed = done.Added, done.Added+done.Known
		for i := range problems {
			if p := &problems[i]; !p.Warning {
				return &zone.Refusal{Code: p.Code, Text: p.Error()}
			}
		}
		return nil
	})
	return added, parsed, err
}

func (k manager) DNSSEC(id string) (management.DNSSEC, error) {
	f, err := k.find(id)
	if err != nil || f.Settings.Signing != zone.Signed {
		return management.DNSSEC{Status: "disabled"}, err
	}
	text, err := ZoneKeys(k.parts().config).DS(f.Origin)
	if err != nil || f.Zone == nil {
		return management.DNSSEC{Status: "pending"}, nil // the key is made when the zone is first served
	}
	d := management.DNSSEC{Status: "active", DS: text}
	if found := f.Zone.Find(f.Origin, wire.TypeDNSKEY); len(found.Sets) == 1 {
		rdata, _ := found.Sets[0].Data.Next()
		d.Flags, d.PublicKey = uint16(rdata[0])<<8|uint16(rdata[1]), base64.StdEncoding.EncodeToString(rdata[4:])
	}
	fields := strings.Fields(text)
	if at := slices.Index(fields, "DS"); at >= 0 && len(fields) > at+4 {
		tag, _ := strconv.ParseUint(fields[at+1], 10, 16) // a number, since it was one
		d.KeyTag, d.Algorithm, d.Digest = uint16(tag), fields[at+2], fields[at+4]
	}
	return d, nil
}

func (k manager) SetDNSSEC(id string, active bool) (management.DNSSEC, error) {
	f, err := k.find(id)
	if err != nil {
		return management.DNSSEC{}, err
	}
	err = k.edit(f.File, func(m *zone.MasterFile) error {
		switch is := m.Settings().Signing; {
		case active && is != zone.Signed:
			return m.Set("signed")
		case !active && is == zone.Signed: // signed on: who still has the DS record would believe nothing else (RFC 8078 section 4)
			return m.Set("signed=disabled")
		default:
			return nil
		}
	})
	if err != nil {
		return management.DNSSEC{}, err
	}
	return k.DNSSEC(id)
}

func (k manager) options() *zone.Options {
	o := ZoneOptions(k.parts().config)
	return &o
}

func (k manager) edit(at zone.File, change func(*zone.MasterFile) error) error {
	return k.do(func(ctx context.Context, now time.Time, o *zone.Options) error {
		return zone.Edit(ctx, at, now, o, change)
	})
}

// do makes an edit, has it served, and says what was wrong in the words of the API.
func (k manager) do(edit func(context.Context, time.Time, *zone.Options) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), editTime) // what has begun ends, whoever waits
	defer cancel()
	err := edit(ctx, k.server.env.Now(), k.options())
	if err == nil {
		k.parts().zones.Look()
		return nil
	}
	if refusal, ok := errors.AsType[*zone.Refusal](err); ok {
		code := refusal.Code
		if code == 0 {
			code = 1004
		}
		return &management.Error{Code: code, Text: refusal.Text}
	}
	if _, ok := errors.AsType[zone.Problems](err); ok {
		return errBadFile
	}
	if errors.Is(err, fs.ErrExist) {
		return errZoneExists
	}
	return err
}
