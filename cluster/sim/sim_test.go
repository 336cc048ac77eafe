package sim_test

import (
	"errors"
	"flag"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stampede/cluster/sim"
)

var (
	seeds = flag.Int("sim.seeds", 10, "how many seeds to live through")
	first = flag.Uint64("sim.seed", 0, "the first of them")
	lasts = flag.Duration("sim.lasts", 15*time.Second, "how long things go wrong, in simulated time")
	loud  = flag.Bool("sim.log", false, "print what the nodes log")
)

func TestSimulation(t *testing.T) {
	eachSeed(t, *seeds, func(seed uint64, logger *slog.Logger) sim.Result { return sim.Run(seed, *lasts, logger) })
}

func TestStaleSuffixIsNeverCommitted(t *testing.T) {
	eachSeed(t, *seeds, sim.RunStaleSuffix)
}

// eachSeed lives through seeds until one fails.
func eachSeed(t *testing.T, count int, run func(seed uint64, logger *slog.Logger) sim.Result) {
	t.Helper()
	if testing.Short() {
		count = min(count, 5)
	}
	logger := slog.New(slog.DiscardHandler)
	if *loud {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	for seed := *first; seed < *first+uint64(count); seed++ {
		synctest.Test(t, func(t *testing.T) {
			result := run(seed, logger)
			t.Logf("seed %d: %s", seed, result.Summary)
			if len(result.Faults) > 0 {
				t.Errorf("seed %d (go test ./cluster/sim -run '^%s$' -sim.seed=%d -sim.seeds=1):\n%s\nwhat went on:\n%s", seed, t.Name(), seed,
					strings.Join(result.Faults, "\n"), strings.Join(result.Notes, "\n"))
			}
		})
		if t.Failed() {
			break
		}
	}
}

// Each of these builds breaks a rule on which the promises rest. A simulation that does not find it out is worth nothing.
func TestMutantsAreCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: builds and runs broken clusters")
	}
	for _, mutant := range []struct{ tag, run string }{
		{"mutant_origin", "TestSimulation"}, {"mutant_receipt", "TestSimulation"}, {"mutant_commitcap", "TestStaleSuffixIsNeverCommitted"},
	} {
		t.Run(mutant.tag, func(t *testing.T) {
			output, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-tags", mutant.tag, "-run", "^"+mutant.run+"$", ".", "-sim.seeds=40").CombinedOutput()
			var failed *exec.ExitError
			if !errors.As(err, &failed) || !strings.Contains(string(output), "--- FAIL: "+mutant.run) {
				t.Errorf("not caught: %v\n%s", err, output)
			}
		})
	}
}
