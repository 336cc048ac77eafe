package stomp_test

import (
	"testing"

	"stampede/stomp"
)

func TestValidate(t *testing.T) {
	const v10, v11, v12 = stomp.V10, stomp.V11, stomp.V12
	all := []stomp.Version{v10, v11, v12}
	from11 := []stomp.Version{v11, v12}
	tests := []struct {
		name     string
		versions []stomp.Version
		frame    *stomp.Frame
		code     string // "" for no fault
		severity stomp.Severity
	}{
		{"[STOMP12 §SEND] with destination", all, stomp.NewFrame(stomp.CommandSend, "destination", "/a"), "", 0},
		{"[STOMP12 §SEND] without destination", all, stomp.NewFrame(stomp.CommandSend), stomp.CodeMissingHeader, stomp.Refused},
		{"[STOMP12 §SEND] with an empty destination", all, stomp.NewFrame(stomp.CommandSend, "destination", ""), stomp.CodeMissingHeader, stomp.Refused},
		{"[STOMP12 §SEND] with an empty first destination", all, stomp.NewFrame(stomp.CommandSend, "destination", "", "destination", "/a"), stomp.CodeMissingHeader, stomp.Refused},

		{"[STOMP12 §SUBSCRIBE] with id and destination", all, stomp.NewFrame(stomp.CommandSubscribe, "id", "0", "destination", "/a"), "", 0},
		{"[STOMP12 §SUBSCRIBE] without destination", all, stomp.NewFrame(stomp.CommandSubscribe, "id", "0"), stomp.CodeMissingHeader, stomp.Fatal},
		{"[STOMP12 §SUBSCRIBE id Header] without id", from11, stomp.NewFrame(stomp.CommandSubscribe, "destination", "/a"), stomp.CodeMissingHeader, stomp.Fatal},
		{"[STOMP10 §SUBSCRIBE] without id", []stomp.Version{v10}, stomp.NewFrame(stomp.CommandSubscribe, "destination", "/a"), "", 0},
		{"[STOMP12 §SUBSCRIBE ack Header] auto", all, stomp.NewFrame(stomp.CommandSubscribe, "id", "0", "destination", "/a", "ack", "auto"), "", 0},
		{"[STOMP12 §SUBSCRIBE ack Header] client", all, stomp.NewFrame(stomp.CommandSubscribe, "id", "0", "destination", "/a", "ack", "client"), "", 0},
		{"[STOMP12 §SUBSCRIBE ack Header] client-individual", all, stomp.NewFrame(stomp.CommandSubscribe, "id", "0", "destination", "/a", "ack", "client-individual"), "", 0},
		{"[STOMP12 §SUBSCRIBE ack Header] anything else", all, stomp.NewFrame(stomp.CommandSubscribe, "id", "0", "destination", "/a", "ack", "Client"), stomp.CodeInvalidHeader, stomp.Refused},
		{"[STOMP12 §SUBSCRIBE ack Header] empty", all, stomp.NewFrame(stomp.CommandSubscribe, "id", "0", "destination", "/a", "ack", ""), stomp.CodeInvalidHeader, stomp.Refused},

		{"[STOMP12 §UNSUBSCRIBE] with id", all, stomp.NewFrame(stomp.CommandUnsubscribe, "id", "0"), "", 0},
		{"[STOMP12 §UNSUBSCRIBE] with destination alone", from11, stomp.NewFrame(stomp.CommandUnsubscribe, "destination", "/a"), stomp.CodeMissingHeader, stomp.Fatal},
		{"[STOMP10 §UNSUBSCRIBE] with destination alone", []stomp.Version{v10}, stomp.NewFrame(stomp.CommandUnsubscribe, "destination", "/a"), "", 0},
		{"[STOMP12 §UNSUBSCRIBE] with neither", all, stomp.NewFrame(stomp.CommandUnsubscribe), stomp.CodeMissingHeader, stomp.Fatal},

		{"[STOMP12 §ACK] with id", []stomp.Version{v12}, stomp.NewFrame(stomp.CommandAck, "id", "1"), "", 0},
		{"[STOMP12 §ACK] without id", []stomp.Version{v12}, stomp.NewFrame(stomp.CommandAck, "message-id", "1", "subscription", "0"), stomp.CodeMissingHeader, stomp.Fatal},
		{"[STOMP11 §ACK] with message-id and subscription", []stomp.Version{v10, v11}, stomp.NewFrame(stomp.CommandAck, "message-id", "1", "subscription", "0"), "", 0},
		{"[STOMP11 §ACK] without subscription", []stomp.Version{v11}, stomp.NewFrame(stomp.CommandAck, "message-id", "1"), stomp.CodeMissingHeader, stomp.Fatal},
		{"[STOMP11 §ACK] without message-id", []stomp.Version{v10, v11}, stomp.NewFrame(stomp.CommandAck, "id", "1", "subscription", "0"), stomp.CodeMissingHeader, stomp.Fatal},
		{"[STOMP10 §ACK] with message-id alone", []stomp.Version{v10}, stomp.NewFrame(stomp.CommandAck, "message-id", "1"), "", 0},

		{"[STOMP12 §NACK] with id", []stomp.Version{v12}, stomp.NewFrame(stomp.CommandNack, "id", "1"), "", 0},
		{"[STOMP12 §NACK] without id", []stomp.Version{v12}, stomp.NewFrame(stomp.CommandNack), stomp.CodeMissingHeader, stomp.Fatal},
		{"[STOMP11 §NACK] with message-id and subscription", []stomp.Version{v11}, stomp.NewFrame(stomp.CommandNack, "message-id", "1", "subscription", "0"), "", 0},
		{"[STOMP11 §NACK] without subscription", []stomp.Version{v11}, stomp.NewFrame(stomp.CommandNack, "message-id", "1"), stomp.CodeMissingHeader, stomp.Fatal},
		{"[STOMP10 §ACK] there is no NACK", []stomp.Version{v10}, stomp.NewFrame(stomp.CommandNack, "message-id", "1"), stomp.CodeUnknownCommand, stomp.Refused},

		{"[STOMP12 §BEGIN] with transaction", all, stomp.NewFrame(stomp.CommandBegin, "transaction", "t"), "", 0},
		{"[STOMP12 §BEGIN] without transaction", all, stomp.NewFrame(stomp.CommandBegin), stomp.CodeMissingHeader, stomp.Fatal},
		{"[STOMP12 §COMMIT] with transaction", all, stomp.NewFrame(stomp.CommandCommit, "transaction", "t"), "", 0},
		{"[STOMP12 §COMMIT] without transaction", all, stomp.NewFrame(stomp.CommandCommit), stomp.CodeMissingHeader, stomp.Fatal},
		{"[STOMP12 §ABORT] with transaction", all, stomp.NewFrame(stomp.CommandAbort, "transaction", "t"), "", 0},
		{"[STOMP12 §ABORT] without transaction", all, stomp.NewFrame(stomp.CommandAbort), stomp.CodeMissingHeader, stomp.Fatal},
		{"[STOMP12 §DISCONNECT] needs nothing", all, stomp.NewFrame(stomp.CommandDisconnect), "", 0},
		{"[STOMP12 §CONNECT or STOMP Frame] needs nothing of clients in use", all, stomp.NewFrame(stomp.CommandConnect), "", 0},

		{"[STOMP12 §Server Frames] CONNECTED is not a client's", all, stomp.NewFrame(stomp.CommandConnected), stomp.CodeUnknownCommand, stomp.Fatal},
		{"[STOMP12 §Server Frames] MESSAGE is not a client's", all, stomp.NewFrame(stomp.CommandMessage), stomp.CodeUnknownCommand, stomp.Fatal},
		{"[STOMP12 §Server Frames] RECEIPT is not a client's", all, stomp.NewFrame(stomp.CommandReceipt), stomp.CodeUnknownCommand, stomp.Fatal},
		{"[STOMP12 §Server Frames] ERROR is not a client's", all, stomp.NewFrame(stomp.CommandError), stomp.CodeUnknownCommand, stomp.Fatal},
		{"no command", all, &stomp.Frame{}, stomp.CodeUnknownCommand, stomp.Fatal},
		{"a command that does not exist", all, &stomp.Frame{Command: 200}, stomp.CodeUnknownCommand, stomp.Fatal},
		{"a frame before CONNECT", []stomp.Version{stomp.VersionNone}, stomp.NewFrame(stomp.CommandSend, "destination", "/a"), stomp.CodeNotConnected, stomp.Fatal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, v := range test.versions {
				e := stomp.Validate(test.frame, v)
				if test.code == "" {
					if e != nil {
						t.Errorf("version %v: %v (%s), want no fault", v, e, e.Detail)
					}
					continue
				}
				wantCode(t, e, test.code)
				if e == nil {
					continue
				}
				checkText(t, e)
				if e.Severity != test.severity {
					t.Errorf("version %v: severity = %v, want %v", v, e.Severity, test.severity)
				}
			}
		})
	}
}

