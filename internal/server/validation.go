package server

import (
	"context"
	"reflect"
	"time"

	"tacit/config"
	"tacit/dnssec"
	"tacit/internal/wire"
	"tacit/internal/work"
	"tacit/policy"
	"tacit/resolver"
)

// A validation is what a configuration believes: its trust anchors, where it does without, and what it concludes from them.
type validation struct {
	config    config.DNSSEC
	keeper    *anchorKeeper
	negative  *dnssec.NegativeAnchors
	validator *dnssec.Validator
}

// newValidation returns nil when nothing is to be validated. Zones served here have no keys that anybody else would vouch for. What before, which may be nil, has learned of trust
// anchors goes on.
func newValidation(c *config.Config, env Env, z *zones, before *validation) *validation {
	if !c.DNSSEC.Validate {
		return nil
	}
	v := &validation{config: c.DNSSEC}
	if CheckAnchors(c) != nil {
		env.Log.Warn("a trust anchor has a digest that is not as long as its type asks for: no key can match it, and its zone is bogus")
	}
	switch {
	case before != nil && reflect.DeepEqual(before.config, c.DNSSEC):
		v.keeper = before.keeper
	case before != nil:
		v.keeper = newAnchorKeeper(c, env.Log, before.keeper)
	default:
		v.keeper = newAnchorKeeper(c, env.Log, nil)
	}
	v.negative = dnssec.NewNegativeAnchors(v.keeper, append(unsignedZones(c), c.DNSSEC.NegativeTrustAnchors...))
	if before != nil {
		v.negative.Inherit(env.Now(), before.negative)
	}
	v.validator = dnssec.New(dnssec.Options{
		Anchors: v.keeper, Observe: v.observe, Excepted: func(name wire.Name, now time.Time) bool {
			return z.Zones().Covering(name) != nil || v.negative.Covers(name, now)
		},
		VerifySHA1: c.DNSSEC.VerifySHA1, SignatureTime: c.DNSSEC.ValidationTime,
	})
	return v
}

// judge returns the validator, nil without one.
func (v *validation) judge() *dnssec.Validator {
	if v == nil {
		return nil
	}
	return v.validator
}

// observe follows the keys of a zone with a trust anchor (RFC 5011), on a budget that is nobody's question's.
func (v *validation) observe(now time.Time, _ *work.Budget, set *wire.RRset) bool {
	return v.keeper.Observe(now, work.New(work.DefaultLimits), set)
}

// unsignedZones are the stub and forward zones at special-use names. The public name space proves that there is nothing
// at them, and the operator has said otherwise.
func unsignedZones(c *config.Config) []wire.Name {
	special := policy.NewSpecialUse(nil)
	var zones []wire.Name
	for _, zone := range servedZones(c) {
		q := wire.Question{Name: zone, Type: wire.TypeSOA, Class: wire.ClassIN}
		if _, ok := special.Answer(q, time.Time{}); ok {
			zones = append(zones, zone)
		}
	}
	return zones
}

// anchorRounds is how often it is looked whether a zone's keys are to be asked for.
const anchorRounds = time.Minute

// followAnchors asks for the keys of zones with trust anchors as often as RFC 5011 section 2.3 wants, until ctx is done.
func (v *validation) followAnchors(ctx context.Context, r *resolver.Resolver, env Env) {
	rounds := time.NewTicker(anchorRounds)
	defer rounds.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-rounds.C:
		}
		for _, zone := range v.keeper.Due(env.Now()) {
			v.askKeys(ctx, r, env, zone)
		}
	}
}

func (v *validation) askKeys(ctx context.Context, r *resolver.Resolver, env Env, zone wire.Name) {
	defer func() {
		if recover() != nil { // at what a server has sent
			env.panics.report()
			v.keeper.Missed(env.Now(), zone)
		}
	}()
	set, ok := r.AskKeys(ctx, zone)
	switch {
	case !ok:
		v.keeper.Missed(env.Now(), zone)
	case v.observe(env.Now(), nil, &set):
		v.validator.Forget(func(name wire.Name) bool { return name.Within(zone) })
	}
}
