package main

import (
	"path/filepath"
	"strings"
	"testing"
)

const threeSeeds = "--cluster-seeds=127.0.0.1:7400,127.0.0.1:7401,127.0.0.1:7402"

func TestClusterSettings(t *testing.T) {
	t.Run("are_those_of_a_node_alone_without_seeds", func(t *testing.T) {
		got := understand(t, nil, "")
		wantFaults(t, got.faults)
		for name, want := range map[string]string{
			"cluster-addr": `"127.0.0.1:7400"`, "cluster-advertise": `"127.0.0.1:7400"`, "cluster-seeds": "[]", "cluster-expect": "1",
			"cluster-tls-cert": `""`, "cluster-insecure": "false",
		} {
			if got.value(name) != want {
				t.Errorf("%s = %s, want %s", name, got.value(name), want)
			}
		}
	})
	t.Run("come_from_file_and_environment_too", func(t *testing.T) {
		got := understand(t, []string{"STAMPEDE_CLUSTER_ADDR=127.0.0.1:7401"}, "cluster-seeds:\n  - 127.0.0.1:7400\n  - 127.0.0.1:7401\n")
		wantFaults(t, got.faults)
		if got.value("cluster-seeds") != `["127.0.0.1:7400", "127.0.0.1:7401"]` || got.value("cluster-advertise") != `"127.0.0.1:7401"` {
			t.Errorf("seeds %s, advertised %s", got.value("cluster-seeds"), got.value("cluster-advertise"))
		}
	})
	t.Run("expect_all_seeds_or_of_an_even_number_one_less", func(t *testing.T) {
		seeds := []string{"127.0.0.1:7400"}
		for n, want := range map[int]string{1: "1", 2: "2", 3: "3", 4: "3", 5: "5", 6: "5"} {
			for len(seeds) < n {
				seeds = append(seeds, "127.0.0.2:740"+string(rune('0'+len(seeds))))
			}
			got := understand(t, nil, "", "--cluster-seeds="+strings.Join(seeds[:n], ","))
			wantFaults(t, got.faults)
			if got.value("cluster-expect") != want {
				t.Errorf("expect of %d seeds = %s, want %s", n, got.value("cluster-expect"), want)
			}
		}
	})
}

func TestClusterFaults(t *testing.T) {
	cert, key, ca := writeCertificate(t, "node")
	files := []string{"--cluster-tls-cert=" + cert, "--cluster-tls-key=" + key, "--cluster-tls-ca=" + ca}
	empty := filepath.Join(t.TempDir(), "empty")
	writeTestFile(t, empty, " \n")
	beyond := []string{"--cluster-addr=:7400", "--cluster-advertise=10.0.0.1:7400", "--cluster-seeds=10.0.0.1:7400,10.0.0.2:7400,10.0.0.3:7400"}
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"none", []string{threeSeeds}, nil},
		{"half_of_an_even_list", []string{"--cluster-seeds=127.0.0.1:7400,127.0.0.1:1,127.0.0.1:2,127.0.0.1:3", "--cluster-expect=2"}, []string{"--cluster-expect: got 2 of 4 seeds, want more than half"}},
		{"less_than_half", []string{threeSeeds, "--cluster-expect=1"}, []string{"--cluster-expect: got 1 of 3 seeds, want more than half"}},
		{"more_than_there_are", []string{threeSeeds, "--cluster-expect=4"}, []string{"--cluster-expect: got \"4\", want a number from 1 to 3"}},
		{"more_than_one_alone", []string{"--cluster-expect=3"}, []string{"--cluster-expect: got \"3\", want a number from 1 to 1"}},
		{"no_number", []string{threeSeeds, "--cluster-expect=all"}, []string{"--cluster-expect: got \"all\""}},
		{"names_that_are_looked_up", []string{"--cluster-seeds=dns:stampede.local:7400", "--cluster-insecure"}, []string{"--cluster-seeds: dns:stampede.local:7400: names that are looked up are not supported yet"}},
		{"a_seed_without_a_port", []string{threeSeeds + ",10.0.0.9"}, []string{"--cluster-seeds: got \"10.0.0.9\", want HOST:PORT"}},
		{"a_seed_twice", []string{threeSeeds + ",127.0.0.1:7400"}, []string{"--cluster-seeds: 127.0.0.1:7400 is there twice"}},
		{"this_node_is_no_seed", []string{threeSeeds, "--cluster-addr=127.0.0.1:7403"}, []string{"--cluster-seeds: must name this node too, as the others dial it: 127.0.0.1:7403"}},
		{"all_interfaces_and_no_address_to_dial", []string{"--cluster-addr=:7400", threeSeeds, "--cluster-insecure"}, []string{"--cluster-advertise: :7400 is no address that another node can dial"}},
		{"off", []string{"--cluster-addr=off", threeSeeds}, []string{"--cluster-addr: must not be off with --cluster-seeds"}},
		{"advertised_off", []string{threeSeeds, "--cluster-advertise=off"}, []string{"--cluster-advertise: must not be off"}},
		{"off_alone", []string{"--cluster-addr=off"}, nil},
		{"taken_by_another_flag", []string{threeSeeds, "--admin-addr=127.0.0.1:7400"}, []string{"--cluster-addr: 127.0.0.1:7400 is taken by --admin-addr"}},
		{"beyond_loopback_without_a_decision", beyond, []string{"--cluster-addr: :7400 speaks to other machines and nothing says how nodes prove themselves"}},
		{"beyond_loopback_in_the_clear", append([]string{"--cluster-insecure"}, beyond...), nil},
		{"beyond_loopback_with_tls", append(files, beyond...), nil},
		{"tls_and_in_the_clear", append([]string{threeSeeds, "--cluster-insecure"}, files...), []string{"--cluster-insecure: contradicts --cluster-tls-cert"}},
		{"tls_without_the_authority", append([]string{threeSeeds}, files[:2]...), []string{"--cluster-tls-cert: --cluster-tls-cert, --cluster-tls-key and --cluster-tls-ca belong together"}},
		{"certificates_that_are_none", []string{threeSeeds, "--cluster-tls-cert=" + empty, "--cluster-tls-key=" + key, "--cluster-tls-ca=" + empty}, []string{"--cluster-tls-cert: " + empty, "--cluster-tls-ca: " + empty + ": no certificate in it"}},
		{
			"all_at_once",
			[]string{"--cluster-seeds=a,127.0.0.1:7401", "--cluster-expect=0", "--cluster-tls-key=" + key, "--cluster-advertise=nowhere"},
			[]string{"--cluster-seeds: got \"a\"", "--cluster-advertise: got \"nowhere\"", "--cluster-expect: got \"0\"", "--cluster-tls-cert: --cluster-tls-cert,"},
		},
	} {
		t.Run(c.name, func(t *testing.T) { wantFaults(t, understand(t, nil, "", c.args...).faults, c.want...) })
	}
}
