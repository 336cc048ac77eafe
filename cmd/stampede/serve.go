package main

// serve.go: `stampede serve` runs a node, in one story: listen, open, run, serve, drain, close. Each step comes where it does for a reason,
// said beside it.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"stampede/cluster"
	"stampede/cluster/admin"
	"stampede/cluster/gateway"
	"stampede/stomp/auth"
	"stampede/stomp/server"
)

const (
	resignTimeout = 2 * time.Second        // for another node to take the leadership over; past it an election follows when this one has gone
	closeTimeout  = 10 * time.Second       // for a node to stop once its sessions are gone; past it the process ends without
	atOnceTimeout = time.Second            // for sessions to take the bytes on their way when the node ends at once
	drainReserve  = 2 * time.Second        // of --drain-timeout, kept for the last sessions to take their ERROR: the server lingers as long
	retryAfterMin = 500 * time.Millisecond // a drained client waits so long, and up to
	retryAfterMax = 5 * time.Second        // so long: at random, so that they do not all knock at the next node at once
	reconnectIn   = 5 * time.Second        // told in the notice on /topic/server.events
)

// errCutShort is the failure of a drain that a second signal ended.
var errCutShort = errors.New("ended by a second signal before the drain was over; nothing acknowledged is lost")

// ServeCmd runs a node until it is told to end.
type ServeCmd struct {
	NodeFlags
}

// Run returns nil after a drain that was asked for.
func (c *ServeCmd) Run(ctx context.Context, from *sources) error {
	settled, faults := c.check(from)
	if len(faults) > 0 {
		return usageError(faults)
	}
	logger := newLogger(os.Stderr, settled)
	logSettings(settled, from, logger)
	checkFilesLimit(settled, logger)
	ctx, stop := catchSignals(ctx)
	defer stop.end()
	return serve(ctx, settled, logger, stop)
}

// serve is a node's life. ctx ends when it has to end at once.
func serve(ctx context.Context, c config, logger *slog.Logger, stop *signals) error {
	// Listen first: a port that is taken is the commonest fault of all, and so far nothing was touched. Who connects from here on waits
	// in the system's queue and is not turned away.
	open, err := listen(ctx, c)
	if err != nil {
		return err
	}
	defer open.close()

	// Open next: the lock of the data directory, the state as of the last run, the users and certificates. No goroutine runs yet, so
	// whatever fails up to here leaves nothing behind.
	n, err := openNode(c, open, logger)
	if err != nil {
		return err
	}

	// Run the node before any session may speak to it, and HTTP with it: while the tail of the log is folded, a balancer hears that the
	// node lives and is not ready, instead of hearing nothing.
	alive := n.run(ctx)
	select {
	case <-n.node.Ready():
	case <-stop.asked:
		return n.close(ctx) // nobody to drain
	case <-alive.Done():
		return n.close(ctx)
	}

	// Serve now that the state is caught up: a session that opened before would have seen the past. Say so last, when it is true.
	n.gateway.ReadPolicies(alive)
	n.serve(ctx)
	announce(c, open.places(c), n.node.ID().String(), logger)

	// Drain when asked to. Sessions leave while the node still runs: what they have in flight needs it.
	cutShort := n.awaitDrain(alive, stop)

	// Close in the order opposite to that of opening: sessions, then HTTP, then the node, which still takes what the sessions said last.
	err = n.close(ctx)
	if err == nil && cutShort {
		return errCutShort
	}
	return err
}

// servingNode holds the parts of a node in the order in which they are opened.
//
// Goroutines, all of group: the node's Run, the users file's Run, the tidier's, an HTTP server for each of --http-addr and --admin-addr, an accept loop
// for each STOMP address. All end in close, which has one more: awaitEnd.
type servingNode struct {
	config config
	logger *slog.Logger
	open   listeners

	node         *cluster.Node
	gateway      *gateway.Gateway
	users        *auth.Users   // nil without a users file
	certificates *certificates // nil without TLS
	server       *server.Server
	admin        *admin.Admin
	web          []*http.Server

	group     errgroup.Group
	fail      context.CancelFunc // one of the goroutines has failed
	stopFront context.CancelFunc // no more connections
	stopNode  context.CancelFunc // the last thing
	serving   chan struct{}      // closed when sessions may open
}

// openNode opens all parts; its error leaves none open.
func openNode(c config, open listeners, logger *slog.Logger) (_ *servingNode, err error) {
	n := &servingNode{config: c, logger: logger, open: open, serving: make(chan struct{})}
	if c.tls.configured() {
		if n.certificates, err = openCertificates(c.tls, logger); err != nil {
			return nil, err
		}
	}
	authenticator := auth.None()
	if c.auth == authUsers {
		if n.users, err = auth.OpenUsers(c.usersFile, logger); err != nil {
			return nil, err
		}
		authenticator = n.users
	}
	token := ""
	if c.adminTokenFile != "" {
		if token, err = readToken(c.adminTokenFile); err != nil {
			return nil, err
		}
	}
	cc := clusterConfig(c)
	if cc.Network, err = clusterNetwork(c, open, logger); err != nil {
		return nil, err
	}
	if n.node, err = cluster.Open(cc, logger); err != nil {
		return nil, err
	}
	n.gateway = gateway.New(n.node, logger)
	if n.server, err = server.New(serverConfig(c), n.gateway, authenticator, logger); err != nil {
		return nil, errors.Join(err, n.node.Close())
	}
	n.admin = admin.New(admin.Config{
		Token: token, DrainDelay: c.drainDelay, DrainTimeout: c.drainTimeout, Version: readBuild().version,
		WSMaxConnections: c.connectionsMax, ReadyOrphaned: c.readyWithoutLeader, Logger: logger,
	}, n.node, n.gateway, n.server)
	return n, nil
}

