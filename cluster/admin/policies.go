package admin

import (
	"net/http"

	"stampede/broker"
	"stampede/stomp"
)

// This file is the policies of destinations over HTTP.

// policyBody is a policy in JSON; what is absent is not set.
type policyBody struct {
	Logged               *bool  `json:"logged,omitempty"`
	MaxAgeMillis         *int64 `json:"max-age,omitempty"`
	MaxBytes             *int64 `json:"max-bytes,omitempty"`
	MaxMessages          *int64 `json:"max-messages,omitempty"`
	MaxDepth             *int64 `json:"max-depth,omitempty"`
	AckTimeoutMillis     *int64 `json:"ack-timeout,omitempty"`
	MaxDeliveries        *int64 `json:"max-deliveries,omitempty"`
	MaxReturns           *int64 `json:"max-returns,omitempty"`
	UserWaitingMessages  *int64 `json:"user-waiting-messages,omitempty"`
	UserWaitingAgeMillis *int64 `json:"user-waiting-age,omitempty"`
}

type policyNumber struct {
	bit  broker.PolicyField
	body **int64
	at   *int64
}

// numbers pairs the whole numbers of a body with those of a policy.
func numbers(b *policyBody, p *broker.Policy) []policyNumber {
	return []policyNumber{
		{broker.PolicyMaxAge, &b.MaxAgeMillis, &p.MaxAgeMillis},
		{broker.PolicyMaxBytes, &b.MaxBytes, &p.MaxBytes},
		{broker.PolicyMaxMessages, &b.MaxMessages, &p.MaxMessages},
		{broker.PolicyMaxDepth, &b.MaxDepth, &p.MaxDepth},
		{broker.PolicyAckTimeout, &b.AckTimeoutMillis, &p.AckTimeoutMillis},
		{broker.PolicyMaxDeliveries, &b.MaxDeliveries, &p.MaxDeliveries},
		{broker.PolicyMaxReturns, &b.MaxReturns, &p.MaxReturns},
		{broker.PolicyUserWaitingMessages, &b.UserWaitingMessages, &p.UserWaitingMessages},
		{broker.PolicyUserWaitingAge, &b.UserWaitingAgeMillis, &p.UserWaitingAgeMillis},
	}
}

func (b policyBody) policy() broker.Policy {
	var p broker.Policy
	if b.Logged != nil {
		p.Set, p.Logged = broker.PolicyLogged, *b.Logged
	}
	for _, n := range numbers(&b, &p) {
		if *n.body != nil {
			p.Set |= n.bit
			*n.at = **n.body
		}
	}
	return p
}

func bodyOf(p broker.Policy) policyBody {
	var b policyBody
	if p.Set&broker.PolicyLogged != 0 {
		b.Logged = &p.Logged
	}
	for _, n := range numbers(&b, &p) {
		if p.Set&n.bit != 0 {
			*n.body = n.at
		}
	}
	return b
}

type policyRow struct {
	Pattern string     `json:"pattern"`
	Policy  policyBody `json:"policy"`
}

func (a *Admin) getPolicies(w http.ResponseWriter, _ *http.Request) {
	l := listing[policyRow]{Items: []policyRow{}}
	a.broker.Policies().All(func(pattern string, p broker.Policy) bool {
		l.Items = append(l.Items, policyRow{pattern, bodyOf(p)})
		return true
	})
	answer(w, http.StatusOK, l)
}

// putPolicy sets the policy of ?pattern=.
func (a *Admin) putPolicy(w http.ResponseWriter, r *http.Request) {
	var b policyBody
	pattern, ok := patternOf(w, r)
	if !ok || !decode(w, r, &b) {
		return
	}
	if b.MaxAgeMillis != nil || b.MaxBytes != nil || b.MaxMessages != nil {
		fail(w, http.StatusBadRequest, stomp.CodeUnsupportedHeader, "max-age, max-bytes and max-messages are not supported: topics keep all that was logged")
		return
	}
	p := b.policy()
	if err := a.broker.SetPolicy(r.Context(), pattern, &p); err != nil {
		failWith(w, err)
		return
	}
	answer(w, http.StatusOK, policyRow{pattern, bodyOf(p)})
}

// deletePolicy removes the policy of ?pattern=.
func (a *Admin) deletePolicy(w http.ResponseWriter, r *http.Request) {
	pattern, ok := patternOf(w, r)
	if !ok {
		return
	}
	if err := a.broker.SetPolicy(r.Context(), pattern, nil); err != nil {
		failWith(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]string{"removed": pattern})
}

func patternOf(w http.ResponseWriter, r *http.Request) (string, bool) {
	pattern := r.URL.Query().Get("pattern")
	if _, err := broker.ParsePattern(pattern); err != nil {
		fail(w, http.StatusBadRequest, stomp.CodeInvalidDestination, "pattern: "+err.Error())
		return "", false
	}
	return pattern, true
}