func TestSubscriptionID(t *testing.T) {
	tests := []struct {
		v     stomp.Version
		frame *stomp.Frame
		want  string
	}{
		{stomp.V12, stomp.NewFrame(stomp.CommandSubscribe, "id", "0", "destination", "/a"), "0"},
		{stomp.V10, stomp.NewFrame(stomp.CommandSubscribe, "id", "0", "destination", "/a"), "0"},
		{stomp.V10, stomp.NewFrame(stomp.CommandSubscribe, "destination", "/a"), "/a"},
		{stomp.V10, stomp.NewFrame(stomp.CommandUnsubscribe, "id", "", "destination", "/a"), "/a"},
		{stomp.V11, stomp.NewFrame(stomp.CommandSubscribe, "destination", "/a"), ""},
	}
	for _, test := range tests {
		if got := string(stomp.SubscriptionID(test.frame, test.v)); got != test.want {
			t.Errorf("version %v, %s: id = %q, want %q", test.v, show(test.frame), got, test.want)
		}
	}
}

func TestCodes(t *testing.T) {
	seen := map[string]bool{}
	for _, info := range stomp.Codes() {
		if seen[info.Code] {
			t.Errorf("code %s is in the table twice", info.Code)
		}
		seen[info.Code] = true
		for _, c := range info.Code {
			if c != '-' && (c < 'a' || c > 'z') {
				t.Errorf("code %q is not in kebab case", info.Code)
			}
		}
		if info.Summary == "" {
			t.Errorf("code %s has no summary", info.Code)
		}
		e := stomp.NewProtocolError(info.Code, "m", "")
		if e.Severity != info.Severity {
			t.Errorf("%s: severity = %v, want the table's %v", info.Code, e.Severity, info.Severity)
		}
		if got, want := string(stomp.ErrorFrame(e, "").Body), info.Summary; got != want {
			t.Errorf("%s without detail: body = %q, want %q", info.Code, got, want)
		}
	}
	if got, want := len(seen), 43; got != want {
		t.Errorf("%d codes, want %d: a code that is taken away breaks clients", got, want)
	}
	transient := []string{stomp.CodeDeliveryGone, stomp.CodeOutcomeUnknown, stomp.CodeNoQuorum, stomp.CodeDiskFull, stomp.CodeDedupFull}
	for _, code := range transient {
		if got := stomp.NewProtocolError(code, "", "").Severity; got != stomp.Transient {
			t.Errorf("severity of %s = %v, want transient", code, got)
		}
	}
	if got := stomp.NewProtocolError("no-such-code", "", "").Severity; got != stomp.Fatal {
		t.Errorf("severity of an unknown code = %v, want fatal", got)
	}
}
