package management

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A recordForm is a record in JSON, as it is given.
type recordForm struct {
	ID        string         `json:"id"`
	ZoneID    string         `json:"zone_id"`
	ZoneName  string         `json:"zone_name"`
	Name      string         `json:"name"`
	Type      string         `json:"type"`
	Content   string         `json:"content"`
	Priority  *uint16        `json:"priority,omitempty"`
	Data      map[string]any `json:"data,omitempty"`
	Proxiable bool           `json:"proxiable"`
	Proxied   bool           `json:"proxied"`
	TTL       uint32         `json:"ttl"`
	Settings  settings       `json:"settings"`
	Meta      struct{}       `json:"meta"`
	Comment   *string        `json:"comment"`
	Tags      []string       `json:"tags"`
	Created   time.Time      `json:"created_on"`
	Modified  time.Time      `json:"modified_on"`
}

type settings struct {
	Flatten  bool `json:"flatten_cname,omitempty"`
	IPv4Only bool `json:"ipv4_only,omitempty"`
	IPv6Only bool `json:"ipv6_only,omitempty"`
}

func formOf(z *Zone, r *Record) recordForm {
	f := recordForm{
		ID: r.ID, ZoneID: z.ID, ZoneName: z.Name, Name: r.Name, Type: r.Type, TTL: r.TTL, Proxied: r.Proxied,
		Proxiable: r.Type == "A" || r.Type == "AAAA" || r.Type == "CNAME",
		Settings:  settings{r.Flatten, r.IPv4Only, r.IPv6Only}, Tags: append([]string{}, r.Tags...),
		Created: timestamp(r.Modified), Modified: timestamp(r.Modified),
	}
	f.Content, f.Priority, f.Data = shown(r)
	if r.Comment != "" {
		f.Comment = &r.Comment
	}
	return f
}

// timestamp is a time as the API gives it, to the microsecond.
func timestamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// A sent is a record as a client sends it: what is not there, a PATCH keeps, and everything else sets to its default.
type sent struct {
	ID       string                     `json:"id"`
	Name     *string                    `json:"name"`
	Type     *string                    `json:"type"`
	Content  *string                    `json:"content"`
	Priority *uint16                    `json:"priority"`
	Data     map[string]json.RawMessage `json:"data"`
	TTL      *seconds                   `json:"ttl"`
	Proxied  *bool                      `json:"proxied"`
	Settings *settings                  `json:"settings"`
	Comment  *string                    `json:"comment"`
	Tags     []string                   `json:"tags"`
}

// Seconds are a TTL, which is a number.
type seconds uint32

func (s *seconds) UnmarshalJSON(b []byte) error {
	var n uint32
	if json.Unmarshal(b, &n) != nil {
		return errTTLText
	}
	*s = seconds(n)
	return nil
}

// record makes a record of what was sent; before is what a PATCH changes, nil for anything else.
func (s *sent) record(z *Zone, before *Record) (Record, error) {
	r := Record{TTL: 1}
	if before != nil {
		r = *before
	}
	if s.Name != nil {
		r.Name = fullName(*s.Name, z.Name)
	}
	if s.Type != nil {
		kind := strings.ToUpper(*s.Type)
		if before != nil && kind != before.Type {
			return r, errTypeChange
		}
		r.Type = kind
	}
	s.mark(&r)
	if r.IPv4Only && r.IPv6Only {
		return r, errSettings
	}
	return r, s.fill(&r, before)
}

// mark takes over what is neither name nor content.
func (s *sent) mark(r *Record) {
	if s.TTL != nil {
		r.TTL = uint32(*s.TTL)
	}
	if s.Proxied != nil {
		r.Proxied = *s.Proxied
	}
	if r.Proxied {
		r.TTL = 1 // what is proxied has no TTL of its own
	}
	if s.Settings != nil {
		r.Flatten, r.IPv4Only, r.IPv6Only = s.Settings.Flatten, s.Settings.IPv4Only, s.Settings.IPv6Only
	}
	if s.Comment != nil {
		r.Comment = *s.Comment
	}
	if s.Tags != nil {
		r.Tags = s.Tags
	}
}

