package stomp

import (
	"math"
	"strings"
)

// HeartBeatFloorMillis is the shortest interval that is agreed to: shorter wishes cost more than they tell.
const HeartBeatFloorMillis = 100

// ParseHeartBeat reads the value of a `heart-beat` header: what its sender can send and what it wants to get, in
// milliseconds, 0 for never. Spaces around the numbers are accepted, numbers past 31 bits are cut to them.
// [STOMP12 §Heart-beating]
func ParseHeartBeat(v string) (sendMillis, wantMillis int, err *ProtocolError) {
	first, second, found := strings.Cut(v, ",")
	send, sendOK := parseMillis(first)
	want, wantOK := parseMillis(second)
	if !found || !sendOK || !wantOK {
		return 0, 0, NewProtocolError(CodeInvalidHeartBeat, "invalid heart-beat header",
			"The header must be two numbers of milliseconds, as in heart-beat:10000,10000.")
	}
	return send, want, nil
}

// parseMillis reads one number. Values that do not fit stop at MaxInt32, about 24 days.
func parseMillis(s string) (n int, ok bool) {
	s = strings.Trim(s, " \t")
	for i := range len(s) {
		digit := s[i] - '0'
		if digit > 9 {
			return 0, false
		}
		n = min(n*10+int(digit), math.MaxInt32)
	}
	return n, len(s) > 0
}

// NegotiateHeartBeat gives the intervals that hold on a connection, in milliseconds, 0 for none: how often the server must
// send something, and how often it may expect something. Each is the longer of the two wishes, and at least
// HeartBeatFloorMillis. [STOMP12 §Heart-beating]
func NegotiateHeartBeat(serverSend, serverWant, clientSend, clientWant int) (send, expect int) {
	return agreeInterval(serverSend, clientWant), agreeInterval(clientSend, serverWant)
}

func agreeInterval(can, want int) int {
	if can <= 0 || want <= 0 {
		return 0
	}
	return max(can, want, HeartBeatFloorMillis)
}
