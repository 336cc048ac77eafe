package main

// bench_template.go: a SEND frame that was encoded once, and the digits of fixed width in it that change.

import (
	"bytes"
	"fmt"

	"stampede/stomp"
)

const (
	// hexDigits is the width of each number that changes from frame to frame.
	hexDigits = 16
	// stampedBytes is the least body that has room for a stamp and a serial number.
	stampedBytes = 2 * hexDigits
)

// sendTemplate is one SEND frame, encoded for its connection, with the places of what changes; -1: not there.
type sendTemplate struct {
	frame     []byte
	mask      [4]byte // of the WebSocket frame; zero on TCP
	payload   int     // where the payload begins
	receiptAt int
	stampAt   int
	serialAt  int
}

func newSendTemplate(p *sendPlan, overWebSocket bool) (sendTemplate, error) {
	if (p.stamped || p.serial) && p.bodyBytes < stampedBytes {
		return sendTemplate{}, fmt.Errorf("--body must be at least %d for latencies and --verify", stampedBytes)
	}
	pairs := []string{"destination", p.destination}
	if p.persistent != "" {
		pairs = append(pairs, "persistent", p.persistent)
	}
	zeros := string(bytes.Repeat([]byte{'0'}, hexDigits))
	if p.receipts {
		pairs = append(pairs, "receipt", zeros)
	}
	f := stomp.NewFrame(stomp.CommandSend, append(pairs, p.headers...)...)
	f.Body = bytes.Repeat([]byte{'x'}, p.bodyBytes)
	t := sendTemplate{frame: stomp.AppendFrame(nil, stomp.V12, f), receiptAt: -1, stampAt: -1, serialAt: -1}
	body := len(t.frame) - p.bodyBytes - 1
	if p.receipts {
		t.receiptAt = bytes.Index(t.frame, []byte("receipt:"+zeros)) + len("receipt:")
	}
	if p.stamped {
		t.stampAt = body
	}
	if p.serial {
		t.serialAt = body + hexDigits
	}
	if overWebSocket {
		t.wrap()
	}
	return t, nil
}

// wrap puts the frame into a masked WebSocket message.
func (t *sendTemplate) wrap() {
	plain := t.frame
	t.mask = newMask()
	t.frame = appendMaskedFrame(nil, opText, plain, t.mask)
	t.payload = len(t.frame) - len(plain)
	for _, at := range []*int{&t.receiptAt, &t.stampAt, &t.serialAt} {
		if *at >= 0 {
			*at += t.payload
		}
	}
}

// put writes v at a place of a copy of the frame.
func (t *sendTemplate) put(frame []byte, at int, v uint64) {
	if at < 0 {
		return
	}
	const digits = "0123456789abcdef"
	place := frame[at : at+hexDigits]
	for i := hexDigits - 1; i >= 0; i-- {
		place[i] = digits[v&15] ^ t.mask[(at-t.payload+i)&3]
		v >>= 4
	}
}

// parseHex reads what put wrote.
func parseHex(b []byte) (v uint64, ok bool) {
	if len(b) < hexDigits {
		return 0, false
	}
	for _, c := range b[:hexDigits] {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}
