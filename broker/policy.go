package broker

import (
	"cmp"
	"slices"
	"strings"
)

// This file holds policies: what is set for patterns of destinations, and what holds for one destination.

// PolicyField is a set of fields of a Policy.
type PolicyField uint16

// The fields of a Policy.
const (
	PolicyLogged PolicyField = 1 << iota
	PolicyMaxAge
	PolicyMaxBytes
	PolicyMaxMessages
	PolicyMaxDepth
	PolicyAckTimeout
	PolicyMaxDeliveries
	PolicyMaxReturns
	PolicyUserWaitingMessages
	PolicyUserWaitingAge
	policyAll = 1<<iota - 1
)

// Policy holds the rules of destinations. Only the fields named in Set count; a resolved policy has them all.
type Policy struct {
	Set                  PolicyField
	Logged               bool  // false: messages of topics skip the log
	MaxAgeMillis         int64 // how long a topic's messages are kept
	MaxBytes             int64 // how many bytes of a topic's messages are kept; 0 any
	MaxMessages          int64 // how many of a topic's messages are kept; 0 any
	MaxDepth             int64 // messages in a queue, waiting and unsettled; a SEND beyond is refused
	AckTimeoutMillis     int64 // how long a delivery in a client mode may stay unsettled; 0 for ever
	MaxDeliveries        int64 // NACKs and ack timeouts until a message becomes a dead letter; 0 never
	MaxReturns           int64 // returns by lost sessions and nodes beyond which it becomes one; 0 never
	UserWaitingMessages  int64 // messages that wait for a user at a destination
	UserWaitingAgeMillis int64 // how long they wait; 0 for ever
}

// countMax is as far as deliveries, failures and returns of a message are counted.
const countMax = 1<<16 - 1

// policyValueMax bounds every number of a policy, so that sums with times cannot overflow; a higher one is refused.
const policyValueMax = 1 << 50

// DefaultPolicy returns what holds for a destination for which nothing is set.
func DefaultPolicy(dest string) Policy {
	const dayMillis = 24 * 60 * 60 * 1000
	return Policy{
		Set:                  policyAll,
		Logged:               dest != "/topic/simp-user-registry" && dest != "/topic/unresolved-user-destination",
		MaxAgeMillis:         dayMillis,
		MaxDepth:             1_000_000,
		AckTimeoutMillis:     30 * 60 * 1000,
		MaxDeliveries:        5,
		MaxReturns:           100,
		UserWaitingMessages:  1_000,
		UserWaitingAgeMillis: dayMillis,
	}
}

type policyNumber struct {
	bit   PolicyField
	value *int64
}

// numbers lists the whole numbers of p in the order of their encoding, which is frozen: new ones go to the end.
func (p *Policy) numbers() [9]policyNumber {
	return [9]policyNumber{
		{PolicyMaxAge, &p.MaxAgeMillis},
		{PolicyMaxBytes, &p.MaxBytes},
		{PolicyMaxMessages, &p.MaxMessages},
		{PolicyMaxDepth, &p.MaxDepth},
		{PolicyAckTimeout, &p.AckTimeoutMillis},
		{PolicyMaxDeliveries, &p.MaxDeliveries},
		{PolicyMaxReturns, &p.MaxReturns},
		{PolicyUserWaitingMessages, &p.UserWaitingMessages},
		{PolicyUserWaitingAge, &p.UserWaitingAgeMillis},
	}
}

// valid reports whether every number that is set is within 0..policyValueMax.
func (p Policy) valid() bool {
	for _, n := range p.numbers() {
		if p.Set&n.bit != 0 && (*n.value < 0 || *n.value > policyValueMax) {
			return false
		}
	}
	return p.Set&^policyAll == 0
}

// normal returns p with the fields that are not set at zero, as they come out of the codec.
func (p Policy) normal() Policy {
	if p.Set&PolicyLogged == 0 {
		p.Logged = false
	}
	for _, n := range p.numbers() {
		if p.Set&n.bit == 0 {
			*n.value = 0
		}
	}
	return p
}

// fill takes from other what is set there and not in p.
func (p *Policy) fill(other Policy) {
	missing := other.Set &^ p.Set
	if missing&PolicyLogged != 0 {
		p.Logged = other.Logged
	}
	from := other.numbers()
	for i, n := range p.numbers() {
		if missing&n.bit != 0 {
			*n.value = *from[i].value
		}
	}
	p.Set |= other.Set
}

// resolved keeps what holds for a destination until policies change.
type resolved struct {
	policy Policy
	epoch  uint32
}

func (r *resolved) of(s *State, dest string) *Policy {
	if r.epoch != s.policyEpoch {
		r.policy, r.epoch = s.policies.Resolve(dest), s.policyEpoch
	}
	return &r.policy
}

