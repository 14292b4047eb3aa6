package resolver

import (
	"tacit/cache"
	"tacit/internal/wire"
)

// blurred returns a with the TTLs that clients are shown.
func (r *Resolver) blurred(a wire.Answer) wire.Answer {
	r.cache.Packets.Blur(&a, r.now())
	return a
}

// lifeOf returns the life of an RRset that is written. A record made from another one, and a SOA record, which is the same for
// every name that a zone does not have, stand for what was learned of another name than their owner's.
func (w *writer) lifeOf(section wire.Section, t *timed) wire.Life {
	switch {
	case t.local: // everybody may know its TTL
		return wire.Life{}
	case t.stored.IsZero():
		return w.last
	}
	life := wire.Life{Seconds: cache.Seconds(t.stored, t.expires)}
	switch {
	case t.synthesised && w.last != (wire.Life{}):
		life.Mark = w.last.Mark
	case section == wire.AuthoritySection:
		life.Mark = wire.MarkOf(w.denied, w.deniedType())
	default:
		life.Mark = wire.MarkOf(t.set.Name, t.set.Type)
	}
	return life
}

// deniedType is the type that a denial is learned under: that of a name is one for all types.
func (w *writer) deniedType() wire.Type {
	if w.noName {
		return 0
	}
	return w.question.Type
}

// end returns the name at which the aliases in r end.
func (r *result) end(q wire.Question) wire.Name {
	for i := len(r.answer) - 1; i >= 0; i-- {
		if set := &r.answer[i].set; set.Type == wire.TypeCNAME {
			if target, ok := targetOf(set); ok {
				return target
			}
		}
	}
	return q.Name
}
