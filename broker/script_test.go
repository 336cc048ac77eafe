package broker_test

import (
	"path/filepath"
	"strings"
	"testing"

	"stampede/broker/brokertest"
)

// TestScripts runs the stories of testdata. With -rewrite what came out is written into them, to be reviewed like code.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) { brokertest.RunScript(t, path) })
	}
}