func clusterConfig(c config) cluster.Config {
	cc := cluster.DefaultConfig()
	cc.DataDir = c.dataDir
	cc.Addr = "" // a node that stays alone needs no port for others
	if c.cluster.several() {
		cc.Addr, cc.Advertise, cc.Seeds, cc.Expect = c.cluster.addr, c.cluster.advertise, c.cluster.seeds, c.cluster.expect
	}
	cc.RaftTimeout = c.raftTimeout
	cc.Version = readBuild().version
	return cc
}

func serverConfig(c config) server.Config {
	sc := server.DefaultConfig()
	sc.BodyBytesMax = c.messageBytesMax
	sc.ServiceBodyBytesMax = max(c.messageBytesMax, serviceBytesMax)
	sc.ConnectionsMax = c.connectionsMax
	sc.ConnectionsPerUserMax = c.connectionsPerUserMax
	sc.AllowedOrigins = c.allowedOrigins
	sc.WSCompression = c.wsCompression
	sc.ErrorPolicy = c.errorPolicy
	sc.ServerName = "stampede/" + readBuild().version
	return sc
}

// run starts the node and its HTTP addresses. No session opens yet. The context it gives ends with ctx, or when a part has failed.
func (n *servingNode) run(ctx context.Context) (alive context.Context) {
	alive, n.fail = context.WithCancel(ctx)
	nodeCtx, stopNode := context.WithCancel(context.WithoutCancel(ctx)) // its end comes by close, in its order
	n.stopNode = stopNode
	n.stopFront = func() {}
	n.start("node", func() error { return n.node.Run(nodeCtx, n.gateway) })
	n.start("tidier", func() error { return newTidier(n.server.Stats()).run(nodeCtx) })
	if n.users != nil {
		n.start("users file", func() error { return n.users.Run(nodeCtx) })
	}
	if n.open.http != nil {
		n.startWeb("http", n.open.http, n.publicHandler(), n.certificates)
	}
	if n.open.admin != nil {
		n.startWeb("admin", n.open.admin, n.admin.Handler(), nil)
	}
	return alive
}

// serve lets sessions in.
func (n *servingNode) serve(ctx context.Context) {
	frontCtx, stopFront := context.WithCancel(context.WithoutCancel(ctx))
	n.stopFront = stopFront
	if n.open.stomp != nil {
		n.start("stomp", func() error { return n.server.Serve(frontCtx, n.open.stomp, false) })
	}
	if n.open.stompTLS != nil {
		n.start("stomp-tls", func() error {
			return n.server.Serve(frontCtx, n.certificates.listenStomp(n.open.stompTLS, n.config.auth), true)
		})
	}
	close(n.serving)
}

// start runs one goroutine of the node's and notes its failure.
func (n *servingNode) start(name string, run func() error) {
	n.group.Go(func() error {
		err := run()
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
			n.fail()
		}
		return err
	})
}

// awaitDrain serves until a signal or POST /drain asks for a drain, and drains. cutShort tells that the drain was begun and is not over.
func (n *servingNode) awaitDrain(alive context.Context, stop *signals) (cutShort bool) {
	select {
	case <-alive.Done():
		return false
	case <-stop.asked:
	case <-n.admin.DrainRequested():
	}
	n.drain(alive)
	return alive.Err() != nil
}

// drain empties the node: not ready at once, and the leadership handed over; after --drain-delay, when the balancer has noticed, a notice and
// the sessions in waves; all within --drain-timeout.
func (n *servingNode) drain(alive context.Context) {
	ctx, cancel := context.WithTimeout(alive, n.config.drainTimeout)
	defer cancel()
	n.admin.SetDraining(true)
	n.logger.Info("draining", "delay", n.config.drainDelay, "timeout", n.config.drainTimeout)
	begun := time.Now()
	n.resign(ctx)
	select {
	case <-time.After(n.config.drainDelay - time.Since(begun)):
	case <-ctx.Done():
	}
	n.gateway.AnnounceDrain(reconnectIn)
	rest := n.config.drainTimeout - time.Since(begun)
	plan := server.DrainPlan{Over: max(0, rest-min(drainReserve, rest/2)), RetryAfter: retryAfter}
	if err := n.server.Drain(ctx, plan); err != nil {
		n.logger.Warn("drain cut short", "took", time.Since(begun), "error", err)
		return
	}
	n.logger.Info("drained", "took", time.Since(begun))
}

// resign hands the leadership over, so that nobody waits for an election when this node has gone.
func (n *servingNode) resign(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, resignTimeout)
	defer cancel()
	if err := n.node.Resign(ctx); err != nil {
		n.logger.Warn("leadership not handed over", "error", err)
	}
}

func retryAfter(int) time.Duration {
	return retryAfterMin + rand.N(retryAfterMax-retryAfterMin)
}

// close ends everything that runs, and gives the first failure of all.
func (n *servingNode) close(ctx context.Context) error {
	n.stopFront()
	n.open.closeStomp()
	grace := closeTimeout
	if ctx.Err() != nil {
		grace = atOnceTimeout
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := n.server.Shutdown(closing); err != nil {
		n.logger.Warn("sessions cut off", "error", err)
	}
	for _, web := range n.web {
		_ = web.Close() // what is still being answered is a health check
	}
	n.stopNode()
	ended := make(chan error, 1)
	go n.awaitEnd(ended)
	select {
	case err := <-ended:
		return err
	case <-time.After(closeTimeout):
		return fmt.Errorf("the node did not stop within %v; nothing acknowledged is lost", closeTimeout)
	}
}

func (n *servingNode) awaitEnd(ended chan<- error) { ended <- n.group.Wait() }