func (s *State) policyChanged(f PolicyChanged, fx *Effects) Refusal {
	pattern, err := ParsePattern(f.Pattern)
	if err != nil || !s.validName(f.Pattern) || !f.Policy.valid() {
		return RefusedInvalid
	}
	rule := policyRule{pattern: pattern, policy: f.Policy.normal()}
	at, found := s.policies.find(pattern)
	if found {
		rule.hash = s.policies.rules[at].hash
	} else if len(s.policies.rules) >= s.limits.PoliciesMax {
		return RefusedLimit
	}
	k := &s.keeper
	k.key, k.value = rule.appendKey(k.key[:0]), rule.appendValue(k.value[:0])
	rule.hash = k.put(rule.hash)
	s.setPolicies(s.policies.with(rule), f.Pattern, fx)
	return RefusedNone
}

func (s *State) policyRemoved(f PolicyRemoved, fx *Effects) Refusal {
	pattern, err := ParsePattern(f.Pattern)
	if err != nil {
		return RefusedInvalid
	}
	at, found := s.policies.find(pattern)
	if !found {
		return RefusedNone
	}
	rule := s.policies.rules[at]
	s.keeper.key = rule.appendKey(s.keeper.key[:0])
	s.keeper.drop(rule.hash)
	s.setPolicies(s.policies.without(at), f.Pattern, fx)
	return RefusedNone
}

func (s *State) setPolicies(t PolicyTable, pattern string, fx *Effects) {
	s.policies = t
	s.policyEpoch++
	s.noteAllDues()
	fx.add(EffectPolicyChanged).Dest = pattern
}

func (r *policyRule) appendKey(dst []byte) []byte {
	return append(append(dst, recordPolicy), r.pattern.text...)
}

func (r *policyRule) appendValue(dst []byte) []byte { return appendPolicy(dst, r.policy) }

func appendPolicy(dst []byte, p Policy) []byte {
	dst = appendUvarint(dst, uint64(p.Set))
	if p.Set&PolicyLogged != 0 {
		dst = appendBool(dst, p.Logged)
	}
	for _, n := range p.numbers() {
		if p.Set&n.bit != 0 {
			dst = appendVarint(dst, *n.value)
		}
	}
	return dst
}

func readPolicy(r *reader) (p Policy) {
	p.Set = PolicyField(r.uvarintUpTo(policyAll))
	if p.Set&PolicyLogged != 0 {
		p.Logged = r.bool()
	}
	for _, n := range p.numbers() {
		if p.Set&n.bit != 0 {
			*n.value = r.varint()
		}
	}
	return p
}

// PolicyTable is an immutable table of policies; any goroutine may use it.
type PolicyTable struct{ rules []policyRule }

type policyRule struct {
	pattern Pattern
	policy  Policy
	hash    uint64 // of its record
}

// Resolve returns what holds for a destination, with every field set. For each field the most specific pattern that sets it wins:
// fewer zero-or-more wildcards, then fewer one-segment wildcards, then the longer pattern, then the first by its bytes.
func (t PolicyTable) Resolve(dest string) Policy {
	var p Policy
	for i := range t.rules {
		if p.Set == policyAll {
			break
		}
		if t.rules[i].pattern.Match(dest) {
			p.fill(t.rules[i].policy)
		}
	}
	p.fill(DefaultPolicy(dest))
	return p
}

// All calls fn for each pattern in the order of their bytes until it returns false.
func (t PolicyTable) All(fn func(pattern string, p Policy) bool) {
	sorted := slices.SortedFunc(slices.Values(t.rules), func(a, b policyRule) int {
		return strings.Compare(a.pattern.text, b.pattern.text)
	})
	for _, r := range sorted {
		if !fn(r.pattern.text, r.policy) {
			return
		}
	}
}

// find returns where the rule of a pattern is or would be inserted.
func (t PolicyTable) find(p Pattern) (int, bool) {
	return slices.BinarySearchFunc(t.rules, p, func(r policyRule, p Pattern) int { return r.pattern.compare(p) })
}

// with returns a table that has the rule too.
func (t PolicyTable) with(rule policyRule) PolicyTable {
	at, found := t.find(rule.pattern)
	rules := slices.Clone(t.rules)
	if found {
		rules[at] = rule
	} else {
		rules = slices.Insert(rules, at, rule)
	}
	return PolicyTable{rules}
}

// without returns a table that lacks the rule at that index.
func (t PolicyTable) without(at int) PolicyTable {
	return PolicyTable{slices.Delete(slices.Clone(t.rules), at, at+1)}
}

// compare orders patterns from the most specific to the least.
func (p Pattern) compare(q Pattern) int {
	return cmp.Or(
		cmp.Compare(p.multis, q.multis),
		cmp.Compare(p.singles, q.singles),
		cmp.Compare(len(q.text), len(p.text)),
		strings.Compare(p.text, q.text),
	)
}
