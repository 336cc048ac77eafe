package gateway

import (
	"context"
	"errors"
	"fmt"

	"stampede/broker"
	"stampede/cluster"
)

// This file knows the policies as of the last change, and changes them.

// logged tells whether messages of a topic go into the log, and as of how many changes of the policies.
func (g *Gateway) logged(dest string) (logged bool, policies uint64) {
	policies = g.policyCount.Load()
	return g.policies.Load().Resolve(dest).Logged, policies
}

func (g *Gateway) setPolicies(t broker.PolicyTable) {
	g.policies.Store(&t)
	g.policyCount.Add(1)
}

// policiesChanged reads the policies again. The fold's goroutine, which runs this, cannot ask itself.
func (g *Gateway) policiesChanged() { go g.ReadPolicies(context.Background()) }

// ReadPolicies takes over the policies of the fold. The program calls it once the node is ready and before sessions open;
// after that each change does. When the node stops they stay as they are.
func (g *Gateway) ReadPolicies(ctx context.Context) {
	g.policyMu.Lock() // reading and storing are one step: a slower reader must not bring older policies back
	defer g.policyMu.Unlock()
	var t broker.PolicyTable
	if err := g.node.Inspect(ctx, func(s *broker.State) { t = s.Policies() }); err == nil {
		g.setPolicies(t)
	}
}

// Policies gives the policies as of the last change.
func (g *Gateway) Policies() broker.PolicyTable { return *g.policies.Load() }

// SetPolicy sets the policy of a pattern; a nil policy removes it. It returns when the change is durable and applied.
func (g *Gateway) SetPolicy(ctx context.Context, pattern string, p *broker.Policy) error {
	var fact broker.Fact = broker.PolicyRemoved{Pattern: pattern}
	if p != nil {
		fact = broker.PolicyChanged{Pattern: pattern, Policy: *p}
	}
	if _, err := g.submit(ctx, fact); err != nil {
		return fmt.Errorf("policy of %s: %w", pattern, err)
	}
	g.ReadPolicies(ctx)
	return nil
}

// submit proposes one fact on nobody's behalf and waits for its outcome.
func (g *Gateway) submit(ctx context.Context, f broker.Fact) (broker.Seq, error) {
	p := &publication{done: make(chan publishOutcome, 1)}
	ticket := cluster.Ticket{Owner: p, Kind: ticketPublish}
	if err := g.node.Submit(ctx, broker.AppendFact(nil, f), []cluster.Ticket{ticket}); err != nil {
		if errors.Is(err, cluster.ErrNoQuorum) {
			return 0, noQuorum()
		}
		return 0, err
	}
	select {
	case o := <-p.done:
		if o.err != nil {
			return 0, o.err
		}
		if o.refusal != broker.RefusedNone {
			return 0, refused(o.refusal)
		}
		return o.seq, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-g.node.Done():
		return 0, stopping()
	}
}
