package server_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

var rewrite = flag.Bool("rewrite", false, "write what the server answers into testdata/wire")

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}
