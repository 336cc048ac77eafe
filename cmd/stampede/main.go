package main

// main.go: the list of commands, and how each ends: exit code 0 when done, 1 on a failure, 2 on bad usage or configuration, with one
// line on standard error for each thing that is wrong.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// commands has one field a command; each lives in the file of its name.
type commands struct {
	Serve       ServeCmd       `cmd:"" help:"Run a node."`
	Pub         PubCmd         `cmd:"" help:"Publish a message, or each line of standard input."`
	Sub         SubCmd         `cmd:"" help:"Print messages as they arrive."`
	Bench       BenchCmd       `cmd:"" help:"Put a broker under load and measure it."`
	Status      StatusCmd      `cmd:"" help:"Say how a node and its cluster are."`
	Drain       DrainCmd       `cmd:"" help:"Ask a node to drain."`
	Log         LogCmd         `cmd:"" help:"Read the event log of a data directory or a live node, or verify it."`
	CheckConfig CheckConfigCmd `cmd:"" help:"Say every fault of a configuration, and what holds in the end."`
	Version     VersionCmd     `cmd:"" help:"Print what this build is."`
}

const (
	exitDone    = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() { os.Exit(run(os.Args[1:])) }

// run parses and runs one command and gives its exit code.
func run(args []string) int {
	var list commands
	from := newSources(os.Environ())
	parser, err := kong.New(&list, kong.Name("stampede"),
		kong.Description("An event-sourced STOMP message broker."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
		kong.Resolvers(from))
	if err != nil {
		panic(err) // a wrong tag in commands: no command of this build works
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return complain(os.Stderr, err)
	}
	from.takeCommandLine(parsed)
	ctx, stop := commandContext(parsed.Command())
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.Bind(from)
	if err := parsed.Run(); err != nil {
		return complain(os.Stderr, err)
	}
	return exitDone
}

// commandContext ends with the first SIGINT or SIGTERM, but for serve, which has more to do then and takes its signals itself.
func commandContext(command string) (context.Context, context.CancelFunc) {
	if command == "serve" {
		return context.WithCancel(context.Background())
	}
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// usageError is bad usage or configuration: one fault or many.
type usageError []fault

func (e usageError) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// complain prints what is wrong, one line each, and gives the exit code for it.
func complain(w io.Writer, err error) int {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if line != "" {
			fmt.Fprintln(w, "stampede: "+line)
		}
	}
	var parse *kong.ParseError
	var usage usageError
	if errors.As(err, &parse) || errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

// isAttended tells whether a person may be at the other end of the file: a character device that is not the null device.
func isAttended(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
