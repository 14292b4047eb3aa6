package zone

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tacit/internal/wire"
)

// A Store reads zones from files, and follows what changes in them. A file that has become bad keeps the zone that it made
// before; one that never was good keeps its names from being resolved elsewhere. It is safe for concurrent use.
type Store struct {
	options StoreOptions
	current atomic.Pointer[Zones]

	mu       sync.Mutex
	files    map[File]*file
	past     map[File]*Zone // what was served by other options, until the file is read
	unlisted Problems       // the directory cannot be listed
	taken    int64          // octets of files that were read since memory was given back
}

// StoreOptions say which zones there are.
type StoreOptions struct {
	Options
	// Files are zones by name.
	Files []File
	// Directory holds more zones, each in a file that has the zone's name and ends in ".zone". Empty: no more.
	Directory string
	// Now tells by what time zones are deleted.
	Now func() time.Time
	// Told hears of each file that was read anew. Nil: nobody does.
	Told func(path string, problems Problems)
	// Panicked is told of each panic while a file was read. Nil: nobody is.
	Panicked func()
	// Changed is called when Zones gives something else than before. Nil: nobody is.
	Changed func()
}

// A File is where a zone comes from.
type File struct {
	Origin  wire.Name
	Path    string
	Replica bool // it is written with what comes from the zone's primaries, and by nobody else
}

// A file is what is known of a File.
type file struct {
	File
	info     fs.FileInfo // from before it was read; nil: it is not there
	settings Settings
	problems Problems
	zone     *Zone // nil: not served
	withheld bool  // it was never good
	until    time.Time
	standing // of a replica
}

// unchanged reports whether a file is the one that was read.
func (f *file) unchanged(now fs.FileInfo) bool {
	if f.info == nil || now == nil {
		return f.info == nil && now == nil
	}
	return os.SameFile(f.info, now) && f.info.ModTime().Equal(now.ModTime()) && f.info.Size() == now.Size()
}

// Open reads all zones. Where before, which may be nil, was made with the same options, what it has read is not read again.
func Open(o *StoreOptions, before *Store) *Store {
	s := &Store{options: *o, files: map[File]*file{}}
	if before != nil {
		s.inherit(before)
	}
	s.current.Store(NewZones())
	s.look(false)
	s.past = nil
	return s
}

// inherit takes over what another store has read, or at least which serials it has served.
func (s *Store) inherit(before *Store) {
	alike := before.options.alike(&s.options.Options)
	before.mu.Lock()
	defer before.mu.Unlock()
	s.past = make(map[File]*Zone, len(before.files))
	for at, f := range before.files {
		if again := *f; alike {
			s.files[at] = &again
		}
		s.past[at] = f.zone
	}
}

// alike reports whether the same files would make the same zones. Keys are told apart as such: what they hold changes.
func (o *Options) alike(p *Options) bool {
	a, b := *o, *p
	a.Keys, b.Keys = nil, nil
	return o.Keys == p.Keys && reflect.DeepEqual(a, b)
}

// Zones returns what is served now.
func (s *Store) Zones() *Zones { return s.current.Load() }

// Problems returns what is wrong with the files, by path.
func (s *Store) Problems() Problems {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Clone(s.unlisted)
	for _, at := range s.listed() {
		list = append(list, s.files[at].problems...)
	}
	return list
}

// A FileState is what is known of a zone file.
type FileState struct {
	File
	Settings Settings
	Changed  time.Time
	Zone     *Zone // nil: not served
}

// Files returns what is known of all zone files, by path.
func (s *Store) Files() []FileState {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []FileState
	for _, at := range s.listed() {
		f := s.files[at]
		state := FileState{File: f.File, Settings: f.settings, Zone: f.zone}
		if f.info != nil {
			state.Changed = f.info.ModTime()
		}
		if f.expired {
			state.Zone = nil
		}
		list = append(list, state)
	}
	return list
}

// listed returns the files by path, and by name where a path stands for several zones.
func (s *Store) listed() []File {
	return slices.SortedFunc(maps.Keys(s.files), func(a, b File) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Origin.Reveal(), b.Origin.Reveal()))
	})
}

// How often files are looked at: at most lookEvery, and so that it costs next to nothing however many there are.
const (
	lookEvery    = time.Second
	filesASecond = 2000
)

// Follow takes up changes until ctx is done.
func (s *Store) Follow(ctx context.Context) {
	for {
		s.mu.Lock()
		wait := max(lookEvery, time.Duration(len(s.files))*time.Second/filesASecond)
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
			s.look(true)
		}
	}
}

// Look takes up changes now.
func (s *Store) Look() { s.look(true) }

// look reads what has changed, and puts the zones together anew.
func (s *Store) look(following bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := false
	listed := map[File]bool{}
	now := s.options.Now()
	for _, f := range s.list() {
		listed[f] = true
		changed = s.read(f, now) || changed
	}
	for at := range s.files {
		if !listed[at] && (s.unlisted == nil || filepath.Dir(at.Path) != filepath.Clean(s.options.Directory)) {
			delete(s.files, at)
			changed = true
		}
	}
	for _, f := range s.files {
		changed = f.age(now) || changed
	}
	if changed || !following {
		s.publish()
	}
	s.giveBack()
	if changed && following && s.options.Changed != nil {
		s.options.Changed()
	}
}

