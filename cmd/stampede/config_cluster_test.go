package main

import (
	"slices"
	"testing"
)

func TestClusterSettings(t *testing.T) {
	const here = "127.0.0.1:7400"
	two, three := here+",127.0.0.1:7401", here+",127.0.0.1:7401,127.0.0.1:7402"
	four, five := three+",127.0.0.1:7403", three+",127.0.0.1:7403,127.0.0.1:7404"

	t.Run("expect_what_suits_the_seeds", func(t *testing.T) {
		for _, c := range []struct {
			seeds string
			want  int
		}{{"", 1}, {here, 1}, {two, 2}, {three, 3}, {four, 3}, {five, 5}} {
			got := understand(t, nil, "", "--cluster-seeds="+c.seeds)
			wantFaults(t, got.faults)
			if got.config.cluster.expect != c.want {
				t.Errorf("expect of %q = %d, want %d", c.seeds, got.config.cluster.expect, c.want)
			}
		}
	})

	t.Run("come_from_environment_and_file_too", func(t *testing.T) {
		got := understand(t, []string{"STAMPEDE_CLUSTER_EXPECT=2"}, "cluster-seeds: ["+here+", 127.0.0.1:7401]\ncluster-advertise: "+here+"\n")
		wantFaults(t, got.faults)
		if c := got.config.cluster; c.expect != 2 || !slices.Equal(c.seeds, []string{here, "127.0.0.1:7401"}) || c.advertise != here {
			t.Errorf("cluster = %+v", c)
		}
	})

	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"half_of_the_seeds", []string{"--cluster-seeds=" + four, "--cluster-expect=2"}, []string{"--cluster-expect: got 2 of 4 seeds, want more than half"}},
		{"more_than_the_seeds", []string{"--cluster-seeds=" + two, "--cluster-expect=3"}, []string{"--cluster-expect: got \"3\", want a number from 1 to 2"}},
		{"several_without_seeds", []string{"--cluster-expect=3"}, []string{"--cluster-expect: got \"3\""}},
		{"seeds_that_are_looked_up", []string{"--cluster-seeds=dns:voters:7400"}, []string{"--cluster-seeds: dns:voters:7400: names that are looked up are not supported yet"}},
		{"a_seed_without_a_port", []string{"--cluster-seeds=" + here + ",b"}, []string{"--cluster-seeds: got \"b\", want HOST:PORT"}},
		{"a_seed_twice", []string{"--cluster-seeds=" + here + "," + here}, []string{"--cluster-seeds: " + here + " is there twice"}},
		{"seeds_without_this_node", []string{"--cluster-seeds=127.0.0.1:7401,127.0.0.1:7402"}, []string{"--cluster-seeds: must name this node too"}},
		{"an_address_that_nobody_can_dial", []string{"--cluster-addr=:7400", "--cluster-seeds=" + two, "--cluster-insecure"}, []string{"--cluster-advertise: :7400 is no address that another node can dial"}},
		{"no_address", []string{"--cluster-addr=off", "--cluster-seeds=" + two}, []string{"--cluster-addr: must not be off with --cluster-seeds"}},
		{"beyond_loopback_without_a_decision", []string{"--cluster-addr=10.0.0.1:7400", "--cluster-seeds=10.0.0.1:7400,10.0.0.2:7400"}, []string{"--cluster-addr: 10.0.0.1:7400 speaks to other machines and nothing says how nodes prove themselves"}},
		{"tls_in_part", []string{"--cluster-tls-cert=/a.pem"}, []string{"--cluster-tls-cert: --cluster-tls-cert, --cluster-tls-key and --cluster-tls-ca belong together"}},
		{"tls_and_insecure", []string{"--cluster-tls-cert=/a", "--cluster-tls-key=/b", "--cluster-tls-ca=/c", "--cluster-insecure"}, []string{"--cluster-insecure: contradicts --cluster-tls-cert", "--cluster-tls-cert: open /a", "--cluster-tls-ca: open /c"}},
		{"a_port_of_another_listener", []string{"--cluster-addr=127.0.0.1:8080", "--cluster-seeds=127.0.0.1:8080"}, []string{"--cluster-addr: 127.0.0.1:8080 is taken by --http-addr"}},
		{"beyond_loopback_in_the_clear_said_aloud", []string{"--cluster-addr=10.0.0.1:7400", "--cluster-seeds=10.0.0.1:7400,10.0.0.2:7400", "--cluster-insecure"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) { wantFaults(t, understand(t, nil, "", c.args...).faults, c.want...) })
	}
}