// fill makes the content.
func (s *sent) fill(r *Record, before *Record) (err error) {
	if s.Content == nil && len(s.Data) == 0 && (before == nil || s.Priority == nil) {
		if before != nil {
			return nil
		}
		return errIncomplete
	}
	if r.Name == "" || r.Type == "" {
		return errIncomplete
	}
	content, priority := "", s.Priority
	if before != nil {
		var old *uint16
		if content, old, _ = shown(before); priority == nil {
			priority = old
		}
	}
	if s.Content != nil {
		content = strings.TrimSpace(*s.Content)
	}
	r.Content, err = presented(r.Type, content, priority, s.Data)
	return err
}

// fullName makes a name of what a client calls one: it may lie below the zone's, be the zone's or "@", or be written in full.
func fullName(name, zone string) string {
	name = canonical(name)
	switch {
	case name == "" || name == "@":
		return zone
	case name == zone || strings.HasSuffix(name, "."+zone):
		return name
	default:
		return name + "." + zone
	}
}

func (r *request) listRecords() (any, error) {
	z, err := r.zone()
	if err != nil {
		return nil, err
	}
	records, err := r.manager.Records(z.ID)
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	match, err := newFilter(query)
	if err != nil {
		return nil, err
	}
	forms := []recordForm{}
	for i := range records {
		if f := formOf(z, &records[i]); match.takes(&f) {
			forms = append(forms, f)
		}
	}
	match.sort(forms)
	return paged(query, forms, 100, 5000)
}

// find is the record that the path names.
func (r *request) find() (*Zone, *Record, error) {
	z, err := r.zone()
	if err != nil {
		return nil, nil, err
	}
	record, err := r.recordIn(z, r.PathValue("record"))
	return z, record, err
}

func (r *request) recordIn(z *Zone, id string) (*Record, error) {
	records, err := r.manager.Records(z.ID)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(records, func(x Record) bool { return x.ID == id })
	if i < 0 {
		return nil, ErrNoRecord
	}
	return &records[i], nil
}

func (r *request) showRecord() (any, error) {
	z, record, err := r.find()
	if err != nil {
		return nil, err
	}
	return formOf(z, record), nil
}

func (r *request) addRecord() (any, error) {
	z, err := r.zone()
	if err != nil {
		return nil, err
	}
	return r.change(z, func(s *sent) (Edit, error) {
		record, err := s.record(z, nil)
		return Edit{Record: record}, err
	})
}

func (r *request) putRecord() (any, error) {
	z, record, err := r.find()
	if err != nil {
		return nil, err
	}
	return r.change(z, func(s *sent) (Edit, error) { return s.put(z, record) })
}

func (s *sent) put(z *Zone, before *Record) (Edit, error) {
	record, err := s.record(z, nil)
	return Edit{ID: before.ID, Record: record}, err
}

func (r *request) patchRecord() (any, error) {
	z, record, err := r.find()
	if err != nil {
		return nil, err
	}
	return r.change(z, func(s *sent) (Edit, error) { return s.patch(z, record) })
}

func (s *sent) patch(z *Zone, before *Record) (Edit, error) {
	return Edit{ID: before.ID, Change: func(now Record) (Record, error) { return s.record(z, &now) }}, nil
}

// change makes one edit of the body.
func (r *request) change(z *Zone, edit func(*sent) (Edit, error)) (any, error) {
	var s sent
	if err := r.read(&s); err != nil {
		return nil, err
	}
	e, err := edit(&s)
	if err != nil {
		return nil, err
	}
	records, err := r.manager.Apply(z.ID, []Edit{e})
	if err != nil {
		return nil, err
	}
	return formOf(z, &records[0]), nil
}

func (r *request) deleteRecord() (any, error) {
	z, record, err := r.find()
	if err != nil {
		return nil, err
	}
	_, err = r.manager.Apply(z.ID, []Edit{{ID: record.ID, Delete: true}})
	return idOnly{record.ID}, err
}