// muchTaken is how much of files may have been read before it is worth a collection. Each takes something, however small it is.
const (
	muchTaken  = 16 << 20
	takenByAny = 8 << 10
)

// giveBack returns memory to the system. To read a file takes many times what its zone does, and without large zones to read there
// may be no garbage for long that would have it collected.
func (s *Store) giveBack() {
	if s.taken > muchTaken {
		s.taken = 0
		debug.FreeOSMemory()
	}
}

const zoneSuffix = ".zone"

// list returns the files of zones. Those of a directory that cannot be listed now have not gone: secondaries that follow a catalog
// would drop all of them (RFC 9432 section 6).
func (s *Store) list() []File {
	files, err := list(s.options.Files, s.options.Directory)
	known := s.unlisted != nil
	if s.unlisted = nil; err != nil {
		s.unlisted = Problems{{File: s.options.Directory, Text: "cannot be listed: its zones stay as they are", Detail: NewContent(err.Error())}}
	}
	if err != nil && !known && s.options.Told != nil {
		s.options.Told(s.options.Directory, s.unlisted)
	}
	return files
}

// List returns the files of zones that there are now: those that are named, which come first, and those of a directory. A zone has
// one file.
func List(named []File, directory string) []File {
	files, _ := list(named, directory) // what cannot be listed has no zones; the start has made sure of it
	return files
}

func list(named []File, directory string) ([]File, error) {
	list := slices.Clone(named)
	if directory == "" {
		return list, nil
	}
	known := map[wire.Name]bool{}
	for _, f := range list {
		known[f.Origin] = true
	}
	entries, err := os.ReadDir(directory)
	for _, e := range entries {
		text, ok := strings.CutSuffix(e.Name(), zoneSuffix)
		if !ok || strings.HasPrefix(text, ".") || e.IsDir() {
			continue
		}
		origin, err := wire.ParseName(text)
		if err == nil && !known[origin] {
			known[origin] = true
			list = append(list, File{Origin: origin, Path: filepath.Join(directory, e.Name())})
		}
	}
	return list, err
}

// read reads a file that has changed, and reports whether what is served has. A panic costs this version of this file.
func (s *Store) read(at File, now time.Time) (changed bool) {
	old := s.files[at]
	info, _ := os.Stat(at.Path) // what cannot be read is said when it is
	if old != nil && old.unchanged(info) && (old.until.IsZero() || now.Before(old.until)) {
		return false
	}
	f := &file{File: at, info: info}
	var before *Zone
	if old != nil {
		before = old.zone
	}
	s.files[at] = f
	defer func() {
		if recover() != nil { // its value may hold what a record leads to
			s.panicked()
			f.problems = Problems{{File: at.Path, Text: "could not be read for a mistake in tacit"}}
			f.zone, f.withheld = before, before == nil
			changed = true
		}
	}()
	f.build(&s.options, before, cmp.Or(before, s.past[at]), now)
	f.begin()
	if f.info != nil {
		s.taken += f.info.Size() + takenByAny
	}
	if s.options.Told != nil {
		s.options.Told(at.Path, f.problems)
	}
	return before != f.zone || old == nil || old.withheld != f.withheld
}

func (s *Store) panicked() {
	if s.options.Panicked != nil {
		s.options.Panicked()
	}
}

// build makes the zone anew, and keeps the one before where that cannot be done, or makes no difference. Who has a copy of the one
// that was served last shall see by the serial that it is another.
func (f *file) build(o *StoreOptions, before, last *Zone, now time.Time) {
	text, err := os.ReadFile(f.Path)
	if err == nil && f.info == nil { // it has come this moment
		f.info, err = os.Stat(f.Path)
	}
	if err != nil {
		if !f.Replica || !errors.Is(err, fs.ErrNotExist) { // which it does before it is had for the first time
			f.problems = Problems{{File: f.Path, Text: "cannot be read", Detail: NewContent(err.Error())}}
		}
		f.zone, f.withheld = before, before == nil
		return
	}
	z, settings, problems := Build(f.source(text, 0), now, &o.Options)
	f.problems = problems
	switch {
	case problems.Grave():
		f.zone, f.withheld = before, before == nil
		return
	case z != nil && before != nil && z.withheld == before.withheld && z.saysTheSame(before):
		z = before
	case z != nil && last != nil && !f.Replica && !isLater(z.serial, last.serial) && !z.saysTheSame(last):
		z, _, _ = Build(f.source(text, last.serial), now, &o.Options)
	}
	f.zone, f.settings = z, settings
	if settings.Status == Deleted && z != nil {
		f.until = f.info.ModTime().Add(deletedFor)
	}
}

func (f *file) source(text []byte, after uint32) *Source {
	return &Source{File: f.Path, Text: text, Origin: f.Origin, Changed: f.info.ModTime(), After: after, Replica: f.Replica}
}

func (s *Store) publish() {
	list := make([]*Zone, 0, len(s.files))
	for _, f := range s.files {
		switch {
		case f.expired:
			list = append(list, &Zone{origin: f.zone.origin, withheld: true, replica: true})
		case f.zone != nil:
			list = append(list, f.zone)
		case f.withheld:
			list = append(list, &Zone{origin: f.Origin, withheld: true, replica: f.Replica})
		}
	}
	s.current.Store(NewZones(list...))
}
