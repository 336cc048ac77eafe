package stomp_test

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"stampede/stomp"
)

func ExampleReader() {
	wire := "CONNECT\naccept-version:1.1,1.2\n\n\x00\n\nSEND\ndestination:/queue/a\nnote:a\\cb\n\nhello\x00"
	r := stomp.NewReader(strings.NewReader(wire), stomp.DefaultLimits())
	for {
		f, err := r.ReadFrame()
		if err == io.EOF {
			return
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		switch f.Command {
		case stomp.CommandConnect:
			version, _ := stomp.NegotiateVersion(f.Value(stomp.HeaderAcceptVersion), f.Has(stomp.HeaderAcceptVersion))
			r.SetVersion(version) // holds from the next frame on
			fmt.Println("version", version)
		case stomp.CommandSend:
			fmt.Println(f.Value(stomp.HeaderDestination), f.Value("note"), string(f.Body))
		}
	}
	// Output:
	// version 1.2
	// /queue/a a:b hello
}

func ExampleAppendFrame() {
	f := stomp.NewFrame(stomp.CommandMessage, "subscription", "0", "message-id", "1-0-7", "destination", "/topic/a:b")
	f.Body = []byte("hello")
	fmt.Printf("%q\n", stomp.AppendFrame(nil, stomp.V12, f))
	// Output:
	// "MESSAGE\nsubscription:0\nmessage-id:1-0-7\ndestination:/topic/a\\cb\ncontent-length:5\n\nhello\x00"
}

func ExampleTranscodeHeaders() {
	kept := stomp.AppendHeader(nil, stomp.V12, "note", "two\nlines: one each")
	fmt.Printf("1.2 %q\n", stomp.TranscodeHeaders(nil, stomp.V12, kept))
	fmt.Printf("1.0 %q\n", stomp.TranscodeHeaders(nil, stomp.V10, kept))
	// Output:
	// 1.2 "note:two\\nlines\\c one each\n"
	// 1.0 "note:two lines: one each\n"
}

func ExampleErrorFrame() {
	r := stomp.NewReader(strings.NewReader("GET / HTTP/1.1\r\n\r\n"), stomp.DefaultLimits())
	_, err := r.ReadFrame()
	var fault *stomp.ProtocolError
	if errors.As(err, &fault) {
		f := stomp.ErrorFrame(fault, "")
		fmt.Println(f.Value(stomp.HeaderErrorCode), fault.Severity, r.Dialect())
	}
	// Output:
	// unknown-command fatal HTTP
}

func ExampleNegotiateHeartBeat() {
	clientSend, clientWant, _ := stomp.ParseHeartBeat("4000,30000")
	send, expect := stomp.NegotiateHeartBeat(10000, 10000, clientSend, clientWant)
	fmt.Println("the server sends every", send, "ms and expects something every", expect, "ms")
	// Output:
	// the server sends every 30000 ms and expects something every 10000 ms
}
