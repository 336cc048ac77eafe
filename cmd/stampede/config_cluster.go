package main

// config_cluster.go: the settings of what goes on between nodes.

import (
	"net"
	"slices"
	"strconv"
	"strings"
)

// ClusterFlags are the settings of a node that is not alone.
type ClusterFlags struct {
	ClusterAddr      string     `name:"cluster-addr" env:"STAMPEDE_CLUSTER_ADDR" default:"127.0.0.1:7400" help:"Raft and the streams between nodes, one port; listened on when there are seeds."`
	ClusterAdvertise string     `name:"cluster-advertise" env:"STAMPEDE_CLUSTER_ADVERTISE" placeholder:"HOST:PORT" help:"Address that the other nodes dial (that of --cluster-addr)."`
	ClusterSeeds     []string   `name:"cluster-seeds" env:"STAMPEDE_CLUSTER_SEEDS" placeholder:"HOST:PORT" help:"Where the nodes of the cluster are to be found, this one among them; none means a one-node cluster."`
	ClusterExpect    string     `name:"cluster-expect" env:"STAMPEDE_CLUSTER_EXPECT" placeholder:"N" help:"Voters that found a new cluster together; more than half of the seeds (all of them; of an even number above two one less; 1 without seeds)."`
	ClusterTLSCert   string     `name:"cluster-tls-cert" env:"STAMPEDE_CLUSTER_TLS_CERT" placeholder:"FILE" help:"Certificate chain in PEM of this node, for mutual TLS between nodes; reloaded on change."`
	ClusterTLSKey    string     `name:"cluster-tls-key" env:"STAMPEDE_CLUSTER_TLS_KEY" placeholder:"FILE" help:"Key of --cluster-tls-cert in PEM; reloaded on change."`
	ClusterTLSCA     string     `name:"cluster-tls-ca" env:"STAMPEDE_CLUSTER_TLS_CA" placeholder:"FILE" help:"Authority in PEM that signs nodes, and nothing but nodes; reloaded on change."`
	ClusterInsecure  switchText `name:"cluster-insecure" env:"STAMPEDE_CLUSTER_INSECURE" default:"false" help:"Nodes speak to each other in the clear and unproven, also beyond loopback."`
}

// clusterSettings is what ClusterFlags mean.
type clusterSettings struct {
	addr, advertise string
	seeds           []string
	expect          int
	tls             tlsFiles
	insecure        bool
}

// several tells whether the node has others to find.
func (c clusterSettings) several() bool { return len(c.seeds) > 0 }

// cluster understands the settings of the cluster and finds what they have against each other.
func (s *settler) cluster(f *ClusterFlags, c *config) {
	k := clusterSettings{
		addr: s.address("cluster-addr", f.ClusterAddr), seeds: s.seeds(f.ClusterSeeds),
		tls:      tlsFiles{cert: f.ClusterTLSCert, key: f.ClusterTLSKey, clientCA: f.ClusterTLSCA},
		insecure: s.onOff("cluster-insecure", string(f.ClusterInsecure)),
	}
	k.advertise = k.addr
	switch f.ClusterAdvertise {
	case "":
	case off:
		s.fault("cluster-advertise", "must not be off")
	default:
		k.advertise = s.address("cluster-advertise", f.ClusterAdvertise)
	}
	if k.several() && (f.ClusterAddr == off || f.ClusterAddr == "") {
		s.fault("cluster-addr", "must not be off with --cluster-seeds")
	}
	k.expect = s.expect(f.ClusterExpect, k.seeds)
	s.clusterTLS(k)
	if k.several() {
		s.clusterMembership(k)
	}
	c.cluster = k
}

// seeds reads a fixed list of addresses.
func (s *settler) seeds(list []string) (seeds []string) {
	for _, seed := range list {
		host, port, err := net.SplitHostPort(seed)
		number, portErr := strconv.ParseUint(port, 10, 16)
		switch {
		case strings.HasPrefix(seed, "dns:"):
			s.fault("cluster-seeds", "%s: names that are looked up are not supported yet; list the nodes as HOST:PORT", seed)
		case err != nil || portErr != nil || host == "" || number == 0:
			s.fault("cluster-seeds", "got %q, want HOST:PORT", seed)
		case slices.Contains(seeds, seed):
			s.fault("cluster-seeds", "%s is there twice", seed)
		default:
			seeds = append(seeds, seed)
		}
	}
	return seeds
}

// expect reads how many found the cluster, or takes what suits the seeds: an odd number of voters outlives as many losses as the even one above.
func (s *settler) expect(text string, seeds []string) int {
	n := max(len(seeds), 1)
	if n > 2 && n%2 == 0 {
		n--
	}
	if text == "" {
		return n
	}
	most := max(len(seeds), 1)
	got, err := strconv.Atoi(text)
	switch {
	case err != nil || got < 1 || got > most:
		s.fault("cluster-expect", "got %q, want a number from 1 to %d, the number of seeds", text, most)
	case got <= len(seeds)/2:
		s.fault("cluster-expect", "got %d of %d seeds, want more than half: two halves would found a cluster each", got, len(seeds))
	}
	return got
}

func (s *settler) clusterTLS(k clusterSettings) {
	set := 0
	for _, file := range []string{k.tls.cert, k.tls.key, k.tls.clientCA} {
		if file != "" {
			set++
		}
	}
	if set > 0 && set < 3 {
		s.fault("cluster-tls-cert", "--cluster-tls-cert, --cluster-tls-key and --cluster-tls-ca belong together: both sides prove themselves")
	}
	if set > 0 && k.insecure {
		s.fault("cluster-insecure", "contradicts --cluster-tls-cert")
	}
}

func (s *settler) clusterMembership(k clusterSettings) {
	if k.addr == "" || k.advertise == "" {
		return // told already
	}
	if host, port, err := net.SplitHostPort(k.advertise); err == nil {
		if ip := net.ParseIP(host); host == "" || port == "0" || (ip != nil && ip.IsUnspecified()) {
			s.fault("cluster-advertise", "%s is no address that another node can dial: set --cluster-advertise to one of --cluster-seeds", k.advertise)
			return
		}
	}
	if !slices.Contains(k.seeds, k.advertise) {
		s.fault("cluster-seeds", "must name this node too, as the others dial it: %s (--cluster-advertise, else --cluster-addr) is not among %s", k.advertise, strings.Join(k.seeds, ","))
	}
	if !k.insecure && !k.tls.configured() && !loopbackOnly(append([]string{k.addr}, k.seeds...)...) {
		s.fault("cluster-addr", "%s speaks to other machines and nothing says how nodes prove themselves: set --cluster-tls-cert, --cluster-tls-key and --cluster-tls-ca, or --cluster-insecure", k.addr)
	}
}