// A batchForm is what batch takes, and gives.
type batchForm[T any] struct {
	Deletes []T `json:"deletes"`
	Patches []T `json:"patches"`
	Puts    []T `json:"puts"`
	Posts   []T `json:"posts"`
}

// batch makes edits in the order in which the API makes them: deletes, patches, puts, posts.
func (r *request) batch() (any, error) {
	z, err := r.zone()
	if err != nil {
		return nil, err
	}
	var body batchForm[sent]
	if err := r.read(&body); err != nil {
		return nil, err
	}
	if most := r.limits.Batch; most > 0 && len(body.Deletes)+len(body.Patches)+len(body.Puts)+len(body.Posts) > most {
		return nil, errBatch
	}
	edits, err := r.edits(z, &body)
	if err != nil {
		return nil, err
	}
	records, err := r.manager.Apply(z.ID, edits)
	if err != nil {
		return nil, err
	}
	forms := make([]recordForm, len(records))
	for i := range records {
		forms[i] = formOf(z, &records[i])
	}
	var result batchForm[recordForm]
	take := func(n int) (part []recordForm) {
		part, forms = forms[:n:n], forms[n:]
		return part
	}
	result.Deletes, result.Patches = take(len(body.Deletes)), take(len(body.Patches))
	result.Puts, result.Posts = take(len(body.Puts)), take(len(body.Posts))
	return result, nil
}

func (r *request) edits(z *Zone, body *batchForm[sent]) (edits []Edit, err error) {
	for i := range body.Deletes {
		edits = append(edits, Edit{ID: body.Deletes[i].ID, Delete: true})
	}
	for _, part := range []struct {
		list []sent
		edit func(*sent, *Zone, *Record) (Edit, error)
	}{{body.Patches, (*sent).patch}, {body.Puts, (*sent).put}} {
		for i := range part.list {
			before, err := r.recordIn(z, part.list[i].ID)
			if err != nil {
				return nil, err
			}
			e, err := part.edit(&part.list[i], z, before)
			if err != nil {
				return nil, err
			}
			edits = append(edits, e)
		}
	}
	for i := range body.Posts {
		record, err := body.Posts[i].record(z, nil)
		if err != nil {
			return nil, err
		}
		edits = append(edits, Edit{Record: record})
	}
	return edits, nil
}

func (r *request) export() (any, error) {
	z, err := r.zone()
	if err != nil {
		return nil, err
	}
	if err := r.token.used.takeExchange(r.now, r.limits); err != nil {
		return nil, err
	}
	text, err := r.manager.Export(z.ID)
	return masterFile(text), err
}

// maxImport is how long a master file may be that is imported.
const maxImport = 256 << 10

// doImport takes the member file of a form, whether the client has sent it as a file or as a value.
func (r *request) doImport() (any, error) {
	z, err := r.zone()
	if err != nil {
		return nil, err
	}
	if err := r.token.used.takeExchange(r.now, r.limits); err != nil {
		return nil, err
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "multipart/form-data" {
		return nil, errHeader
	}
	if err := r.ParseMultipartForm(maxBody); err != nil { // all of it in memory: a file would have origins in it
		return nil, errBody
	}
	defer func() { _ = r.MultipartForm.RemoveAll() }()
	text := []byte(r.FormValue("file"))
	if f, _, err := r.FormFile("file"); err == nil {
		text, err = io.ReadAll(io.LimitReader(f, maxImport+1))
		if _ = f.Close(); err != nil {
			return nil, errBody
		}
	}
	switch {
	case len(text) == 0:
		return nil, errBody
	case len(text) > maxImport:
		return nil, &Error{Code: errTooLarge.Code, Text: "the file has more than 256 KiB", Status: http.StatusBadRequest}
	}
	added, parsed, err := r.manager.Import(z.ID, text, r.FormValue("proxied") == "true")
	return map[string]int{"recs_added": added, "total_records_parsed": parsed}, err
}
