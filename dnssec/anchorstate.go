package dnssec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tacit/internal/wire"
)

// A State is what Anchors knew when it was written down.
type State struct{ anchors map[wire.Name][]anchor }

// The form of a state: a line that says the version, a line for each key, and the checksum of all of it. A key's line
// has its state, since when, until when (- where there is none), configured or learnt, the tags of those that vouched
// for a pending key (or -), and the record.
const (
	stateVersion  = "tacit trust anchors, version 1\n"
	stateColumns  = "# state since until source vouched-by record\n"
	stateChecksum = "sha256 "
	stateTime     = time.RFC3339
	stateNone     = "-"

	maxStateSize = 1 << 20
)

// Why a state cannot be read.
var (
	errStateVersion  = errors.New("trust anchor state: not of version 1")
	errStateChecksum = errors.New("trust anchor state: damaged or edited, the checksum does not fit")
	errStateLine     = errors.New("not a key and its state")
	errStateTwice    = errors.New("a key for the second time")
)

// AppendState appends what is known as text. It is the same text as long as nothing changes.
func (a *Anchors) AppendState(dst []byte) []byte {
	start := len(dst)
	dst = append(append(dst, stateVersion...), stateColumns...)
	for _, p := range a.sorted() {
		for i := range p.anchors {
			dst = p.anchors[i].append(dst)
		}
	}
	return fmt.Appendf(dst, "%s%x\n", stateChecksum, sha256.Sum256(dst[start:]))
}

func (n *anchor) append(dst []byte) []byte {
	source := "learnt"
	if n.configured {
		source = "configured"
	}
	signers := make([]string, len(n.signers))
	for i, tag := range n.signers {
		signers[i] = strconv.Itoa(int(tag))
	}
	vouched := strings.Join(signers, ",")
	if vouched == "" {
		vouched = stateNone
	}
	return fmt.Appendf(dst, "%s %s %s %s %s %s\n", n.state, stampText(n.since), stampText(n.until), source, vouched, n.record.text())
}

func stampText(t time.Time) string {
	if t.IsZero() {
		return stateNone
	}
	return t.UTC().Format(stateTime)
}

// ReadState reads what AppendState wrote. A text that is damaged, or of another version, is not read in part: the error
// is for the operator, and tacit starts from the configuration.
func ReadState(text []byte) (State, error) {
	s := State{anchors: map[wire.Name][]anchor{}}
	if len(text) > maxStateSize || !bytes.HasPrefix(text, []byte(stateVersion)) {
		return State{}, errStateVersion
	}
	body, ok := checkedBody(text)
	if !ok {
		return State{}, errStateChecksum
	}
	number := 1
	for line := range strings.Lines(string(body[len(stateVersion):])) {
		number++
		if strings.HasPrefix(line, "#") {
			continue
		}
		if err := s.add(strings.TrimSuffix(line, "\n")); err != nil {
			return State{}, fmt.Errorf("trust anchor state, line %d: %w", number, err)
		}
	}
	return s, nil
}

// checkedBody returns what stands in front of the checksum, which is the last line.
func checkedBody(text []byte) ([]byte, bool) {
	end := bytes.LastIndexByte(bytes.TrimSuffix(text, []byte("\n")), '\n') + 1
	given, ok := bytes.CutPrefix(text[end:], []byte(stateChecksum))
	if !ok || end < len(stateVersion) {
		return nil, false
	}
	sum := sha256.Sum256(text[:end])
	return text[:end], string(given) == hex.EncodeToString(sum[:])+"\n"
}

func (s *State) add(line string) error {
	fields := strings.SplitN(line, " ", 6)
	if len(fields) != 6 {
		return errStateLine
	}
	record, err := ParseTrustAnchor(fields[5])
	if err != nil {
		return errStateLine
	}
	n := anchor{record: record}
	state := slices.Index(keyStateNames[:], fields[0])
	since, sinceErr := parseStamp(fields[1])
	until, untilErr := parseStamp(fields[2])
	signers, signersErr := parseTags(fields[4])
	if state <= int(Start) || errors.Join(sinceErr, untilErr, signersErr) != nil || fields[3] != "configured" && fields[3] != "learnt" {
		return errStateLine
	}
	n.state, n.since, n.until, n.configured, n.signers = KeyState(state), since, until, fields[3] == "configured", signers
	if n.state == AddPend && (n.until.IsZero() || n.isDigest()) { // would end a hold-down that never was
		return errStateLine
	}
	if slices.ContainsFunc(s.anchors[record.Zone], func(other anchor) bool { return other.matches(record.Zone, &n) }) {
		return errStateTwice
	}
	s.anchors[record.Zone] = append(s.anchors[record.Zone], n)
	return nil
}

func parseStamp(text string) (time.Time, error) {
	if text == stateNone {
		return time.Time{}, nil
	}
	return time.Parse(stateTime, text)
}

func parseTags(text string) ([]uint16, error) {
	if text == stateNone {
		return nil, nil
	}
	var tags []uint16
	for field := range strings.SplitSeq(text, ",") {
		tag, err := strconv.ParseUint(field, 10, 16)
		if err != nil {
			return nil, err
		}
		tags = append(tags, uint16(tag))
	}
	return tags, nil
}
