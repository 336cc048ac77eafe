package sim_test

import (
	"flag"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stampede/cluster/sim"
)

var (
	seeds = flag.Int("sim.seeds", 20, "how many seeds to live through")
	first = flag.Uint64("sim.seed", 0, "the first of them")
	lasts = flag.Duration("sim.lasts", 15*time.Second, "how long things go wrong, in simulated time")
	loud  = flag.Bool("sim.log", false, "print what the nodes log")
)

func TestSimulation(t *testing.T) {
	count := *seeds
	if testing.Short() {
		count = min(count, 5)
	}
	logger := slog.New(slog.DiscardHandler)
	if *loud {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	for seed := *first; seed < *first+uint64(count); seed++ {
		synctest.Test(t, func(t *testing.T) {
			result := sim.Run(seed, *lasts, logger)
			t.Logf("seed %d: %s", seed, result.Summary)
			if len(result.Faults) > 0 {
				t.Errorf("seed %d (go test ./cluster/sim -sim.seed=%d -sim.seeds=1):\n%s\nwhat went on:\n%s", seed, seed,
					strings.Join(result.Faults, "\n"), strings.Join(result.Notes, "\n"))
			}
		})
		if t.Failed() {
			break
		}
	}
}
